"""Which cells must all differ, read from solved boards: what `relations` learns, without a gradient.

A unit is as many cells as there are digits, each digit once: a row, a column, a box of any form, a diagonal.
Units of the core that the boards contradict are dropped. New ones are sets of cells no two of which agree,
taken up only where that is no accident: cells that have nothing to do with each other agree on 1 board in
S by chance, and the chance that so many pairs never did is held against the number of sets there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from datagen.puzzles import ruled

CHANCE = 1e-3  # that a unit taken up is an accident
WRONG = 20  # one board in so many may be wrong
DRAWN = 200  # boards by which it is told what follows from units
_LOOKS = 300_000  # sets of cells looked at; a board of 9 x 9 takes some thousands
_TILINGS = 24  # that are drawn from, of those that explain most


@dataclass(frozen=True)
class Found:
    """The units that explain the boards."""

    units: np.ndarray  # int64 [U, S], those kept first
    kinds: np.ndarray  # int64 [U], a number of the core's kinds of units each
    dropped: int
    added: int
    pairs: int  # pairs of cells that never agree, which these units do not make differ


def discover(answers: np.ndarray, digits: int, units: np.ndarray, kinds: np.ndarray) -> Found:
    """Units that solved boards [K, N] of that many digits support, from the core's [U, S] with their kinds.

    Where units of a kind that tiles the board are dropped, the whole kind is looked for anew as a tiling.
    Beyond that, sets of cells are taken up one by one, that with the most unexplained pairs first, and none
    that follows from the units there are.
    """
    boards, cells = answers.shape
    slips = boards // WRONG
    kept = _different(answers, units) <= slips
    apart = (answers[:, :, None] == answers[:, None, :]).sum(0) <= slips
    np.fill_diagonal(apart, False)
    need = _pairs_needed(_log_chance(boards, digits, slips), cells, digits)
    now, of = units[kept], kinds[kept]
    if need <= digits * (digits - 1) // 2:
        for kind in sorted(set(kinds[~kept].tolist())):
            tiling = _tiling(answers, apart, digits, now[of != kind], now[of == kind], need, slips)
            if tiling is not None and len(np.unique(units[kinds == kind])) == cells:
                now = np.concatenate((now[of != kind], tiling))
                of = np.concatenate((of[of != kind], np.full(len(tiling), kind, np.int64)))
        now, of = _more(answers, apart, digits, now, of, need, slips)
    before, after = ({tuple(unit) for unit in each.tolist()} for each in (units, now))
    left = int(_unexplained(apart, now).sum()) // 2
    return Found(now, of, len(before - after), len(after - before), left)


def _tiling(
    answers: np.ndarray,
    apart: np.ndarray,
    digits: int,
    others: np.ndarray,
    kept: np.ndarray,
    need: int,
    slips: int,
) -> np.ndarray | None:
    """Units [S, S] that tile the board and explain most of what the other kinds do not; None if none do."""
    left = _unexplained(apart, others)
    sets = {tuple(unit.tolist()): _pairs(left, unit) for unit in kept}
    for unit in _cliques(apart, left, digits):
        if _pairs(left, unit) >= need // 2 and _different(answers, unit[None])[0] <= slips:
            sets[tuple(unit.tolist())] = _pairs(left, unit)
    best: tuple[int, np.ndarray] | None = None
    for cover in _covers(sets, answers.shape[1]):
        made = np.array(cover, np.int64)
        rest = _unexplained(apart, np.concatenate((others, made)))
        rest &= ~_follows(np.concatenate((others, made)), digits)
        if best is None or rest.sum() < best[0]:
            best = int(rest.sum()), made
        if best[0] <= 2 * slips:
            break
    return None if best is None else best[1]


def _more(
    answers: np.ndarray,
    apart: np.ndarray,
    digits: int,
    now: np.ndarray,
    of: np.ndarray,
    need: int,
    slips: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The units and their kinds, with all sets of cells that the boards support and no unit implies."""
    open_ = list(_cliques(apart, _unexplained(apart, now), digits))
    open_ = [unit for unit in open_ if _different(answers, unit[None])[0] <= slips]
    for _ in range(digits):
        left = _unexplained(apart, now)
        open_ = [unit for unit in open_ if _pairs(left, unit) >= need]
        if open_:
            drawn = ruled.boards(now, digits, seed=len(now), count=DRAWN)
            open_ = [unit for unit in open_ if not len(drawn) or _different(drawn, unit[None])[0]]
        if not open_:
            break
        best = max(open_, key=lambda unit: _pairs(left, unit))  # the first of equals
        now, of = np.concatenate((now, best[None])), np.append(of, of.max())
    return now, of


