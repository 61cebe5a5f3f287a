"""What is the OpenAI dialect's own: the context a server was started with, and chunks of all kinds."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from contenders import SCHEMA, asking
from scripted_openai import Flavour, ScriptedOpenAI
from scripting import Made

from orchestrator.providers.base import Final, ProviderError, Text, Thought, Usage
from orchestrator.providers.openai import OpenAI
from orchestrator.providers.openai_chunks import Ended, Reply, body, read_chunk

MODEL = "small:latest"
ASKED = asking(MODEL, "Say something.")


@pytest.mark.parametrize("flavour", ["llama.cpp", "vllm", "lmstudio"])
def test_the_context_is_what_the_server_was_started_with(flavour: Flavour) -> None:
    with ScriptedOpenAI(flavour=flavour, context=4096) as double:
        provider = OpenAI("server", double.where)
        assert provider.load(MODEL, 4096, 60.0, threading.Event()).context == 4096
        with pytest.raises(ProviderError) as caught:
            provider.load(MODEL, 8192, 60.0, threading.Event())
        assert caught.value.kind == "refused"
        assert "4096" in str(caught.value)
        assert "8192" in str(caught.value)


def test_lm_studio_is_asked_once_so_that_it_loads_the_model() -> None:
    with ScriptedOpenAI(flavour="lmstudio") as double:
        provider = OpenAI("server", double.where)
        assert not provider.loaded()
        provider.load(MODEL, 4096, 60.0, threading.Event())
        assert [each.name for each in provider.loaded()] == [MODEL]
        provider.load(MODEL, 4096, 60.0, threading.Event())
        assert len(double.bodies("/v1/chat/completions")) == 1


def test_what_came_up_after_a_failure_may_be_another_server() -> None:
    with ScriptedOpenAI(flavour="llama.cpp") as double:
        provider = OpenAI("server", double.where)
        assert provider.health().version == "b9999-0000000"
        port = int(double.where.rpartition(":")[2])
    assert not provider.health().ok
    with ScriptedOpenAI(flavour="vllm", port=port):
        assert provider.health().version == "0.19.0"


def test_unloading_says_how_the_memory_is_freed_instead() -> None:
    with pytest.raises(ProviderError) as caught:
        OpenAI("server", "127.0.0.1:1").unload(MODEL, threading.Event())
    assert caught.value.kind == "refused"
    assert "end that server" in str(caught.value)


def test_a_model_of_ollamas_makers_is_refused_here_too() -> None:
    with ScriptedOpenAI(models=[Made("gpt-oss:120b-cloud")]) as double:
        provider = OpenAI("server", double.where)
        with pytest.raises(ProviderError) as caught:
            list(provider.chat(replace(ASKED, model="gpt-oss:120b-cloud"), threading.Event()))
        assert caught.value.kind == "refused"
        assert not double.heard


def test_a_request_in_the_dialect() -> None:
    said = body(replace(ASKED, schema=SCHEMA, think=False, stop=("<end>",), seed=5))
    assert said["max_tokens"] == ASKED.most
    assert said["response_format"]["json_schema"]["schema"] == SCHEMA
    assert said["chat_template_kwargs"] == {"enable_thinking": False}
    assert said["stop"] == ["<end>"]
    assert said["stream_options"] == {"include_usage": True}
    assert said["cache_prompt"] is True
    assert body(ASKED).keys().isdisjoint({"response_format", "chat_template_kwargs", "stop"})
    assert body(replace(ASKED, think="low"))["reasoning_effort"] == "low"


def chunk(delta: Any, reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more}


@pytest.mark.parametrize(
    ("data", "pieces"),
    [
        (chunk({"role": "assistant", "content": None}), []),
        (chunk({"content": "a"}), [Text("a")]),
        (chunk({"reasoning_content": "t"}), [Thought("t")]),
        (chunk({"reasoning": "t", "content": "a"}), [Thought("t"), Text("a")]),
        (chunk({}, "stop"), [Ended("stop")]),
        (chunk(None, "length"), [Ended("length")]),
        (
            {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}},
            [Usage(prompt=9, reply=2)],
        ),
        (
            chunk({}, "stop", timings={"cache_n": 7, "prompt_n": 2, "predicted_n": 3}),
            [Ended("stop"), Usage(prompt=9, cached=7, reply=3)],
        ),
        (
            {
                "choices": [],
                "usage": {
                    "prompt_tokens": 9,
                    "completion_tokens": 2,
                    "prompt_tokens_details": {"cached_tokens": 4},
                },
                "timings": {"cache_n": 4, "prompt_n": 5},
            },
            [Usage(prompt=9, cached=4, reply=2)],
        ),
        ({"choices": [], "usage": {"prompt_tokens": "9", "completion_tokens": -1}}, [Usage()]),
        (chunk({"tool_calls": [{"function": {}}]}), []),
    ],
)
def test_what_a_chunk_says(data: dict[str, Any], pieces: list[object]) -> None:
    assert read_chunk(data) == pieces


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"choices": None},
        {"choices": {}},
        {"choices": ["a"]},
        chunk("a"),
        chunk({"content": 5}),
        chunk({"content": ["a"]}),
        chunk({"reasoning_content": {}}),
        {"error": {"message": "it broke", "code": 500}},
        {"error": "it broke"},
    ],
)
def test_what_is_no_chunk_is_an_error_in_the_stream(data: dict[str, Any]) -> None:
    with pytest.raises(ProviderError) as caught:
        read_chunk(data)
    assert caught.value.kind == "mid-stream"


def test_a_stream_has_one_end_and_only_by_the_servers_word() -> None:
    reply = Reply(ASKED)
    assert reply.hear(chunk({"content": "a"})) == [Text("a")]
    with pytest.raises(ProviderError) as caught:
        reply.end()
    assert caught.value.kind == "mid-stream"
    assert reply.hear(chunk({}, "stop")) == []
    assert reply.ended
    reply.hear({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 1}})
    (final,) = reply.end()
    assert isinstance(final, Final)
    assert (final.usage.prompt, final.usage.reply, final.cut) == (9, 1, False)


@pytest.mark.parametrize("reason", ["content_filter", "error", "abort"])
def test_an_end_that_is_no_completion_is_none(reason: str) -> None:
    reply = Reply(ASKED)
    reply.hear(chunk({"content": "a"}, reason))
    with pytest.raises(ProviderError) as caught:
        reply.end()
    assert caught.value.kind == "mid-stream"
