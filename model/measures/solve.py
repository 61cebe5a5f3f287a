"""Whether puzzles are solved: whole, by cell, by refinement step and by difficulty.

A puzzle counts as solved only when every cell is right (exact). Cell accuracy stands beside it and is not it:
with 95 of 100 cells right on average, hardly one puzzle may be solved.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

GUESS_BINS = (0, 1, 4, 10, 20)
"""Where bins of difficulty begin, in guesses of a backtracking solver: 0, 1-3, 4-9, 10-19, 20 and more."""


def exact(predicted: np.ndarray, answer: np.ndarray) -> float:
    """The share of rows [N, L] that are right in every cell."""
    return float(np.mean(_right(predicted, answer)))


def cells(predicted: np.ndarray, answer: np.ndarray, asked: np.ndarray | None = None) -> float:
    """The share of right cells [N, L], of those asked for (bool [N, L]) or of all; 1 when none was."""
    right = predicted == answer
    asked = np.ones_like(right) if asked is None else asked
    return float(right[asked].mean()) if asked.any() else 1.0


def asked_cells(question: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """Bool [N, L]: the cells that the answer changes (blanks of a Sudoku, the path of a maze)."""
    return np.asarray(question != answer)


def by_step(steps: np.ndarray, answer: np.ndarray) -> list[float]:
    """Exact accuracy after each refinement step, for predictions [S, N, L]."""
    return [exact(step, answer) for step in steps]


def bins(values: np.ndarray, starts: Sequence[int] = GUESS_BINS) -> dict[str, np.ndarray]:
    """Rows by difficulty: the name of each bin that has rows, and bool [N]."""
    found = {}
    for number, start in enumerate(starts):
        stop = starts[number + 1] if number + 1 < len(starts) else None
        rows = (values >= start) & (values < stop if stop is not None else True)
        last = "+" if stop is None else "" if stop == start + 1 else f"-{stop - 1}"
        if rows.any():
            found[f"{start}{last}"] = np.asarray(rows)
    return found


def _right(predicted: np.ndarray, answer: np.ndarray) -> np.ndarray:
    if predicted.shape != answer.shape or not len(answer):
        raise ValueError(f"predictions {predicted.shape} and answers {answer.shape} must be of one form")
    return np.asarray((predicted == answer).all(axis=-1))


def solved(predicted: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """Bool [N]: which rows [N, L] are right in every cell."""
    return _right(predicted, answer)
