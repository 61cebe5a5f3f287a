"""The ladder on recorded sequences: loops are caught soon, healthy work goes on, and the record is real."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

import healthy_agents
import loop_agents
import pytest
from sequences import Agent, Sequence, record

from orchestrator.agent import stuck

CORPUS = Path(__file__).parent / "corpus"
LOOPS, HEALTHY = (
    [Sequence.unpacked(json.loads(line)) for line in (CORPUS / name).read_text().splitlines()]
    for name in ("loops.jsonl", "healthy.jsonl")
)
WITHIN = 6


def levels(sequence: Sequence) -> list[int]:
    """The rung after each turn."""
    return [
        rung.level if (rung := stuck.rung(sequence.turns[: end + 1])) else 0
        for end in range(len(sequence.turns))
    ]


def test_there_are_enough_of_both_kinds() -> None:
    assert len(LOOPS) >= 60
    assert len(HEALTHY) >= 60
    assert (
        {each.kind for each in LOOPS} == {agent.__name__ for agent in loop_agents.ALL} > loop_agents.HELD_OUT
    )
    assert (
        {each.kind for each in HEALTHY}
        == {agent.__name__ for agent in healthy_agents.ALL}
        > healthy_agents.HELD_OUT
    )


@pytest.mark.parametrize("held_out", [False, True])
def test_a_loop_is_caught_within_six_turns(held_out: bool) -> None:
    chosen = [each for each in LOOPS if (each.kind in loop_agents.HELD_OUT) is held_out]
    late = []
    for each in chosen:
        found = levels(each)
        first = each.start + (each.period if each.period > 2 else 0)
        until = found[each.start : first + WITHIN]
        before = found[each.start - 1] if each.start else 0
        if max(until) <= before:
            late.append(f"{each.kind}-{each.seed}")
    assert len(late) <= 0.05 * len(chosen), late


def test_no_healthy_work_is_stopped_and_little_of_it_nudged() -> None:
    highest = {f"{each.kind}-{each.seed}": max(levels(each)) for each in HEALTHY}
    assert max(highest.values()) < stuck.LAST
    nudged = [name for name, level in highest.items() if level]
    assert len(nudged) <= 0.3 * len(HEALTHY), nudged


def test_a_loop_that_goes_on_comes_to_the_question_and_no_rung_is_left_out() -> None:
    for each in LOOPS[::8]:  # one of every other kind
        loop = each.turns[each.start :]
        turns = [*each.turns, *loop * 4]
        seen = [rung.level if (rung := stuck.rung(turns[: end + 1])) else 0 for end in range(len(turns))]
        assert seen[-1] == stuck.LAST, each.kind
        steps = {now - then for then, now in pairwise(seen)}
        assert max(steps) == 1, each.kind


@pytest.mark.skipif(sys.platform == "win32", reason="the recorded commands are those of a shell")
@pytest.mark.parametrize(
    ("agent", "loop", "seed"),
    [
        (loop_agents.alternation, True, 2),
        (loop_agents.test_back_and_forth, True, 1),
        (healthy_agents.refactoring, False, 1),
        (healthy_agents.slip_of_the_tongue, False, 3),
    ],
)
def test_a_recorded_sequence_is_what_its_agent_really_does(agent: Agent, loop: bool, seed: int) -> None:
    name = CORPUS / ("loops.jsonl" if loop else "healthy.jsonl")
    lines = [json.loads(line) for line in name.read_text().splitlines()]
    [line] = [each for each in lines if (each["kind"], each["seed"]) == (agent.__name__, seed)]
    made = record(agent.__name__, seed, agent, loop)
    if line["python"] == list(sys.version_info[:2]):
        assert made == Sequence.unpacked(line)
    else:  # another Python words its errors in another way
        then = Sequence.unpacked(line).turns
        assert [(turn.tree, turn.verb, turn.what, turn.ok) for turn in made.turns] == [
            (turn.tree, turn.verb, turn.what, turn.ok) for turn in then
        ]
        assert [bool(turn.failing) for turn in made.turns] == [bool(turn.failing) for turn in then]
