"""A sandbox is taken for what came of trying to break out of it, not for being installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from orchestrator import config
from orchestrator.sandbox import bubblewrap
from orchestrator.sandbox.backend import Backend, Child, Unusable
from orchestrator.sandbox.bare import Bare
from orchestrator.sandbox.box import Box
from orchestrator.sandbox.bubblewrap import Bubblewrap
from orchestrator.sandbox.choose import ATTEMPTS, Choice, choose
from state.workspace import Workspace

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is tried here is Linux's")


class Leaky(Bare):
    """A double of a backend that is installed and holds nothing."""

    name = "leaky"


class Broken(Bare):
    """A double of a backend that is installed and starts nothing."""

    name = "broken"

    def start(self, argv: Sequence[str], box: Box, output: int) -> Child:
        raise Unusable("no namespaces for you")  # type: ignore[misc]  # it never starts


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def chosen(place: Workspace, *backends: Backend) -> Choice:
    return choose(place, config.load(place).policy, backends)


def test_each_attempt_succeeds_where_nothing_holds_so_each_is_a_real_one(place: Workspace) -> None:
    choice = chosen(place, Leaky())
    assert set(choice.tried[0].escaped) == ATTEMPTS.keys()
    assert choice.sandbox.isolation == "none"
    assert isinstance(choice.sandbox.backend, Leaky)  # for what it bounds
    assert "kill a process outside" in choice.tried[0].why


def test_a_backend_that_starts_nothing_is_passed_over_with_what_it_said(place: Workspace) -> None:
    choice = chosen(place, Broken(), Leaky())
    assert "no namespaces for you" in choice.tried[0].why
    assert (choice.sandbox.isolation, choice.sandbox.backend.name) == ("none", "leaky")
    assert isinstance(chosen(place, Broken()).sandbox.backend, Bare)


def test_the_first_that_holds_is_taken_and_none_after_it_is_looked_at(place: Workspace) -> None:
    asked: list[str] = []

    def backends() -> Iterator[Backend]:
        yield Leaky()
        yield Bubblewrap()
        asked.append("a third")
        yield Bare()

    choice = choose(place, config.load(place).policy, backends())
    if not choice.tried[1].holds:
        pytest.skip(f"bubblewrap does not hold here: {choice.tried[1].why}")
    assert (choice.sandbox.isolation, asked) == ("bubblewrap", [])
    assert set(choice.tried[1].held) == ATTEMPTS.keys()


def test_a_missing_bubblewrap_is_told_with_its_cure(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bubblewrap, "system_tool", lambda name: None)
    assert "apt-get install bubblewrap" in chosen(place, Bubblewrap()).tried[0].why


def test_trying_leaves_nothing_behind(place: Workspace) -> None:
    chosen(place, Leaky())
    assert list(place.home.iterdir()) == []
