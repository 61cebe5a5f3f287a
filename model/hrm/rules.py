"""Which rule a board follows: each is tried in several forms, and the one under which they agree is its own.

Under its own rule a puzzle has one solution, so whatever its digits are called, the same answer comes out.
Under another it has none, which the halting value says, or several, and then the forms differ in which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from model.hrm.mixers import Units, wiring
from model.hrm.net import Net, Refined

if TYPE_CHECKING:
    from model.hrm.learner import HrmLearner

FORMS = 8
LEAD = 0.2  # of 8 forms two more must agree: at 0.01 one old board in a hundred was taken, at 0.2 one in 250
_NOISE = 1.0  # of the latents' deviation, where digits have meanings of their own


@dataclass(frozen=True)
class Tried:
    """The surest of several forms of each board."""

    refined: Refined  # of the winning form, in the board's own digits
    share: Tensor  # float [B]: of the forms, those that were sure and gave this answer


def wired(net: Net, units: Sequence[Sequence[int]], kinds: Sequence[int]) -> dict[str, Tensor]:
    """The buffers, by name, with which the network thinks in these units.

    ValueError where it has no mixer that is told of units.
    """
    members = torch.zeros(len(units), net.cells, device=net.y0.device)
    for row, unit in enumerate(units):
        members[row, torch.tensor(unit, device=members.device)] = 1
    made = wiring(members, kinds)
    names = [name for name, each in net.named_modules() if isinstance(each, Units)]
    if not names:
        raise ValueError("this reasoner is not told of units: it has no mixer for them")
    return {f"{name}.{key}": each for name in names for key, each in made.items()}


def tried(
    learner: HrmLearner,
    weights: Mapping[str, Tensor],
    question: Tensor,
    steps: int,
    *,
    forms: int = FORMS,
    rename: bool = True,
) -> Tried:
    """Boards [B, N] in so many forms, the first as it is; the same whatever boards stand beside them.

    A form has the digits renamed or, where names have meanings, other latents to begin with.
    """
    generator = torch.Generator().manual_seed(0)
    rows, config = len(question), learner.config
    blank = -1 if config.blank is None else config.blank
    names = torch.arange(config.vocabulary)
    orders, noises = [names], [torch.zeros(2, config.grid.cells, config.hidden)]
    for _ in range(1, forms):
        order, noise = names.clone(), torch.zeros_like(noises[0])
        if rename:
            digits = names[names != blank]
            order[digits] = digits[torch.randperm(len(digits), generator=generator)]
        else:
            noise = _NOISE * torch.randn(noise.shape, generator=generator)
        orders.append(order)
        noises.append(noise)
    order = torch.stack(orders).to(question.device)  # [K, V]
    y, z = learner.fresh(rows)
    moved = torch.stack(noises).to(y.device, y.dtype)
    y, z = (
        (each + moved[:, None, at] * each.float().std(-1, keepdim=True).to(y.dtype)).flatten(0, 1)
        for at, each in enumerate((y, z))
    )
    asked = order[:, question.long()].flatten(0, 1)  # [K * B, N]
    for _ in range(max(1, steps)):
        refined = learner.refine(dict(weights), asked, y, z, config.cycles(1.0))
        y, z = refined.y, refined.z
    return _chosen(refined, order, rows)


def _chosen(refined: Refined, order: Tensor, rows: int) -> Tried:
    forms, device = len(order), order.device
    halt = refined.halt
    if halt is None:
        halt = refined.logits.softmax(-1).amax(-1).clamp(1e-6, 1 - 1e-6).logit().amin(-1)
    by_form = refined.logits.view(forms, rows, *refined.logits.shape[1:])
    index = order[:, None, None].expand_as(by_form)
    logits = by_form.gather(-1, index)  # of a digit d, what the form said of its name there
    halt = halt.view(forms, rows)
    answers = logits.argmax(-1)
    same = (answers[:, None] == answers[None]).all(-1) & (halt > 0)[None]
    agreed = same.float().mean(1)  # [K, B]
    best = (agreed * 1e4 + halt.clamp(-100, 100)).argmax(0)  # of equals the surest
    at = best, torch.arange(rows, device=device)
    y, z = (each.reshape(forms, rows, *each.shape[1:])[at] for each in (refined.y, refined.z))
    return Tried(Refined(y, z, logits[at], halt[at]), agreed[at])


def choose(shares: Sequence[Tensor]) -> Tensor:
    """Which rule each board follows, int64 [B], of the shares [B] of each: the first unless another leads."""
    first, others = shares[0], torch.stack(list(shares[1:]))
    lead, best = (others - first).max(0)
    return torch.where(lead > LEAD, best + 1, 0)
