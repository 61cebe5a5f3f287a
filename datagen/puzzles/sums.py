"""Sums with carries, as rows of tokens: two numbers of `digits` digits, and their sum to be filled in.

A column carries as often as it does not, so that long chains of carries are common. `key` leaves out the
order of the two numbers and how many digits they are written with.
"""

from __future__ import annotations

import numpy as np

from datagen.draws import Draws, mix
from datagen.puzzles.limits import SUM_TOKENS, sum_length
from datagen.puzzles.sides import side

BLANK, ZERO, PLUS, EQUALS = 0, 1, 11, 12


def make(digits: int, seed: int, start: int, stop: int) -> dict[str, np.ndarray]:
    """Rows start to stop - 1: question, answer uint8 [N, sum_length(digits)], carries uint8 [N], key
    uint64 [N], split uint8 [N]. The answer is the question with its blanks filled in.
    """
    draws, rows = Draws("puzzle/arithmetic", seed, start, stop), stop - start
    pairs, counts = _pairs()
    wanted = draws.below(2, digits)  # does the column carry, from the last one on
    picks = draws.bits(digits) >> np.uint64(32)
    first, second = np.zeros((2, rows, digits), np.int64)
    carry = np.zeros(rows, np.int64)
    for column in range(digits):
        among = counts[carry, wanted[:, column]]
        pick = (picks[:, column] * among.astype(np.uint64)) >> np.uint64(32)
        pair = pairs[carry, wanted[:, column], pick.astype(np.int64)]
        first[:, digits - 1 - column], second[:, digits - 1 - column] = pair // 10, pair % 10
        carry = wanted[:, column]
    powers = 10 ** np.arange(digits - 1, -1, -1)
    one, two = (first * powers).sum(axis=1), (second * powers).sum(axis=1)
    total = ((one + two)[:, None] // 10 ** np.arange(digits, -1, -1)) % 10
    question = np.zeros((rows, sum_length(digits)), np.uint8)
    question[:, :digits], question[:, digits] = first + ZERO, PLUS
    question[:, digits + 1 : 2 * digits + 1], question[:, 2 * digits + 1] = second + ZERO, EQUALS
    answer = question.copy()
    answer[:, 2 * digits + 2 :] = total + ZERO
    low, high = np.minimum(one, two).astype(np.uint64), np.maximum(one, two).astype(np.uint64)
    keys = mix(mix(low) + high)
    carries = wanted.sum(axis=1).astype(np.uint8)
    return {"question": question, "answer": answer, "carries": carries, "key": keys, "split": side(keys)}


def text(row: np.ndarray) -> str:
    """A question or answer in plain characters."""
    return "".join(SUM_TOKENS[token] for token in row)


def _pairs() -> tuple[np.ndarray, np.ndarray]:
    """int64 [carry in, carry out, 55]: two digits as one number below 100; and how many there are of each."""
    pairs, counts = np.zeros((2, 2, 55), np.int64), np.zeros((2, 2), np.int64)
    for carry in range(2):
        for pair in range(100):
            out = int(pair // 10 + pair % 10 + carry >= 10)
            pairs[carry, out, counts[carry, out]] = pair
            counts[carry, out] += 1
    return pairs, counts
