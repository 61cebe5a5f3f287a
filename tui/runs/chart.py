"""Curves in dots: each cell of a terminal holds two by four of them, so a small window shows a lot.

A curve is reduced to columns of dots: its first and last value in each, the least and the greatest, so that a
spike of one step in a million is seen. What was reduced stays while points are only added at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from state.curve import Point, Series
from state.run_view import Threshold
from tui.lines import Line
from tui.look import ASCII, Look
from tui.safe_text import width

_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Of a braille character, by row and column of the dot."""
_MARKS = ("*", "o")  # where there is no braille
_GUTTER = 7  # cells for the labels of the values
_SLACK = 16  # the axis grows in steps of this part, so that the columns stay for a while


class Columns:
    """A series over so many columns of dots between two steps."""

    def __init__(self, series: Series) -> None:
        self.series = series
        self.cells: list[list[float] | None] = []
        """First, last, least and greatest value of each column."""
        self._of: tuple[float, float, int] = (0.0, 0.0, 0)
        self._epoch = -1
        self._seen = 0

    def update(self, begin: float, end: float, count: int) -> None:
        """Bring the columns up to date: what was added costs what it is, another window costs them all."""
        series = self.series
        new = series.count - self._seen
        points: Iterable[Point]
        if (begin, end, count) == self._of and series.epoch == self._epoch and new <= len(series.recent):
            points = list(series.recent)[len(series.recent) - new :] if new else ()
        else:
            self.cells = [None] * count
            points = series.since(begin)
        self._of, self._epoch, self._seen = (begin, end, count), series.epoch, series.count
        scale, cells, last = (count - 1) / (end - begin) if end > begin else 0.0, self.cells, count - 1
        for step, value in points:
            at = int((step - begin) * scale + 0.5)
            if not 0 <= at <= last:
                continue
            cell = cells[at]
            if cell is None:
                cells[at] = [value, value, value, value]
            else:
                cell[1] = value
                if value < cell[2]:
                    cell[2] = value
                elif value > cell[3]:
                    cell[3] = value

    def reach(self) -> tuple[float, float] | None:
        """The least and the greatest value in the window."""
        found = [cell for cell in self.cells if cell is not None]
        return (min(cell[2] for cell in found), max(cell[3] for cell in found)) if found else None


class Curve(NamedTuple):
    """A series as it is to be drawn."""

    word: str
    role: str
    columns: Columns
    dashed: bool
    """Measured now and then: the points are marked and what lies between them is only hinted at."""


class Axis(NamedTuple):
    """The values of a chart, from the bottom to the top."""

    low: float
    high: float
    log: bool

    def row(self, value: float, rows: int) -> int:
        """The row of dots of a value, 0 at the top; outside of the axis the nearest."""
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            value = math.log(value) if value > 0 else low
        else:
            low, high = self.low, self.high
        at = (high - value) / (high - low) * (rows - 1)
        return max(0, min(rows - 1, int(at + 0.5)))

    def at(self, share: float) -> float:
        """The value so far up the axis, 0 to 1."""
        if self.log:
            return math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        return self.low + share * (self.high - self.low)


def axis(curves: Sequence[Curve], bound: float | None, log: bool) -> Axis | None:
    """The axis that holds all curves and the bound; None where there is nothing to hold.

    What is not above zero has no logarithm, and is drawn on a plain axis whatever is asked.
    """
    reaches = [reach for curve in curves if (reach := curve.columns.reach())]
    if not reaches:
        return None
    low, high = min(reach[0] for reach in reaches), max(reach[1] for reach in reaches)
    if bound is not None:
        low, high = min(low, bound), max(high, bound)
    by_log = log and low > 0
    if high <= low or (by_log and math.log(high) <= math.log(low)):
        pad = abs(low) * 0.1 or 1.0
        low, high = low - pad, high + pad
        by_log = by_log and low > 0
    return Axis(low, high, by_log)


