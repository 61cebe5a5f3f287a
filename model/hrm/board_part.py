"""A reasoner over boards as a part: it answers puzzles with a doubt for each cell, and a trace where asked.

What it says of a question does not hang on the questions beside it, up to the last digits of its numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from model.hrm.learner import HrmLearner
from model.hrm.trace import Trace
from model.hrm.trace import trace as traced
from model.part import Answer, Cycle, Part, Question, Task

_BATCH = 256  # boards at once


class BoardPart(Part):
    """Over a restored reasoner, in evaluation mode; its weights are read at each answer."""

    task: Task = "board"

    def __init__(self, learner: HrmLearner) -> None:
        self.learner = learner.eval()

    def answer(self, questions: Sequence[Question], *, steps: int = 0, trace: bool = False) -> list[Answer]:
        """Answers in the order of the questions; ValueError where one is no board of the right kind."""
        boards = [self.board(each) for each in questions]
        found: list[Answer] = []
        with torch.no_grad():
            for start in range(0, len(boards), _BATCH):
                asked = torch.from_numpy(np.stack(boards[start : start + _BATCH]))
                found += self._answers(asked.to(self.learner.net.y0.device), steps, trace)
        return found

    def _answers(self, asked: Tensor, steps: int, trace: bool) -> list[Answer]:
        config = self.learner.config
        steps = steps or config.steps
        if trace:  # its last cycle is the answer
            seen = traced(self.learner, asked, steps)
            logits, halt = seen.logits, seen.halt[-1] if seen.halt.isfinite().all() else None
            cycles = self._cycles(seen)
        else:
            refined = self.learner.solve(asked, steps)
            logits, halt, cycles = refined.logits, refined.halt, [()] * len(asked)
        odds = logits.softmax(-1)
        sure, said = odds.max(-1)
        if config.loss_on == "blanks":  # of the other cells nothing was learned: they stay as they are
            given = asked != (config.blank or 0)
            said, sure = torch.where(given, asked, said), sure.masked_fill(given, 1.0)
        value = halt if halt is not None else whole(sure)
        return [
            Answer(each.astype(np.int64), float(odd), doubts=1 - part.astype(np.float64), cycles=went)
            for each, odd, part, went in zip(
                said.cpu().numpy(), value.tolist(), sure.cpu().numpy(), cycles, strict=True
            )
        ]

    def _cycles(self, seen: Trace) -> list[tuple[Cycle, ...]]:
        """The cycles of each board."""
        said, halts = seen.answers.cpu().tolist(), seen.halt.sigmoid().tolist()
        changes, doubts = seen.y_change.tolist(), seen.doubt.tolist()
        return [
            tuple(
                Cycle(
                    said[at][row],
                    changes[at][row],
                    halts[at][row] if math.isfinite(halts[at][row]) else None,
                    doubts[at][row],
                )
                for at in range(len(said))
            )
            for row in range(len(said[0]))
        ]

    def board(self, question: Question) -> np.ndarray:
        """The token ids, int64 [N]; ValueError where these are not a board of this model's."""
        config, cells = self.learner.config, question.cells
        if cells is None:
            raise ValueError("a board is asked for: cells, one token id each")
        if cells.shape != (config.grid.cells,) or cells.dtype.kind not in "iu":
            raise ValueError(f"a board of {config.grid.cells} token ids is needed")
        if cells.min() < 0 or cells.max() >= config.vocabulary:
            raise ValueError(f"a token id lies outside 0 to {config.vocabulary - 1}")
        return cells.astype(np.int64)


def whole(sure: Tensor) -> Tensor:
    """Log-odds [B] that all cells are right, of each one's probability [B, N], taken as independent."""
    together = sure.clamp(1e-6, 1 - 1e-6).log().sum(-1)
    return together - torch.log1p(-together.exp().clamp(max=1 - 1e-6))
