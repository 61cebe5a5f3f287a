"""Mazes with exactly one shortest path from start to goal.

Rooms stand at the even rows and columns of an odd square, joined by a tree that grows mostly from its newest
room (long corridors) and by a few further openings, so that there are detours and following a wall is not
enough. Row i depends on the seed, the size, the least length and i alone. `key` is the hash of the least of
the sixteen forms that are one maze: the eight of the square, start and goal exchanged; equal for those alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from datagen.errors import RequestError
from datagen.puzzles import limits
from datagen.puzzles.compiled import below, compiled, mix, stream
from datagen.puzzles.sides import side

WALL, OPEN, START, GOAL, PATH = 1, 2, 3, 4, 5
_NEWEST = 75  # of a hundred growths start at the newest room
_TRIES = 20_000  # mazes for one row, before it is given up


def make(size: int, seed: int, start: int, stop: int, least: int = 12) -> dict[str, np.ndarray]:
    """Rows start to stop - 1: question, answer uint8 [N, size * size], length uint16 [N] (steps from start to
    goal, `least` or more), key uint64 [N], split uint8 [N] (0 train, 1 test).

    A cell is 1 wall, 2 open, 3 start, 4 goal; in the answer, 5 on the path between the two. RequestError for
    options that can't be, or where no maze with so long a path is found.
    """
    limits.maze(size, least)
    rows = stop - start
    question, answer = np.zeros((rows, size * size), np.uint8), np.zeros((rows, size * size), np.uint8)
    length = np.zeros(rows, np.uint16)
    if not _fill(question, answer, length, size, np.uint64(seed), start, least):
        raise RequestError(
            f"{_TRIES} mazes of size {size} had no single shortest path of {least} steps: ask for less"
        )
    keys = key(question, size)
    return {"question": question, "answer": answer, "length": length, "key": keys, "split": side(keys)}


def key(question: np.ndarray, size: int) -> np.ndarray:
    """uint64 [N] for uint8 [N, size * size]: equal for mazes that are one under the sixteen symmetries."""
    keys = np.zeros(len(question), np.uint64)
    _least(question, arrangements(size), keys)
    return keys


def arrangements(size: int) -> np.ndarray:
    """int64 [8, size * size]: for each symmetry of the square, where a cell comes from."""
    grid = np.arange(size * size).reshape(size, size)
    turned = [np.rot90(grid, turns) for turns in range(4)]
    return np.array([each.ravel() for grid in turned for each in (grid, grid.T)])


def shortest(question: np.ndarray, size: int) -> tuple[np.ndarray, int, int]:
    """The answer to any maze, uint8 [size * size], the path's steps, and how many shortest paths (up to 2).

    Zeros and no steps where there is no way; one of the paths where there are several.
    """
    begin, end = int(np.argmax(question == START)), int(np.argmax(question == GOAL))
    steps, ways = np.zeros(size * size, np.int64), np.zeros(size * size, np.int64)
    _flood(question, size, begin, steps, ways)
    answer = question.copy()
    if not ways[end]:
        return np.zeros_like(question), 0, 0
    _mark(answer, size, end, steps)
    return answer, int(steps[end]), int(ways[end])


def text(question: np.ndarray, size: int) -> str:
    """A question or answer in plain characters, with a wall around it."""
    marks = np.array(list("?# SG."))
    edge = "#" * (size + 2)
    body = ["#" + "".join(marks[row]) + "#" for row in question.reshape(size, size)]
    return "\n".join([edge, *body, edge])


@compiled
def _near(cell: Any, size: Any, way: Any, by: Any) -> Any:
    """The cell `by` cells away, or -1 outside."""
    row, column = cell // size, cell % size
    if way == 0:
        row -= by
    elif way == 1:
        row += by
    elif way == 2:
        column -= by
    else:
        column += by
    if row < 0 or row >= size or column < 0 or column >= size:
        return -1
    return row * size + column


@compiled
def _flood(grid: Any, size: Any, begin: Any, steps: Any, ways: Any) -> None:
    """From `begin`: the least steps to each cell, and the number of ways that short, up to 2 (0: none)."""
    ways[:] = 0
    steps[:] = -1
    queue = np.zeros(size * size, np.int64)
    queue[0], steps[begin], ways[begin] = begin, 0, 1
    head, tail = 0, 1
    while head < tail:
        cell = queue[head]
        head += 1
        for way in range(4):
            other = _near(cell, size, way, 1)
            if other < 0 or grid[other] == WALL:
                continue
            if steps[other] < 0:
                steps[other] = steps[cell] + 1
                queue[tail] = other
                tail += 1
            if steps[other] == steps[cell] + 1:
                ways[other] = min(2, ways[other] + ways[cell])


@compiled
def _mark(grid: Any, size: Any, end: Any, steps: Any) -> None:
    """Mark a shortest path on `grid`, back from the goal."""
    cell = end
    while steps[cell] > 1:
        for way in range(4):
            other = _near(cell, size, way, 1)
            if other >= 0 and grid[other] != WALL and steps[other] == steps[cell] - 1:
                cell = other
                break
        grid[cell] = PATH


@compiled
def _carve(grid: Any, size: Any, state: Any) -> None:
    """Rooms joined by a tree and up to a side's rooms less one further openings."""
    grid[:] = WALL
    side_ = (size + 1) // 2
    live = np.zeros(side_ * side_, np.int64)
    live[0] = 2 * below(state, side_) * size + 2 * below(state, side_)
    grid[live[0]] = OPEN
    count = 1
    while count:
        place = count - 1 if below(state, 100) < _NEWEST else below(state, count)
        cell, free, chosen = live[place], 0, 0
        for way in range(4):
            other = _near(cell, size, way, 2)
            if other >= 0 and grid[other] == WALL:
                free += 1
                if below(state, free) == 0:
                    chosen = way
        if free == 0:
            count -= 1
            for index in range(place, count):  # the order of the others is their age
                live[index] = live[index + 1]
            continue
        grid[_near(cell, size, chosen, 1)] = OPEN
        live[count] = _near(cell, size, chosen, 2)
        grid[live[count]] = OPEN
        count += 1
    for _ in range(below(state, side_)):
        cell = 2 * below(state, side_) * size + 2 * below(state, side_)
        way = below(state, 4)
        if _near(cell, size, way, 2) >= 0:
            grid[_near(cell, size, way, 1)] = OPEN


