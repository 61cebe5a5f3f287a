"""What went on while a puzzle was refined: for pictures, for a consistency score, for a calibrated doubt."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from model.hrm.learner import HrmLearner


@dataclass(frozen=True)
class Trace:
    """One row for each cycle; C is the refinement steps times the H cycles of each, B the puzzles."""

    answers: Tensor  # int64 [C, B, N]
    y_change: Tensor  # float [C, B]: how far y moved, as a share of its length before
    z_change: Tensor  # float [C, B]
    halt: Tensor  # float [C, B]: log-odds that the answer is right; NaN where halting is ablated
    doubt: Tensor  # float [C, B]: 1 - the mean probability of the cells' answers
    cycles_a_step: int
    logits: Tensor  # float [B, N, V]: after the last cycle

    @property
    def agreement(self) -> Tensor:
        """Share of the cells on which each cycle agrees with the one before: [C - 1, B]."""
        return (self.answers[1:] == self.answers[:-1]).float().mean(-1)

    @property
    def consistency(self) -> Tensor:
        """0 to 1 for each puzzle, [B]: the mean agreement over the later half of the cycles; 1 of one."""
        agreed = self.agreement
        return agreed[len(agreed) // 2 :].mean(0) if len(agreed) else torch.ones(self.answers.shape[1])


def trace(learner: HrmLearner, question: Tensor, steps: int) -> Trace:
    """Questions [B, N] refined `steps` times from the beginning, without noise."""
    high, _ = learner.config.cycles(1.0)
    question = question.long()
    with torch.no_grad():
        ways = learner.ways(question)
        parts = [_columns(learner, weights, question[rows], steps) for rows, weights in ways]
    back = torch.cat([rows for rows, _ in ways]).argsort()
    answers, y_change, z_change, halts, doubt = (
        torch.cat(column, 1)[:, back] for column in zip(*(columns for columns, _ in parts), strict=True)
    )
    logits = torch.cat([last for _, last in parts])[back]
    return Trace(answers, y_change, z_change, halts, doubt, high, logits)


def _columns(
    learner: HrmLearner, weights: dict[str, Tensor], question: Tensor, steps: int
) -> tuple[tuple[Tensor, ...], Tensor]:
    """The columns of a trace, of questions that are answered with these weights; and the last logits."""
    high, low = learner.config.cycles(1.0)
    rows: list[tuple[Tensor, ...]] = []
    y, z = learner.fresh(len(question))
    for _ in range(max(1, steps) * high):  # a step of H cycles is H steps of one
        refined = learner.refine(weights, question, y, z, (1, low))
        sure = refined.logits.softmax(-1).amax(-1).mean(-1)
        unknown = torch.full_like(sure, torch.nan)
        halt = unknown if refined.halt is None else refined.halt
        moved = _change(y, refined.y), _change(z, refined.z)
        rows.append((refined.logits.argmax(-1), *moved, halt, 1 - sure))
        y, z = refined.y, refined.z
    return tuple(torch.stack(column) for column in zip(*rows, strict=True)), refined.logits


def _change(before: Tensor, after: Tensor) -> Tensor:
    """[B, N, D] twice to [B]."""
    before, after = before.float().flatten(1), after.float().flatten(1)
    before_norm = torch.linalg.vector_norm(before, dim=1).clamp(min=1e-9)
    moved: Tensor = torch.linalg.vector_norm(after - before, dim=1) / before_norm
    return moved
