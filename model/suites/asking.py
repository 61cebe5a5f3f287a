"""The suite `questions`: whether a reasoner answers questions about pictures it never saw, and knows when.

The control is who never sees the picture and gives the answer that is most often right of the same question;
it is learned from fresh scenes of the training's side, so no row to learn from is read here either.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from datagen.draws import Draws
from datagen.scenes import scene
from datagen.scenes import words as wordings
from datagen.scenes.words import TOPICS
from model.errors import RequestError
from model.hrm.scene import SceneReasoner
from model.hrm.scene_part import ScenePart
from model.learner import Columns, Learner
from model.part import Question
from model.reflect import calibration
from model.suites import Measured, Options

_LEARNED = 24_000  # scenes from which the blind guess is learned
_MOST = 3  # objects of a scene
_START = 2  # words by which a question is known that was never met whole


@dataclass(frozen=True)
class Blind:
    """The answer most often right of a question, whatever the picture."""

    whole: dict[str, str]
    begun: dict[str, str]  # by a question's first words
    any: str

    def guess(self, question: str) -> str:
        """Of the same question, or of one that begins alike, or of all."""
        return self.whole.get(question) or self.begun.get(_start(question)) or self.any


def measure(learner: Learner, columns: Columns, seed: int, options: Options) -> Measured:
    """All measures of the suite on at most `options.rows` of the rows given, drawn by the seed.

    The map from the model's own certainty to a probability is fitted on half of these rows; how far it can be
    believed is measured on the other half.
    """
    part = ScenePart(reasoner(learner))
    rows = np.random.default_rng([seed, 3]).permutation(len(columns["question"]))[: options.rows]
    asked, true = (wordings.texts(columns[name][rows]) for name in ("question", "answer"))
    questions = [
        Question(image=image, text=text) for image, text in zip(columns["image"][rows], asked, strict=True)
    ]
    with torch.no_grad():
        found, first = part.answer(questions), part.answer(questions, steps=1)
        more = part.answer(questions, steps=part.learner.config.halt_steps * options.more)
    right, early, late = (
        np.array([each.said == text for each, text in zip(answers, true, strict=True)])
        for answers in (found, first, more)
    )
    guess = blind()
    lucky = np.array([guess.guess(text) == answer for text, answer in zip(asked, true, strict=True)])
    topics = {
        name: columns["topic"][rows] == number
        for number, name in enumerate(TOPICS)
        if (columns["topic"][rows] == number).any()
    }
    metrics: dict[str, float | None] = {
        "exact": float(right.mean()),
        "blind": float(lucky.mean()),
        "over_blind": float(right.mean() - lucky.mean()),
        "exact_first_step": float(early.mean()),
        "exact_more_steps": float(late.mean()),
    }
    metrics |= {
        f"exact_{name.replace('-', '_')}": float(right[member].mean()) for name, member in topics.items()
    }
    signs = [(each.sure, None, None) for each in found]
    half = len(rows) // 2
    fitted = calibration.fit(signs[:half], right[:half])
    said = np.array([fitted.probability(*each) for each in signs[half:]])
    told = calibration.measure(said, right[half:], fitted.bound)
    metrics |= {
        "sure_calibration_error": told["ece"],
        "sure_auroc": told["auroc"],
        "exact_kept": told["kept"],
    }
    details = {
        "topics": {name: int(member.sum()) for name, member in topics.items()},
        "blind": {name: float(lucky[member].mean()) for name, member in topics.items()},
        "reliability": reliability(said, right[half:]),
        "rows": len(rows),
    }
    return Measured(metrics, details)


def reasoner(learner: Learner) -> SceneReasoner:
    """The learner as what the suite needs; RequestError where it is another kind."""
    if not isinstance(learner, SceneReasoner):
        kind = type(learner).__name__
        raise RequestError(
            f"questions about pictures are answered by an hrm of the task scene, not by a {kind}"
        )
    return learner


@cache
def blind() -> Blind:
    """Learned from fresh scenes, of which none is held out in any data set."""
    draws = Draws("suites/questions", 0, 0, _LEARNED)
    drawn = scene.draw(draws, 1, _MOST)
    question, answer, _ = wordings.questions(draws, drawn.objects)
    seen = drawn.split == 0
    pairs = list(zip(wordings.texts(question[seen]), wordings.texts(answer[seen]), strict=True))
    begun = [(_start(asked), said) for asked, said in pairs]
    return Blind(_usual(pairs), _usual(begun), Counter(said for _, said in pairs).most_common(1)[0][0])


def reliability(said: np.ndarray, right: np.ndarray) -> list[tuple[float, float, int]]:
    """Of each of fifteen bins of probability that has rows: mean probability, share right, rows."""
    bins = np.clip((said * calibration.BINS).astype(int), 0, calibration.BINS - 1)
    members = [bins == number for number in range(calibration.BINS)]
    return [
        (float(said[each].mean()), float(right[each].mean()), int(each.sum()))
        for each in members
        if each.any()
    ]


def _usual(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """The most frequent answer of each question; of equal ones the first in the alphabet."""
    counts: dict[str, Counter[str]] = {}
    for asked, said in pairs:
        counts.setdefault(asked, Counter())[said] += 1
    return {asked: min(each, key=lambda said: (-each[said], said)) for asked, each in counts.items()}


def _start(question: str) -> str:
    return " ".join(question.split()[:_START])
