"""Whether a model knows when it is right: its own value of an answer held against the truth.

AUROC is the chance that a right answer has the higher value of a right and a wrong one (ties count half;
Fawcett 2006), Brier the mean squared distance of the value to the truth (Brier 1950), and the expected
calibration error the mean distance of value and accuracy over bins of equal width, ten where no other number
is asked for (Guo et al., arXiv 1706.04599).
"""

from __future__ import annotations

import math

import numpy as np

_BINS = 10


def auroc(score: np.ndarray, right: np.ndarray) -> float:
    """Of scores [N] for bool [N]; 0.5 says nothing; NaN where all are right or all wrong."""
    positive = int(right.sum())
    negative = len(right) - positive
    if not positive or not negative:
        return math.nan
    _, where, counts = np.unique(score, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    rank = (last - (counts - 1) / 2)[where.reshape(-1)]  # ties share their mean rank
    return float((rank[right.astype(bool)].sum() - positive * (positive + 1) / 2) / (positive * negative))


def brier(probability: np.ndarray, right: np.ndarray) -> float:
    """Of probabilities [N] for bool [N]; 0 is best, 0.25 what saying one half gives."""
    return float(np.mean(np.square(probability.astype(np.float64) - right)))


def calibration_error(probability: np.ndarray, right: np.ndarray, bins: int = _BINS) -> float:
    """The expected calibration error of probabilities [N] for bool [N], over that many bins; 0 is best."""
    places = np.clip((probability * bins).astype(int), 0, bins - 1)
    total = 0.0
    for number in range(bins):
        rows = places == number
        if rows.any():
            total += abs(float(probability[rows].mean()) - float(right[rows].mean())) * float(rows.mean())
    return total
