"""What answers: a part of the core, or a working memory that stands over one. One contract for both.

A *part* takes questions of one task and gives answers with what went on inside. The core's parts are sealed
(`model/adapt/guard.py`): their weights stay as they are. A *memory* is a part over a part: it answers from
what a few corrections taught it, and claims the questions that are its own; the rest is the core's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Task = Literal["board", "scene"]
"""A board: token ids of each cell. A scene: a picture and a question in words."""


@dataclass(frozen=True)
class Question:
    """One question; which fields are there follows from the task of its part."""

    cells: np.ndarray | None = None  # board: int [N], token ids
    image: np.ndarray | None = None  # scene: uint8 [S, S, 3]
    text: str = ""  # scene: the question in words


Said = np.ndarray | str
"""An answer: of a board token ids int [N], of a scene a word or two."""


@dataclass(frozen=True)
class Cycle:
    """One cycle of the reasoner, as a trace keeps it."""

    answer: list[int] | str  # what it would have answered after it
    change: float  # how far the answer's latent moved, as a share of its length before
    halt: float | None  # probability that the answer is right, by its own halting value, not calibrated
    doubt: float  # 1 - mean probability of the answer's parts


@dataclass(frozen=True)
class Answer:
    """What a part says to one question."""

    said: Said
    sure: float
    """Log-odds that it is right, as the part believes; `model/reflect` calibrates it."""
    others: tuple[tuple[str, float], ...] = ()  # scene: the likeliest answers with their probabilities
    doubts: np.ndarray | None = None  # board: float [N], 1 - probability of each cell's answer
    cycles: tuple[Cycle, ...] = ()  # where a trace was asked for


@dataclass(frozen=True)
class Lesson:
    """One correction: to this question, this is the right answer."""

    question: Question
    answer: Said


@dataclass(frozen=True)
class Learned:
    """What a memory did with its lessons."""

    seconds: float  # of CPU time
    right: int  # of its lessons, those it answers rightly now
    lessons: int
    facts: Mapping[str, float | str] = field(
        default_factory=dict
    )  # for show: what it found, in words or numbers


class Part(ABC):
    """Answers questions of one task."""

    task: Task

    @abstractmethod
    def answer(self, questions: Sequence[Question], *, steps: int = 0, trace: bool = False) -> list[Answer]:
        """Answers in the order of the questions; `steps` of 0 are those it was trained with.

        Deterministic; without gradients. ValueError, in one line, where a question is not of its task.
        """


class Memory(Part):
    """A fast working memory over a part of the core."""

    method: str
    core: Part

    @abstractmethod
    def learn(self, lessons: Sequence[Lesson], seconds: float) -> Learned:
        """Learn all lessons so far, the newest last, in at most so many seconds of CPU time.

        Starts anew each time, so a memory is a function of its lessons and its seed alone.
        """

    @abstractmethod
    def claims(self, questions: Sequence[Question]) -> list[bool]:
        """Which questions are its own to answer; the core answers all others as if it were not there."""

    @abstractmethod
    def held(self) -> dict[str, np.ndarray]:
        """All that it knows, as arrays for a safetensors file."""

    @abstractmethod
    def hold(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Know what an earlier one of the same method knew; ValueError where it does not fit this core."""

    @property
    @abstractmethod
    def numbers(self) -> int:
        """How many numbers it has learned, to be held against 5 % of the core's."""


def settled(
    memory: Memory | None, core: Part, questions: Sequence[Question], *, trace: bool = False
) -> list[tuple[Answer, bool]]:
    """The answer to each question and whether the memory gave it: its own claims alone, else the core."""
    claimed = memory.claims(questions) if memory else [False] * len(questions)
    found: dict[int, Answer] = {}
    for part, wanted in ((memory, True), (core, False)):
        at = [number for number, own in enumerate(claimed) if own is wanted]
        if part is not None and at:
            answers = part.answer([questions[number] for number in at], trace=trace)
            found.update(zip(at, answers, strict=True))
    return [(found[number], claimed[number]) for number in range(len(questions))]
