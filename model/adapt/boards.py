"""What all working memories over boards share: the core with weights laid over it, and when they claim.

A memory answers through the core's own network with other weights in place of some; the core's tensors are
read and never written. It asks each question in several forms, and takes the answer that most of them agree
on. It claims a question where clearly more forms agree under it than under the core: a puzzle has one
solution under its own rule, and none or several under another (`model/hrm/rules.py`).
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.adapt import guard
from model.adapt.overlay import Overlay
from model.hrm import carry, rules, symmetry
from model.hrm.board_part import BoardPart
from model.hrm.learner import HrmLearner
from model.hrm.net import Refined
from model.part import Answer, Learned, Lesson, Memory, Part, Question, Task

MOST = 4096  # lessons
BATCH = 64
TOLD = 6.0  # log-odds of what it was told itself
_AVERAGE = 0.99  # of what was learned, step by step: the average is what is kept


class Adapted(HrmLearner):
    """The core's network, called with other weights in place of some."""

    def __init__(self, core: HrmLearner) -> None:
        nn.Module.__init__(self)
        self.config, self.net, self._token = core.config, core.net, core._token
        self._over: dict[str, Tensor] = {}
        self._last: tuple[bytes, int, rules.Tried] | None = None
        self.rename = True

    @property
    def over(self) -> dict[str, Tensor]:
        """The weights and buffers in place of the core's, by name."""
        return self._over

    @over.setter
    def over(self, over: dict[str, Tensor]) -> None:
        self._over, self._last = over, None

    def weights(self) -> dict[str, Tensor]:
        """The core's, and over them what was learned."""
        return super().weights() | self._over

    def ways(self, question: Tensor) -> list[tuple[Tensor, dict[str, Tensor]]]:
        """One way: the memory's."""
        return [(torch.arange(len(question), device=question.device), self.weights())]

    def solve(self, question: Tensor, steps: int) -> Refined:
        """The answer on which most forms of each question [B, cells] agree."""
        return self.tried(question, steps).refined

    def tried(self, question: Tensor, steps: int) -> rules.Tried:
        """All forms of each question; the last ones are kept, as claims come before answers."""
        key = question.cpu().numpy().tobytes()
        if self._last is None or self._last[:2] != (key, steps):
            found = rules.tried(self, self.weights(), question, steps, rename=self.rename)
            self._last = key, steps, found
        return self._last[2]


class BoardMemory(Memory):
    """Over a part that answers boards."""

    task: Task = "board"

    def __init__(self, core: Part, seed: int = 0) -> None:
        if not isinstance(core, BoardPart):
            raise ValueError("a memory of boards stands over a part that answers boards")
        self.core: BoardPart = core
        self.learner: HrmLearner = core.learner
        self.seed = seed
        self.adapted = Adapted(core.learner)
        self._mine = BoardPart(self.adapted)
        self.told: dict[bytes, np.ndarray] = {}

    def learn(self, lessons: Sequence[Lesson], seconds: float) -> Learned:
        """Learn all lessons anew; `CoreChanged` where that changed the core, which it never should."""
        began = time.process_time()
        if len(lessons) > MOST:
            raise ValueError(f"a memory has at most {MOST} lessons; forget some")
        question, answer = self.read(lessons)
        self.adapted.over, self.told = {}, {}
        self.clear()
        facts: dict[str, float | str] = {}
        right = 0
        with guard.unchanged(self.learner):
            if lessons:
                facts = self.taught(question, answer, seconds)
                said = self._mine.answer([Question(cells=each) for each in question.numpy()])
                right = sum(
                    bool((one.said == row).all()) for one, row in zip(said, answer.numpy(), strict=True)
                )
        self.told = {one.tobytes(): row for one, row in zip(question.numpy(), answer.numpy(), strict=True)}
        return Learned(time.process_time() - began, right, len(question), facts)

    @abstractmethod
    def clear(self) -> None:
        """Know nothing."""

    @abstractmethod
    def taught(self, question: Tensor, answer: Tensor, seconds: float) -> dict[str, float | str]:
        """Learn from boards int64 [K, N], at least one; what was found, for show."""

    def answer(self, questions: Sequence[Question], *, steps: int = 0, trace: bool = False) -> list[Answer]:
        """As the core, with what was learned; to a board that was corrected, what it was told."""
        found = self._mine.answer(questions, steps=steps, trace=trace)
        told = [self.told.get(self.core.board(each).tobytes()) for each in questions]
        return [
            one if row is None else replace(one, said=row.copy(), sure=TOLD, doubts=np.zeros(len(row)))
            for one, row in zip(found, told, strict=True)
        ]

    def claims(self, questions: Sequence[Question]) -> list[bool]:
        """The boards that were corrected, and where clearly more forms agree under it than under the core."""
        boards = [self.core.board(each) for each in questions]
        known = [each.tobytes() in self.told for each in boards]
        if not self.differs or not questions:
            return known
        cells = np.stack(boards)
        asked, steps = torch.from_numpy(cells), self.learner.config.steps

        def theirs(board: Tensor) -> Tensor:
            weights = self.learner.weights()
            return rules.tried(self.learner, weights, board, steps, rename=self.adapted.rename).share

        found: list[bool] = []
        with torch.no_grad():
            for start in range(0, len(asked), BATCH):
                part = asked[start : start + BATCH]
                tries = [theirs, lambda board: self.adapted.tried(board, steps).share]
                found += rules.choose(tries, part).bool().tolist()
        return [own or one for own, one in zip(known, found, strict=True)]

    @property
    def differs(self) -> bool:
        """Whether it has learned anything beside what it was told of single boards."""
        return bool(self.adapted.over)

    def held_lessons(self) -> dict[str, np.ndarray]:
        """What it was told of single boards, for `held`."""
        asked = [np.frombuffer(each, np.int64) for each in self.told]
        cells = self.learner.config.grid.cells
        both = np.array([asked, list(self.told.values())], np.int64).reshape(2, len(asked), cells)
        return {"told": both.astype(np.int16)}

    def hold_lessons(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Know the answers of single boards, and give the other arrays; ValueError where they don't fit."""
        both, config = arrays.get("told"), self.learner.config
        if both is None or both.dtype != np.int16 or both.ndim != 3 or len(both) != 2:
            raise ValueError("this is no memory of boards")
        good = both.shape[1] <= MOST and both.shape[2] == config.grid.cells
        if not good or (both.size and (both.min() < 0 or both.max() >= config.vocabulary)):
            raise ValueError("this memory's boards are not of this core's kind")
        asked, wanted = both.astype(np.int64)
        self.told = {one.tobytes(): row for one, row in zip(asked, wanted, strict=True)}
        return {name: each for name, each in arrays.items() if name != "told"}

    def read(self, lessons: Sequence[Lesson]) -> tuple[Tensor, Tensor]:
        """Questions and answers of lessons, int64 [K, N]; of two on one board the newer holds. ValueError."""
        held: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}
        for each in lessons:
            if isinstance(each.answer, str):
                raise ValueError("the answer to a board is a board")
            asked, wanted = self.core.board(each.question), self.core.board(Question(cells=each.answer))
            held[asked.tobytes()] = asked, wanted
        cells = self.learner.config.grid.cells
        rows = [np.stack(each) for each in held.values()]
        both = torch.from_numpy(np.stack(rows) if rows else np.zeros((0, 2, cells), np.int64))
        return both[:, 0], both[:, 1]


