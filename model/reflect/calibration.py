"""From what a part believes to the probability that it is right: fitted on rows that it never saw.

A monotone map of three signs (the part's own log-odds, consistency over cycles, over variants): logistic
regression by Newton's method whose weights may not be negative, then isotonic regression on its score (Platt
1999; Zadrozny and Elkan 2002). One map for each set of signs that can be there. Its JSON lies in `core.json`.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from model.measures.calibration import auroc, calibration_error

SCHEMA = 1
BINS = 15
"""Of the expected calibration error, as in Guo et al., arXiv 1706.04599."""
COVERAGE = 0.8
FOLDS = 5
LEAST_BOUND, MOST_BOUND = 0.5, 0.9
"""What is more likely wrong than right is never kept; what is sure to nine in ten is never held back."""
SETS = {"sure": (0,), "variants": (0, 2), "cycles": (0, 1), "all": (0, 1, 2)}
"""Which signs a map is of."""
_MOST_ODDS = 12.0
_SOFT = 0.02  # keeps the log-odds of a full consistency finite
_RIDGE = 1e-3
_LEAST_ROWS = 15  # in a step of the isotonic map; with 30 the steep middle of a sharp one is blurred
_PRIOR = 30  # rows; of 10 to 150 tried on boards and scenes, what was calibrated best
_MOST_KNOTS = 64
Signs = tuple[float, float | None, float | None]


class BrokenCalibration(ValueError):
    """A calibration that was read is none; one line says why."""


@dataclass(frozen=True)
class Curve:
    """One map: weights of its signs, and the steps from its score to a probability."""

    weights: tuple[float, ...]
    bias: float
    knots: tuple[tuple[float, float], ...]

    def __call__(self, signs: Sequence[float]) -> float:
        """The probability, by interpolation between the knots."""
        score = self.bias + sum(w * s for w, s in zip(self.weights, signs, strict=True))
        at = bisect.bisect_right([knot[0] for knot in self.knots], score)
        if at == 0:
            return self.knots[0][1]
        if at == len(self.knots):
            return self.knots[-1][1]
        (left, low), (right, high) = self.knots[at - 1], self.knots[at]
        return low + (high - low) * (score - left) / (right - left)


@dataclass(frozen=True)
class Calibration:
    """The maps of a part; without any, the part's own log-odds are taken at their word."""

    curves: Mapping[str, Curve] = field(default_factory=dict)
    bound: float = LEAST_BOUND
    """Below it an answer is marked as held back."""

    @property
    def fitted(self) -> bool:
        """Whether anything was measured."""
        return bool(self.curves)

    def probability(self, sure: float, cycles: float | None, variants: float | None) -> float:
        """That an answer with these signs is right; None is a sign that nobody looked at."""
        name = _set(cycles, variants)
        curve = self.curves.get(name) or self.curves.get("sure")
        if curve is None:
            return 1 / (1 + math.exp(-max(-_MOST_ODDS, min(_MOST_ODDS, sure))))
        which = SETS[name] if name in self.curves else SETS["sure"]
        row = _row((sure, cycles, variants))
        return curve([row[each] for each in which])

    def body(self) -> dict[str, Any]:
        """As JSON has it."""
        curves = {
            name: {"weights": list(each.weights), "bias": each.bias, "knots": [list(k) for k in each.knots]}
            for name, each in self.curves.items()
        }
        return {"schema": SCHEMA, "bound": self.bound, "curves": curves}


