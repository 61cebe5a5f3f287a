"""Small changes laid over sealed weights: what is learned is apart, the core's own tensors are only read.

An overlay has its numbers in a dict of tensors and says which weights it puts in place of the core's. The
core's network is then called with those (`torch.func.functional_call`), so taking the overlay away is leaving
out the dict, and the answers are the core's to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]
"""A network's parameters by name."""


@dataclass(frozen=True)
class Overlay:
    """A way to change weights by few numbers."""

    begin: Callable[[Weights, torch.Generator], dict[str, Tensor]]
    """The numbers before anything was learned: with these every weight is as it was."""
    applied: Callable[[Weights, Weights], dict[str, Tensor]]
    """Of weights and numbers, the weights that are put in place of others."""


def matrices(weights: Weights) -> dict[str, Tensor]:
    """Those that map latents to latents or to tokens; tables and rows of few numbers are left out."""
    return {name: each for name, each in weights.items() if each.ndim == 2 and min(each.shape) > 4}
