"""Small boards for the reasoner's tests: a feed over rows in memory, and 4 x 4 Sudoku to learn from."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datagen.puzzles import sudoku
from model.hrm.config import HrmConfig
from model.hrm.learner import HrmLearner

FOUR = {"rows": 4, "columns": 4, "box_rows": 2, "box_columns": 2}


class MemoryFeed:
    """A feed over tensors: each epoch in their own order, which makes it plain what was drawn."""

    def __init__(self, data: dict[str, Tensor], seed: int = 0) -> None:
        self.data, self.rng, self.taken = data, torch.Generator().manual_seed(seed), 0

    def take(self, count: int) -> dict[str, Tensor]:
        """The next rows, the first ones again after the last."""
        rows = (self.taken + torch.arange(count)) % len(next(iter(self.data.values())))
        self.taken += count
        return {name: each[rows] for name, each in self.data.items()}


@cache
def fours(rows: int = 600) -> dict[str, np.ndarray]:
    """Sudoku of 4 x 4: question and answer, [rows, 16]."""
    made = sudoku.make(4, 3, 0, rows, "any")
    return {name: made[name] for name in ("question", "answer", "split")}


def config(**over: Any) -> HrmConfig:
    """A tiny reasoner for 4 x 4 boards."""
    body: dict[str, Any] = {
        "vocabulary": 5,
        "grid": FOUR,
        "hidden": 16,
        "layers": 1,
        "heads": 2,
        "h_cycles": 2,
        "l_cycles": 2,
        **over,
    }
    return HrmConfig.model_validate(body)


def learner(seed: int = 0, **over: Any) -> HrmLearner:
    """A tiny reasoner with the weights of this seed."""
    torch.manual_seed(seed)
    return HrmLearner(config(**over))


def feed(one: HrmLearner, side: int = 0, seed: int = 0) -> MemoryFeed:
    """The training rows (side 0) or the held-out ones (1), prepared for this learner."""
    made = fours()
    kept = {name: made[name][made["split"] == side] for name in ("question", "answer")}
    return MemoryFeed(one.prepare(kept), seed)
