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
from dataclasses import asdict, dataclass
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
from model.adapt import guard, methods
from model.adapt.concepts import Concepts
from model.adapt.episodic import Episodic
from model.adapt.words_for_good import consolidate_words
from model.hrm.scene import SceneReasoner
from model.hrm.scene_part import ScenePart
from model.jepa.learner import JepaLearner
from model.measures.calibration import calibration_error
from model.part import Lesson, Memory, Question, settled

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
        learned = memory.learn(lessons[:count], 2.0)
        found[str(count)] = {**judged(memory, held), "seconds": learned.seconds}
    found["facts"] = {name: str(each) for name, each in learned.facts.items()}
    found["right_of_its_lessons"] = learned.right / learned.lessons
    found["numbers"] = memory.numbers
    again = [Question(image=q.image, text=text) for text in rule.again for q, _ in held[:50]]
    found["claims_other_wordings"] = float(np.mean(memory.claims(again)))
    return found


def scene_memory(method: str, part: ScenePart, jepa: JepaLearner, seed: int) -> Memory:
    """A memory by its name; the plain episodic one compares the JEPA's published latents."""
    return Episodic(part, seed, jepa) if method == "episodic" else methods.build(method, part, seed)


def old_questions(part: ScenePart, memory: Memory, rows: int) -> dict[str, float]:
    """The core's own questions on held-out scenes, with the memory on and off."""
    draws = Draws("words/old", 0, 0, 12 * rows)
    drawn = scene.draw(draws, 1, scene.MOST)
    keep = np.flatnonzero(drawn.split == 1)[:rows]
    pictures = render.draw(draws, drawn.objects, scene.spots(draws, drawn, SIZE), SIZE)
    asked, said, _ = (column[keep] for column in words.questions(draws, drawn.objects))
    questions = [
        Question(image=pictures[at], text=text) for at, text in zip(keep, words.texts(asked), strict=True)
    ]
    truth = words.texts(said)
    found = {"rows": float(len(keep)), "claimed": float(sum(memory.claims(questions)))}
    for name, one in (("off", None), ("on", memory)):
        answers = settled(one, part, questions)
        found[name] = float(
            np.mean([each.said == true for (each, _), true in zip(answers, truth, strict=True)])
        )
    return found


def for_good(part: ScenePart, seed: int, core_seconds: float, rows: int) -> dict[str, Any]:
    """All three rules in one memory, taught to a copy of the core; the memory is off when it is asked."""
    memory = Concepts(part)
    memory.learn([Lesson(*each) for rule in RULES for each in scenes(seed, False, rule, LESSONS[-1])], 2.0)
    copy = guard.scratch(part.learner)
    steps: list[int] = []
    begin = time.process_time()
    effects = consolidate_words(
        copy, memory, seed=seed, core_seconds=core_seconds, tell=lambda step, gone: steps.append(step)
    )
    found: dict[str, Any] = {"core_seconds": time.process_time() - begin, "steps": len(steps)}
    found["effects"] = [asdict(each) for each in effects]
    after = ScenePart(copy)
    for rule in RULES:
        held = scenes(seed, True, rule, rows)
        for name, text in (("exact", rule.text), ("other wording", rule.again[0])):
            answers = after.answer([Question(image=each.image, text=text) for each, _ in held])
            right = [one.said == truth for one, (_, truth) in zip(answers, held, strict=True)]
            found.setdefault(name, {})[rule.name] = float(np.mean(right))
    return found


def main() -> None:
    """Run, and print one JSON object."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--reasoner", type=Path, required=True, help="checkpoint of a reasoner over scenes")
    options.add_argument("--jepa", type=Path, required=True, help="checkpoint of the JEPA that it stands on")
    options.add_argument("--seeds", type=int, nargs="+", default=[0])
    options.add_argument("--rows", type=int, default=200, help="held-out scenes of a rule")
    options.add_argument(
        "--full", action="store_true", help="all methods, not the default one and LoRA alone"
    )
    options.add_argument("--for-good", type=float, metavar="CORE_SECONDS", help="teach it to the core, too")
    given = options.parse_args()
    torch.set_num_threads(1)
    reasoner, jepa = (learners.restore(each)[0] for each in (given.reasoner, given.jepa))
    if not isinstance(reasoner, SceneReasoner) or not isinstance(jepa, JepaLearner):
        sys.exit("a reasoner over scenes and a JEPA are needed")
    sealed, part = guard.seal(reasoner, "scenes"), ScenePart(reasoner)
    found: dict[str, Any] = {"methods": {}, "summary": {}, "old": {}}
    for method in methods.names("scene") if given.full else (methods.default("scene"), "lora"):
        curves = {
            rule.name: {str(seed): one(method, part, jepa, rule, seed, given.rows) for seed in given.seeds}
            for rule in RULES
        }
        found["methods"][method] = curves
        found["summary"][method] = {name: summed(each) for name, each in curves.items()}
        memory = scene_memory(method, part, jepa, 0)
        memory.learn([Lesson(*each) for rule in RULES for each in scenes(0, False, rule, LESSONS[-1])], 2.0)
        found["old"][method] = old_questions(part, memory, 5 * given.rows)
    if given.for_good:
        found["for_good"] = {
            str(seed): for_good(part, seed, given.for_good, given.rows) for seed in given.seeds
        }
    found["core_unchanged"] = guard.verify(reasoner) == sealed
    json.dump(found, sys.stdout, indent=1)


def summed(curves: dict[str, Any]) -> dict[str, Any]:
    """Of the seeds of one rule: exact by lessons (mean), least after eight, the longest correction."""
    last = str(LESSONS[-1])
    return {
        "before": float(np.mean([each["before"] for each in curves.values()])),
        **{str(n): float(np.mean([each[str(n)]["exact"] for each in curves.values()])) for n in LESSONS},
        "least": min(each[last]["exact"] for each in curves.values()),
        "sure": float(np.mean([each[last]["sure"] for each in curves.values()])),
        "seconds": max(each[str(n)]["seconds"] for each in curves.values() for n in LESSONS),
        "numbers": max(each["numbers"] for each in curves.values()),
    }


if __name__ == "__main__":
    main()
