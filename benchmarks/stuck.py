"""How soon an agent that gets nowhere is noticed, and how seldom one that gets somewhere is disturbed.

    python benchmarks/stuck.py                  # the recorded sequences of tests/agent/corpus
    python benchmarks/stuck.py --fresh 2        # and new ones, of seeds that were never recorded
    python benchmarks/stuck.py --write          # record the corpus anew (some minutes)

`caught` is the share of loops that climb a rung within 6 turns of the loop's start. Of a loop whose round
takes more than two turns the first round is news, so it starts with the second; `caught_strictly` counts from
the first turn whatever the round. `stopped` are healthy sequences in which the person would have been asked,
`nudged` those that climbed any rung. All is told apart for the kinds that the costs were set on and for those
held out. The references, in the same run: the same reply, and the same action in any words, three times in a
row, on which a run would be stopped. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "agent"))

import healthy_agents
import loop_agents
import sequences

from orchestrator.agent import stuck

TESTS = Path(sequences.__file__).parent
WITHIN = 6
SEEDS = range(4)
FILES = {True: "loops.jsonl", False: "healthy.jsonl"}
AGENTS = {True: loop_agents, False: healthy_agents}


def stored() -> list[sequences.Sequence]:
    """The recorded sequences."""
    return [
        sequences.Sequence.unpacked(json.loads(line))
        for name in FILES.values()
        for line in (TESTS / "corpus" / name).read_text().splitlines()
    ]


def recorded(loop: bool, seeds: Iterable[int]) -> list[sequences.Sequence]:
    """New ones of every kind."""
    return [
        sequences.record(agent.__name__, seed, agent, loop) for agent in AGENTS[loop].ALL for seed in seeds
    ]


def ladder(turns: Sequence[stuck.Turn]) -> list[int]:
    """The rung after each turn."""
    return [rung.level if (rung := stuck.rung(turns[: end + 1])) else 0 for end in range(len(turns))]


def thrice(acts: Sequence[object]) -> list[int]:
    """Three equal ones in a row, on which a run is stopped."""
    return [
        stuck.LAST if end >= 2 and acts[end - 2] == acts[end - 1] == act else 0
        for end, act in enumerate(acts)
    ]


def same_reply(turns: Sequence[stuck.Turn]) -> list[int]:
    """The same reply three times in a row."""
    return thrice([turn.reply for turn in turns])


def same_action(turns: Sequence[stuck.Turn]) -> list[int]:
    """The same verb and object three times in a row, whatever the words."""
    return thrice([(turn.verb, turn.what) for turn in turns])


def late(sequence: sequences.Sequence, levels: Sequence[int], strictly: bool = False) -> int | None:
    """Turns from the loop's start to the rung that it climbs first, both counted; None if it climbs none."""
    start = sequence.start + (sequence.period if sequence.period > 2 and not strictly else 0)
    before = levels[sequence.start - 1] if sequence.start else 0
    for index in range(sequence.start, len(levels)):
        if levels[index] > before:
            return max(index - start + 1, 0)
        before = levels[index]
    return None


def figures(
    found: Sequence[sequences.Sequence], judge: Callable[[Sequence[stuck.Turn]], list[int]]
) -> dict[str, Any]:
    """What a detector comes to on some sequences."""
    told: dict[str, Any] = {}
    loops = [(each, judge(each.turns)) for each in found if each.loop]
    healthy = [(each, judge(each.turns)) for each in found if not each.loop]
    if loops:
        times = [late(each, levels) for each, levels in loops]
        strict = [late(each, levels, True) for each, levels in loops]
        told["loops"] = len(loops)
        told["caught"] = share(time is not None and time <= WITHIN for time in times)
        told["caught_strictly"] = share(time is not None and time <= WITHIN for time in strict)
        told["missed"] = named(
            (each, time)
            for (each, _), time in zip(loops, times, strict=True)
            if time is None or time > WITHIN
        )
    if healthy:
        told["healthy"] = len(healthy)
        told["stopped"] = sum(max(levels) >= stuck.LAST for _, levels in healthy)
        told["nudged"] = sum(max(levels) > 0 for _, levels in healthy)
        told["disturbed"] = named((each, max(levels)) for each, levels in healthy if max(levels))
    return told


def named(found: Iterable[tuple[sequences.Sequence, int | None]]) -> dict[str, list[int | None]]:
    """A figure for each sequence, by kinds."""
    kinds: dict[str, list[int | None]] = {}
    for sequence, figure in found:
        kinds.setdefault(sequence.kind, []).append(figure)
    return kinds


def share(values: Iterable[bool]) -> float:
    """Of all, how many are true."""
    listed = list(values)
    return round(sum(listed) / len(listed), 3)


def compared(found: Sequence[sequences.Sequence]) -> dict[str, Any]:
    """The ladder and the reference, on the kinds that were tuned on and on the others."""
    held = loop_agents.HELD_OUT | healthy_agents.HELD_OUT
    parts = {
        "tuned": [each for each in found if each.kind not in held],
        "held_out": [each for each in found if each.kind in held],
    }
    return {
        name: {judge.__name__: figures(part, judge) for judge in (ladder, same_reply, same_action)}
        for name, part in parts.items()
    }


def main() -> None:
    """Measure, or record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fresh", type=int, default=0, metavar="SEEDS")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    if options.write:
        for loop, name in FILES.items():
            lines = [json.dumps(each.packed(), separators=(",", ":")) for each in recorded(loop, SEEDS)]
            (TESTS / "corpus" / name).write_text("\n".join(lines) + "\n")
    began = time.perf_counter()
    found = stored()
    result = {"sequences": len(found), "turns": sum(len(each.turns) for each in found), **compared(found)}
    result["seconds"] = round(time.perf_counter() - began, 2)
    if options.fresh:
        seeds = range(1_000, 1_000 + options.fresh)
        result["fresh"] = compared([*recorded(True, seeds), *recorded(False, seeds)])
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
