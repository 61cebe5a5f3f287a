"""What a working memory of boards learned, taught to a copy of the core.

Of relations the copy gets the units that were found as one more rule of its configuration; which rule a board
follows the network finds out by itself. Its weights learn only where the memory had to practise, or has no
units: on boards that a solver makes under the memory's rule (of other memories: on the corrected ones), mixed
with boards of the core's own rule, so that nothing is forgotten.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model.adapt.boards import BoardMemory
from model.adapt.relations import Relations
from model.errors import ModelError
from model.hrm import carry, rules, symmetry
from model.hrm.config import HrmConfig, Rule
from model.hrm.learner import HrmLearner

Boards = tuple[Tensor, Tensor]
"""Questions and answers, int64 [N, cells]."""
Tell = Callable[[int, float], None]
"""Told the step and the share of the time that is gone."""
_BATCH = 48  # of either kind
_RATE = 1e-3
_STEPS = 1_500
_TEACHING = 6_000  # own boards to teach from
_AVERAGE = 0.99


@dataclass(frozen=True)
class Taught:
    """The copy as it is to be, and what new boards it was, or may be, measured on."""

    learner: HrmLearner
    new: Boards  # that a solver made under the memory's rule, none of them taught; empty where it has none
    steps: int
    rule: Rule | None


def consolidate_boards(
    scratch: HrmLearner,
    memory: BoardMemory,
    old: Boards,
    *,
    seed: int,
    core_seconds: float,
    rows: int,
    tell: Tell = lambda step, gone: None,
) -> Taught:
    """Teach a copy of the core's reasoner; `old` are boards of its own recipe to rehearse.

    Raises:
        ModelError: the memory has learned nothing, or the core knows the rule already.
    """
    if not memory.differs and not memory.told:
        raise ModelError("this memory has no lessons to make a part of the core")
    if not isinstance(memory, Relations):
        pairs = [(np.frombuffer(asked, np.int64), said) for asked, said in memory.told.items()]
        told = torch.from_numpy(np.array(pairs, np.int64))
        steps = _teach(scratch, [(None, old), (None, (told[:, 0], told[:, 1]))], seed, core_seconds, tell)
        none = torch.zeros(0, told.shape[2], dtype=torch.int64)
        return Taught(scratch, (none, none), steps, None)
    if not memory.differs:
        raise ModelError("this memory has found no units yet that the core has not: more lessons are needed")
    rule = memory.rule()
    made = with_rule(scratch, rule)
    new, teaching = memory.imagined(rows, start=200_000), memory.imagined(_TEACHING, start=300_000)
    if new is None or teaching is None:
        raise ModelError("no board has all the units that this memory found: do its lessons contradict?")
    steps = 0
    if memory.low:
        own = [(None, old), (rule, teaching)]
        steps = _teach(made, own, seed, core_seconds, tell)
    return Taught(made, new, steps, rule)


def with_rule(learner: HrmLearner, rule: Rule) -> HrmLearner:
    """The same weights with one more rule; ModelError where it is there already, or there are too many."""
    held = learner.config.model_dump()
    if rule in learner.config.rules:
        raise ModelError("the core knows this rule already")
    try:
        config = HrmConfig.model_validate(held | {"rules": [*held["rules"], rule.model_dump()]})
    except ValueError as error:
        raise ModelError(f"this core can't take one more rule: {error}") from None
    made = HrmLearner(config)
    made.load_state_dict(learner.state_dict())
    return made.eval()


def _teach(
    learner: HrmLearner,
    kinds: list[tuple[Rule | None, Boards]],
    seed: int,
    seconds: float,
    tell: Tell,
) -> int:
    """So many steps on equal shares of the kinds, each under its own rule; the weights become the average."""
    began, config = time.process_time(), learner.config
    rng = torch.Generator().manual_seed(seed)
    wires = [{} if rule is None else rules.wired(learner.net, rule.units, rule.kinds) for rule, _ in kinds]
    parameters = list(learner.net.parameters())
    kept = [each.detach().clone() for each in parameters]
    optimizer = torch.optim.AdamW(parameters, lr=_RATE, betas=(0.9, 0.95), weight_decay=0.0)
    tokens = torch.zeros(_BATCH, config.grid.cells, dtype=torch.int64)
    begin = {"question": tokens, "answer": tokens.clone()}
    states = [carry.begin(begin, *learner.fresh(_BATCH)) for _ in kinds]
    step = 0
    with torch.enable_grad():
        while step < _STEPS and (gone := (time.process_time() - began) / seconds) < 1:
            share = min(1 - step / _STEPS, 1 - gone)
            losses = []
            weights = learner.weights()
            for number, (_, boards) in enumerate(kinds):
                state = _refilled(learner, states[number], boards, rng)
                loss, states[number] = _step(learner, weights | wires[number], state)
                losses.append(loss)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(torch.stack(losses).mean())
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            for group in optimizer.param_groups:
                group["lr"] = _RATE * (0.05 + 0.95 * share) * min(1.0, (step + 1) / 30)
            optimizer.step()
            with torch.no_grad():
                follow = 1 - min(_AVERAGE, (1 + step) / (10 + step))
                torch._foreach_lerp_(kept, [each.detach() for each in parameters], follow)
            step += 1
            tell(step, max(gone, step / _STEPS))
    with torch.no_grad():
        torch._foreach_copy_([each.detach() for each in parameters], kept)
    return step


def _step(
    learner: HrmLearner, weights: dict[str, Tensor], state: dict[str, Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    config = learner.config
    asked, wanted = state["question"], state["answer"]
    refined = learner.refine(weights, asked, state["y"], state["z"], config.cycles(1.0))
    loss = F.cross_entropy(refined.logits.flatten(0, 1), wanted.flatten())
    if refined.halt is not None:
        exact = (refined.logits.detach().argmax(-1) == wanted).all(1).float()
        loss = loss + config.halt_weight * F.binary_cross_entropy_with_logits(refined.halt, exact)
    return loss, carry.onward(state, refined.y, refined.z, refined.halt, config.steps)


def _refilled(
    learner: HrmLearner, state: dict[str, Tensor], boards: Boards, rng: torch.Generator
) -> dict[str, Tensor]:
    done = carry.done(state)
    if not len(done):
        return state
    config = learner.config
    rows = torch.randint(len(boards[0]), (len(done),), generator=rng)
    asked, wanted = boards[0][rows], boards[1][rows]
    if config.augment == "sudoku":
        asked, wanted = symmetry.renamed(asked, wanted, config.vocabulary, config.blank, rng)
    least = carry.waits(len(done), config.exploration, config.steps, rng)
    problems = {"question": asked, "answer": wanted}
    return carry.replaced(state, done, problems, learner.fresh(len(done)), least)
