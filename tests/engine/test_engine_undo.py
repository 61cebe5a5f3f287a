"""Rollback takes out exactly what landed, once, whatever is killed; restore brings back what was put away."""

from __future__ import annotations

import itertools
import random
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from lab import Lab, until

from orchestrator import engine as engine_module
from orchestrator.engine import Engine
from state import words
from state.errors import DiskFull
from state.events import New
from state.journal import Journal


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for the world is looked at more often than every two seconds."""
    monkeypatch.setattr(engine_module, "PARKED", 0.1)


def landed(lab: Lab, *steps: str, id_: str = "TICKET-1", **keys: object) -> None:
    lab.ticket(id_, *steps, **keys)
    lab.run()
    lab.approve(id_)
    lab.run()
    assert lab.state(id_) == "landed"


def undone(lab: Lab) -> int:
    return (
        lab.git("log", "--first-parent", "--format=%s", "main")
        .split("\n")
        .count("Roll back: what TICKET-1 is for")
    )


def test_a_rollback_takes_out_what_landed_and_leaves_what_came_later(lab: Lab) -> None:
    landed(lab, "echo theirs > shared.txt; echo 1 > a.txt")
    lab.commit({"later.txt": "later\n"})
    lab.write({"mine.txt": "unfinished\n"})
    lab.say(words.rollback, "TICKET-1")
    lab.run()
    assert lab.state("TICKET-1") == "cancelled"
    assert "rolled back" in lab.note("TICKET-1")
    assert (lab.show("shared.txt"), lab.show("a.txt"), lab.show("later.txt")) == ("first\n", None, "later\n")
    assert (lab.root / "shared.txt").read_text() == "first\n"
    assert not (lab.root / "a.txt").exists()
    assert lab.git("status", "--porcelain", "--", ":!tickets") == " M mine.txt"
    assert undone(lab) == 1
    lab.intact()


def test_later_changes_in_the_way_are_named_and_nothing_moves_until_they_are_gone(lab: Lab) -> None:
    landed(lab, "echo theirs > shared.txt")
    before = lab.tip()
    tip = lab.commit({"shared.txt": "later\n"})
    with lab.engine():
        lab.say(words.rollback, "TICKET-1")
        lab.wait_note("TICKET-1", "later changes are in the way of the rollback: shared.txt")
        assert lab.tip() == tip
        lab.git("reset", "-q", "--hard", before)
        lab.wait("TICKET-1", "cancelled")
    assert undone(lab) == 1
    lab.intact()


def test_a_rollback_waits_for_unfinished_work_and_lets_others_land_meanwhile(lab: Lab) -> None:
    landed(lab, "echo theirs > shared.txt")
    lab.ticket("TICKET-2", "echo 2 > two.txt")
    lab.run()
    lab.write({"shared.txt": "unfinished\n"})
    with lab.engine():
        lab.say(words.rollback, "TICKET-1")
        lab.wait_note("TICKET-1", "shared.txt")
        lab.approve("TICKET-2")
        lab.wait("TICKET-2", "landed")
        assert (lab.root / "shared.txt").read_text() == "unfinished\n"
        lab.git("checkout", "-q", "--", "shared.txt")
        lab.wait("TICKET-1", "cancelled")
    assert (lab.show("shared.txt"), lab.show("two.txt"), undone(lab)) == ("first\n", "2\n", 1)
    lab.intact()


def test_a_history_without_the_merge_refuses_the_rollback_and_blocks_nobody(lab: Lab) -> None:
    start = lab.tip()
    landed(lab, "echo theirs > shared.txt")
    lab.git("reset", "-q", "--hard", start)
    lab.say(words.rollback, "TICKET-1")
    lab.run()
    assert "nothing to undo" in lab.note("TICKET-1")
    assert lab.state("TICKET-1") == "landed"
    quiet = len(lab.events("TICKET-1"))
    landed(lab, "echo 2 > two.txt", id_="TICKET-2")
    assert len(lab.events("TICKET-1")) <= quiet + 2, "it is tried again and again"


def test_a_rollback_by_command_lands_what_the_command_makes(lab: Lab) -> None:
    landed(lab, "echo theirs > shared.txt", rollback="sh: echo undone > shared.txt")
    lab.say(words.rollback, "TICKET-1")
    lab.run()
    assert lab.state("TICKET-1") == "cancelled"
    assert (lab.show("shared.txt"), (lab.root / "shared.txt").read_text()) == ("undone\n", "undone\n")
    lab.intact()


def test_a_rollback_command_that_fails_runs_once_for_each_word(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = lab.root / ".git" / "ran"
    landed(lab, "echo 1 > a.txt", rollback=f"sh: echo x >> {ran}; test ! -e later.txt")
    tip = lab.commit({"later.txt": ""})
    look = Engine._look

    def late(self: Engine) -> None:
        """Handing out may see a word before the loop heeds its event: here it always does."""
        if ran.read_text():
            look(self)

    ran.write_text("")
    monkeypatch.setattr(Engine, "_look", late)
    with lab.engine():
        lab.say(words.rollback, "TICKET-1")
        lab.wait_note("TICKET-1", "nothing was rolled back")
        landed_meanwhile(lab)
        assert ran.read_text() == "x\n"
    with lab.engine():
        lab.wait("TICKET-2", "landed")
        lab.say(words.rollback, "TICKET-1")
        until(lambda: ran.read_text() == "x\nx\n", "the second try")
    assert (lab.state("TICKET-1"), lab.show("later.txt")) == ("landed", "")
    assert lab.tip() != tip
    assert not lab.processes()


def landed_meanwhile(lab: Lab) -> None:
    """Another ticket lands, which wakes all that wait for the base to move; and a little time."""
    lab.ticket("TICKET-2", "echo 2 > two.txt")
    lab.approve("TICKET-2")
    lab.wait("TICKET-2", "landed")
    looks = time.monotonic() + 1
    while time.monotonic() < looks:  # ten times as long as what waits is left alone
        time.sleep(0.05)


def test_a_rolled_back_artifact_serves_no_ticket_any_more(lab: Lab) -> None:
    lab.data("TICKET-1")
    lab.run()
    assert lab.state("TICKET-1") == "landed"
    before = lab.tip()
    lab.say(words.rollback, "TICKET-1")
    lab.ticket("TICKET-2", "true", needs=["TICKET-1"])
    lab.run()
    assert (lab.state("TICKET-1"), lab.state("TICKET-2"), lab.tip()) == ("cancelled", "backlog", before)


@pytest.mark.parametrize("seed", range(4))
def test_a_rollback_killed_anywhere_ends_once(lab: Lab, seed: int) -> None:
    landed(lab, "echo theirs > shared.txt; for i in 1 2 3 4 5 6 7 8; do echo $i > $i.txt; done")
    lab.write({"mine.txt": "unfinished\n"})
    lab.say(words.rollback, "TICKET-1")
    chance = random.Random(seed)
    for _ in range(4):
        engine = lab.spawn()
        begun = len(lab.events(type_="engine.started"))
        until(
            lambda n=begun: (
                len(lab.events(type_="engine.started")) > n or lab.state("TICKET-1") == "cancelled"
            )
        )
        time.sleep(chance.uniform(0.0, 0.15))
        lab.kill(engine)
    lab.run()
    assert (lab.state("TICKET-1"), undone(lab)) == ("cancelled", 1)
    assert (lab.show("shared.txt"), lab.show("1.txt")) == ("first\n", None)
    assert lab.git("status", "--porcelain", "--", ":!tickets") == " M mine.txt"
    lab.intact()


def test_a_rollback_is_done_and_over_in_one_write(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were there a moment between the two, a kill in it would have the base undone a second time."""
    landed(lab, "echo theirs > shared.txt")
    real, writes = Journal.append, []

    def append(self: Journal, *events: New) -> Any:
        writes.append([event.type for event in events])
        return real(self, *events)

    lab.say(words.rollback, "TICKET-1")
    monkeypatch.setattr(Journal, "append", append)
    lab.run()
    assert ["action.outcome", "ticket.rolled-back"] in writes


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_rollback_of_which_one_event_cannot_be_written_ends_once(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    landed(lab, "echo theirs > shared.txt")
    real, count = Journal.append, itertools.count(1)

    def append(self: Journal, *events: New) -> Any:
        if any(event.ticket == "TICKET-1" for event in events) and next(count) == nth:
            raise DiskFull("no room")
        return real(self, *events)

    lab.say(words.rollback, "TICKET-1")
    monkeypatch.setattr(Journal, "append", append)
    with lab.engine():
        until(lambda: lab.state("TICKET-1") == "cancelled", "the rollback")
    lab.run()
    assert (lab.state("TICKET-1"), undone(lab), lab.show("shared.txt")) == ("cancelled", 1, "first\n")
    lab.intact()


def test_restore_brings_the_trash_back_on_a_branch(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo half > half.txt", "echo loose > loose.txt; false")
    lab.run()
    lab.say(words.restore, "TICKET-1")
    lab.run()
    assert "restored/TICKET-1-1" in lab.note("TICKET-1")
    assert lab.state("TICKET-1") == "failed"
    assert lab.show("half.txt", "restored/TICKET-1-1") == "half\n"
    assert lab.show("loose.txt", "restored/TICKET-1-1") == "loose\n", "uncommitted work was lost"


def test_restore_onto_a_branch_of_the_users_leaves_it_alone_and_says_so(lab: Lab) -> None:
    lab.git("branch", "restored/TICKET-1-1")
    mine = lab.tip("refs/heads/restored/TICKET-1-1")
    lab.ticket("TICKET-1", "echo half > half.txt", "false")
    lab.run()
    lab.say(words.restore, "TICKET-1")
    lab.run()
    assert "exists already" in lab.note("TICKET-1")
    assert lab.tip("refs/heads/restored/TICKET-1-1") == mine
    assert lab.card("TICKET-1").asked == ""


def test_a_start_after_a_kill_is_not_held_up_by_a_rollback_that_waits(lab: Lab, tmp_path: Path) -> None:
    """One ticket has landed and its checkout has not followed; another's rollback waits for the user."""
    landed(lab, "echo theirs > shared.txt")
    lab.ticket("TICKET-2", "echo 2 > two.txt")
    lab.run()
    lab.write({"shared.txt": "unfinished\n"})
    lab.say(words.rollback, "TICKET-1")
    (lab.root / ".git" / "index.lock").touch()
    engine = lab.spawn()
    lab.wait_note("TICKET-1", "shared.txt")
    lab.approve("TICKET-2")
    until(lambda: lab.merges("TICKET-2"), "the landing")
    lab.kill(engine)
    engine = lab.spawn()
    lab.wait_note("TICKET-2", "index.lock")
    (lab.root / ".git" / "index.lock").unlink()
    lab.wait("TICKET-2", "landed")
    assert (lab.root / "shared.txt").read_text() == "unfinished\n"
    engine.terminate()
    assert engine.wait(30) == 0, lab.said()
    subprocess.run(["git", "checkout", "-q", "--", "shared.txt"], cwd=lab.root, check=True)
    lab.run()
    assert (lab.state("TICKET-1"), undone(lab)) == ("cancelled", 1)
    lab.intact()
