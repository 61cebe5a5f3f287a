"""What every provider promises, whoever serves it (see `contenders.py`)."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from contenders import CONTENDERS, Bench, asking

from orchestrator.providers.base import Chunk, Final, Message, ProviderError, Request, Text, Thought


@pytest.fixture(scope="module", params=CONTENDERS)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with CONTENDERS[request.param](request) as made:
        made.provider.load(made.model, made.short.context, 300.0, threading.Event())
        yield made


def hear(bench: Bench, request: Request, stop: threading.Event | None = None) -> list[Chunk]:
    return list(bench.provider.chat(request, stop or threading.Event()))


def text(chunks: list[Chunk]) -> str:
    return "".join(each.text for each in chunks if isinstance(each, Text))


def end(chunks: list[Chunk]) -> Final:
    """The one word that it is complete."""
    finals = [each for each in chunks if isinstance(each, Final)]
    assert len(finals) == 1
    assert chunks[-1] is finals[0]
    return finals[0]


def test_it_says_within_two_seconds_that_it_answers(bench: Bench) -> None:
    began = time.monotonic()
    health = bench.provider.health()
    assert time.monotonic() - began < 2.5  # the promise, and a busy machine
    assert health.ok, health.why
    assert not health.why


def test_a_model_is_listed_and_tells_about_itself(bench: Bench) -> None:
    assert bench.model in [each.name for each in bench.provider.models()]
    found = bench.provider.look(bench.model)
    assert found.name == bench.model
    assert not found.remote
    assert found.context == 0 or found.context >= bench.short.context


def test_what_is_in_memory_is_listed_with_its_real_context(bench: Bench) -> None:
    held = bench.provider.load(bench.model, bench.short.context, 300.0, threading.Event())
    assert held.context == 0 or held.context >= bench.short.context
    listed = bench.provider.loaded()
    if held.context:
        assert bench.model in [each.name for each in listed]


def test_a_reply_comes_in_pieces_and_ends_once(bench: Bench) -> None:
    chunks = hear(bench, bench.short)
    final = end(chunks)
    assert not final.cut
    assert text(chunks).strip()
    assert all(each.text for each in chunks if isinstance(each, Text | Thought))
    assert final.usage.prompt is None or final.usage.prompt > 5
    assert final.usage.reply is None or final.usage.reply >= 1
    assert 0 <= final.usage.first <= final.usage.seconds


def test_a_reply_is_heard_while_it_is_still_made(bench: Bench) -> None:
    def goes_on() -> float:
        """Seconds between the first piece and the end. A small model is quick, and we may be held up."""
        stream = bench.provider.chat(bench.long, threading.Event())
        next(stream)
        began = time.monotonic()
        end(list(stream))
        return time.monotonic() - began

    assert any(goes_on() > 0.01 for _ in range(5))  # what is there already is handed out far sooner


def test_the_same_request_gives_the_same_reply(bench: Bench) -> None:
    if not bench.same:
        pytest.skip("a model on a graphics card may answer otherwise")
    assert text(hear(bench, bench.short)) == text(hear(bench, bench.short))


def test_a_beginning_that_was_sent_before_comes_from_the_cache(bench: Bench) -> None:
    rules = Message("system", "Some rules, which stay as they are from one turn to the next. " * 12)
    asked = replace(bench.short, messages=(rules, *bench.short.messages[1:]))
    first = hear(bench, asked)
    more = (Message("assistant", text(first)), Message("user", "And once more, please."))
    usage = end(hear(bench, replace(asked, messages=(*asked.messages, *more)))).usage
    if usage.cached is None or usage.prompt is None:
        pytest.skip("this server does not tell what came from its cache")
    assert usage.prompt / 2 < usage.cached <= usage.prompt


def test_a_reply_that_its_limit_ends_is_told_as_cut(bench: Bench) -> None:
    final = end(hear(bench, replace(bench.long, most=8)))
    assert final.cut
    assert final.usage.reply is None or final.usage.reply <= 10


def test_a_reply_under_a_schema_is_of_it(bench: Bench) -> None:
    said = json.loads(text(hear(bench, bench.schema)))
    assert list(said) == ["ok"]
    assert isinstance(said["ok"], bool)


def test_a_call_that_is_stopped_ends_within_half_a_second_and_without_an_end(bench: Bench) -> None:
    stop = threading.Event()
    heard: list[Chunk] = []
    stopped = math.inf
    for chunk in bench.provider.chat(bench.long, stop):
        heard.append(chunk)
        if not stop.is_set():
            stop.set()
            stopped = time.monotonic()
    assert time.monotonic() - stopped < 0.5
    assert heard
    assert not any(isinstance(each, Final) for each in heard)
    end(hear(bench, bench.short))  # and the server is free for the next


def test_a_call_that_was_stopped_before_it_began_says_nothing(bench: Bench) -> None:
    stop = threading.Event()
    stop.set()
    assert not any(isinstance(each, Final) for each in hear(bench, bench.long, stop))


def test_a_stream_that_is_let_go_is_ended(bench: Bench) -> None:
    stream = bench.provider.chat(bench.long, threading.Event())
    next(stream)
    began = time.monotonic()
    stream.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 0.5
    end(hear(bench, bench.short))


def test_a_prompt_that_does_not_fit_is_an_error_and_never_cut(bench: Bench) -> None:
    words = " ".join(f"word{number} of {number * 7919 % 1009}" for number in range(12_000))
    with pytest.raises(ProviderError) as caught:
        hear(bench, asking(bench.model, words, bench.short.context))
    assert caught.value.kind == "truncated", caught.value


def test_a_prompt_that_fits_by_our_estimate_and_not_by_the_servers_is_an_error_too(bench: Bench) -> None:
    # Some 4 characters of it are a token, and 7 are what no tokenizer is below: the server must say it.
    words = " ".join(f"w{number}" for number in range(8192))[: 5 * 8192]
    with pytest.raises(ProviderError) as caught:
        hear(bench, asking(bench.model, words, 8192))
    assert caught.value.kind == "truncated", caught.value


@pytest.mark.parametrize("does", ["look", "load", "chat", "embed"])
def test_a_model_that_is_not_there_is_missing(bench: Bench, does: str) -> None:
    name = "no-such-model:7b"
    calls = {
        "look": lambda: bench.provider.look(name),
        "load": lambda: bench.provider.load(name, 4096, 60.0, threading.Event()),
        "chat": lambda: hear(bench, replace(bench.short, model=name)),
        "embed": lambda: bench.provider.embed(name, ["text"]),
    }
    with pytest.raises(ProviderError) as caught:
        calls[does]()
    assert caught.value.kind == "missing", caught.value


def test_a_context_that_cannot_be_had_is_refused_and_never_made_smaller(bench: Bench) -> None:
    with pytest.raises(ProviderError) as caught:
        bench.provider.load(bench.model, 1 << 22, 60.0, threading.Event())
    assert caught.value.kind == "refused", caught.value
    bench.provider.load(bench.model, bench.short.context, 300.0, threading.Event())


def test_calls_at_once_each_get_their_own_reply(bench: Bench) -> None:
    with ThreadPoolExecutor(3) as pool:
        replies = list(pool.map(lambda each: hear(bench, each), [bench.short, bench.schema, bench.short]))
    for each in replies:
        end(each)
    assert "ok" in json.loads(text(replies[1]))


def test_each_text_gets_a_vector_or_the_reason_is_told(bench: Bench) -> None:
    assert bench.provider.embed(bench.embedder or bench.model, []) == []
    if not bench.embedder:
        with pytest.raises(ProviderError):
            bench.provider.embed(bench.model, ["a text"])
        return
    one, two, again = bench.provider.embed(bench.embedder, ["a text", "quite another", "a text"])
    assert len(one) == len(two) > 1
    assert sum(a * b for a, b in zip(one, again, strict=True)) > 0.99 * sum(a * a for a in one)
    assert one != two


def test_a_text_too_long_for_a_vector_is_an_error_and_never_cut(bench: Bench) -> None:
    if not bench.embedder:
        pytest.skip("no model here makes vectors")
    with pytest.raises(ProviderError) as caught:
        bench.provider.embed(bench.embedder, [" ".join(f"w{number}" for number in range(60_000))])
    assert caught.value.kind == "truncated", caught.value


def test_a_model_that_is_taken_out_is_gone_or_the_reason_is_told(bench: Bench) -> None:
    try:
        bench.provider.unload(bench.model, threading.Event())
    except ProviderError as error:
        assert error.kind == "refused", error
        return
    assert bench.model not in [each.name for each in bench.provider.loaded()]
    bench.provider.unload(bench.model, threading.Event())  # what is gone can be taken out again
    bench.provider.load(bench.model, bench.short.context, 300.0, threading.Event())
