"""The service over the real Ollama provider and the real protocol; only the model behind it is scripted."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from provider_double import GB, machine
from scripted_ollama import ScriptedOllama
from scripting import Made, Say, Script

from orchestrator.models import asking, calibration
from orchestrator.models.base import Again, Chosen, Heard
from orchestrator.models.catalogue import Catalogue, Source, Wish
from orchestrator.models.heat import Limits
from orchestrator.models.service import Models
from orchestrator.providers.base import Message, Request
from orchestrator.providers.ollama import Ollama

NEVER = threading.Event()
SAID = "def add(a, b):\n    return a + b\n"
BREAKS = (
    "stall", "drop", "error", "no-done", "unavailable", "evicted", "garbage", "empty", "thinks-only", "chant",
)  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(asking, "DELAYS", (0.01,) * 5)
    monkeypatch.setattr(calibration, "path", lambda: tmp_path / "calibration.json")


def models(server: ScriptedOllama, **roles: Sequence[str]) -> Models:
    source = Source("ollama", "ollama", server.where, True)
    wishes = {
        role: tuple(Wish(source, name, 8192, None, 0.2, None, "") for name in names)
        for role, names in roles.items()
    }
    catalogue = Catalogue({"ollama": source}, wishes, "serial", GB, Limits())
    return Models(catalogue, None, lambda _: Ollama("ollama", server.where, first=5, gap=0.3), machine)


def ask(made: Models, chosen: Chosen, text: str = "add") -> tuple[str, list[Heard]]:
    heard: list[Heard] = []
    request = Request(chosen.model, (Message("user", text),), chosen.context, 500, think=chosen.think)
    reply = made.chat(chosen, request, heard.append, NEVER)
    assert reply is not None
    return reply.text, heard


def test_two_models_take_turns_in_a_memory_that_holds_one() -> None:
    made = (Made("a:latest", 5 * GB, digest="a" * 64), Made("b:latest", 5 * GB, digest="b" * 64))
    with ScriptedOllama([SAID], made) as server:
        service = models(server, coder=("a",), critic=("b",))
        for role, other in (("coder", "b"), ("critic", "a"), ("coder", "b")):
            assert ask(service, service.choose(role))[0] == SAID
            assert f"{other}:latest" not in server.held
            assert [each.context for each in server.held.values()] == [8192]
        service.close()


def test_replies_that_are_broken_in_every_curable_way_still_come_out_right() -> None:
    calls = 40
    with ScriptedOllama(Script([SAID], broken=0.3, seed=5, faults=BREAKS)) as server:
        service = models(server, coder=("small",))
        chosen = service.choose("coder")
        failed = 0
        for number in range(calls):
            text, heard = ask(service, chosen, f"call {number}")
            assert text == SAID
            failed += sum(isinstance(each, Again) for each in heard)
        service.close()
    assert failed >= 8  # so that it was really tried


def test_a_context_that_the_server_cuts_is_refused_at_once() -> None:
    with ScriptedOllama([SAID], most=4096) as server:
        service = models(server, coder=("small",))
        with pytest.raises(Exception, match="4096") as caught:
            ask(service, service.choose("coder"))
        assert getattr(caught.value, "kind", "") == "refused"
        assert not server.bodies("/api/chat")
        service.close()


def test_a_model_that_was_evicted_between_two_calls_is_loaded_with_its_context_again() -> None:
    with ScriptedOllama([SAID]) as server:
        service = models(server, coder=("small",))
        chosen = service.choose("coder")
        ask(service, chosen)
        server.evict("small")
        assert ask(service, chosen)[0] == SAID
        assert server.held["small:latest"].context == 8192
        service.close()


def test_a_whole_trial_over_the_wire_ends_with_a_finding() -> None:
    with ScriptedOllama([Say("yes")]) as server:
        service = models(server, coder=("small",))
        finding = service.attempt(service.catalogue.roles["coder"][0], NEVER, lambda _: None, 20.0)
        service.close()
    assert finding is not None and finding.blocks_rate == 0.0 and finding.schema_rate == 0.0
    assert calibration.load()["ollama/" + "a" * 64] == finding