def window(first: float, last: float, *, part: float, grows: bool) -> tuple[float, float]:
    """The steps to show: all, or the last part of them.

    While a run goes on, the end lies a little ahead and moves now and then, not with each step.
    """
    span = max(last - first, 1.0)
    if grows:
        unit = 2.0 ** math.floor(math.log2(span)) / _SLACK
        last = first + math.ceil(span / unit) * unit
        span = last - first
    return (first if part >= 1 else last - span * part), last


# Drawing ---------------------------------------------------------------------------------------------


class Ask(NamedTuple):
    """What a chart is to show."""

    name: str
    curves: tuple[Curve, ...]
    bound: Threshold | None
    begin: float
    end: float
    log: bool
    lost: int
    """Values that were no numbers."""
    unit: str


def chart(look: Look, ask: Ask, cells: int, height: int) -> list[Line]:
    """A chart in exactly so many lines: a title with its legend, the plot, the steps below."""
    rows = max(1, height - 2)
    inner = max(4, cells - _GUTTER - 2)
    for curve in ask.curves:
        curve.columns.update(ask.begin, ask.end, 2 * inner)
    found = axis(ask.curves, ask.bound.value if ask.bound else None, ask.log)
    lines = [_title(look, ask, found, cells)]
    if found is None:
        said: list[Line] = [[] for _ in range(height - 1)]
        said[(rows - 1) // 2] = [(" " * _GUTTER, look()), ("no value yet", look("faint"))]
        return [*lines, *said]
    labels = _labels(found, ask.bound, rows)
    bits, owners = _dots(ask.curves, found, inner, rows)
    bound_at = found.row(ask.bound.value, rows * 4) // 4 if ask.bound else -1
    edge = "|" if look.g is ASCII else "│"
    for row in range(rows):
        text, role = labels.get(row, ("", "faint"))
        bound = _bound_role(ask) if row == bound_at else ""
        head: Line = [(f"{text:>{_GUTTER}}", look(role)), (edge, look("line"))]
        lines.append([*head, *_row(look, ask.curves, bits[row], owners[row], bound)])
    lines.append(_steps(look, ask, inner))
    return lines


def _labels(found: Axis, bound: Threshold | None, rows: int) -> dict[int, tuple[str, str]]:
    labels = {rows - 1: (_label(found.low), "faint"), 0: (_label(found.high), "faint")}
    if rows >= 5:
        middle = (rows - 1) // 2
        labels[middle] = (_label(found.at(1 - (middle + 0.5) / rows)), "faint")
    if bound is not None:
        labels[found.row(bound.value, rows * 4) // 4] = (_label(bound.value), "text")
    return labels


def _label(value: float) -> str:
    text = figure(value, 3)
    return text if len(text) <= _GUTTER else f"{value:.0e}"


def _dots(
    curves: Sequence[Curve], found: Axis, cells: int, rows: int
) -> tuple[list[list[int]], list[list[int]]]:
    """Which dots of each cell are set, and by which curve last."""
    bits = [[0] * cells for _ in range(rows)]
    owners = [[0] * cells for _ in range(rows)]
    height, row_of = rows * 4, found.row

    def fill(x: int, top: int, bottom: int, owner: int) -> None:
        cell, side = x >> 1, x & 1
        for y in range(top, bottom + 1):
            bits[y >> 2][cell] |= _BITS[y & 3][side]
            owners[y >> 2][cell] = owner

    for owner, curve in enumerate(curves):
        before, at_before = -1, 0
        for x, cell in enumerate(curve.columns.cells):
            if cell is None:
                continue
            first, last, top, bottom = (row_of(cell[n], height) for n in (0, 1, 3, 2))
            if 0 <= before == x - 1 and not curve.dashed:
                top, bottom = min(top, max(first, at_before)), max(bottom, min(first, at_before))
                if at_before < top:
                    top = at_before + 1
                elif at_before > bottom:
                    bottom = at_before - 1
            elif before >= 0:
                _join(fill, (before, at_before), (x, first), owner, curve.dashed)
            fill(x, top, bottom, owner)
            if curve.dashed:  # a point that was measured is a block
                for y in (first, min(height - 1, first + 1)):
                    fill(x & ~1, y, y, owner)
                    fill(x | 1, y, y, owner)
            before, at_before = x, last
    return bits, owners


def _join(
    fill: Callable[[int, int, int, int], None],
    start: tuple[int, int],
    end: tuple[int, int],
    owner: int,
    dashed: bool,
) -> None:
    (x0, y0), (x1, y1) = start, end
    before = y0
    for x in range(x0 + 1, x1):
        y = y0 + round((y1 - y0) * (x - x0) / (x1 - x0))
        if not dashed or x % 4 < 3:
            fill(x, min(y, before + 1) if y > before else y, max(y, before - 1) if y < before else y, owner)
        before = y


def _row(look: Look, curves: Sequence[Curve], bits: list[int], owners: list[int], bound: str) -> Line:
    plain = look.g is ASCII
    through = ("-" if plain else "╌") if bound else " "
    pieces: list[tuple[str, str]] = []
    text, role = "", bound
    for at, dots in enumerate(bits):
        if dots:
            wanted = curves[owners[at]].role
            char = _MARKS[owners[at] % 2] if plain else chr(0x2800 + dots)
        else:
            wanted, char = bound, through
        if wanted != role and text:
            pieces.append((text, role))
            text = ""
        role = wanted
        text += char
    pieces.append((text, role))
    return [(text, look(role or "text")) for text, role in pieces]


def _bound_role(ask: Ask) -> str:
    return "landed" if met(ask) else "waiting"


def met(ask: Ask) -> bool | None:
    """Whether the newest value reaches the bound: the held-out one where there is one; None: not known."""
    if ask.bound is None:
        return None
    for curve in reversed(ask.curves):
        if curve.columns.series.last is not None:
            return ask.bound.met(curve.columns.series.last[1])
    return None


def _title(look: Look, ask: Ask, found: Axis | None, cells: int) -> Line:
    """The name, a legend with the newest values, and the goal: in fewer words where there is no room."""
    for brief in range(3):
        pieces = [(f" {look.clip(ask.name, max(8, cells // 3))}", "text", True)]
        if found is not None and found.log:
            pieces.append((" log", "faint", False))
        for curve in ask.curves:
            last = curve.columns.series.last
            shape = (("==", "o-") if look.g is ASCII else ("━━", "╍╍"))[curve.dashed]
            pieces.append((f"  {shape} ", curve.role, False))
            pieces.append((f"{curve.word} " if brief < 2 else "", "muted", False))
            pieces.append((figure(last[1]) if last else look.g.dash, "text", False))
        if ask.bound is not None:
            signs = ("<=", ">=") if look.g is ASCII else ("≤", "≥")
            shapes = {True: (look.g.tick, " met"), False: (look.g.cross, " not yet"), None: (look.g.dash, "")}
            shape, word = shapes[met(ask)]
            goal = f"  goal {signs[ask.bound.least is not None]} {figure(ask.bound.value)} {shape}"
            pieces.append((goal + (word if brief < 1 else ""), _bound_role(ask), False))
        if ask.lost:
            pieces.append((f"  {look.g.warn} {ask.lost:,} no number", "failed", True))
        if sum(width(text) for text, _, _ in pieces) <= cells:
            break
    return [(text, look(role, bold=bold)) for text, role, bold in pieces]


def _steps(look: Look, ask: Ask, inner: int) -> Line:
    begin, end = f"{ask.begin:,.0f}", f"{ask.end:,.0f} {ask.unit}".rstrip()
    room = inner - width(begin) - width(end)
    if room < 1:
        begin, room = "", max(0, inner - width(end))
    return [(" " * (_GUTTER + 1), look()), (begin + " " * room + end, look("faint"))]


def figure(value: float, digits: int = 4) -> str:
    """A value in few cells: `0.4123`, `12.3`, `24.1k`, `1.2e-5`."""
    size = abs(value)
    if size and (size >= 1e9 or size < 1e-3):
        head, _, tail = f"{value:.1e}".partition("e")
        return f"{head}e{int(tail)}"
    for unit, word in ((1e6, "M"), (1e4, "k")):
        if size >= unit:
            return f"{value / (1e3 if word == 'k' else unit):.3g}{word}"
    return f"{value:,.0f}" if size >= 1000 else f"{value:.{digits}g}"
