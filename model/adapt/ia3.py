"""One factor for each row of each matrix, after Liu et al., "IA3" (2022): W scaled by 1 + s."""

from __future__ import annotations

import torch
from torch import Tensor

from model.adapt.overlay import Overlay, Weights, matrices


def ia3() -> Overlay:
    """Factors of all matrices, which begin as ones."""

    def begin(weights: Weights, rng: torch.Generator) -> dict[str, Tensor]:
        return {f"{name}:s": torch.zeros(len(each)) for name, each in matrices(weights).items()}

    def applied(weights: Weights, learned: Weights) -> dict[str, Tensor]:
        names = [key.rpartition(":")[0] for key in learned]
        return {
            name: weights[name] * (1 + learned[f"{name}:s"]).unsqueeze(1).to(weights[name].dtype)
            for name in names
        }

    return Overlay(begin, applied)
