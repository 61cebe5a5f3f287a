"""Ticket files change under the engine: edited, broken, deleted, renamed, at any time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from lab import Lab, until

from orchestrator import engine as engine_module
from state import words


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for the world is looked at more often than every two seconds."""
    monkeypatch.setattr(engine_module, "PARKED", 0.1)


def gated(lab: Lab) -> tuple[Path, str]:
    """A file that lets a command end, and the command."""
    gate = lab.root / ".git" / "gate"
    return gate, f"while ! test -e {gate}; do sleep 0.02; done"


def at_work(lab: Lab) -> None:
    until(lambda: lab.processes(), "the command")


def test_an_edit_shows_on_the_board_soon(lab: Lab) -> None:
    lab.ticket("TICKET-1", "true", when="idle", goal="the first goal")
    with lab.engine():
        lab.wait("TICKET-1", "ready")
        began = time.monotonic()
        lab.ticket("TICKET-1", "true", when="idle", goal="the second goal")
        until(lambda: lab.card("TICKET-1").goal == "the second goal")
        assert time.monotonic() - began < 10  # within a second; the rest is for a machine that is busy


def test_a_ticket_edited_while_it_runs_is_started_anew_as_edited(lab: Lab) -> None:
    _, wait = gated(lab)
    lab.ticket("TICKET-1", wait, "echo old > a.txt")
    with lab.engine():
        at_work(lab)
        lab.ticket("TICKET-1", "echo new > a.txt")
        shown = lab.asks("TICKET-1")
    first, second = lab.attempts("TICKET-1")
    assert (first.state, first.why) == ("cancelled", "the ticket was edited while it ran")
    assert (shown.attempt, shown.subject["revision"]) == (2, second.revision)
    assert lab.show("a.txt", shown.subject["head"]) == "new\n"


def test_an_edit_taken_back_while_the_command_ends_lets_the_attempt_go_on(lab: Lab) -> None:
    gate, wait = gated(lab)
    slow = lab.root / ".git" / "slow"
    lab.ticket("TICKET-1", f"trap 'touch {slow}' TERM; {wait}; echo 1 > a.txt")
    with lab.engine():
        at_work(lab)
        lab.ticket("TICKET-1", "echo other > a.txt")
        until(slow.exists, "the wish to end")
        lab.ticket("TICKET-1", f"trap 'touch {slow}' TERM; {wait}; echo 1 > a.txt")
        until(lambda: len(lab.events("TICKET-1", "ticket.admitted")) == 3)
        gate.touch()
        shown = lab.asks("TICKET-1")
    assert lab.show("a.txt", shown.subject["head"]) == "1\n"
    assert len(lab.events("TICKET-1", "action.intent")) < 20, "it was stopped again and again"


