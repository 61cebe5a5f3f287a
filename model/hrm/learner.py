"""How a reasoner learns: deep supervision with a carry, and halting.

Each step of the optimizer is one refinement step of a batch of puzzles. A puzzle stays open, with its
latents, until the network says that it is done or its steps are used up; then a fresh one takes its place. So
a puzzle is supervised at every refinement, and gradients never reach further back than one cycle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from model.adapt.lora import lora
from model.hrm import carry, rules, symmetry
from model.hrm.config import HrmConfig, Rule
from model.hrm.net import Net, Refined, working_type
from model.learner import Batch, Columns, DataInfo, Feed, Learner, Split, State, Step

_ASSESS_ROWS = 256  # at once
_KINDS = 3  # rows, columns, boxes: a matrix of so many rows is a table of them, and no map


def build(options: dict[str, Any], info: DataInfo) -> Learner:
    """A reasoner of these options; ValueError where they do not hold together.

    `task: scene` asks for the one over pictures and questions.
    """
    if options.get("task") == "scene":
        from model.hrm import scene  # loads the encoders

        return scene.build(options, info)
    return HrmLearner(HrmConfig.model_validate(options))


class HrmLearner(Learner):
    """The reasoner over symbolic grids: columns `question` and `answer`, [N, cells] of token ids."""

    def __init__(self, config: HrmConfig) -> None:
        super().__init__()
        self.config = config
        self.net = Net(config)
        self.learned = nn.ModuleList(self._low(rule) for rule in config.rules)
        self._token = torch.uint8 if config.vocabulary <= 256 else torch.int16

    def prepare(self, columns: Columns) -> dict[str, Tensor]:
        """`question` and `answer` as uint8 or int16 [N, cells]; ValueError where they do not fit."""
        found = {}
        for name in ("question", "answer"):
            if name not in columns:
                raise ValueError(f"the data set has no column {name!r}")
            column = columns[name]
            if column.ndim != 2 or column.shape[1] != self.config.grid.cells or column.dtype.kind not in "ui":
                raise ValueError(f"column {name} is not of {self.config.grid.cells} whole numbers a row")
            if len(column) and (int(column.max()) >= self.config.vocabulary or int(column.min()) < 0):
                raise ValueError(f"column {name} has numbers beyond a vocabulary of {self.config.vocabulary}")
            found[name] = torch.from_numpy(column.astype(np.int64)).to(self._token)
        if len(found["question"]) != len(found["answer"]):
            raise ValueError("there are not as many answers as questions")
        return found

    def begin(self, feed: Feed, batch: int) -> State:
        """A batch of which every row is done, so that the first step draws all of it."""
        shape = batch, self.config.grid.cells
        tokens = torch.zeros(shape, dtype=self._token, device=self.net.y0.device)
        problems = {"question": tokens, "answer": tokens.clone()}
        return carry.begin(problems, *self.fresh(batch))

    def advance(self, feed: Feed, batch: int, state: State, progress: float) -> Step:
        """One refinement step of each of the `batch` puzzles; those done are replaced first."""
        state = self._refilled(feed, state, progress)
        refined = self._refine(state["question"], state["y"], state["z"], progress)
        answer = state["answer"].long()
        counted = self._counted(state["question"])
        losses = F.cross_entropy(refined.logits.flatten(0, 1), answer.flatten(), reduction="none")
        weights = counted / counted.sum(1, keepdim=True).clamp(min=1)
        loss = (losses.view_as(answer) * weights).sum(1).mean()
        with torch.no_grad():
            right = (refined.logits.argmax(-1) == answer) | ~counted
            exact = right.all(1)
        shown = {"loss": loss.detach(), "exact": exact.float().mean(), "cells": right.float().mean()}
        total = loss
        if refined.halt is not None:
            halting = F.binary_cross_entropy_with_logits(refined.halt, exact.float())
            total = total + self.config.halt_weight * halting
            shown["halt_loss"] = halting.detach()
        return Step(total, shown, carry.onward(state, refined.y, refined.z, refined.halt, self.config.steps))

    def assess(self, data: Batch, rows: int) -> dict[str, float]:
        """`loss`, `exact` (every blank right), `cells` (share of blanks right) after all refinement steps."""
        question, answer = data["question"][:rows], data["answer"][:rows]
        loss = exact = cells = blanks = 0.0
        for asked, wanted in zip(_parts(question), _parts(answer), strict=True):
            refined = self.solve(asked, self.config.steps)
            wanted, counted = wanted.long(), self._counted(asked)
            losses = F.cross_entropy(refined.logits.flatten(0, 1), wanted.flatten(), reduction="none")
            right = refined.logits.argmax(-1) == wanted
            loss += float((losses.view_as(wanted) * counted).sum())
            cells += float((right & counted).sum())
            blanks += float(counted.sum())
            exact += float((right | ~counted).all(1).sum())
        blanks = max(blanks, 1.0)
        return {"loss": loss / blanks, "exact": exact / max(len(question), 1), "cells": cells / blanks}

    def solve(self, question: Tensor, steps: int) -> Refined:
        """Questions [B, cells] after that many refinement steps from the beginning.

        Of a reasoner with rules beside the grid's, each under the rule that is its own.
        """
        parts = []
        for rows, own, number in self._chosen(question):
            asked = question[rows]
            # Under a rule that it was taught later, it takes the answer on which the forms agree.
            found = rules.tried(self, own, asked, steps).refined if number else self.run(own, asked, steps)
            parts.append((rows, found))
        return joined(parts)

    def run(self, weights: dict[str, Tensor], question: Tensor, steps: int) -> Refined:
        """The same with these weights, under the one rule that they hold."""
        y, z = self.fresh(len(question))
        for _ in range(max(steps, 1)):
            refined = self.refine(weights, question.long(), y, z, self.config.cycles(1.0))
            y, z = refined.y, refined.z
        return refined

    def ways(self, question: Tensor) -> list[tuple[Tensor, dict[str, Tensor]]]:
        """With what weights each question [B, cells] is answered: rows, int64, and the weights of them."""
        return [(rows, weights) for rows, weights, _ in self._chosen(question)]

    def _chosen(self, question: Tensor) -> list[tuple[Tensor, dict[str, Tensor], int]]:
        """Rows, their weights, and the number of their rule, 0 for that of the grid."""
        weights = self.weights()
        every = torch.arange(len(question), device=question.device)
        if not self.config.rules or not len(question):
            return [(every, weights, 0)]
        under = [weights, *(self._under(weights, number) for number in range(len(self.config.rules)))]
        chosen = rules.choose([partial(self._share, each) for each in under], question)
        found = [(every[chosen == number], each, number) for number, each in enumerate(under)]
        return [each for each in found if len(each[0])]

    def _under(self, weights: dict[str, Tensor], number: int) -> dict[str, Tensor]:
        """The weights and the wiring of this rule."""
        rule = self.config.rules[number]
        base = weights | rules.wired(self.net, rule.units, rule.kinds)
        if not rule.rank:
            return base
        low = {name.replace("/", "."): each for name, each in self.learned[number].named_parameters()}
        return base | lora(rule.rank).applied(base, low)

    def _low(self, rule: Rule) -> nn.ParameterDict:
        """The low-rank numbers of a rule, such that they change nothing; a name has / for each dot."""
        if not rule.rank:
            return nn.ParameterDict()
        base = dict(self.net.named_parameters()) | rules.wired(self.net, rule.units, rule.kinds)
        made = lora(rule.rank).begin(base, torch.Generator().manual_seed(0))
        return nn.ParameterDict({name.replace(".", "/"): each for name, each in made.items()})

    def _share(self, weights: dict[str, Tensor], question: Tensor) -> Tensor:
        return rules.tried(self, weights, question, self.config.steps).share

    def fresh(self, rows: int) -> tuple[Tensor, Tensor]:
        """The latents before the first step, y and z, each [rows, cells, hidden]."""
        cells = self.config.grid.cells
        y, z = (
            each.to(working_type(self.net.y0.device)).expand(rows, cells, -1)
            for each in (self.net.y0, self.net.z0)
        )
        return y, z

    def weights(self) -> dict[str, Tensor]:
        """The network's parameters in the type of the present autocast, cast once for many calls."""
        dtype = working_type(self.net.y0.device)
        return {name: each.to(dtype) for name, each in self.net.named_parameters()}

    def refine(
        self, weights: dict[str, Tensor], question: Tensor, y: Tensor, z: Tensor, cycles: tuple[int, int]
    ) -> Refined:
        """One refinement step with the given weights; autocast is off inside, their type rules."""
        with torch.autocast(question.device.type, enabled=False):
            refined: Refined = functional_call(self.net, weights, (question, y, z, *cycles))
        return refined

    def split(self) -> Split:
        """Matrices of the blocks; embeddings, heads and all else."""
        inner = {
            id(each) for each in self.net.networks.parameters() if each.ndim == 2 and min(each.shape) > 4
        }
        learning = [each for each in self.parameters() if each.requires_grad]
        return Split(
            matrices=[each for each in learning if id(each) in inner],
            others=[each for each in learning if id(each) not in inner],
        )

    def activation_bytes(self, batch: int) -> int:
        """Some 12 numbers of the hidden width (and 6 of the expanded one) for each block call and cell."""
        config = self.config
        calls = 2 if config.gradient == "one_step" else config.cycles(1.0)[1] + 1
        width = config.hidden * (6 + 4 * len(config.mixing)) + round(6 * config.hidden * config.expansion)
        return 4 * batch * config.grid.cells * calls * config.layers * width

    def _refine(self, question: Tensor, y: Tensor, z: Tensor, progress: float) -> Refined:
        return self.refine(self.weights(), question.long(), y, z, self.config.cycles(progress))

    def _counted(self, question: Tensor) -> Tensor:
        """Which cells are to be answered: [B, N]."""
        if self.config.loss_on == "blanks":
            return question.eq(self.config.blank or 0)
        return torch.ones_like(question, dtype=torch.bool)

    def _refilled(self, feed: Feed, state: State, progress: float) -> State:
        """The state with a fresh puzzle in every row that is not open."""
        done = carry.done(state)
        if not len(done):
            return state
        config = self.config
        drawn = feed.take(len(done))
        question, answer = drawn["question"].cpu(), drawn["answer"].cpu()
        if config.augment == "sudoku":
            question, answer = symmetry.sudoku(question, answer, config.grid, feed.rng)
        elif config.augment == "square":
            question, answer = symmetry.square(question, answer, config.grid, feed.rng)
        share = config.reveal * (1 - 2 * progress)
        if share > 0:
            question = symmetry.reveal(question, answer, config.blank, share, feed.rng)
        least = carry.waits(len(done), config.exploration, config.steps, feed.rng)
        problems = {"question": question, "answer": answer}
        return carry.replaced(state, done, problems, self.fresh(len(done)), least)


def joined(parts: Sequence[tuple[Tensor, Refined]]) -> Refined:
    """What was refined in parts as one, each row at its place."""
    if len(parts) == 1:
        return parts[0][1]
    back = torch.cat([rows for rows, _ in parts]).argsort()

    def whole(of: Callable[[Refined], Tensor]) -> Tensor:
        return torch.cat([of(refined) for _, refined in parts])[back]

    sure = [refined.halt for _, refined in parts if refined.halt is not None]
    return Refined(
        whole(lambda each: each.y),
        whole(lambda each: each.z),
        whole(lambda each: each.logits),
        torch.cat(sure)[back] if len(sure) == len(parts) else None,
    )


def _parts(rows: Tensor) -> list[Tensor]:
    return [rows[start : start + _ASSESS_ROWS] for start in range(0, len(rows), _ASSESS_ROWS)]
