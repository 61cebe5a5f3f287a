"""Thoughts between tags, lower bounds of a prompt, and errors by what cures them."""

from __future__ import annotations

import pytest
from contenders import asking
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.providers.answers import failure, parse
from orchestrator.providers.base import Chunk, Message, ProviderError, Text, Thought, Usage
from orchestrator.providers.stream import Told, least

ASKED = asking("small", "Say something.")


def told(pieces: list[str], cut: bool = True) -> tuple[str, str]:
    """Thinking and text of a reply that comes in these pieces."""
    reply = Told(ASKED)
    chunks: list[Chunk] = []
    for piece in pieces:
        chunks += reply.text(piece)
    chunks += reply.end(Usage(), cut)
    assert all(each.text for each in chunks if isinstance(each, Text | Thought))
    thinking = "".join(each.text for each in chunks if isinstance(each, Thought))
    return thinking, "".join(each.text for each in chunks if isinstance(each, Text))


@given(
    st.lists(st.sampled_from(["<", "think", "<think>", "</think>", ">", "/", "\n", " ", "a", "</thi", "nk>"]))
)
def test_a_reply_is_told_alike_however_it_is_cut_into_pieces(parts: list[str]) -> None:
    whole = "".join(parts)
    assert told([whole]) == told(parts) == told(list(whole))


@given(st.text(alphabet="ab<>/think \n"))
def test_nothing_of_a_reply_is_lost_but_the_tags_and_blanks_beside_them(reply: str) -> None:
    thinking, text = told(list(reply))
    if not reply.lstrip().startswith("<think>"):
        assert (thinking, text) == ("", reply)
    else:
        inside, _, rest = reply.lstrip().removeprefix("<think>").partition("</think>")
        assert (thinking, text) == (inside, rest.lstrip("\n"))


@pytest.mark.parametrize(
    ("reply", "thinking", "text"),
    [
        ("plain", "", "plain"),
        ("  <think>a</think>\n\nb", "a", "b"),
        ("<think>never closed", "never closed", ""),
        ("<think></think>b", "", "b"),
        ("a <think>b</think>", "", "a <think>b</think>"),
        ("<thinking>b", "", "<thinking>b"),
        ("<thi", "", "<thi"),
        ("<think>a<b</thin</think>c", "a<b</thin", "c"),
        ("    indented", "", "    indented"),
    ],
)
def test_thinking_between_tags_is_apart_only_where_a_reply_opens_with_it(
    reply: str, thinking: str, text: str
) -> None:
    assert told(list(reply)) == (thinking, text)


@pytest.mark.parametrize("pieces", [[], ["  \n"], ["<think>only"], ["<think>only</think>\n\n"]])
def test_a_reply_with_no_word_in_it_is_empty(pieces: list[str]) -> None:
    with pytest.raises(ProviderError) as caught:
        told(pieces, cut=False)
    assert caught.value.kind == "empty"


def test_the_lower_bound_of_a_prompt_is_one_for_long_runs_and_short_prompts() -> None:
    assert least([Message("user", "short")]) == 0
    assert least([Message("user", " " * 100_000 + "=" * 100_000)]) == 0
    prose = "The quick brown fox jumps over the lazy dog. " * 200
    assert (
        1000 < least([Message("user", prose)]) < 200 * 10
    )  # ten tokens a sentence, with any tokenizer in use


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        ("model 'x' not found", 404, "missing"),
        ("model 'x' not found, try pulling it first", 0, "missing"),
        ("server busy, please try again", 503, "transport"),
        ("the input length exceeds the context length", 400, "truncated"),
        ("prompt too long; exceeded max context length by 5 tokens", 400, "truncated"),
        (
            {
                "message": "the request exceeds the available context size",
                "type": "exceed_context_size_error",
            },
            400,
            "truncated",
        ),
        ({"message": "This model's maximum context length is 4096 tokens."}, 400, "truncated"),
        ({"message": "input is too large to process. increase the physical batch size"}, 500, "truncated"),
        ('"x" does not support thinking', 400, "refused"),
        ("model requires more system memory (5.6 GiB) than is available (4.1 GiB)", 500, "refused"),
        ("an error was encountered while running the model", 0, "mid-stream"),
        ("this server does not support embeddings", 501, "refused"),
        ("", 500, "transport"),
        ({"code": 7}, 502, "transport"),
        (None, 400, "refused"),
    ],
)
def test_an_error_of_a_server_is_of_the_kind_that_cures_it(error: object, status: int, kind: str) -> None:
    found = failure(error, status)
    assert found.kind == kind
    assert 10 < len(str(found)) < 600


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"5", b"nul", b"\xff\xfe{}", b"[" * 100_000, b'{"a":' * 50_000, b'{"a": 1']
)
def test_what_is_no_object_is_an_error_with_its_beginning(data: bytes) -> None:
    with pytest.raises(ProviderError) as caught:
        parse(data)
    assert len(str(caught.value)) < 400
