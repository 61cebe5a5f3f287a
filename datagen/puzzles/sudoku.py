"""Sudoku of 4, 6 and 9 digits with exactly one solution, and how hard each is for a solver that guesses last.

Row i of a data set depends on the seed, the size, the difficulty and i alone. `key` is the same for all
puzzles that are one puzzle under the symmetries (digits renamed, lines moved within a band or stack, bands
and stacks moved, and for square boxes the transpose), so that the sides of the split share none. Boxes: 2x2,
2 rows by 3 columns, 3x3.

- 4 and 6: the hash of the exact canonical form, the least of all 128 or 3,456 arrangements with the digits
  renamed by first appearance.
- 9: an invariant of the 3,359,232 arrangements: colours of the solved grid's cells (given or not), refined
  five times by the colours of their row, column, box, band, stack, third of a line, and their digit's cells.
  Equivalent puzzles always agree; two others could in principle, which only puts them on one side.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np

from datagen.puzzles import limits
from datagen.puzzles.compiled import below, compiled, mix, stream
from datagen.puzzles.sides import side

# Clues of a puzzle: a number drawn from the range, or as few as possible (0). Of the 4x4 that can't lose
# a clue there are a few dozen only, so those keep some.
_CLUES = {
    ("any", 4): (4, 8),
    ("any", 6): (0, 0),
    ("any", 9): (0, 0),
    ("easy", 4): (6, 9),
    ("easy", 6): (12, 18),
    ("easy", 9): (30, 40),
    ("hard", 9): (0, 0),
}
_ONE = np.uint64(1)


def box_shape(size: int) -> tuple[int, int]:
    """Rows and columns of a box."""
    return {4: (2, 2), 6: (2, 3), 9: (3, 3)}[size]


def make(size: int, seed: int, start: int, stop: int, difficulty: str = "any") -> dict[str, np.ndarray]:
    """Rows start to stop - 1: question, answer uint8 [N, size * size], guesses uint16 [N], givens uint8 [N],
    key uint64 [N], split uint8 [N] (0 train, 1 test). RequestError for options that can't be.

    A question is 0 where blank, digits from 1; `easy` is solved with one guess at most, `hard` (9 only) takes
    ten or more; a question with as few clues as possible (`any` of 6 and 9, `hard`) needs each of them.
    """
    limits.sudoku(size, difficulty)
    rows, cells = stop - start, size * size
    question, answer = np.zeros((rows, cells), np.uint8), np.zeros((rows, cells), np.uint8)
    guesses, givens = np.zeros(rows, np.uint16), np.zeros(rows, np.uint8)
    high, wide = box_shape(size)
    low_clues, high_clues = _CLUES[difficulty, size]
    least = limits.HARD_GUESSES if difficulty == "hard" else 0
    most = limits.EASY_GUESSES if difficulty == "easy" else 65535
    name = limits.SIZES.index(size) * 16 + limits.DIFFICULTIES.index(difficulty)
    _fill(
        question, answer, guesses, givens, high, wide, np.uint64(seed), name, start,
        low_clues, high_clues, least, most,
    )  # fmt: skip
    keys = key(question, answer, size)
    return {
        "question": question,
        "answer": answer,
        "guesses": guesses,
        "givens": givens,
        "key": keys,
        "split": side(keys),
    }


def key(question: np.ndarray, answer: np.ndarray, size: int) -> np.ndarray:
    """uint64 [N] for uint8 [N, size * size]: equal for equivalent puzzles; for 4 and 6 for those alone."""
    keys = np.zeros(len(question), np.uint64)
    if size == 9:
        _colours(question, answer, keys)
    else:
        _least(question, arrangements(size), size, keys)
    return keys


def solutions(question: np.ndarray, size: int, limit: int = 2) -> np.ndarray:
    """int64 [N]: how many solutions each question has, counted up to `limit`."""
    return np.array([_count(row, *box_shape(size), limit) for row in question], np.int64)


def solve(question: np.ndarray, size: int) -> tuple[np.ndarray, int]:
    """One solution, uint8 [size * size] (zeros where there is none), and the guesses made on the way."""
    answer = np.zeros(size * size, np.uint8)
    return answer, int(_first(question, answer, *box_shape(size)))


def text(question: np.ndarray, size: int) -> str:
    """A question or answer in plain characters, a dot where it is blank."""
    high, wide = box_shape(size)
    lines = []
    for row in range(size):
        if row and row % high == 0:
            lines.append("+".join(["-" * (2 * wide + 1)] * (size // wide))[1:-1])
        digits = [str(int(digit) or ".") for digit in question[row * size : (row + 1) * size]]
        lines.append(" | ".join(" ".join(digits[left : left + wide]) for left in range(0, size, wide)))
    return "\n".join(lines)


@functools.cache
def arrangements(size: int) -> np.ndarray:
    """uint8 [G, size * size] for 4 and 6: where cells come from, by each arrangement."""
    high, wide = box_shape(size)
    rows, columns = _orders(size, high), _orders(size, wide)
    grid = np.arange(size * size).reshape(size, size)
    made = [grid[np.ix_(down, across)] for down in rows for across in columns]
    if high == wide:
        made += [each.T for each in made]
    return np.array([each.ravel() for each in made], np.uint8)


def _orders(size: int, group: int) -> list[list[int]]:
    """All orders of lines that keep the groups of `group` neighbours together."""
    within = list(itertools.permutations(range(group)))
    return [
        [group * place + line for place, lines in zip(places, inner, strict=True) for line in lines]
        for places in itertools.permutations(range(size // group))
        for inner in itertools.product(within, repeat=size // group)
    ]


@compiled
def _pick(cells: Any, done: Any, total: Any, places: Any, used: Any, full: Any) -> Any:
    """The digits to try next, as a bit mask, having moved their cell to `cells[done]`.

    One digit where a cell has one left (naked single) or a digit has one place in a unit (hidden single),
    none where something can't be filled at all, else those of the cell that has fewest.
    """
    left = np.zeros(81, np.int64)
    best, fewest = done, 99
    for index in range(done, total):
        cell = cells[index]
        mask = full & ~(used[0, places[0, cell]] | used[1, places[1, cell]] | used[2, places[2, cell]])
        left[index] = mask
        count = 0
        rest = mask
        while rest:
            rest &= rest - 1
            count += 1
        if count < fewest:
            best, fewest = index, count
            if count <= 1:
                break
    mask = left[best]
    if fewest > 1 and done < total:
        once, twice = np.zeros((3, 9), np.int64), np.zeros((3, 9), np.int64)
        for index in range(done, total):
            for unit in range(3):
                place = places[unit, cells[index]]
                twice[unit, place] |= once[unit, place] & left[index]
                once[unit, place] |= left[index]
        for unit in range(3):
            for place in range(9):
                if used[unit, place] >= 0 and (once[unit, place] | used[unit, place]) != full:
                    return np.int64(0)  # a digit has no place left here
        for index in range(done, total):
            cell = cells[index]
            hidden = np.int64(0)
            for unit in range(3):
                hidden |= once[unit, places[unit, cell]] & ~twice[unit, places[unit, cell]]
            hidden &= left[index]
            if hidden:
                best, mask = index, hidden & -hidden
                break
    cells[done], cells[best] = cells[best], cells[done]
    return mask


@compiled
def _search(
    grid: Any, high: Any, wide: Any, cell: Any, allowed: Any, limit: Any, state: Any, found: Any
) -> Any:
    """Complete `grid` (uint8, 0 blank): solutions up to `limit`, and the guesses made; the last in `found`.

    Where `cell` is not negative it is filled first, with one of the digits of the mask `allowed`. Digits are
    tried from the least up, or by the numbers of `state` where that is not empty.
    """
    size = high * wide
    full = (np.int64(1) << size) - 1
    places, used = np.zeros((3, 81), np.int64), np.full((3, 9), -1, np.int64)
    used[:, :size] = 0
    cells, total = np.zeros(81, np.int64), 0
    for each in range(size * size):
        row, column = each // size, each % size
        places[0, each], places[1, each] = row, column
        places[2, each] = (row // high) * (size // wide) + column // wide
        if grid[each]:
            bit = np.int64(1) << (grid[each] - 1)
            for unit in range(3):
                if used[unit, places[unit, each]] & bit:
                    return 0, 0
                used[unit, places[unit, each]] |= bit
            found[each] = grid[each]
        else:
            cells[total] = each
            if each == cell:
                cells[0], cells[total] = each, cells[0]
            total += 1
    tries, placed = np.zeros(82, np.int64), np.zeros(82, np.int64)
    many = np.zeros(82, np.bool_)
    count, guesses, done = 0, 0, 0
    if total == 0:
        return 1, 0
    if cell >= 0:
        tries[0] = allowed & ~(used[0, places[0, cell]] | used[1, places[1, cell]] | used[2, places[2, cell]])
    else:
        tries[0] = _pick(cells, 0, total, places, used, full)
    many[0] = tries[0] & (tries[0] - 1) != 0
    while True:
        if tries[done] == 0:
            done -= 1
            if done < 0:
                return count, guesses
        else:
            bit = tries[done] & -tries[done]
            if many[done]:
                guesses += 1
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
            for unit in range(3):
                used[unit, places[unit, cells[done]]] |= bit
            placed[done] = bit
            done += 1
            if done < total:
                tries[done] = _pick(cells, done, total, places, used, full)
                many[done] = tries[done] & (tries[done] - 1) != 0
                continue
            count += 1
            for index in range(total):
                digit, rest = 0, placed[index]
                while rest:
                    rest >>= 1
                    digit += 1
                found[cells[index]] = digit
            if count >= limit:
                return count, guesses
            done -= 1
        for unit in range(3):
            used[unit, places[unit, cells[done]]] &= ~placed[done]


@compiled
def _count(grid: Any, high: Any, wide: Any, limit: Any) -> Any:
    return _search(grid, high, wide, -1, 0, limit, np.zeros(0, np.uint64), np.zeros(81, np.uint8))[0]


@compiled
def _first(grid: Any, answer: Any, high: Any, wide: Any) -> Any:
    return _search(grid, high, wide, -1, 0, 1, np.zeros(0, np.uint64), answer)[1]


@compiled
def _fill(
    question: Any, answer: Any, guesses: Any, givens: Any, high: Any, wide: Any, seed: Any, name: Any,
    start: Any, low: Any, up: Any, least: Any, most: Any,
) -> None:  # fmt: skip
    """Make row `start + i` into place i of the arrays: try after try, until one is as hard as asked."""
    size = high * wide
    total = size * size
    full = (np.int64(1) << size) - 1
    state, none = np.zeros(1, np.uint64), np.zeros(0, np.uint64)
    spare, empty = np.zeros(81, np.uint8), np.zeros(81, np.uint8)
    order = np.zeros(81, np.int64)
    for index in range(len(question)):
        stream(state, seed, name, start + index)
        while True:
            grid, solved = question[index], answer[index]
            _search(empty, high, wide, -1, 0, 1, state, solved)
            grid[:] = solved
            clues, target = total, low + below(state, up - low + 1)
            for place in range(total):
                other = below(state, place + 1)
                order[place], order[other] = order[other], place
            for place in range(total):
                if clues <= target:
                    break
                cell = order[place]
                digit = grid[cell]
                grid[cell] = 0
                others = full & ~(np.int64(1) << (digit - 1))
                if _search(grid, high, wide, cell, others, 1, none, spare)[0]:
                    grid[cell] = digit  # without it there is another solution
                else:
                    clues -= 1
            needed = _first(grid, spare, high, wide)
            if least <= needed <= most:
                break
        guesses[index], givens[index] = min(needed, 65535), clues


@compiled
def _least(question: Any, sources: Any, size: Any, keys: Any) -> None:
    """The hash of the least arrangement of each question, digits renamed by first appearance."""
    total = size * size
    best, names = np.zeros(36, np.int64), np.zeros(10, np.int64)
    for index in range(len(question)):
        best[:] = 99
        for source in range(len(sources)):
            names[:] = 0
            known, lower = 0, False
            for cell in range(total):
                digit = question[index, sources[source, cell]]
                if digit:
                    if names[digit] == 0:
                        known += 1
                        names[digit] = known
                    digit = names[digit]
                if lower or digit < best[cell]:
                    best[cell], lower = digit, True
                elif digit > best[cell]:
                    break
        value = mix(np.uint64(size))
        for cell in range(total):
            value = mix(value + np.uint64(best[cell]))
        keys[index] = value


@compiled
def _colours(question: Any, answer: Any, keys: Any) -> None:
    """The hash of the refined colours of each 9x9 puzzle's cells."""
    colour = np.zeros(81, np.uint64)
    for index in range(len(question)):
        for cell in range(81):
            colour[cell] = np.uint64(2) if question[index, cell] else _ONE
        for _ in range(5):
            line, big = np.zeros((2, 9), np.uint64), np.zeros((2, 3), np.uint64)
            third, box, digits = np.zeros((2, 27), np.uint64), np.zeros(9, np.uint64), np.zeros(9, np.uint64)
            for cell in range(81):
                row, column, hashed = cell // 9, cell % 9, mix(colour[cell])
                line[0, row] += hashed
                line[1, column] += hashed
                big[0, row // 3] += hashed
                big[1, column // 3] += hashed
                third[0, row * 3 + column // 3] += hashed
                third[1, column * 3 + row // 3] += hashed
                box[row // 3 * 3 + column // 3] += hashed
                digits[answer[index, cell] - 1] += hashed
            for cell in range(81):
                row, column = cell // 9, cell % 9
                down = mix(line[0, row] + mix(big[0, row // 3] + mix(third[0, row * 3 + column // 3])))
                across = mix(
                    line[1, column] + mix(big[1, column // 3] + mix(third[1, column * 3 + row // 3]))
                )
                near = mix(box[row // 3 * 3 + column // 3] + mix(digits[answer[index, cell] - 1] + _ONE))
                colour[cell] = mix(colour[cell] + mix(down + across) + near)
        value = np.uint64(9)
        for cell in range(81):
            value += mix(colour[cell])
        keys[index] = mix(value)
