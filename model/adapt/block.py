"""A fast copy of some weights, whole: those of the last block. It is more than 5 % of the core."""

from __future__ import annotations

import torch
from torch import Tensor

from model.adapt.overlay import Overlay, Weights


def copied(prefix: str) -> Overlay:
    """A copy of all weights whose name begins so; ValueError where there are none."""

    def begin(weights: Weights, rng: torch.Generator) -> dict[str, Tensor]:
        found = {name: torch.zeros_like(each) for name, each in weights.items() if name.startswith(prefix)}
        if not found:
            raise ValueError(f"no weight's name begins with {prefix!r}")
        return found

    def applied(weights: Weights, learned: Weights) -> dict[str, Tensor]:
        return {name: weights[name] + each.to(weights[name].dtype) for name, each in learned.items()}

    return Overlay(begin, applied)
