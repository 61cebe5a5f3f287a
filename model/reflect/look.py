"""An answer with all that is known of it: the two consistencies, and what the calibration is told.

Consistency over cycles is the agreement of each cycle with the one before, over the later half of them (as
`model/hrm/trace.py` has it); over variants, the agreement with the answers to the same question in other
dresses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from model.hrm.board_part import BoardPart
from model.hrm.scene_part import ScenePart
from model.part import Answer, Cycle, Memory, Part, Question
from model.reflect.variants import Variant, agreement, of_board, of_scene, shape_of

VARIANTS = 3
"""Variants of a question that are asked beside it: a fourth costs as much and says little more."""

Vary = Callable[[Question], list[Variant]]


@dataclass(frozen=True)
class Look:
    """An answer and how consistent it is; None where nobody looked."""

    answer: Answer
    cycles: float | None
    variants: float | None
    agreeing: int = 0  # variants that gave the very same answer
    asked: int = 0  # variants that there were

    @property
    def features(self) -> tuple[float, float | None, float | None]:
        """What calibration is told: log-odds, consistency over cycles, over variants."""
        return self.answer.sure, self.cycles, self.variants


def varying(part: Part, recipe: str = "", count: int = VARIANTS) -> Vary:
    """How questions to a part are varied; of an unknown kind of part, not at all."""
    if isinstance(part, BoardPart):
        shape = shape_of(part.learner.config, recipe)
        return lambda question: of_board(shape, _cells(question), count)
    if isinstance(part, ScenePart):
        known = _vocabulary(part)
        return lambda question: of_scene(question, known, count)
    return lambda question: []


def look(
    part: Part, questions: Sequence[Question], vary: Vary | None = None, *, trace: bool = False
) -> list[Look]:
    """Answers in the order of the questions, with their variants asked in the same breath.

    Args:
        part: that answers, a memory or the core.
        questions: of its task.
        vary: how; None asks no variants.
        trace: whether the cycles are looked at.
    """
    variants = _claimed(part, [vary(each) if vary else [] for each in questions])
    dressed = [each.question for row in variants for each in row]
    if trace:  # its cycles are gone through one by one, so it is asked apart
        traced, rest = part.answer(questions, trace=True), part.answer(dressed) if dressed else []
    else:
        said = part.answer([*questions, *dressed])
        traced, rest = said[: len(questions)], said[len(questions) :]
    others = iter(rest)
    found = []
    for answer, row in zip(traced, variants, strict=True):
        back = [each.back(next(others).said) for each in row]
        same = sum(agreement(answer.said, [each]) == 1.0 for each in back)
        found.append(
            Look(
                answer,
                over_cycles(answer.cycles) if answer.cycles else None,
                agreement(answer.said, back) if vary and back else None,
                same,
                len(back),
            )
        )
    return found


def _claimed(part: Part, variants: list[list[Variant]]) -> list[list[Variant]]:
    """Of a memory, those that it claims as its own too: to the others it has nothing to say."""
    every = [each for row in variants for each in row]
    if not isinstance(part, Memory) or not every:
        return variants
    own = iter(part.claims([each.question for each in every]))
    return [[each for each in row if next(own)] for row in variants]


def over_cycles(cycles: Sequence[Cycle]) -> float:
    """0 to 1: mean agreement of each cycle with the one before, over the later half; 1 of one cycle."""
    answers = [np.asarray(each.answer) for each in cycles]
    agreed = [float(np.mean(one == before)) for before, one in pairwise(answers)]
    later = agreed[len(agreed) // 2 :]
    return math.fsum(later) / len(later) if later else 1.0


def _cells(question: Question) -> np.ndarray:
    assert question.cells is not None
    return question.cells


def _vocabulary(part: ScenePart) -> Callable[[str], bool]:
    from model.encoders import UNKNOWN, Words

    words = Words.parse(part.learner.vocabulary, part.learner.config.words)
    return lambda word: UNKNOWN not in words.encode([word], part.learner.config.length)[0].tolist()
