"""What a reasoner carries from step to step: open problems with their latents, and when each is done.

A state has the latents `y` and `z`, `steps` taken, the `least` steps before it may halt, `open`, and whatever
columns the learner needs to go on with a problem.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.learner import State


def begin(problems: State, y: Tensor, z: Tensor) -> State:
    """A state of which every row is done, so that the first step draws all; `problems` gives the columns."""
    rows = len(y)
    count = torch.zeros(rows, dtype=torch.int64, device=y.device)
    state = {"y": y.contiguous(), "z": z.contiguous(), "steps": count, "least": count.clone()}
    return {**problems, **state, "open": torch.zeros(rows, dtype=torch.bool, device=y.device)}


def done(state: State) -> Tensor:
    """The rows that are to be replaced, int64 [R]; the one place where a device is waited for."""
    return (~state["open"]).nonzero().squeeze(1)


def replaced(
    state: State, rows: Tensor, problems: State, latents: tuple[Tensor, Tensor], least: Tensor
) -> State:
    """The state with fresh problems and latents in these rows."""
    device = state["steps"].device
    fresh = {name: each.to(device) for name, each in problems.items()}
    fresh |= {"y": latents[0], "z": latents[1], "least": least.to(device)}
    fresh["steps"] = torch.zeros(len(rows), dtype=torch.int64, device=device)
    fresh["open"] = torch.ones(len(rows), dtype=torch.bool, device=device)
    kept = {name: each.to(fresh[name].dtype) for name, each in state.items()}  # the loop may begin in fp32
    return {name: each.index_copy(0, rows, fresh[name]) for name, each in kept.items()}


def waits(rows: int, exploration: float, most: int, rng: torch.Generator) -> Tensor:
    """How many steps each fresh row takes at least: one, or by chance more, to learn late steps too."""
    explores = torch.rand(rows, generator=rng) < exploration
    return torch.where(explores, torch.randint(1, most + 1, (rows,), generator=rng), 1)


@torch.no_grad()
def onward(state: State, y: Tensor, z: Tensor, halt: Tensor | None, most: int) -> State:
    """The state after a step: a row is done when its halting value says so, or after `most` steps."""
    steps = state["steps"] + 1
    going = steps < most
    if halt is not None:
        going &= (halt <= 0) | (steps < state["least"])
    return {**state, "y": y.detach(), "z": z.detach(), "steps": steps, "open": going}
