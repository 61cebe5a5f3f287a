"""A gate through the whole pipeline: green, red, and skipped, which is neither and never enough alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from lab import Lab
from play import WORLD, Play

from orchestrator.actions import Close, Propose, Rehearse, Verify, Wait
from orchestrator.gates import gate
from state.views import verdict

WHY = "go is not installed"
SKIP = {"passed": False, "skipped": WHY, "summary": WHY, "tool": ""}


def skipping(accept: list[Any], world: Any = WORLD) -> tuple[Play, Any]:
    """A play in which the gate is always skipped, up to what comes after the checks."""
    play = Play(accept=accept)
    while True:
        decision = play.next(world)
        if isinstance(decision, Verify) and decision.check.gate:
            play.act(decision, **SKIP)
        elif isinstance(decision, (Rehearse, Close)) or (isinstance(decision, Wait) and decision.why):
            return play, decision
        elif isinstance(decision, Wait):
            assert play.answer()
        else:
            play.carry_out(decision)


def test_a_skipped_check_beside_a_green_one_comes_to_a_proposal_that_says_so() -> None:
    play, decision = skipping(["go", {"run": "lint"}])
    assert isinstance(decision, Rehearse)
    propose = play.until(Propose)
    assert propose.kind == "merge" and propose.summary.endswith(f"(1 check skipped: {WHY})")
    of_go = [each for each in propose.subject["receipts"] if each["check"] == "go"]
    assert of_go and all(each["skipped"] == WHY and each["passed"] is False for each in of_go)
    assert all("skipped" not in each for each in propose.subject["receipts"] if each["check"] != "go")


@pytest.mark.parametrize("accept", [["go"], ["go", {"human": "is it good?"}]])
def test_with_nothing_else_that_runs_it_waits_as_unverified(accept: list[Any]) -> None:
    _, decision = skipping(accept)
    assert isinstance(decision, Wait) and decision.why and decision.why.startswith(f"unverified: {WHY}")


def test_once_the_tool_is_there_it_is_taken_again_and_only_once() -> None:
    play, decision = skipping(["go"])
    assert isinstance(decision, Wait)
    there = replace(WORLD, tools={"go": "/usr/bin/go"})
    again = play.next(there)
    assert isinstance(again, Verify) and again.side == "branch"
    play.act(again, **{**SKIP, "tool": "/usr/bin/go"})  # the sandbox does not show it
    for _ in range(3):
        decision = play.next(there)
        if not isinstance(decision, Verify):
            break
        assert decision.side == "merged"
        play.act(decision, **{**SKIP, "tool": "/usr/bin/go"})
    assert isinstance(decision, Wait)


def test_a_red_check_beside_a_skipped_one_still_ends_the_attempt() -> None:
    play = Play(accept=["go", {"run": "lint"}])
    while not isinstance(decision := play.next(), (Close, Rehearse)):
        if isinstance(decision, Verify):
            play.act(decision, **(SKIP if decision.check.gate else {"passed": False, "summary": "exit 1"}))
        else:
            play.carry_out(decision)
    assert isinstance(decision, Close) and "lint: exit 1" in decision.why and WHY not in decision.why


def test_a_gate_runs_nowhere_without_a_sandbox_and_without_consent() -> None:
    play, decision = Play(accept=["python"]), None
    world = replace(WORLD, isolation="none", consent=True)
    while not isinstance(decision := play.next(world), Verify):
        if isinstance(decision, Wait):
            assert play.answer()
        else:
            play.carry_out(decision)
    assert decision.check.gate
    held = play.next(replace(world, consent=False))
    assert isinstance(held, Wait) and "consent" in (held.why or "")


def test_a_receipt_in_words() -> None:
    assert verdict(False, "merged", WHY) == "skipped on the merge result"
    assert verdict(False, "branch") == "red on the branch"


def test_a_gate_lets_a_good_change_land_and_ends_a_bad_one(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo 'x = 1' > a.py", accept=["python"])
    lab.ticket("TICKET-2", "echo 'def' > b.py", accept=["python"])
    with lab.engine():
        lab.approve("TICKET-1")
        lab.wait("TICKET-1", "landed")
        assert lab.wait("TICKET-2", "failed").red == 1
        assert "b.py:1: SyntaxError" in lab.note("TICKET-2")
    assert lab.receipts("TICKET-1") == {("python", "branch"): True}
    lab.intact()


def test_a_tool_that_comes_later_is_used_and_until_then_nothing_is_green(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate's program is a double: it is skipped until a file says that its tool is there."""
    there = lab.root / ".git" / "there"
    monkeypatch.setattr(gate, "tool", lambda name: str(there) if there.exists() else "")
    script = (
        f"import os, sys; print('{WHY}'); sys.exit(0 if os.path.exists({str(there)!r}) else {gate.SKIPPED})"
    )
    python = gate.command("python", ())[0]
    monkeypatch.setattr(gate, "command", lambda name, changed: [python, "-c", script])
    lab.ticket("TICKET-1", "echo 1 > a.txt", accept=["go"])
    lab.ticket("TICKET-2", "echo 1 > b.txt", accept=["go", {"run": "true"}])
    with lab.engine():
        lab.wait_note("TICKET-1", f"unverified: {WHY}")
        card = lab.card("TICKET-1")
        assert (card.green, card.red, card.unknown) == (0, 0, 1)
        assert lab.asks("TICKET-2").summary.endswith(f"(1 check skipped: {WHY})")
        card = lab.card("TICKET-2")
        assert (card.green, card.red, card.unknown) == (1, 0, 1)
        there.touch()
        lab.approve("TICKET-1")
        lab.wait("TICKET-1", "landed")
        card = lab.card("TICKET-1")
        assert (card.green, card.red, card.unknown) == (1, 0, 0)