def practise(
    core: HrmLearner,
    overlay: Overlay,
    base: Mapping[str, Tensor],
    boards: tuple[Tensor, Tensor],
    *,
    steps: int,
    seconds: float,
    seed: int,
    rename: bool,
    rate: float = 0.01,
    start: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """The overlay's numbers after so many steps on boards [K, N], or fewer where the seconds are used up.

    `base` are the weights and buffers that it lies over, `start` numbers to go on from. The core is called
    and never stepped.
    """
    end = time.process_time() + seconds
    rng = torch.Generator().manual_seed(seed)
    config = core.config
    begun = overlay.begin(base, rng) if start is None else start
    learned = {name: nn.Parameter(each.clone()) for name, each in begun.items()}
    kept = {name: each.detach().clone() for name, each in learned.items()}
    optimizer = torch.optim.AdamW(learned.values(), lr=rate, betas=(0.9, 0.95), weight_decay=0.0)
    question, answer = boards
    tokens = torch.zeros(BATCH, config.grid.cells, dtype=torch.int64)
    state = carry.begin({"question": tokens, "answer": tokens.clone()}, *core.fresh(BATCH))
    with torch.enable_grad():
        for step in range(steps):
            left = end - time.process_time()
            if left <= 0:
                break
            share = min(1 - step / steps, left / seconds)
            state = _refilled(core, state, question, answer, rng, rename)
            over = overlay.applied(base, learned)
            refined = core.refine(
                {**base, **over}, state["question"], state["y"], state["z"], config.cycles(1.0)
            )
            loss = F.cross_entropy(refined.logits.flatten(0, 1), state["answer"].flatten())
            exact = (refined.logits.detach().argmax(-1) == state["answer"]).all(1)
            if refined.halt is not None:
                halting = F.binary_cross_entropy_with_logits(refined.halt, exact.float())
                loss = loss + config.halt_weight * halting
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(learned.values(), 1.0)
            for group in optimizer.param_groups:
                group["lr"] = rate * (0.1 + 0.9 * share) * min(1.0, (step + 1) / 20)
            optimizer.step()
            follow = min(_AVERAGE, (1 + step) / (10 + step))
            with torch.no_grad():
                for name, each in learned.items():
                    kept[name].lerp_(each, 1 - follow)
            state = carry.onward(state, refined.y, refined.z, refined.halt, config.steps)
    return kept


def _refilled(
    core: HrmLearner,
    state: dict[str, Tensor],
    question: Tensor,
    answer: Tensor,
    rng: torch.Generator,
    rename: bool,
) -> dict[str, Tensor]:
    """The state with a board, its digits renamed where they may be, in every row that is not open."""
    done = carry.done(state)
    if not len(done):
        return state
    config = core.config
    rows = torch.randint(len(question), (len(done),), generator=rng)
    asked, wanted = question[rows], answer[rows]
    if rename:
        asked, wanted = symmetry.renamed(asked, wanted, config.vocabulary, config.blank, rng)
    asked = symmetry.reveal(asked, wanted, config.blank, 0.3, rng)
    least = carry.waits(len(done), config.exploration, config.steps, rng)
    problems = {"question": asked, "answer": wanted}
    return carry.replaced(state, done, problems, core.fresh(len(done)), least)
