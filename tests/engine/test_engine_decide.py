"""What to do next is a pure function: each rule, their order, and what no sequence may bring about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from play import WORLD, Play, interrupted_since

from orchestrator.actions import (
    Action,
    Close,
    Command,
    End,
    FollowUp,
    Land,
    Merge,
    Prepare,
    Propose,
    Rehearse,
    Restore,
    Verify,
    Void,
    Wait,
)
from orchestrator.decide import PATIENCE
from orchestrator.globs import matches


def test_the_pipeline_has_this_order() -> None:
    play, seen = Play(), []
    for _ in range(40):
        decision = play.next()
        seen.append(type(decision).__name__ + (f" {decision.side}" if isinstance(decision, Verify) else ""))
        if isinstance(decision, End):
            break
        if isinstance(decision, Wait):
            play.answer()
        play.carry_out(decision)
    assert seen == [
        "Prepare", "Command", "Command", "Merge",
        "Verify branch", "Verify branch", "Verify base", "Verify merged", "Verify merged",
        "Rehearse", "Propose", "Wait", "Land", "FollowUp", "Close", "End",
    ]  # fmt: skip
    assert (decision.state, decision.result) == ("landed", {"commit": "landed"})  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "change, state, why, retry",
    [
        ({"asked": "cancel"}, "cancelled", "cancelled", False),
        ({"asked": "retry"}, "cancelled", "on request", True),
        ({"revision": "r2"}, "cancelled", "edited", True),
    ],
)
@pytest.mark.parametrize("stage", [Prepare, Command, Merge, Verify, Rehearse, Propose, Wait, Land])
def test_a_wish_or_an_edit_ends_the_attempt_at_every_stage(
    stage: type, change: dict[str, Any], state: str, why: str, retry: bool
) -> None:
    play = Play()
    if stage is Wait:
        play.carry_out(play.until(Propose))
    else:
        play.until(stage)
    decision = play.next(replace(WORLD, **change))
    assert isinstance(decision, Close)
    assert (decision.state, decision.retry) == (state, retry)
    assert why in decision.why


@pytest.mark.parametrize(
    "change", [{"asked": "cancel"}, {"asked": "retry"}, {"revision": "r2"}, {"base": None}]
)
def test_what_has_landed_is_carried_through_whatever_is_wished(change: dict[str, Any]) -> None:
    play, world = Play(), replace(WORLD, **change)
    play.act(play.until(Land))
    decision = play.next(world)
    assert isinstance(decision, FollowUp)
    play.act(decision, kept=[["mine.txt", "changed"]])
    decision = play.next(world)
    assert isinstance(decision, Close)
    assert (decision.state, decision.retry) == ("landed", False)
    assert "1 of your own files" in decision.why


def test_an_end_that_has_begun_is_carried_through_and_not_changed() -> None:
    play = Play()
    play.until(Merge)
    play.tell("action.intent", key="close", task="Close", title="", action="Close",
              args={"state": "failed", "why": "because", "retry": False, "result": {}})  # fmt: skip
    for change in ({"asked": "retry"}, {"revision": "r2"}, {"base": None}, {"obstacle": "gone"}):
        assert play.next(replace(WORLD, **change)) == Close("failed", "because")
    play.act(Close("failed", "because"), "interrupted", broke="no")
    assert play.next() == Close("failed", "because")
    play.act(Close("failed", "because"))
    assert play.next() == End("failed", "because", False, {})


@pytest.mark.parametrize("broke", [False, True])
def test_a_command_that_was_cut_off_goes_back_to_the_checkpoint_first(broke: bool) -> None:
    play = Play()
    play.act(play.until(Command))
    second = play.next()
    assert isinstance(second, Command)
    play.act(second, "interrupted", **({"broke": "no"} if broke else {}))
    decision = play.next()
    assert isinstance(decision, Restore)
    assert decision.commit == "head-0"
    play.act(decision)
    assert play.next() == second


def test_what_breaks_again_and_again_is_given_up_though_going_back_works_each_time() -> None:
    play = Play()
    for _ in range(PATIENCE):
        play.act(play.until(Command), "interrupted", broke="no worktree")
    decision = play.next()
    assert isinstance(decision, Close)
    assert (decision.state, decision.why) == ("failed", "no worktree")


def test_being_cut_off_by_kills_alone_is_never_given_up() -> None:
    play = Play()
    for _ in range(5 * PATIENCE):
        play.act(play.until(Command), "interrupted")
    assert isinstance(play.next(), Restore)


def test_success_in_between_makes_breaking_count_anew() -> None:
    play = Play()
    for _ in range(PATIENCE - 1):
        play.act(play.until(Command), "interrupted", broke="no")
    play.act(play.until(Command))
    play.act(play.until(Command), "interrupted", broke="no")
    assert isinstance(play.next(), Restore)


def test_a_moved_base_voids_an_open_and_an_approved_proposal() -> None:
    for approved in (False, True):
        play = Play()
        play.carry_out(play.until(Propose))
        if approved:
            play.answer()
        moved = replace(WORLD, base="base-1")
        decision = play.next(moved)
        assert isinstance(decision, Void)
        play.carry_out(decision)
        decision = play.next(moved)
        assert isinstance(decision, Merge)
        assert decision.base == "base-1"
        fresh = play.until(Propose, moved)
        assert {r["tree"] for r in fresh.subject["receipts"] if r["side"] == "base"} == {"tree-of-base-1"}


def test_a_check_cut_off_on_a_base_that_has_moved_since_is_no_receipt() -> None:
    play = Play()
    while not (isinstance(take := play.until(Verify), Verify) and take.side == "base"):
        play.act(take)
    play.act(take, "interrupted")
    fresh = play.until(Propose, replace(WORLD, base="base-1"))
    assert all(receipt["passed"] for receipt in fresh.subject["receipts"])
    play.carry_out(play.until(Propose))
    ask = play.until(Propose, replace(WORLD, base="base-2"))
    assert ask.subject["base"] == "base-2"


def test_a_base_that_is_gone_is_waited_for() -> None:
    play = Play()
    play.until(Merge)
    decision = play.next(replace(WORLD, base=None))
    assert isinstance(decision, Wait)
    assert "the branch main is gone" in (decision.why or "")


def test_work_of_the_users_in_the_way_keeps_an_approved_merge_waiting() -> None:
    play = Play()
    play.until(Land)
    assert play.next(replace(WORLD, in_the_way=("one", "two"))) == Wait("one; two")
    assert isinstance(play.next(), Land)


@pytest.mark.parametrize("side, says", [("branch", "on the branch"), ("merged", "on the merged")])
def test_a_red_check_ends_it_before_any_proposal(side: str, says: str) -> None:
    play = Play()
    while not (isinstance(take := play.until(Verify), Verify) and take.side == side):
        play.act(take)
    play.act(take, passed=False, summary="exit 1")
    decision = play.until(Close)
    assert (decision.state, decision.why) == ("failed", f"test: exit 1 {says}")


def test_a_conflict_and_a_stray_path_end_it() -> None:
    play = Play()
    play.act(play.until(Merge), conflicts=["a.txt"], changed=[])
    assert "conflicts with its base in a.txt" in play.until(Close).why
    play = Play(paths=["docs/**"])
    assert play.until(Close).why == "changed outside its paths: a.txt"


def test_a_denial_ends_it_with_its_reason() -> None:
    play = Play()
    play.carry_out(play.until(Propose))
    play.answer("denied", reason="not like this")
    decision = play.next()
    assert isinstance(decision, Close)
    assert (decision.state, decision.why) == ("failed", "denied: not like this")


def test_a_spent_budget_asks_and_each_yes_grants_as_much_again() -> None:
    play = Play(budget={"time": "10s"})
    for grant in (1, 2):
        play.act(play.until(Command), "interrupted", seconds=10.0)
        ask = play.next()
        assert isinstance(ask, Propose)
        assert (ask.kind, ask.subject["grants"]) == ("question", grant)
        play.carry_out(ask)
        assert play.next() == Wait(None)
        play.answer()
        command = play.until(Command)
        assert 0 < command.timeout <= 10
    assert play.now.spent >= 20


def test_a_start_that_needs_approval_is_asked_for_before_anything_else() -> None:
    play = Play(approve=["start"])
    ask = play.next(replace(WORLD, obstacle="no server"))
    assert isinstance(ask, Propose)
    assert ask.kind == "start"
    play.carry_out(ask)
    assert play.next() == Wait(None)
    play.answer()
    assert play.next(replace(WORLD, obstacle="no server")) == Wait("no server")
    assert isinstance(play.next(), Prepare)


@pytest.mark.parametrize(
    "path, glob, fits",
    [
        ("a/b.py", "a/*", True),
        ("a/b/c.py", "a/*", False),
        ("a/b/c.py", "a/**", True),
        ("a", "a/**", True),
        ("ab/c", "a/**", False),
        ("x/y/z.md", "**/*.md", True),
        ("z.md", "**/*.md", True),
        ("a/B.py", "a/b.py", False),
        ("a/b/../c", "a/*", False),
    ],
)
def test_a_glob_fits_what_it_says(path: str, glob: str, fits: bool) -> None:
    assert matches(path, glob) is fits


# Whatever happens ------------------------------------------------------------------------------------

HAPPENINGS = st.lists(
    st.sampled_from(
        ["done"] * 40
        + [
            "failed",
            "interrupted",
            "broke",
            "cut",
            "red",
            "unchanged",
            "approve",
            "approve",
            "approve",
            "deny",
        ]
        + ["base-0", "base-1", "gone", "dirty", "clean", "cancel", "edit", "slow"]
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 13), HAPPENINGS, st.booleans())
def test_no_sequence_of_happenings_breaks_a_promise(start: int, happenings: list[str], budget: bool) -> None:
    play, world = Play(**({"budget": {"time": "10s"}} if budget else {})), WORLD
    for what in [*["done"] * start, *happenings, *["done"] * 5]:
        if what in ("approve", "deny"):
            play.answer("approved" if what == "approve" else "denied", reason="no")
            continue
        if what in ("base-0", "base-1", "gone"):
            world = replace(world, base=None if what == "gone" else what)
            continue
        if what in ("dirty", "clean"):
            world = replace(world, in_the_way=("mine.txt",) if what == "dirty" else ())
            continue
        if what in ("cancel", "edit"):
            world = replace(world, asked="cancel") if what == "cancel" else replace(world, revision="r2")
            continue
        decision = play.next(world)
        assert decision == play.next(world), "the same inputs gave another decision"
        holds(play, decision, world)
        if isinstance(decision, End):
            return
        status = {
            "failed": "failed",
            "interrupted": "interrupted",
            "broke": "interrupted",
            "cut": "interrupted",
        }
        if not isinstance(decision, Action):
            play.carry_out(decision)
        elif what == "broke":
            play.act(decision, "interrupted", broke="it broke")
        elif what == "red" and isinstance(decision, Verify):
            play.act(decision, passed=False, summary="exit 1")
        elif what == "unchanged" and isinstance(decision, Merge):
            play.act(decision, changed=[])
        elif what == "failed" and not isinstance(decision, (Command, Land, Rehearse)):
            play.act(decision)  # these end well or not at all
        else:
            play.act(decision, status.get(what, "done"), seconds=11.0 if what == "slow" else 0.1)


def holds(play: Play, decision: Any, world: Any) -> None:
    """What no decision may break."""
    attempt = play.now
    if attempt.closing is not None:
        assert isinstance(decision, (Close, End))
        assert decision.state == attempt.closing["state"], "an end that had begun was changed"
    if isinstance(decision, Land):
        word = next(w for w in reversed(attempt.words) if w.id == decision.proposal)
        assert word.state == "approved"
        subject, plan = word.subject, decision.landing
        assert subject["base"] == plan["base"] == world.base
        assert subject["tree"] == plan["tree"]
        assert not world.in_the_way
        assert not world.asked
        assert world.revision == attempt.revision
        evidence = {(r["check"], r["side"], r["tree"]) for r in subject["receipts"] if r["passed"]}
        for check in play.checks:
            assert (check.name, "merged", plan["tree"]) in evidence
            assert (check.name, "branch", f"tree-of-{plan['head']}") in evidence
            assert not check.red or (check.name, "base", f"tree-of-{plan['base']}") in evidence
        assert all(r["passed"] for r in subject["receipts"])
    if isinstance(decision, (Close, End)) and decision.state == "landed":
        landed = [o for key, o in attempt.done.items() if key.startswith("land:") and o.status == "done"]
        if landed:
            assert attempt.ok("follow-up")
        else:
            taken = [o.result for key, o in attempt.done.items() if key.startswith("check:")]
            assert taken, "landed without any evidence"
    if isinstance(decision, Command):
        assert not interrupted_since(attempt), "a cut-off command was not undone before the next"
        assert attempt.ok("prepare")
