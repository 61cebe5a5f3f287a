"""Low-rank changes of the matrices: W + B A, after Hu et al., "LoRA" (2021). B begins with zeros."""

from __future__ import annotations

import torch
from torch import Tensor

from model.adapt.overlay import Overlay, Weights, matrices


def lora(rank: int, skip: tuple[str, ...] = ("embed",)) -> Overlay:
    """Of this rank, on all matrices but those named; ValueError for a rank below 1."""
    if rank < 1:
        raise ValueError("the rank of a low-rank change is 1 or more")

    def begin(weights: Weights, rng: torch.Generator) -> dict[str, Tensor]:
        made: dict[str, Tensor] = {}
        for name, each in matrices(weights).items():
            if name in skip:
                continue
            out, into = each.shape
            made[f"{name}:a"] = torch.randn(rank, into, generator=rng) * into**-0.5
            made[f"{name}:b"] = torch.zeros(out, rank)
        return made

    def applied(weights: Weights, learned: Weights) -> dict[str, Tensor]:
        names = {key.rpartition(":")[0] for key in learned}
        return {
            name: weights[name] + (learned[f"{name}:b"] @ learned[f"{name}:a"]).to(weights[name].dtype)
            for name in names
        }

    return Overlay(begin, applied)


def widest(weights: Weights, share: float = 0.05, skip: tuple[str, ...] = ("embed",)) -> int:
    """The greatest rank that takes at most this share of the weights' numbers, at least 1."""
    each = sum(sum(one.shape) for name, one in matrices(weights).items() if name not in skip)
    return max(1, int(share * sum(one.numel() for one in weights.values()) // max(each, 1)))
