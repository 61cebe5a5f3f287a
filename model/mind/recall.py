"""Until the methods of adaptation are in place: a memory that recalls what it was told, word for word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from model.part import Answer, Learned, Lesson, Memory, Part, Question, Task


class Recall(Memory):
    """Exact recall."""

    method = "recall"

    def __init__(self, core: Part) -> None:
        self.core, self.task = core, core.task
        self._known: list[Lesson] = []

    task: Task

    def answer(self, questions: Sequence[Question], *, steps: int = 0, trace: bool = False) -> list[Answer]:
        found = []
        for each in questions:
            known = self._found(each)
            found += [Answer(known.answer, 6.0)] if known else self.core.answer([each], trace=trace)
        return found

    def learn(self, lessons: Sequence[Lesson], seconds: float) -> Learned:
        self._known = list(lessons)
        return Learned(0.0, len(lessons), len(lessons))

    def claims(self, questions: Sequence[Question]) -> list[bool]:
        return [self._found(each) is not None for each in questions]

    def held(self) -> dict[str, np.ndarray]:
        return {}

    def hold(self, arrays: Mapping[str, np.ndarray]) -> None:
        raise ValueError("it recalls its lessons alone")

    @property
    def numbers(self) -> int:
        return 0

    def _found(self, asked: Question) -> Lesson | None:
        for each in reversed(self._known):
            if each.question.text == asked.text and all(
                np.array_equal(one, two)
                for one, two in ((each.question.cells, asked.cells), (each.question.image, asked.image))
                if one is not None and two is not None
            ):
                return each
        return None


def default(task: Task) -> str:
    return "recall"


def build(method: str, core: Part) -> Memory:
    return Recall(core)
