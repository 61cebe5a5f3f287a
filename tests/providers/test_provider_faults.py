"""A server that goes wrong in any way is told by what would cure it, in time and in bounds."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from contenders import asking
from scripted_ollama import ScriptedOllama
from scripted_openai import ScriptedOpenAI
from scripting import FAULTS, WIRE_FAULTS, Double, Say, Script

from orchestrator.providers.base import Chunk, Final, Provider, ProviderError, Text, Thought
from orchestrator.providers.ollama import Ollama
from orchestrator.providers.openai import OpenAI

MODEL = "small:latest"
SAID = "def add(a, b):\n    return a + b\n" * 3
Pair = tuple[Callable[..., Double], Callable[[str], Provider]]
PAIRS: dict[str, Pair] = {
    "ollama": (ScriptedOllama, lambda where: Ollama("ollama", where, first=0.6, gap=0.3)),
    "openai": (ScriptedOpenAI, lambda where: OpenAI("server", where, first=0.6, gap=0.3)),
}
KINDS = {
    "hang": "stall",
    "stall": "stall",
    "dribble": "stall",
    "drop": "mid-stream",
    "error": "mid-stream",
    "no-done": "mid-stream",
    "unavailable": "transport",
    "evicted": "transport",
    "truncated": "truncated",
    "garbage": "mid-stream",
    "wrong-types": "mid-stream",
    "gzip": "transport",
    "long-line": "mid-stream",
    "empty": "empty",
    "thinks-only": "empty",
}
LONG = asking(MODEL, "Please make the sum of all that is listed here. " + "item by item, " * 300, 8192)


@pytest.fixture(params=PAIRS)
def pair(request: pytest.FixtureRequest) -> Pair:
    return PAIRS[request.param]


def text(chunks: list[Chunk]) -> str:
    return "".join(each.text for each in chunks if isinstance(each, Text))


@pytest.mark.parametrize("fault", KINDS)
def test_each_fault_is_an_error_of_its_kind(pair: Pair, fault: str) -> None:
    made, provide = pair
    with made([Say(SAID, "Let me see.", fault=fault), "ok"]) as double:
        provider = provide(double.where)
        heard: list[Chunk] = []
        began = time.monotonic()
        with pytest.raises(ProviderError) as caught:
            heard += provider.chat(LONG, threading.Event())
        assert caught.value.kind == KINDS[fault], caught.value
        assert time.monotonic() - began < 8.0
        assert str(caught.value)
        assert "\n" not in str(caught.value)
        assert not any(isinstance(each, Final) for each in heard)
        again = list(provider.chat(LONG, threading.Event()))  # the next call is none the worse
        assert text(again) == "ok"


def test_every_fault_of_the_wire_has_a_kind_here() -> None:
    assert set(WIRE_FAULTS) - set(KINDS) == {"cut"}
    assert set(FAULTS) >= set(KINDS)


def test_what_came_before_a_fault_was_heard(pair: Pair) -> None:
    made, provide = pair
    with made([Say(SAID, fault="drop")]) as double:
        heard = []
        with pytest.raises(ProviderError):
            for chunk in provide(double.where).chat(LONG, threading.Event()):
                heard.append(chunk)
        assert SAID.startswith(text(heard))
        assert text(heard)


def test_a_reply_that_is_cut_says_so(pair: Pair) -> None:
    made, provide = pair
    with made([Say(SAID, fault="cut")]) as double:
        *heard, final = provide(double.where).chat(LONG, threading.Event())
        assert isinstance(final, Final)
        assert final.cut
        assert 0 < len(text(heard)) < len(SAID)


def test_thinking_between_tags_is_told_as_thinking(pair: Pair) -> None:
    made, provide = pair
    for piece in (1, 3, 7, 1000):
        with made([Say(SAID, "A thought.\n", piece=piece, fault="think-tags")]) as double:
            heard = list(provide(double.where).chat(LONG, threading.Event()))
            assert text(heard) == SAID
            thought = "".join(each.text for each in heard if isinstance(each, Thought))
            assert thought.strip() == "A thought."


def test_talk_around_the_reply_and_a_wrong_form_are_passed_on_for_the_caller_to_judge(pair: Pair) -> None:
    made, provide = pair
    with made([Say('{"ok": true}', fault="prose"), Say('{"ok": true}', fault="schema")]) as double:
        provider = provide(double.where)
        assert "Sure!" in text(list(provider.chat(LONG, threading.Event())))
        assert "ok" not in json.loads(text(list(provider.chat(LONG, threading.Event()))))


def test_a_chant_goes_on_until_it_is_stopped_or_at_its_limit(pair: Pair) -> None:
    made, provide = pair
    with made([Say("", fault="chant")]) as double:
        provider = provide(double.where)
        stop = threading.Event()
        heard = 0
        for _ in provider.chat(replace(LONG, most=100_000), stop):
            heard += 1
            if heard == 50:
                stop.set()
        assert 50 <= heard < 60
        assert double.left.wait(5)  # the server was let go, and works on it no longer
        final = list(provider.chat(LONG, threading.Event()))[-1]
        assert isinstance(final, Final)
        assert final.cut


def test_a_server_that_keeps_to_no_limit_is_ended(pair: Pair) -> None:
    made, provide = pair

    def unheeding(body: dict[str, object], nth: int) -> Say:
        body["max_tokens"] = body["options"] = 0  # the double forgets what it was given
        body.pop("max_tokens")
        body["options"] = {"num_ctx": 8192}
        return Say("", piece=4000, fault="chant")

    with made(unheeding) as double:
        began = time.monotonic()
        with pytest.raises(ProviderError) as caught:
            for _ in provide(double.where).chat(replace(LONG, most=16), threading.Event()):
                pass
        assert caught.value.kind == "length"
        assert time.monotonic() - began < 20


@pytest.mark.parametrize("fault", ["hang", "stall", "dribble", ""])
def test_stop_ends_a_call_wherever_it_is_and_the_server_is_told(pair: Pair, fault: str) -> None:
    made, _ = pair
    make = Ollama if made is ScriptedOllama else OpenAI
    with made([Say(SAID * 50, delay=0.02, fault=fault)]) as double:
        provider = make("patient", double.where)
        stop, done = threading.Event(), threading.Event()
        heard: list[Chunk] = []

        def call() -> None:
            heard.extend(provider.chat(LONG, stop))
            done.set()

        thread = threading.Thread(target=call)
        thread.start()
        path = "/api/chat" if make is Ollama else "/v1/chat/completions"
        while not double.bodies(path):
            time.sleep(0.005)
        began = time.monotonic()
        stop.set()
        assert done.wait(5)
        assert time.monotonic() - began < 0.5
        assert double.left.wait(5)
        assert not any(isinstance(each, Final) for each in heard)
        thread.join()


def test_a_server_that_is_gone_is_said_with_its_address(pair: Pair) -> None:
    made, provide = pair
    with made() as double:
        provider = provide(double.where)
        assert provider.health().ok
    health = provider.health()
    assert not health.ok
    assert double.where in health.why
    assert "start" in health.why
    for call in (provider.models, provider.loaded, lambda: list(provider.chat(LONG, threading.Event()))):
        with pytest.raises(ProviderError) as caught:
            call()
        assert caught.value.kind == "transport"


def test_a_script_breaks_the_share_it_is_told_to_and_the_same_calls_each_time() -> None:
    script = Script(["ok"], broken=0.3, seed=7)
    faults = [script({}, nth).fault for nth in range(2000)]
    assert 0.25 < sum(map(bool, faults)) / len(faults) < 0.35
    assert set(faults) == {*FAULTS, ""}
    assert faults == [script({}, nth).fault for nth in range(2000)]
    assert faults != [Script(["ok"], broken=0.3, seed=8)({}, nth).fault for nth in range(2000)]


@pytest.mark.parametrize("name", ["scripted_ollama", "scripted_openai"])
def test_a_double_is_a_program_too(name: str, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(
        json.dumps(["one", {"text": "two", "fault": "prose"}, {"text": "three", "fault": "drop"}])
    )
    file = Path(__file__).parent.parent / "doubles" / f"{name}.py"
    command = [sys.executable, str(file), "--script", str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            provider = PAIRS[name.removeprefix("scripted_")][1](
                json.loads(program.stdout.readline())["where"]
            )
            assert text(list(provider.chat(LONG, threading.Event()))) == "one"
            assert "two" in text(list(provider.chat(LONG, threading.Event())))
            with pytest.raises(ProviderError):
                list(provider.chat(LONG, threading.Event()))
        finally:
            program.kill()
