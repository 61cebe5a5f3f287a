"""Which rule a board follows: each is tried in several forms, and the one under which they agree is its own.

Under its own rule a puzzle has one solution, so whatever its digits are called, the same answer comes out.
Under another it has none, which the halting value says, or several, and then the forms differ in which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
CERTAIN = 6.0  # log-odds from which a form is done: at 0 they end at once, and 2 % of the answers are wrong
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
    refined = learner.refine(dict(weights), asked, y, z, config.cycles(1.0))
    for _ in range(1, steps):
        open_ = (
            torch.ones_like(asked[:, 0], dtype=torch.bool)
            if refined.halt is None
            else refined.halt <= CERTAIN
        )
        if not bool(open_.any()):
            break
        after = learner.refine(dict(weights), asked, refined.y, refined.z, config.cycles(1.0))
        refined = _where(open_, after, refined)  # a form that is sure stays as it is
    return _chosen(refined, order, rows)


def _where(rows: Tensor, one: Refined, other: Refined) -> Refined:
    """Of one in these rows, bool [B], of the other in the rest."""
    wide = rows[:, None, None]
    halt = None
    if one.halt is not None and other.halt is not None:
        halt = torch.where(rows, one.halt, other.halt)
    y, z = torch.where(wide, one.y, other.y), torch.where(wide, one.z, other.z)
    return Refined(y, z, torch.where(wide, one.logits, other.logits), halt)


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


def choose(tries: Sequence[Callable[[Tensor], Tensor]], question: Tensor) -> Tensor:
    """Which rule each board [B, N] follows, int64 [B]: the first, unless another leads.

    `tries` give the share of each rule; where the first leaves no room to lead, the others are not asked.
    """
    first = tries[0](question)
    chosen, best = torch.zeros_like(first, dtype=torch.int64), first + LEAD
    rows = (best < 1).nonzero().squeeze(1)
    for number, each in enumerate(tries[1:], 1):
        if len(rows):
            share = each(question[rows])
            leads = share > best[rows]
            best[rows[leads]], chosen[rows[leads]] = share[leads], number
    return chosen