def parse(body: Mapping[str, Any] | None) -> Calibration:
    """A calibration from its JSON, beside which figures may stand; None is one that was never fitted."""
    if body is None:
        return Calibration()
    if body.get("schema") != SCHEMA:
        raise BrokenCalibration(f"a calibration of schema {body.get('schema')!r} can't be read")
    try:
        bound, told = float(body["bound"]), dict(body["curves"])
        curves = {name: _curve(name, each) for name, each in told.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BrokenCalibration(f"a calibration is broken: {error}") from None
    if not 0.0 <= bound <= 1.0 or not curves.keys() <= SETS.keys() or "sure" not in curves:
        raise BrokenCalibration("a calibration has a bound from 0 to 1 and a curve of `sure`")
    return Calibration(curves, bound)


def fit(signs: Sequence[Signs], right: np.ndarray) -> Calibration:
    """Maps for every set of signs that all rows have, and the bound; ValueError of no rows.

    The bound would hold back one row in five of these, but stays from LEAST_BOUND to MOST_BOUND.
    """
    if not len(right):
        raise ValueError("a calibration needs rows")
    rows = np.array([_row(each) for each in signs])
    curves = {}
    for name, which in SETS.items():
        if np.isfinite(rows[:, list(which)]).all():
            curves[name] = _fitted(rows[:, list(which)], right.astype(np.float64))
    made = Calibration(curves)
    kept = np.array([made.probability(*each) for each in signs])
    bound = float(np.clip(np.quantile(kept, 1 - COVERAGE), LEAST_BOUND, MOST_BOUND))
    return Calibration(curves, round(bound, 4))


def folded(signs: Sequence[Signs], right: np.ndarray) -> tuple[Calibration, np.ndarray]:
    """Maps fitted on all rows; and for measuring, what maps of the other four fifths say of each row.

    ValueError of fewer than FOLDS rows.
    """
    if len(right) < FOLDS:
        raise ValueError(f"a calibration is measured on {FOLDS} rows or more")
    fold = np.arange(len(right)) % FOLDS
    said = np.empty(len(right))
    for each in range(FOLDS):
        others = fit([signs[int(at)] for at in np.flatnonzero(fold != each)], right[fold != each])
        for at in np.flatnonzero(fold == each):
            said[at] = others.probability(*signs[int(at)])
    return fit(signs, right), said


def measure(probability: np.ndarray, right: np.ndarray, bound: float) -> dict[str, float | None]:
    """`ece` of 15 bins, `accuracy`, `kept` (of the surest 80 %), `auroc`, and `coverage` above the bound."""
    order = np.argsort(-probability, kind="stable")
    top = order[: max(1, round(len(order) * COVERAGE))]
    area = auroc(probability, right)
    return {
        "ece": calibration_error(probability, right, BINS),
        "accuracy": float(right.mean()),
        "kept": float(right[top].mean()),
        "auroc": None if math.isnan(area) else area,
        "coverage": float((probability >= bound).mean()),
    }


def _set(cycles: float | None, variants: float | None) -> str:
    if cycles is None:
        return "sure" if variants is None else "variants"
    return "cycles" if variants is None else "all"


def _row(signs: Signs) -> tuple[float, float, float]:
    """Signs on one scale; NaN is none."""
    sure, cycles, variants = signs
    return max(-_MOST_ODDS, min(_MOST_ODDS, sure)), _odds(cycles), _odds(variants)


def _odds(share: float | None) -> float:
    return math.nan if share is None else math.log((share + _SOFT) / (1 - share + _SOFT))


def _fitted(rows: np.ndarray, right: np.ndarray) -> Curve:
    """Weights that are not negative, and the isotonic steps on their score."""
    active = list(range(rows.shape[1]))
    weights, bias = np.zeros(rows.shape[1]), 0.0
    while active:
        found, bias = _newton(rows[:, active], right)
        weights[:] = 0.0
        weights[active] = found
        if (found >= 0).all():
            break
        active = [each for each, weight in zip(active, found, strict=True) if weight > 0]
    else:
        weights[:] = 0.0
        weights[0] = 1e-6  # no sign tells anything: one step
    score = rows @ weights + bias
    knots = tuple((float(s), float(p)) for s, p in _isotonic(score, right))
    return Curve(tuple(float(each) for each in weights), float(bias), knots)


def _newton(rows: np.ndarray, right: np.ndarray, steps: int = 50) -> tuple[np.ndarray, float]:
    """Logistic regression with a little ridge on the weights, on standardised signs."""
    middle, spread = rows.mean(0), rows.std(0) + 1e-9
    x = np.column_stack([(rows - middle) / spread, np.ones(len(rows))])
    ridge = np.diag([_RIDGE * len(rows)] * rows.shape[1] + [1e-9])
    beta = np.zeros(x.shape[1])
    for _ in range(steps):
        odds = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        slope = x.T @ (right - odds) - ridge @ beta
        bend = (x * (odds * (1 - odds))[:, None]).T @ x + ridge + np.eye(x.shape[1]) * 1e-9
        move = np.linalg.solve(bend, slope)
        beta += np.clip(move, -2, 2)
        if np.abs(move).max() < 1e-8:
            break
    weights = beta[:-1] / spread
    return weights, float(beta[-1] - (weights * middle).sum())


def _isotonic(score: np.ndarray, right: np.ndarray) -> list[tuple[float, float]]:
    """Knots (mean score, probability), both rising: pooled adjacent violators over groups of rows.

    Each pool counts beside _PRIOR rows that are right as the logistic curve says, so few rows say little.
    """
    expected = 1 / (1 + np.exp(-np.clip(score, -30, 30)))
    order = np.argsort(score, kind="stable")
    groups = max(1, min(_MOST_KNOTS, len(order) // _LEAST_ROWS))
    pools: list[list[float]] = []  # rows, right ones, sums of the scores and of what is expected
    for part in np.array_split(order, groups):
        sums = [each[part].sum() for each in (right, score, expected)]
        pools.append([float(len(part)), *map(float, sums)])
        while len(pools) > 1 and pools[-2][1] / pools[-2][0] >= pools[-1][1] / pools[-1][0]:
            last = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
    found: list[tuple[float, float]] = []
    for rows, hits, scores, wanted in pools:
        share = (hits + _PRIOR * wanted / rows) / (rows + _PRIOR)
        share = min(max(share, 0.5 / (rows + 1)), 1 - 0.5 / (rows + 1))
        low = found[-1][1] if found else 0.0
        if not found or scores / rows > found[-1][0]:
            found.append((scores / rows, max(share, low)))
    return found


def _curve(name: str, body: Any) -> Curve:
    weights = tuple(float(each) for each in body["weights"])
    knots = tuple((float(score), float(share)) for score, share in body["knots"])
    bias = float(body["bias"])
    numbers = [*weights, bias, *(each for knot in knots for each in knot)]
    if name not in SETS or len(weights) != len(SETS[name]) or not 1 <= len(knots) <= _MOST_KNOTS:
        raise ValueError(f"the curve {name[:20]!r} has not its weights and 1 to {_MOST_KNOTS} knots")
    if not all(math.isfinite(each) for each in numbers) or min(weights) < 0:
        raise ValueError(f"the curve {name!r} has a weight below 0 or a number that is none")
    if any(one[0] >= two[0] or one[1] > two[1] for one, two in pairwise(knots)):
        raise ValueError(f"the knots of the curve {name!r} do not rise")
    if not all(0 <= share <= 1 for _, share in knots):
        raise ValueError(f"the curve {name!r} gives what is no probability")
    return Curve(weights, bias, knots)
