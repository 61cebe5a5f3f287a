"""Boards under any rule of the kind "these cells hold each digit once": other boxes, odd boxes, diagonals.

A rule is its units, int [U, S]: the cells of each, of boards of S x S cells. Row i of `make` depends on the
rule, the seed and i alone. Each question has exactly one solution and as few clues as possible.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from datagen.errors import RequestError
from datagen.puzzles.compiled import below, compiled, mix, stream

MOST = 9  # digits
_TRIES = 200  # random fillings before a rule is said to have no solution
_LOOKS = 20_000  # cells tried in one filling before another is begun
_NAME = 77  # of this maker's streams of random numbers


def lines(size: int) -> np.ndarray:
    """The rows and columns, int64 [2 S, S]."""
    grid = np.arange(size * size).reshape(size, size)
    return np.concatenate((grid, grid.T))


def boxes(size: int, high: int, wide: int) -> np.ndarray:
    """Boxes of `high` rows and `wide` columns, int64 [S, S], in reading order."""
    grid = np.arange(size * size).reshape(size // high, high, size // wide, wide)
    return grid.transpose(0, 2, 1, 3).reshape(size, size)


def diagonals(size: int) -> np.ndarray:
    """Both diagonals, int64 [2, S]."""
    at = np.arange(size)
    return np.stack((at * size + at, at * size + size - 1 - at))


def odd_boxes(size: int, high: int, wide: int, seed: int, swaps: int = 60) -> np.ndarray:
    """Irregular boxes, each in one piece, int64 [S, S]: cells of regular ones exchanged, time and again."""
    rng = np.random.default_rng(seed)
    box = np.empty(size * size, np.int64)
    for number, cells in enumerate(boxes(size, high, wide)):
        box[cells] = number
    done = 0
    while done < swaps:
        one, other = rng.integers(0, size * size, 2)
        if box[one] == box[other]:
            continue
        box[one], box[other] = box[other], box[one]
        if all(_in_one_piece(np.flatnonzero(box == box[cell]), size) for cell in (one, other)):
            done += 1
        else:
            box[one], box[other] = box[other], box[one]
    return np.stack([np.flatnonzero(box == number) for number in range(size)])


def make(units: np.ndarray, size: int, seed: int, start: int, stop: int) -> dict[str, np.ndarray]:
    """Rows start to stop - 1: question, answer uint8 [N, S * S], key uint64 [N].

    `key` is the same for questions that differ in the digits' names alone. RequestError where the units are
    none, or no board has them all.
    """
    units = np.ascontiguousarray(units, np.int64)
    good = 2 <= size <= MOST and units.ndim == 2 and units.shape[1:] == (size,)
    if not good or not len(units) or units.min() < 0 or units.max() >= size * size:
        raise RequestError(f"a rule is units of {size} cells each of a board of {size} x {size}")
    rows, cells = stop - start, size * size
    question, answer = np.zeros((rows, cells), np.uint8), np.zeros((rows, cells), np.uint8)
    keys = np.zeros(rows, np.uint64)
    of = _units_of(units, cells)
    if not _fill(question, answer, keys, of, len(units), size, np.uint64(seed), start):
        raise RequestError("no board was found that has all of these units")
    return {"question": question, "answer": answer, "key": keys}


def boards(units: np.ndarray, size: int, seed: int, count: int) -> np.ndarray:
    """Solved boards that the rule allows, uint8 [N, S * S]; fewer than `count` where they are rare."""
    found = np.zeros((count, size * size), np.uint8)
    of = _units_of(np.ascontiguousarray(units, np.int64), size * size)
    return found[: _boards(found, of, len(units), size, np.uint64(seed))]


def solutions(units: np.ndarray, question: np.ndarray, limit: int = 2) -> np.ndarray:
    """int64 [N]: how many solutions each question uint8 [N, S * S] has under the rule, up to `limit`."""
    size = units.shape[1]
    of = _units_of(np.ascontiguousarray(units, np.int64), size * size)
    none, spare = np.zeros(0, np.uint64), np.zeros(size * size, np.uint8)
    found = [_search(row, of, len(units), size, -1, 0, limit, none, 0, spare) for row in question]
    return np.array(found, np.int64)


def _in_one_piece(cells: np.ndarray, size: int) -> bool:
    left = set(cells.tolist())
    edge = [left.pop()]
    while edge:
        cell = edge.pop()
        column = cell % size
        near = [cell - size, cell + size]
        near += ([cell - 1] if column else []) + ([cell + 1] if column < size - 1 else [])
        found = [each for each in near if each in left]
        left.difference_update(found)
        edge += found
    return not left


def _units_of(units: np.ndarray, cells: int) -> np.ndarray:
    """Which units each cell is in, int64 [cells, M], -1 behind the last."""
    of = [np.flatnonzero((units == cell).any(1)) for cell in range(cells)]
    made = np.full((cells, max(map(len, of))), -1, np.int64)
    for cell, numbers in enumerate(of):
        made[cell, : len(numbers)] = numbers
    return made


@compiled
def _search(
    grid: Any, of: Any, count: Any, size: Any, cell: Any, allowed: Any, limit: Any, state: Any, looks: Any,
    found: Any,
) -> Any:  # fmt: skip
    """Solutions of `grid` (0 blank) up to `limit`, the last in `found`; -1 after `looks` cells (0: no end).

    Where `cell` is not negative it is filled first, with one of the digits of the mask `allowed`. The cell
    with the fewest digits left is next; they are tried from the least up, or by the numbers of `state`.
    """
    full = (np.int64(1) << size) - 1
    total = size * size
    used = np.zeros(count, np.int64)
    cells, blanks = np.zeros(total, np.int64), 0
    for each in range(total):
        if grid[each]:
            bit = np.int64(1) << (grid[each] - 1)
            for unit in of[each]:
                if unit >= 0:
                    if used[unit] & bit:
                        return 0
                    used[unit] |= bit
            found[each] = grid[each]
        else:
            cells[blanks] = each
            if each == cell:
                cells[0], cells[blanks] = each, cells[0]
            blanks += 1
    if blanks == 0:
        return 1
    tries, placed = np.zeros(total + 1, np.int64), np.zeros(total + 1, np.int64)
    solved, done, looked, fresh = 0, 0, 0, True
    while True:
        if fresh:
            looked += 1
            if looks and looked > looks:
                return -1
            best, fewest, mask = done, 99, np.int64(0)
            for index in range(done, blanks):
                taken = np.int64(0)
                for unit in of[cells[index]]:
                    if unit >= 0:
                        taken |= used[unit]
                left = full & ~taken
                if done == 0 and cell >= 0:
                    if index > 0:
                        break
                    left &= allowed
                number, rest = 0, left
                while rest:
                    rest &= rest - 1
                    number += 1
                if number < fewest:
                    best, fewest, mask = index, number, left
            cells[done], cells[best] = cells[best], cells[done]
            tries[done] = mask
            fresh = False
        if tries[done] == 0:
            done -= 1
            if done < 0:
                return solved
        else:
            bit = tries[done] & -tries[done]
            if len(state):
                choices, rest = 0, tries[done]
                while rest:
                    rest &= rest - 1
                    choices += 1
                rest = tries[done]
                for _ in range(below(state, choices)):
                    rest &= rest - 1
                bit = rest & -rest
            tries[done] &= ~bit
            for unit in of[cells[done]]:
                if unit >= 0:
                    used[unit] |= bit
            placed[done] = bit
            done += 1
            if done < blanks:
                fresh = True
                continue
            solved += 1
            for index in range(blanks):
                digit, rest = 0, placed[index]
                while rest:
                    rest >>= 1
                    digit += 1
                found[cells[index]] = digit
            if solved >= limit:
                return solved
            done -= 1
        for unit in of[cells[done]]:
            if unit >= 0:
                used[unit] &= ~placed[done]


@compiled
def _boards(found: Any, of: Any, count: Any, size: Any, seed: Any) -> Any:
    empty, state, made = np.zeros(size * size, np.uint8), np.zeros(1, np.uint64), 0
    for index in range(len(found)):
        stream(state, seed, _NAME + 1, index)
        made += _search(empty, of, count, size, -1, 0, 1, state, _LOOKS, found[made]) == 1
    return made


@compiled
def _fill(
    question: Any, answer: Any, keys: Any, of: Any, count: Any, size: Any, seed: Any, start: Any
) -> Any:
    total = size * size
    state, none = np.zeros(1, np.uint64), np.zeros(0, np.uint64)
    spare, empty = np.zeros(total, np.uint8), np.zeros(total, np.uint8)
    order, names = np.zeros(total, np.int64), np.zeros(10, np.int64)
    full = (np.int64(1) << size) - 1
    for index in range(len(question)):
        stream(state, seed, _NAME, start + index)
        grid, solved = question[index], answer[index]
        filled = -1
        for _ in range(_TRIES):
            filled = _search(empty, of, count, size, -1, 0, 1, state, _LOOKS, solved)
            if filled >= 0:
                break
        if filled < 1:
            return False
        grid[:] = solved
        for place in range(total):
            other = below(state, place + 1)
            order[place], order[other] = order[other], place
        for place in range(total):
            cell = order[place]
            digit = grid[cell]
            grid[cell] = 0
            others = full & ~(np.int64(1) << (digit - 1))
            if _search(grid, of, count, size, cell, others, 1, none, 0, spare):
                grid[cell] = digit  # without it there is another solution
        names[:] = 0
        known, value = 0, mix(np.uint64(size))
        for cell in range(total):
            digit = grid[cell]
            if digit and names[digit] == 0:
                known += 1
                names[digit] = known
            value = mix(value + np.uint64(names[digit] if digit else 0))
        keys[index] = value
    return True
