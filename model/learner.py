"""What the training loop trains: the one contract between the loop and each model.

A learner is a module that can take one step of learning and can be assessed. It knows nothing of
optimizers, checkpoints, devices' memory or run folders; the loop (`model/train.py`) knows nothing of
puzzles or pictures. Everything that decides the next step's numbers is either a parameter or buffer of the
module, in the `State` that `advance` gives back, or in the feed; the loop keeps all three in each
checkpoint, so a resumed run goes on to the very same numbers.

A learner is named in a request. `model/learners.py` finds `build(options, info) -> Learner` for that name:
`options` is the `model` part of the configuration, which the learner checks (ValueError, in one line), and
`info` a `DataInfo`. Whoever builds seeds torch's global generator first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

Columns = Mapping[str, np.ndarray]
"""A data set, or one split of it: a row of every column stands at the same index of the first axis."""
Batch = Mapping[str, Tensor]
"""Rows of a data set as tensors, on the learner's device; the first axis counts rows."""
State = dict[str, Tensor]
"""What a learner carries from step to step (latents, open puzzles); empty where it carries nothing."""


@dataclass(frozen=True)
class DataInfo:
    """What a learner may know of its data when it is built, to size itself; kept in each checkpoint."""

    recipe: str
    options: Mapping[str, Any]  # of the recipe, complete, as the manifest has them
    columns: Mapping[str, tuple[str, tuple[int, ...]]]  # name -> numpy's name of the dtype, shape of a row
    rows: int  # training rows
    encoder: Path | None = None
    """A checkpoint's folder, for learners that take another's weights into their own; None where one is
    restored, which has them already."""


class Feed(Protocol):
    """Training rows in an order that the seed alone decides."""

    rng: torch.Generator  # on the CPU, for augmentation; its state is part of a checkpoint

    def take(self, count: int) -> Batch:
        """The next rows: each epoch a permutation of all rows, without end."""
        ...


@dataclass(frozen=True)
class Step:
    """One step of learning: what to differentiate, what to show, what to carry on."""

    loss: Tensor  # a scalar, attached to the graph
    shown: Mapping[str, Tensor] = field(default_factory=dict)  # scalars for the charts, detached
    state: State = field(default_factory=dict)  # detached


@dataclass(frozen=True)
class Split:
    """A learner's parameters by how they are best stepped."""

    matrices: list[nn.Parameter]  # hidden weights of two dimensions: for Muon, where it is chosen
    others: list[nn.Parameter]  # embeddings, heads, norms, biases


class Learner(nn.Module, ABC):
    """A model with its way of learning."""

    @abstractmethod
    def prepare(self, columns: Columns) -> dict[str, Tensor]:
        """The columns that `advance` and `assess` read, as tensors on the CPU; ValueError if foreign."""

    @abstractmethod
    def begin(self, feed: Feed, batch: int) -> State:
        """The state before the first step."""

    @abstractmethod
    def advance(self, feed: Feed, batch: int, state: State, progress: float) -> Step:
        """Take `batch` rows (or fewer, where some are still open) and learn; `progress` runs from 0 to 1.

        Called under the loop's autocast and gradient mode. Random numbers come from `feed.rng` and from
        torch's global generator, never from elsewhere.
        """

    def stepped(self, progress: float) -> None:
        """Called after each step of the optimizer, without gradients (a slow teacher follows here)."""

    @abstractmethod
    def assess(self, data: Batch, rows: int) -> dict[str, float]:
        """Measures on at most `rows` held-out rows; among them `loss`, lower is better, for the breaker.

        Deterministic: it uses a generator of its own. Called without gradients, in evaluation mode, with the
        averaged weights where the run averages them.
        """

    @abstractmethod
    def split(self) -> Split:
        """All parameters that learn, each in exactly one of the two lists."""

    @abstractmethod
    def activation_bytes(self, batch: int) -> int:
        """An estimate of what one step keeps for the backward pass, in bytes, at 32 bits a number."""
