"""What is Ollama's own: what every chat says, versions, remote models, memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from contenders import SCHEMA, asking
from scripted_ollama import ScriptedOllama
from scripting import Made, Say

from orchestrator.providers.base import Final, Message, ProviderError, Think
from orchestrator.providers.ollama import Ollama

MODEL = "small:latest"
LONG = asking(MODEL, "One rule after the other, and each is another. " * 60, 4096)


@pytest.fixture
def double() -> Iterator[ScriptedOllama]:
    with ScriptedOllama(models=[Made(MODEL, thinks=True, context=8192)]) as made:
        yield made


def final(provider: Ollama, request: object = LONG) -> Final:
    *_, last = provider.chat(request, threading.Event())  # type: ignore[arg-type]
    assert isinstance(last, Final)
    return last


def test_every_chat_forbids_cutting_and_shifting_and_says_its_limits(double: ScriptedOllama) -> None:
    final(Ollama("ollama", double.where), replace(LONG, seed=3, temperature=0.2, stop=("<end>",)))
    (body,) = double.bodies("/api/chat")
    assert body["truncate"] is False
    assert body["shift"] is False
    assert body["stream"] is True
    assert body["options"] == {
        "num_ctx": 4096,
        "num_predict": 400,
        "temperature": 0.2,
        "seed": 3,
        "stop": ["<end>"],
    }
    assert "think" not in body
    assert "format" not in body


@pytest.mark.parametrize(
    ("model", "version", "think", "schema", "sent"),
    [
        ("qwen3:8b", "0.33.0", None, None, None),
        ("qwen3:8b", "0.33.0", True, None, True),
        ("qwen3:8b", "0.33.0", False, None, False),
        ("qwen3:8b", "0.33.0", False, SCHEMA, False),
        ("qwen3:8b", "0.21.1", False, SCHEMA, False),
        ("qwen3:8b", "0.21.0", False, SCHEMA, None),  # there it would put the schema out of force
        ("qwen3:8b", "0.21.0", False, None, False),
        ("qwen3:8b", "0.21.0", True, SCHEMA, True),
        ("gpt-oss:20b", "0.33.0", True, None, "medium"),
        ("gpt-oss:20b", "0.33.0", False, None, "low"),
        ("gpt-oss:20b", "0.12.0", False, SCHEMA, "low"),
        ("gpt-oss:20b", "0.33.0", "high", None, "high"),
        ("someone/gpt-oss:20b", "0.33.0", False, None, "low"),
    ],
)
def test_thinking_is_asked_for_as_the_model_and_the_version_take_it(
    model: str, version: str, think: Think, schema: dict[str, object] | None, sent: object
) -> None:
    with ScriptedOllama(models=[Made(model, thinks=True)], version=version) as double:
        final(Ollama("ollama", double.where), replace(LONG, model=model, think=think, schema=schema))
        (body,) = double.bodies("/api/chat")
        assert body.get("think") == sent
        assert body.get("format") == schema


REMOTE = [
    Made("gpt-oss:120b-cloud"),
    Made("kimi-k2:CLOUD"),
    Made("innocent:latest", remote="https://ollama.com:443"),
]


@pytest.mark.parametrize("made", REMOTE, ids=lambda made: made.name)
def test_a_model_that_somebody_else_runs_is_never_told_anything(made: Made) -> None:
    with ScriptedOllama(models=[made, Made(MODEL)]) as double:
        provider = Ollama("ollama", double.where)
        for call in (
            lambda: list(provider.chat(replace(LONG, model=made.name), threading.Event())),
            lambda: provider.load(made.name, 4096, 60, threading.Event()),
            lambda: provider.embed(made.name, ["secret"]),
        ):
            with pytest.raises(ProviderError) as caught:
                call()
            assert caught.value.kind == "refused"
        assert provider.look(made.name).remote
        assert [each.remote for each in provider.models()] == [True, False]
        assert not any("secret" in str(body) or body.get("messages") for _, body in double.heard)
        assert not double.bodies("/api/generate")


def test_a_model_that_becomes_remote_under_its_name_is_refused_from_then_on(double: ScriptedOllama) -> None:
    provider = Ollama("ollama", double.where)
    final(provider)
    double.models[MODEL] = Made(MODEL, remote="https://ollama.com:443")
    with pytest.raises(ProviderError) as caught:
        final(provider)
    assert caught.value.kind == "refused"


def test_it_is_loaded_with_the_context_that_is_asked_for_and_kept_as_long(double: ScriptedOllama) -> None:
    provider = Ollama("ollama", double.where)
    held = provider.load("small", 8192, 900.0, threading.Event())
    assert held.context == 8192
    assert held.bytes > held.context
    (body,) = double.bodies("/api/generate")
    assert body["options"] == {"num_ctx": 8192}
    assert body["keep_alive"] == 900.0
    final(provider, replace(LONG, context=8192))
    assert double.bodies("/api/chat")[-1]["keep_alive"] == 900.0  # a chat does not set it back


def test_a_smaller_context_than_asked_for_is_refused_with_both_numbers() -> None:
    with ScriptedOllama(most=4096) as double, pytest.raises(ProviderError) as caught:
        Ollama("ollama", double.where).load(MODEL, 16384, 60.0, threading.Event())
    assert caught.value.kind == "refused"
    assert "4096" in str(caught.value)
    assert "16384" in str(caught.value)


def test_an_embedding_model_is_loaded_too() -> None:
    with ScriptedOllama(models=[Made("vectors:latest", embeds=True)]) as double:
        held = Ollama("ollama", double.where).load("vectors", 512, 60.0, threading.Event())
        assert held.context == 512


def test_loading_ends_when_it_is_stopped() -> None:
    with ScriptedOllama(loads=60.0) as double:
        stop, ended = threading.Event(), threading.Event()

        def load() -> None:
            with pytest.raises(ProviderError):
                Ollama("ollama", double.where).load(MODEL, 4096, 60.0, stop)
            ended.set()

        threading.Thread(target=load, daemon=True).start()
        while not double.bodies("/api/generate"):
            time.sleep(0.005)
        began = time.monotonic()
        stop.set()
        assert ended.wait(5)
        assert time.monotonic() - began < 0.5
        assert double.left.wait(5)


def test_unloading_returns_once_the_memory_is_free_and_not_at_the_servers_promise(
    double: ScriptedOllama,
) -> None:
    provider = Ollama("ollama", double.where)
    provider.load(MODEL, 4096, 60.0, threading.Event())
    provider.unload(MODEL, threading.Event())
    assert not double.held
    assert double.bodies("/api/generate")[-1]["keep_alive"] == 0


def test_a_model_that_does_not_go_is_told() -> None:
    with ScriptedOllama(stays=True) as double:
        provider = Ollama("ollama", double.where, loading=0.3)
        provider.load(MODEL, 4096, 60.0, threading.Event())
        with pytest.raises(ProviderError) as caught:
            provider.unload(MODEL, threading.Event())
        assert caught.value.kind == "stall"


def test_a_model_that_was_evicted_is_loaded_again_by_the_next_call(double: ScriptedOllama) -> None:
    provider = Ollama("ollama", double.where)
    provider.load(MODEL, 4096, 60.0, threading.Event())
    double.evict(MODEL)
    assert not provider.loaded()
    final(provider)
    assert provider.loaded()[0].context == 4096


# Counts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["0.6.2", "0.29.1", "0.31.0", "0.33.2"])
def test_a_prompt_that_an_old_or_new_server_cut_is_found_by_its_count(version: str) -> None:
    with ScriptedOllama([Say("ok", fault="truncated")], version=version) as double:
        with pytest.raises(ProviderError) as caught:
            final(Ollama("ollama", double.where))
        assert caught.value.kind == "truncated"
        assert "was cut" in str(caught.value)


@pytest.mark.parametrize("version", ["0.1.30", "0.30.0", "0.30.5", "nightly"])
def test_where_a_count_may_leave_out_what_was_cached_nothing_is_concluded_from_it(version: str) -> None:
    numbered = version if version != "nightly" else "0.0.0"
    with ScriptedOllama(version=numbered) as double:
        double.version = version
        provider = Ollama("ollama", double.where)
        first, second = final(provider).usage, final(provider).usage
        assert first.prompt is not None
        if version.startswith("0.30"):
            assert second.prompt is not None
            assert second.prompt < first.prompt / 10  # it was in the cache, and this is no error


def test_a_prompt_that_a_server_without_truncate_fills_its_context_with_is_truncated() -> None:
    """The server cut it to its context: prompt and reply together are more than there is room for."""
    words = "".join(f"x{number % 7}" for number in range(2300))  # some 4,700 characters: 670 tokens at least
    with ScriptedOllama(["a reply of some tokens"], version="0.11.0") as double:
        request = asking(MODEL, words, 1024)
        assert sum(len(each.content) for each in request.messages) / 4 > 1024
        with pytest.raises(ProviderError) as caught:
            final(Ollama("ollama", double.where), request)
        assert caught.value.kind == "truncated"
        assert "pushed out" in str(caught.value)


def test_what_was_cached_is_told_where_the_server_tells_it(double: ScriptedOllama) -> None:
    provider = Ollama("ollama", double.where)
    assert final(provider).usage.cached == 0
    more = replace(LONG, messages=(*LONG.messages, Message("assistant", "ok"), Message("user", "and now?")))
    usage = final(provider, more).usage
    assert usage.prompt is not None
    assert usage.cached is not None
    assert usage.prompt * 0.85 < usage.cached <= usage.prompt


def test_a_prompt_that_cannot_fit_is_not_even_sent(double: ScriptedOllama) -> None:
    with pytest.raises(ProviderError) as caught:
        final(Ollama("ollama", double.where), replace(LONG, context=300))
    assert caught.value.kind == "truncated"
    assert not double.bodies("/api/chat")


# Facts -----------------------------------------------------------------------------------------------


def test_the_facts_of_a_model_are_by_their_names_alone(double: ScriptedOllama) -> None:
    found = Ollama("ollama", double.where).look("small")
    assert found.name == MODEL
    assert found.digest == "a" * 64
    assert found.context == 8192
    assert found.quantization == "Q4_K_M"
    assert found.thinks
    assert found.embeds is False
    assert found.facts is not None
    assert found.facts["attention.head_count_kv"] == 8
    assert found.facts["parameter_count"] == 8_190_735_360
    assert found.facts["architecture"] == "qwen3"


def test_thinking_that_a_model_cannot_do_is_refused_and_not_tried_again() -> None:
    with ScriptedOllama(models=[Made(MODEL)]) as double, pytest.raises(ProviderError) as caught:
        final(Ollama("ollama", double.where), replace(LONG, think=True))
    assert caught.value.kind == "refused"
    assert "does not support thinking" in str(caught.value)
