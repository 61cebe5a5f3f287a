"""Charts and tables as plain text of at most 80 columns, for a terminal: braille lines, blocks as bars."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

import numpy as np

from model.report.chart import Limit, Series, finite, log_ticks, number_text, span, ticks
from model.report.words import COLUMNS, plain

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a braille cell, by row and column
_EIGHTHS = " ▏▎▍▌▋▊▉"
_PROSE = 24  # characters; a last column that is wider holds sentences
_MARGIN = 9  # columns for the numbers of the axis


def lines(
    line: Series | None,
    points: Series | None,
    x_label: str,
    limit: Limit | None = None,
    log: bool = False,
    rows: int = 12,
) -> list[str]:
    """One series as a braille line, one as `o`, a limit as a row of dashes, and a legend."""
    there = [each for each in (line, points) if each is not None and len(each.x)]
    known = [finite(each) for each in there]
    ys = np.concatenate(
        [y for _, y in known] + ([np.array([limit.value])] if limit and there else [np.zeros(0)])
    )
    if not len(ys) or not any(len(x) for x, _ in known):
        return ["  no values were written"]
    log = log and bool((ys > 0).all())
    low, high = span(np.log10(ys) if log else ys, pad=0.04)
    left, right = span(np.concatenate([x for x, _ in known]), pad=0)
    wide = COLUMNS - _MARGIN - 2
    cells = np.zeros((rows, wide), dtype=np.int64)
    marks: dict[tuple[int, int], str] = {}

    def row_of(value: float, parts: int) -> int:
        share = ((math.log10(value) if log else value) - low) / (high - low)
        return min(parts - 1, max(0, round((1 - share) * (parts - 1))))

    if limit:
        marks |= {(row_of(limit.value, rows), column): "╌" for column in range(wide)}
    for one, (x, y) in zip(there, known, strict=True):
        if one is line and len(x) > 1:  # between two points there is a line, too
            between = np.union1d(x, np.linspace(x[0], x[-1], 2 * wide))
            drawn = np.interp(between, x, np.log10(y) if log else y)
            x, y = between, 10**drawn if log else drawn
        column = np.round((x - left) / (right - left) * (2 * wide - 1)).astype(int)
        if one is points:
            marks |= {(row_of(float(v), rows), int(c) // 2): "o" for c, v in zip(column, y, strict=True)}
            continue
        before: int | None = None
        for at in np.unique(column):
            inside = [row_of(float(v), 4 * rows) for v in y[column == at]]
            top, bottom = min(inside), max(inside)
            if before is not None:  # joined with the dot to the left
                top, bottom = min(top, before), max(bottom, before)
            for dot in range(top, bottom + 1):
                cells[dot // 4, at // 2] |= _DOTS[dot % 4][at % 2]
            before = inside[-1]
    names = _names(low, high, log, rows)
    out = []
    for number in range(rows):
        row = [
            marks.get((number, at)) or (chr(0x2800 + int(dots)) if dots else " ")
            for at, dots in enumerate(cells[number])
        ]
        out.append(f"{names.get(number, ''):>{_MARGIN - 1}} ┤" + "".join(row).rstrip())
    out.append(" " * _MARGIN + "└" + "─" * wide)
    first, last = (f"{value:,.0f}" if right - left >= 10 else f"{value:g}" for value in (left, right))
    out.append(" " * (_MARGIN + 1) + first + plain(x_label, 30).center(wide - len(first) - len(last)) + last)
    legend = [f"{'o' if one is points else '⠒⠒'} {plain(one.name, 24)}" for one in there]
    legend += [f"╌╌ {plain(limit.name, 24)} {number_text(limit.value)}"] if limit else []
    return [*out, (" " * (_MARGIN + 1) + "   ".join(legend))[:COLUMNS]]


def bars(
    names: Sequence[str], values: Sequence[float], most: float | None = None, tails: Sequence[str] = ()
) -> list[str]:
    """A bar for each value with its number; `tails` stand behind the numbers."""
    top = most or max([*(v for v in values if math.isfinite(v)), 1e-9])
    label = min(20, max((len(plain(name)) for name in names), default=0))
    tail = max((len(each) for each in tails), default=0)
    room = COLUMNS - 2 - label - 1 - 9 - (tail + 1 if tail else 0)
    out = []
    for number, (name, value) in enumerate(zip(names, values, strict=True)):
        eighths = round(max(0.0, min(value / top, 1.0)) * room * 8) if math.isfinite(value) else 0
        bar = "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
        text = number_text(value) if math.isfinite(value) else "-"
        behind = f" {plain(tails[number], tail)}" if tails else ""
        out.append(f"  {plain(name, label):<{label}} {bar:<{room}} {text:>7}{behind}".rstrip())
    return out


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table of at most 80 columns: the first left, the others right, a last one of sentences wrapped.

    Cells are cut where that is not enough.
    """
    cells = [[plain(each) for each in row] for row in [head, *rows]]
    last = len(head) - 1
    prose = last > 0 and any(len(row[last]) > _PROSE for row in cells)
    widths = [max(len(row[at]) for row in cells) for at in range(len(head))]
    if prose:
        widths[last] = max(_PROSE, COLUMNS - sum(widths[:last]) - 2 * len(widths))
    while sum(widths) + 2 * len(widths) > COLUMNS:
        widths[widths.index(max(widths))] -= 1
    out = []
    for number, row in enumerate(cells):
        if not any(row):  # a table without a head
            continue
        tails = textwrap.wrap(row[last], widths[last]) if prose else [plain(row[last], widths[last])]
        for line, tail in enumerate(tails or [""]):
            front = [
                "" if line else plain(each, wide) for each, wide in zip(row[:last], widths, strict=False)
            ]
            placed = [f"{each:>{wide}}" for each, wide in zip(front, widths, strict=False)]
            placed[:1] = [each.strip().ljust(widths[0]) for each in placed[:1]]
            placed.append(tail if prose or not last else f"{tail:>{widths[last]}}")
            out.append(("  " + "  ".join(placed)).rstrip())
        if not number:
            out.append("  " + "  ".join("─" * width for width in widths))
    return out


def _names(low: float, high: float, log: bool, rows: int) -> dict[int, str]:
    found: dict[int, str] = {}
    for value, name in log_ticks(low, high) if log else ticks(low, high, about=4):
        share = ((math.log10(value) if log else value) - low) / (high - low)
        found.setdefault(min(rows - 1, max(0, round((1 - share) * (rows - 1)))), name[: _MARGIN - 1])
    return found
