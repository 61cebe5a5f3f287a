"""Small propositional puzzles with exactly one answer, as rows of tokens.

Each clause joins two of the names, either of them perhaps negated: `or`, `xor`, or `then`. Together they
leave one truth value for every name, and no clause can be left out. A row is its clauses, three tokens each,
padded with blanks, and one token for the value of each name: blank in the question, `false` or `true` in the
answer.

`key` leaves out the order of clauses and of their parts, `then` against `or`, the names, and which of a name
and its negation is the one written plain.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np

from datagen.draws import Draws, Ints, mix
from datagen.puzzles.limits import LOGIC_TOKENS, clauses, logic_length
from datagen.puzzles.sides import side

_DRAWS = 64  # clauses offered to one try; a try in a hundred or so ends without a puzzle
_WORDS = LOGIC_TOKENS.split()


def make(names: int, seed: int, start: int, stop: int) -> dict[str, np.ndarray]:
    """Rows start to stop - 1: question, answer uint8 [N, logic_length(names)], clauses uint8 [N] (how many),
    key uint64 [N], split uint8 [N].
    """
    draws, rows, most = Draws("puzzle/logic", seed, start, stop), stop - start, clauses(names)
    _, _, _, models = _kinds(names)
    solution = draws.below(2**names, 1)[:, 0]
    codes = np.full((rows, most), -1, np.int64)
    open_ = np.ones(rows, bool)
    while open_.any():  # what a row draws does not depend on how long the others take
        tried, good = _try(draws, models, solution, most)
        codes[open_ & good] = tried[open_ & good]
        open_ &= ~good
    question = _write(codes, names, draws)
    values = (solution[:, None] >> np.arange(names)) & 1
    answer = question.copy()
    answer[:, 3 * most :] = values + _WORDS.index("false")
    keys = _key(codes, solution, names)
    return {
        "question": question,
        "answer": answer,
        "clauses": (codes >= 0).sum(axis=1).astype(np.uint8),
        "key": keys,
        "split": side(keys),
    }


def text(row: np.ndarray, names: int) -> str:
    """A question or answer in words."""
    words = [_WORDS[token] for token in row]
    end = 3 * clauses(names)
    said = [" ".join(words[at : at + 3]) for at in range(0, end, 3) if row[at]]
    values = [f"{name} = {word}" for name, word in zip("abcdef", words[end:], strict=False)]
    return "; ".join(said) + " | " + ", ".join(values)


def _try(draws: Draws, models: np.ndarray, solution: Ints, most: int) -> tuple[Ints, np.ndarray]:
    """Codes of the clauses of each row, [N, most], -1 where none; and where they make a puzzle.

    Clauses are offered at random; one is taken if it is true of the solution and rules something out, and
    left out at the end if the others do without it.
    """
    offered = draws.below(len(models), _DRAWS)
    rows = len(solution)
    own = np.uint64(1) << solution.astype(np.uint64)
    left = np.full(rows, np.bitwise_or.reduce(models))
    codes, count = np.full((rows, most), -1, np.int64), np.zeros(rows, np.int64)
    for place in range(_DRAWS):
        holds = models[offered[:, place]]
        taken = ((holds & own) != 0) & ((left & ~holds) != 0) & (count < most)
        codes[taken, count[taken]] = offered[taken, place]
        left[taken] &= holds[taken]
        count += taken
    for place in range(most):
        rest = np.full(rows, np.bitwise_or.reduce(models))
        for other in range(most):
            if other != place:
                rest &= np.where(codes[:, other] >= 0, models[codes[:, other]], rest)
        codes[rest == own, place] = -1
    codes = np.take_along_axis(codes, np.argsort(codes < 0, axis=1, kind="stable"), axis=1)
    return codes, left == own


@functools.cache
def _kinds(names: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of each clause code: its two names [K, 2], its negations [K, 2], whether it is a xor [K], and the bit
    mask of the assignments it is true of, uint64 [K].
    """
    found = []
    for one, two in itertools.combinations(range(names), 2):
        found += [(one, two, sign, other, False) for sign in (0, 1) for other in (0, 1)]
        found += [(one, two, sign, 0, True) for sign in (0, 1)]
    masks = []
    for one, two, sign, other, exclusive in found:
        mask = 0
        for assignment in range(2**names):
            left, right = (assignment >> one & 1) ^ sign, (assignment >> two & 1) ^ other
            mask |= ((left ^ right) if exclusive else (left | right)) << assignment
        masks.append(mask)
    table = np.array(found, np.int64)
    return table[:, :2], table[:, 2:4], table[:, 4] == 1, np.array(masks, np.uint64)


def _write(codes: Ints, names: int, draws: Draws) -> np.ndarray:
    """The clauses as tokens, each in one of the ways to say it, in the order they stand in."""
    who, signs, exclusive, _ = _kinds(names)
    rows, most = codes.shape
    said, there = codes.clip(0), codes >= 0
    style, swap = draws.below(2, most), draws.below(2, most)
    first, second = (1 + 2 * who[said, side_] for side_ in (0, 1))
    either = exclusive[said]
    both = either & (style == 1)  # "p xor q" is "not p xor not q"
    first, second = first + (signs[said, 0] ^ both), second + (signs[said, 1] ^ both)
    first, second = np.where(swap == 1, second, first), np.where(swap == 1, first, second)
    then = ~either & (style == 1)
    first = np.where(then, ((first - 1) ^ 1) + 1, first)  # "p or q" is "not p then q"
    join = np.where(either, 1, np.where(then, 2, 0)) + _WORDS.index("or")
    tokens = np.zeros((rows, logic_length(names)), np.uint8)
    parts = np.stack([first, join, second], axis=2) * there[:, :, None]
    tokens[:, : 3 * most] = parts.reshape(rows, 3 * most)
    return tokens


def _key(codes: Ints, solution: Ints, names: int) -> np.ndarray:
    """The hash of the least form under all renamings, each name turned so that the solution is all true.

    Then a clause is one of four things about two names (both or either, one or not the other, the reverse,
    alike), a puzzle is a set of those, and 15 pairs of names make 60 bits.
    """
    who, signs, exclusive, _ = _kinds(names)
    said, there = codes.clip(0), codes >= 0
    turned = 1 ^ (solution[:, None] >> np.arange(names)) & 1  # was false: its negation is the plain one
    one, two = who[said, 0], who[said, 1]
    sign = signs[said, 0] ^ np.take_along_axis(turned, one, axis=1)
    other = signs[said, 1] ^ np.take_along_axis(turned, two, axis=1)
    least = np.full(len(codes), np.iinfo(np.uint64).max, np.uint64)
    pairs = {pair: place for place, pair in enumerate(itertools.combinations(range(names), 2))}
    for order in itertools.permutations(range(names)):
        place = np.zeros((names, names), np.int64)
        for left, right in itertools.permutations(range(names), 2):
            place[left, right] = pairs[min(order[left], order[right]), max(order[left], order[right])]
        ahead = np.array(order)[one] < np.array(order)[two]
        negated = np.where(ahead, sign + 2 * other, other + 2 * sign)  # 0, 1 or 2: never both
        kind = np.where(exclusive[said], 3, negated)
        bits = np.where(there, np.uint64(1) << (4 * place[one, two] + kind).astype(np.uint64), np.uint64(0))
        least = np.minimum(least, np.bitwise_or.reduce(bits, axis=1))
    keys: np.ndarray = mix(mix(least) + np.uint64(names))
    return keys