@compiled
def _fill(question: Any, answer: Any, length: Any, size: Any, seed: Any, start: Any, least: Any) -> Any:
    """Make row `start + i` into place i of the arrays; False where tries ran out."""
    state = np.zeros(1, np.uint64)
    steps, ways = np.zeros(size * size, np.int64), np.zeros(size * size, np.int64)
    goals = np.zeros(size * size, np.int64)
    side_ = (size + 1) // 2
    for index in range(len(question)):
        stream(state, seed, np.uint64(1000 + size), start + index)
        grid = question[index]
        found = False
        for _ in range(_TRIES):
            _carve(grid, size, state)
            begin = 2 * below(state, side_) * size + 2 * below(state, side_)
            _flood(grid, size, begin, steps, ways)
            count = 0
            for cell in range(size * size):
                if (
                    cell // size % 2 == 0
                    and cell % size % 2 == 0
                    and steps[cell] >= least
                    and ways[cell] == 1
                ):
                    goals[count] = cell
                    count += 1
            if count:
                end = goals[below(state, count)]
                grid[begin], grid[end] = START, GOAL
                length[index] = steps[end]
                answer[index] = grid
                _mark(answer[index], size, end, steps)
                found = True
                break
        if not found:
            return False
    return True


@compiled
def _least(question: Any, sources: Any, keys: Any) -> None:
    """The hash of the least of each maze's sixteen forms."""
    total = question.shape[1]
    best = np.zeros(total, np.int64)
    for index in range(len(question)):
        best[:] = 99
        for form in range(16):
            lower = False
            for cell in range(total):
                value = np.int64(question[index, sources[form % 8, cell]])
                if form >= 8 and value in (START, GOAL):
                    value = START + GOAL - value
                if lower or value < best[cell]:
                    best[cell], lower = value, True
                elif value > best[cell]:
                    break
        hashed = mix(np.uint64(total))
        for cell in range(total):
            hashed = mix(hashed + np.uint64(best[cell]))
        keys[index] = hashed