def test_an_edit_in_review_voids_the_proposal(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo old > a.txt")
    lab.run()
    old = lab.asks("TICKET-1")
    lab.ticket("TICKET-1", "echo new > a.txt")
    lab.run()
    with pytest.raises(words.Stale):
        lab.say(words.approve, old.id, old.digest)
    (open_,) = lab.inbox()
    assert open_.attempt == 2
    lab.approve("TICKET-1")
    lab.run()
    assert (lab.show("a.txt"), lab.merges("TICKET-1")) == ("new\n", 1)
    lab.intact()


def test_an_approval_and_an_edit_at_once_land_nothing_that_was_not_shown(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo old > a.txt")
    lab.run()
    lab.approve("TICKET-1")
    lab.ticket("TICKET-1", "echo new > a.txt")
    lab.run()
    landed = lab.show("a.txt")
    assert landed in (None, "old\n"), "the edited ticket landed on the old approval"
    assert lab.merges("TICKET-1") == (landed == "old\n")
    lab.look(lambda j: j.fault())


def test_what_does_not_change_the_meaning_of_a_ticket_does_not_end_its_attempt(lab: Lab) -> None:
    path = lab.ticket("TICKET-1", "echo 1 > a.txt")
    lab.run()
    path.write_text("# a remark\n" + path.read_text())
    lab.run()
    assert (lab.state("TICKET-1"), lab.card("TICKET-1").attempt) == ("review", 1)


@pytest.mark.parametrize("end", ["landed", "cancelled"])
def test_a_ticket_deleted_while_it_runs_goes_on_to_its_end(lab: Lab, end: str) -> None:
    gate, wait = gated(lab)
    path = lab.ticket("TICKET-1", f"{wait}; echo 1 > a.txt")
    with lab.engine():
        at_work(lab)
        path.unlink()
        until(lambda: lab.events("TICKET-1", "ticket.removed"))
        gate.touch()
        lab.asks("TICKET-1")
        if end == "landed":
            lab.approve("TICKET-1")
        else:
            lab.say(words.cancel, "TICKET-1")
        lab.wait("TICKET-1", end)
    assert lab.merges("TICKET-1") == (end == "landed")
    lab.intact()


def test_a_deleted_ticket_that_had_not_started_is_not_started(lab: Lab) -> None:
    lab.ticket("TICKET-0", "true", when="idle")
    path = lab.ticket("TICKET-1", "echo 1 > a.txt", needs=["TICKET-0"])
    lab.run()
    path.unlink()
    lab.ticket("TICKET-0", "true")
    lab.run()
    assert lab.state("TICKET-0") == "landed"
    assert not lab.attempts("TICKET-1")


def test_a_renamed_ticket_is_a_new_one_and_the_old_attempt_goes_on(lab: Lab) -> None:
    path = lab.ticket("TICKET-1", "echo 1 > $JETBOX_TICKET.txt")
    lab.run()
    path.rename(path.with_name("TICKET-2.yaml"))
    lab.run()
    assert (lab.state("TICKET-1"), lab.state("TICKET-2")) == ("review", "review")
    lab.say(words.cancel, "TICKET-1")
    lab.approve("TICKET-2")
    lab.run()
    assert (lab.state("TICKET-1"), lab.state("TICKET-2")) == ("cancelled", "landed")
    assert (lab.show("TICKET-1.txt"), lab.show("TICKET-2.txt")) == (None, "1\n")
    lab.intact()


def test_a_file_broken_while_it_runs_ends_nothing_and_one_mended_otherwise_starts_anew(lab: Lab) -> None:
    path = lab.ticket("TICKET-1", "echo old > a.txt")
    with lab.engine():
        first = lab.asks("TICKET-1")
        path.write_text("kind: run\ngoal: [\n")
        until(lambda: lab.look(lambda j: j.views.ticket("TICKET-1").problems))
        assert lab.state("TICKET-1") == "review"
        lab.ticket("TICKET-1", "echo new > a.txt")
        until(lambda: lab.inbox() and lab.inbox()[0].id != first.id, "the new attempt's proposal")
    assert lab.show("a.txt", lab.inbox()[0].subject["head"]) == "new\n"


def test_a_retry_over_a_file_that_broke_meanwhile_starts_nothing_until_it_is_mended(lab: Lab) -> None:
    stuck = lab.root / ".git" / "stuck"
    path = lab.ticket("TICKET-1", f"trap 'touch {stuck}' TERM; sleep 1000 & wait; sleep 1; echo 1 > a.txt")
    with lab.engine():
        at_work(lab)
        lab.say(words.retry, "TICKET-1")
        until(stuck.exists, "the wish to end")
        path.write_text("kind: run\ngoal: [\n")
        lab.wait("TICKET-1", "broken", "cancelled", "backlog", "ready", "running", "failed")
        until(lambda: lab.look(lambda j: j.views.ticket("TICKET-1").problems))
        lab.wait("TICKET-1", "broken", "running")
        if lab.state("TICKET-1") == "broken":
            assert lab.card("TICKET-1").attempt == 1
            lab.ticket("TICKET-1", "echo new > a.txt")
            lab.asks("TICKET-1")


def test_a_broken_file_stops_no_other_ticket(lab: Lab) -> None:
    path = lab.ticket("TICKET-1", "true")
    path.write_text("kind: run\n  goal: {\n")
    lab.ticket("TICKET-2", "echo 1 > a.txt")
    lab.run()
    assert (lab.state("TICKET-1"), lab.state("TICKET-2")) == ("broken", "review")
    assert "TICKET-1.yaml:" in lab.note("TICKET-1")
