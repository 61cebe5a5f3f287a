"""What a working memory of boards learned, made a part of a copy of the core.

The copy gets the units that the memory found as one more rule of its configuration, and what practice taught
as low-rank weights of that rule alone; which rule a board follows the network finds out by itself. So the
weights that all rules share stay as they are, and nothing of what they could is lost. Where the memory had to
practise, the copy practises on, with the time that a consolidation has and a correction has not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from model.adapt.boards import BoardMemory
from model.adapt.relations import CHECKED, Relations
from model.errors import ModelError
from model.hrm.config import HrmConfig, Rule
from model.hrm.learner import HrmLearner

Boards = tuple[Tensor, Tensor]
"""Questions and answers, int64 [N, cells]."""
Tell = Callable[[float], None]
"""Told the share of the work that is done."""
TEACHING = 8_000  # own boards to practise on
_ROUNDS = 4
_STEPS = 600  # of a round, at most


@dataclass(frozen=True)
class Taught:
    """The copy as it is to be, and boards under the memory's rule that nobody learned from."""

    learner: HrmLearner
    new: Boards


def consolidate_boards(
    scratch: HrmLearner,
    memory: BoardMemory,
    *,
    core_seconds: float,
    rows: int,
    tell: Tell = lambda done: None,
) -> Taught:
    """A copy of the core's reasoner with the memory's rule; the memory itself practises on meanwhile.

    Raises:
        ModelError: the memory has no rule, the core knows it already, or no board follows it.
    """
    if not isinstance(memory, Relations):
        raise ModelError(f"a memory of {memory.method} teaches the core nothing: it has no rule to keep")
    if not memory.differs:
        raise ModelError("this memory has found no units yet that the core has not: more lessons are needed")
    new, teaching = memory.imagined(rows, start=200_000), memory.imagined(TEACHING, start=300_000)
    own = memory.imagined(CHECKED, start=0)
    if new is None or teaching is None or own is None:
        raise ModelError("no board has all the units that this memory found: do its lessons contradict?")
    if memory.low:
        for number in range(_ROUNDS):
            before, low = memory.right(*own), memory.low
            memory.practised(teaching, core_seconds / _ROUNDS, _STEPS)
            if memory.right(*own) < before:
                memory.put(low)
            tell((number + 1) / _ROUNDS)
    made = with_rule(scratch, memory.rule())
    kept = dict(made.learned[-1].named_parameters())
    with torch.no_grad():
        for name, each in memory.low.items():
            kept[name.replace(".", "/")].copy_(each)
    return Taught(made, new)


def with_rule(learner: HrmLearner, rule: Rule) -> HrmLearner:
    """The same weights with one more rule; ModelError where it is there already, or there are too many."""
    held = learner.config.model_dump()
    if any((rule.units, rule.kinds) == (each.units, each.kinds) for each in learner.config.rules):
        raise ModelError("the core knows this rule already")
    try:
        config = HrmConfig.model_validate(held | {"rules": [*held["rules"], rule.model_dump()]})
    except ValueError as error:
        raise ModelError(f"this core can't take one more rule: {error}") from None
    made = HrmLearner(config)
    made.load_state_dict(learner.state_dict(), strict=False)  # of the new rule there is nothing yet
    return made.eval()
