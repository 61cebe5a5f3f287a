"""More thought at test time: more refinement steps, and several noisy attempts of which the surest is taken.

The choice goes by the halting value alone, which the model itself gives. The rules of a puzzle are never
asked, so what is measured is what the model knows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from model.hrm.learner import HrmLearner


@dataclass(frozen=True)
class Chosen:
    """The surest of several attempts."""

    answer: Tensor  # int64 [B, N]
    value: Tensor  # float [B]: its halting value, log-odds that it is right
    values: Tensor  # float [K, B]: those of all attempts


def choose(answers: Tensor, values: Tensor) -> Chosen:
    """Of attempts [K, B, N] with halting values [K, B] the surest for each row; the first of equals."""
    best = values.argmax(0)
    rows = torch.arange(values.shape[1], device=values.device)
    return Chosen(answers[best, rows], values[best, rows], values)


def solve(
    learner: HrmLearner, question: Tensor, *, steps: int, attempts: int = 1, noise: float = 0.0, seed: int = 0
) -> Chosen:
    """Questions [B, N] refined `steps` times in each of `attempts`; ValueError where none is the surest.

    The first attempt has no noise. The others begin with normal noise of `noise` times the latents' deviation
    on both latents. The same seed gives the same answers on one device.
    """
    if learner.net.halt is None and attempts > 1:
        raise ValueError("this model was trained without a halting value: there is nothing to choose by")
    question, cycles = question.long(), learner.config.cycles(1.0)
    generator = torch.Generator().manual_seed(seed)
    answers, values = [], []
    with torch.no_grad():
        weights = learner.weights()
        for attempt in range(max(1, attempts)):
            y, z = learner.fresh(len(question))
            if attempt:
                y, z = (noisy(each, noise, generator) for each in (y, z))
            for _ in range(max(1, steps)):
                refined = learner.refine(weights, question, y, z, cycles)
                y, z = refined.y, refined.z
            answers.append(refined.logits.argmax(-1))
            values.append(refined.logits.new_zeros(len(question)) if refined.halt is None else refined.halt)
    return choose(torch.stack(answers), torch.stack(values))


def noisy(latents: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """Latents of any shape with normal noise of that share of their deviation; drawn on the CPU."""
    drawn = torch.randn(latents.shape, generator=generator).to(latents.device, latents.dtype)
    return latents + noise * latents.float().std().to(latents.dtype) * drawn
