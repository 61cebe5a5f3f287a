"""What eight corrections teach: a person's own words and relations over scenes, by method, side by side.

A rule is a question in words that the core has never seen and the answer that its scenes have: the seed draws
eight lessons and the held-out scenes (of canonical scenes that no training saw). Before, after 1, 2, 4 and 8
lessons; seconds of CPU for each; how sure it is against how right; what a memory claims of the core's own
questions; and what it says to other wordings. The rules are written here alone: no method is told any.

    python benchmarks/words.py --reasoner CHECKPOINT --jepa CHECKPOINT --seeds 0 1 2 --full

Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")  # before torch is loaded

import numpy as np
import torch

from datagen.draws import Draws
from datagen.scenes import render, scene, words
from datagen.scenes.scene import COLOURS, SHAPES
from datagen.scenes.words import Thing
from model import learners
from model.adapt import methods
from model.adapt.episodic import Episodic
from model.hrm.scene_part import ScenePart
from model.jepa.learner import JepaLearner
from model.measures.calibration import calibration_error
from model.part import Lesson, Memory, Question

LESSONS = (1, 2, 4, 8)
SIZE = 32


@dataclass(frozen=True)
class Rule:
    """A question of a person's own: `answer` says None of scenes that it is not asked of."""

    name: str
    text: str
    again: tuple[str, ...]  # the same in other words
    answer: Callable[[list[Thing]], str | None]


def _family(row: list[Thing]) -> str | None:
    if len(row) != 1:
        return None
    warm = COLOURS[row[0].colour] in {"red", "orange", "yellow"}
    cool = COLOURS[row[0].colour] in {"green", "blue", "cyan"}
    return "ember" if warm else "brook" if cool else None


def _zorp(row: list[Thing]) -> str | None:
    names = {("circle", 0): "bip", ("circle", 1): "bop", ("star", 0): "tis", ("star", 1): "tos"}
    return names.get((SHAPES[row[0].shape], row[0].size)) if len(row) == 1 else None


def _stand(row: list[Thing]) -> str | None:
    reds = [each for each in row if COLOURS[each.colour] == "red"]
    if len(row) != 2 or len(reds) != 1:
        return None
    other = row[1] if row[0] is reds[0] else row[0]
    aside = reds[0].cell % 3 - other.cell % 3
    return "flim" if aside < 0 else "flom" if aside > 0 else "flum"


def _wug(row: list[Thing]) -> str | None:
    if len(row) != 1:
        return None
    return "wug" if row[0].size == 0 and COLOURS[row[0].colour] in {"red", "blue"} else "dob"


RULES = (
    Rule("colour family", "what kind is it?", ("which kind is this?", "what kind is that one?"), _family),
    Rule("shape and size", "which zorp is it?", ("what zorp is this?", "what is the zorp of it?"), _zorp),
    Rule(
        "relation",
        "how does the red one stand to the other?",
        ("how do the red thing and the other one stand?", "say how the red object stands to the other"),
        _stand,
    ),
)
"""The three that are to be reached."""


def scenes(seed: int, held_out: bool, rule: Rule, count: int) -> list[tuple[Question, str]]:
    """Questions of a rule with their answers, each answer as often as the others."""
    found: dict[str, list[tuple[Question, str]]] = {}
    rows = 2048
    for turn in range(80):
        draws = Draws(f"words{rule.name}{held_out}", seed, turn * rows, (turn + 1) * rows)
        drawn = scene.draw(draws, 1, scene.MOST)
        keep = drawn.split == int(held_out)
        said = [rule.answer(row) for row in words.things(drawn.objects)]
        pictures = render.draw(draws, drawn.objects, scene.spots(draws, drawn, SIZE), SIZE)
        for at in np.flatnonzero(keep):
            answer = said[at]
            if answer is not None:
                found.setdefault(answer, []).append((Question(image=pictures[at], text=rule.text), answer))
        if found and min(len(each) for each in found.values()) * len(found) >= count and turn:
            break
    chance = np.random.default_rng([seed, int(held_out)])
    names = sorted(found)
    order = [names[at % len(names)] for at in chance.permutation(-(-count // len(names)) * len(names))]
    return [found[name].pop() for name in order[:count]]


def judged(memory: Memory, asked: Sequence[tuple[Question, str]]) -> dict[str, float]:
    """How many are right, how sure it is, and how far the one lies from the other."""
    answers = memory.answer([question for question, _ in asked])
    right = np.array([one.said == truth for one, (_, truth) in zip(answers, asked, strict=True)])
    sure = np.array([one.others[0][1] if one.others else 1 / (1 + np.exp(-one.sure)) for one in answers])
    order = np.argsort(-sure, kind="stable")
    kept = right[order[: round(0.8 * len(order))]]
    return {
        "exact": float(right.mean()),
        "sure": float(sure.mean()),
        "ece": calibration_error(sure, right),
        "kept80": float(kept.mean()),
    }


def one(method: str, part: ScenePart, jepa: JepaLearner, rule: Rule, seed: int, rows: int) -> dict[str, Any]:
    """The learning curve of one method, rule and seed."""
    lessons = [Lesson(question, answer) for question, answer in scenes(seed, False, rule, LESSONS[-1])]
    held = scenes(seed, True, rule, rows)
    before = part.answer([question for question, _ in held])
    found: dict[str, Any] = {
        "before": float(np.mean([a.said == t for a, (_, t) in zip(before, held, strict=True)]))
    }
    for count in LESSONS:
        memory = scene_memory(method, part, jepa, seed)
        begin = time.process_time()
        learned = memory.learn(lessons[:count], 2.0)
        found[str(count)] = {**judged(memory, held), "seconds": time.process_time() - begin}
    found["facts"] = {name: str(each) for name, each in learned.facts.items()}
    found["right_of_its_lessons"] = learned.right / learned.lessons
    found["numbers"] = memory.numbers
    again = [Question(image=q.image, text=text) for text in rule.again for q, _ in held[:50]]
    found["claims_other_wordings"] = float(np.mean(memory.claims(again)))
    return found


def scene_memory(method: str, part: ScenePart, jepa: JepaLearner, seed: int) -> Memory:
    """A memory by its name; the plain episodic one compares the JEPA's published latents."""
    return Episodic(part, seed, jepa) if method == "episodic" else methods.build(method, part, seed)


def main() -> None:
    """Run, and print one JSON object."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--reasoner", type=Path, required=True, help="checkpoint of a reasoner over scenes")
    options.add_argument("--jepa", type=Path, required=True, help="checkpoint of the JEPA that it stands on")
    options.add_argument("--seeds", type=int, nargs="+", default=[0])
    options.add_argument("--rows", type=int, default=200, help="held-out scenes of a rule")
    options.add_argument("--methods", nargs="+", default=["concepts"])
    given = options.parse_args()
    torch.set_num_threads(1)
    reasoner, _ = learners.restore(given.reasoner)
    jepa, _ = learners.restore(given.jepa)
    part = ScenePart(reasoner)
    found: dict[str, Any] = {}
    for method in given.methods:
        for rule in RULES:
            for seed in given.seeds:
                found.setdefault(method, {}).setdefault(rule.name, {})[str(seed)] = one(
                    method, part, jepa, rule, seed, given.rows
                )
    json.dump(found, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