def _pairs(left: np.ndarray, unit: np.ndarray) -> int:
    return int(left[np.ix_(unit, unit)].sum()) // 2


def _unexplained(apart: np.ndarray, units: np.ndarray) -> np.ndarray:
    """The pairs of `apart` [N, N] that lie in no unit."""
    left = apart.copy()
    for unit in units:
        left[np.ix_(unit, unit)] = False
    return left


def _follows(units: np.ndarray, digits: int) -> np.ndarray:
    """Which pairs never agree on boards drawn under these units, bool [N, N]."""
    drawn = ruled.boards(units, digits, seed=len(units), count=DRAWN)
    if not len(drawn):
        return np.zeros((digits * digits,) * 2, bool)
    never: np.ndarray = (drawn[:, :, None] != drawn[:, None, :]).all(0)
    return never


def _covers(sets: dict[tuple[int, ...], int], cells: int) -> list[list[tuple[int, ...]]]:
    """Tilings of the board out of these sets, those that weigh most first, a few."""
    masks = {each: sum(1 << cell for cell in each) for each in sets}
    at = [sorted((s for s in sets if cell in s), key=lambda s: -sets[s]) for cell in range(cells)]
    full, looks, found = (1 << cells) - 1, 0, []
    stack: list[tuple[int, list[tuple[int, ...]]]] = [(0, [])]
    while stack and looks < _LOOKS // 10:
        looks += 1
        held, chosen = stack.pop()
        if held == full:
            found.append(chosen)
            continue
        free = [cell for cell in range(cells) if not held >> cell & 1]
        ways = [[s for s in at[cell] if not masks[s] & held] for cell in free]
        stack += [(held | masks[s], [*chosen, s]) for s in min(ways, key=len)[::-1]]
    found.sort(key=lambda cover: -sum(sets[s] for s in cover))
    return found[:_TILINGS]


def _different(answers: np.ndarray, units: np.ndarray) -> np.ndarray:
    """On how many boards each unit has a digit twice, int64 [U]."""
    ordered = np.sort(answers[:, units], axis=-1)
    twice: np.ndarray = (ordered[..., 1:] == ordered[..., :-1]).any(-1).sum(0)
    return twice


def _log_chance(boards: int, digits: int, slips: int) -> float:
    """Log of the chance that two unrelated cells agree on no more boards than that."""
    agree, differ = math.log(1 / digits), math.log1p(-1 / digits)
    terms = [
        math.log(math.comb(boards, each)) + each * agree + (boards - each) * differ
        for each in range(slips + 1)
    ]
    top = max(terms)
    return top + math.log(sum(math.exp(each - top) for each in terms))


def _pairs_needed(pair: float, cells: int, digits: int) -> int:
    """How many pairs that nothing else explains a set must have, for it to be no accident."""
    if pair >= 0:
        return cells * cells
    sets = math.lgamma(cells + 1) - math.lgamma(digits + 1) - math.lgamma(cells - digits + 1)
    return max(1, math.ceil((math.log(CHANCE) - sets) / pair))


def _cliques(apart: np.ndarray, left: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Sets of `size` cells, all apart, with a pair in `left` among them, each once; bounded."""
    near = [sum(1 << int(other) for other in np.flatnonzero(row)) for row in apart]
    new = [sum(1 << int(other) for other in np.flatnonzero(row)) for row in left]
    looks = 0
    stack: list[tuple[tuple[int, ...], int, bool]] = [
        ((cell,), near[cell] >> (cell + 1) << (cell + 1), False) for cell in reversed(range(len(apart)))
    ]
    while stack and looks < _LOOKS:
        looks += 1
        chosen, rest, fresh = stack.pop()
        if len(chosen) == size:
            if fresh:
                yield np.array(chosen, np.int64)
            continue
        if rest.bit_count() < size - len(chosen):
            continue
        held = sum(1 << cell for cell in chosen)
        while rest:
            cell = (rest & -rest).bit_length() - 1
            rest &= rest - 1
            after = near[cell] >> (cell + 1) << (cell + 1) & rest
            stack.append(((*chosen, cell), after, fresh or bool(new[cell] & held)))
