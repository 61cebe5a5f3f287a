"""The suites `sudoku` and `maze`: whether a reasoner solves puzzles it never saw, and knows when it did."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from model.errors import RequestError
from model.hrm import rollouts
from model.hrm.learner import HrmLearner
from model.learner import Columns, Learner
from model.measures import calibration, solve
from model.suites import Measured, Options

_BATCH = 256  # puzzles at once
LENGTH_BINS = (0, 8, 12, 16, 24, 40, 80)  # of a maze's path, in cells


@dataclass(frozen=True)
class Refined:
    """Answers after each refinement step, and how sure the model is of each."""

    steps: np.ndarray  # uint16 [S, N, L]
    sure: np.ndarray  # float64 [S, N], 0 to 1; NaN where the model has no halting value


def measure(learner: Learner, columns: Columns, seed: int, options: Options) -> Measured:
    """All measures of the suite on at most `options.rows` of the rows given, drawn by the seed."""
    learner = hrm(learner)
    rows = np.random.default_rng([seed, 1]).permutation(len(columns["question"]))[: options.rows]
    question, answer = columns["question"][rows], columns["answer"][rows]
    usual = learner.config.steps
    found = refined(learner, question, usual * options.more)
    curve = solve.by_step(found.steps, answer)
    said, sure = found.steps[usual - 1], found.sure[usual - 1]
    right = solve.solved(said, answer)
    metrics = {
        "exact": curve[usual - 1],
        "cells": solve.cells(said, answer, solve.asked_cells(question, answer)),
        "exact_first_step": curve[0],
        "exact_more_steps": curve[-1],
    }
    by_rollouts = _rollouts(learner, question, answer, options, seed)
    if by_rollouts:
        metrics["exact_rollouts"] = by_rollouts[-1][1]
    if np.isfinite(sure).all():
        metrics["halt_auroc"] = calibration.auroc(sure, right)
        metrics["halt_brier"] = calibration.brier(sure, right)
        metrics["halt_calibration_error"] = calibration.calibration_error(sure, right)
    bins = _bins(columns, rows)
    for name, member in bins.items():
        metrics[f"exact_{name}"] = float(right[member].mean())
    details = {
        "by_step": curve,
        "usual_steps": usual,
        "by_rollouts": by_rollouts,
        "bins": {name: int(member.sum()) for name, member in bins.items()},
        "sure_by_step": [float(each.mean()) if np.isfinite(each).all() else None for each in found.sure],
        "rows": len(rows),
    }
    return Measured(metrics, details)


def hrm(learner: Learner) -> HrmLearner:
    """The learner as what the suites need; RequestError where it is another kind."""
    if not isinstance(learner, HrmLearner):
        raise RequestError(f"puzzles are solved by an hrm, not by a {type(learner).__name__}")
    return learner


def refined(
    learner: HrmLearner, question: np.ndarray, steps: int, noise: float = 0.0, seed: int = 0
) -> Refined:
    """Questions [N, L] refined `steps` times from the beginning, its latents with noise where asked for."""
    learner.eval()
    device = learner.net.y0.device
    generator = torch.Generator().manual_seed(seed)
    answers, values = [], []
    with torch.no_grad():
        weights, cycles = learner.weights(), learner.config.cycles(1.0)
        for start in range(0, len(question), _BATCH):
            asked = torch.from_numpy(question[start : start + _BATCH].astype(np.int64)).to(device)
            y, z = learner.fresh(len(asked))
            if noise:
                y, z = (rollouts.noisy(each, noise, generator) for each in (y, z))
            said, sure = [], []
            for _ in range(steps):
                one = learner.refine(weights, asked, y, z, cycles)
                y, z = one.y, one.z
                said.append(one.logits.argmax(-1).to(torch.int32).cpu().numpy().astype(np.uint16))
                halt = torch.full((len(asked),), torch.nan) if one.halt is None else one.halt.sigmoid()
                sure.append(halt.double().cpu().numpy())
            answers.append(np.stack(said))
            values.append(np.stack(sure))
    return Refined(np.concatenate(answers, axis=1), np.concatenate(values, axis=1))


def _rollouts(
    learner: HrmLearner, question: np.ndarray, answer: np.ndarray, options: Options, seed: int
) -> list[tuple[int, float]]:
    """Exact accuracy of the surest of 1, 2, 4, ... attempts; the first has no noise. [] without halting."""
    said, sure = [], []
    for number in range(options.rollouts):
        noise = options.noise if number else 0.0
        found = refined(learner, question, learner.config.steps, noise, seed * 1000 + number)
        said.append(torch.from_numpy(found.steps[-1].astype(np.int64)))
        sure.append(torch.from_numpy(found.sure[-1]))
    if not torch.stack(sure).isfinite().all():
        return []  # nothing to choose by
    shown = sorted({count for count in (1, 2, 4, 8, 16, 32) if count < options.rollouts} | {options.rollouts})
    chosen = [rollouts.choose(torch.stack(said[:count]), torch.stack(sure[:count])) for count in shown]
    return [
        (count, solve.exact(each.answer.numpy(), answer)) for count, each in zip(shown, chosen, strict=True)
    ]


def _bins(columns: Columns, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Rows by difficulty: guesses of a Sudoku, length of a maze's path; nothing where neither is known."""
    if "guesses" in columns:
        return {f"guesses_{name}": member for name, member in solve.bins(columns["guesses"][rows]).items()}
    if "length" in columns:
        found = solve.bins(columns["length"][rows], LENGTH_BINS)
        return {f"length_{name}": member for name, member in found.items()}
    return {}
