"""A learner of the real contract, small enough for tests: two layers sum the digits of a row.

It draws from every source of numbers that a resumed run must have again: a carried state, the feed's
generator, torch's global one, and buffers.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from model.learner import Batch, Columns, DataInfo, Feed, Learner, Split, State, Step


class Tiny(Learner):
    """Predicts `answer` from `question`, both as the test's data set has them.

    `spoil`: from that thousandth of the run on, the loss is no number. `hold`: in the second half, a step
    waits for as long as this file is there.
    """

    def __init__(self, width: int, hidden: int, noise: float, spoil: int, hold: str = "") -> None:
        super().__init__()
        self.into, self.out = nn.Linear(width, hidden), nn.Linear(hidden, 1)
        self.norm = nn.BatchNorm1d(hidden) if noise else nn.LayerNorm(hidden)
        self.noise, self.spoil, self.hold = noise, spoil, hold
        self.register_buffer("mean", torch.zeros(1))

    mean: Tensor

    def prepare(self, columns: Columns) -> dict[str, Tensor]:
        """float32 [N, width] and [N]."""
        if "question" not in columns or columns["question"].shape[1] != self.into.in_features:
            raise ValueError(f"it needs a column question of {self.into.in_features} numbers")
        return {name: torch.from_numpy(columns[name].astype(np.float32)) for name in ("question", "answer")}

    def begin(self, feed: Feed, batch: int) -> State:
        """A count for each row, which some rows lose at random."""
        return {"age": torch.zeros(batch, dtype=torch.int64)} if self.noise else {}

    def advance(self, feed: Feed, batch: int, state: State, progress: float) -> Step:
        """Mean squared error, under noise of every kind where there is noise."""
        while self.hold and progress >= 0.5 and Path(self.hold).exists():
            time.sleep(0.01)
        rows = feed.take(batch)
        question = rows["question"]
        if self.noise:
            question = question + self.noise * torch.randn(question.shape, generator=feed.rng)
        hidden = functional.relu(self.norm(self.into(question)))
        if self.noise:
            hidden = functional.dropout(hidden, 0.1, self.training)
            aged = state["age"] + 1
            state = {"age": torch.where(torch.rand(batch, generator=feed.rng) < 0.3, 0, aged)}
            hidden = hidden + 0.01 * state["age"].float().mean()
        loss = functional.mse_loss(self.out(hidden).squeeze(1), rows["answer"])
        if self.spoil and progress * 1000 >= self.spoil:
            loss = loss * float("nan")
        return Step(loss, {"error": loss.detach().sqrt()}, state)

    @torch.no_grad()
    def stepped(self, progress: float) -> None:
        """A buffer that follows the weights."""
        self.mean.lerp_(self.out.weight.mean().reshape(1), 0.1)

    def assess(self, data: Batch, rows: int) -> dict[str, float]:
        """`loss` and `rank`, which stands for a measure that has a floor."""
        found = self.out(functional.relu(self.norm(self.into(data["question"][:rows])))).squeeze(1)
        loss = functional.mse_loss(found, data["answer"][:rows])
        return {"loss": float(loss), "rank": float(found.std() * 10)}

    def split(self) -> Split:
        """One matrix is hidden."""
        hidden = self.into.weight
        return Split([hidden], [each for each in self.parameters() if each is not hidden])

    def activation_bytes(self, batch: int) -> int:
        """Four tensors of the hidden width."""
        return 4 * batch * (self.into.in_features + 4 * self.into.out_features)


def build(options: dict[str, Any], info: DataInfo) -> Learner:
    """The learner behind the entry point `tiny`."""
    width = info.columns["question"][1][0]
    noise, spoil, hold = options.get("noise", 0.1), options.get("spoil", 0), options.get("hold", "")
    return Tiny(width, options.get("hidden", 16), noise, spoil, hold)
