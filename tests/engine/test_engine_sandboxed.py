"""The whole engine over real backends: tickets that keep to their worktree land, the others are held."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab import Lab

from orchestrator import config
from orchestrator.sandbox.backend import Backend
from orchestrator.sandbox.bubblewrap import Bubblewrap
from orchestrator.sandbox.choose import Choice, examine
from orchestrator.sandbox.sandbox import Sandbox
from state.workspace import Workspace

NEST = """import os, sys
for _ in range(int(sys.argv[1])):
    os.mkdir(sys.argv[2]); os.chdir(sys.argv[2])
open("x", "w").close()
"""
RED = [{"run": "test -f a.txt", "red": True}]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these backends are Linux's")


def landlock() -> Backend:
    from orchestrator.sandbox.landlock import Landlock

    return Landlock()


@pytest.fixture(params=[Bubblewrap, landlock], ids=["bubblewrap", "landlock"])
def held(request: pytest.FixtureRequest, make_lab: Callable[..., Lab], tmp_path: Path) -> Iterator[Lab]:
    """A laboratory whose engine holds commands with a real backend."""
    lab = make_lab(tmp_path / "project")
    backend = request.param()
    why = examine(Sandbox(backend, config.load(lab.workspace).policy, lab.workspace))
    if not why.holds:
        pytest.skip(f"{why.backend} does not hold here: {why.why}")

    def chooser(workspace: Workspace) -> Callable[[], Choice]:
        return lambda: Choice(Sandbox(backend, config.load(workspace).policy, workspace), (why,))

    lab.sandbox = chooser
    yield lab


def test_a_ticket_that_keeps_to_its_worktree_lands(held: Lab) -> None:
    held.ticket("TICKET-1", "echo 1 > a.txt; git log --oneline | grep -q .", accept=RED)
    with held.engine():
        held.approve("TICKET-1")
        held.wait("TICKET-1", "landed")
    assert (held.merges("TICKET-1"), held.show("a.txt")) == (1, "1\n")
    held.intact()


def test_what_lies_outside_is_neither_read_nor_written_and_the_user_owns_what_is_made(
    held: Lab, tmp_path: Path
) -> None:
    word = secrets.token_hex(8)
    secret, outside = tmp_path / "secret.txt", tmp_path / "outside.txt"
    secret.write_text(word)
    steps = f"cat {secret} > stolen.txt; cat {held.workspace.journal} > journal.txt; touch {outside}"
    held.ticket("TICKET-1", f"({steps}); echo 1 > a.txt")
    with held.engine():
        held.wait("TICKET-1", "review")
        made = held.workspace.worktree("TICKET-1", 1) / "a.txt"
        assert made.stat().st_uid == os.getuid()
        assert word not in held.show("stolen.txt", "refs/jetbox/TICKET-1/1")
        assert held.show("journal.txt", "refs/jetbox/TICKET-1/1") == ""
    assert not outside.exists()


def test_a_worktree_that_grows_past_its_limit_is_rolled_back_and_kept_nowhere(held: Lab) -> None:
    held.write({"jetbox.yaml": "base: main\nsandbox: {limits: {growth: 20000000}}\n"})
    held.ticket(
        "TICKET-1", "i=0; while :; do head -c 4000000 /dev/urandom > f$i; i=$((i+1)); sleep 0.05; done"
    )
    with held.engine():
        held.wait("TICKET-1", "failed")
    assert "grew" in held.note("TICKET-1")
    objects = sum(f.stat().st_size for f in (held.root / ".git" / "objects").rglob("*") if f.is_file())
    assert objects < 4_000_000
    assert not any(held.workspace.worktrees.glob("**/f0"))
    held.intact()


@pytest.mark.parametrize(("depth", "name"), [(3000, "d"), (1500, "d"), (40, "d" * 200)])
def test_a_tree_nested_deeper_than_any_path_ends_its_ticket_and_nothing_else(
    held: Lab, depth: int, name: str
) -> None:
    held.ticket("TICKET-1", f"python3 -c '{NEST}' {depth} {name}")
    held.ticket("TICKET-2", "echo 2 > b.txt")
    with held.engine():
        held.wait("TICKET-2", "review")
        held.wait("TICKET-1", "failed", "landed", "review")
        if held.state("TICKET-1") == "review":
            held.deny("TICKET-1", "too deep")
            held.wait("TICKET-1", "failed")
    assert not held.workspace.worktree("TICKET-1", 1).exists()
    held.intact()


def test_a_rollback_by_command_is_held_too(held: Lab, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    held.ticket("TICKET-1", "echo 1 > a.txt", rollback=f"sh: touch {outside}; rm -f a.txt")
    with held.engine():
        held.approve("TICKET-1")
        held.wait("TICKET-1", "landed")
        from state import words

        held.say(words.rollback, "TICKET-1")
        held.wait("TICKET-1", "cancelled")
    assert held.show("a.txt") is None
    assert not outside.exists()


def test_nothing_of_a_command_outlives_it(held: Lab) -> None:
    daemon = 'import os; os.fork() or (os.setsid(), os.execlp("sleep", "sleep", "300"))'
    held.ticket("TICKET-1", f"python3 -c '{daemon}'; (sleep 301 &) ; echo 1 > a.txt")
    with held.engine():
        held.wait("TICKET-1", "review")
        assert held.processes() == []
