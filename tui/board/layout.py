"""How wide each column is. Where six full columns do not fit, the ones around the cursor stay full and the
others become strips of glyph and number, so that the whole board stays in view down to 80 cells.
"""

from __future__ import annotations

from typing import NamedTuple

FULL, STRIP = 26, 9
"""The least width of a full column; the width of a strip."""


class Span(NamedTuple):
    """Where a column stands."""

    x: int
    width: int
    full: bool


def spans(cells: int, columns: int, focus: int, first: int) -> tuple[list[Span], int]:
    """The columns in so many cells, and which one is the first full one.

    `first` is the first full column so far: it moves only as far as the cursor needs it.
    """
    fulls = max(1, min(columns, (cells - columns * STRIP) // (FULL - STRIP)))
    first = max(focus - fulls + 1, min(first, focus))
    first = max(0, min(first, columns - fulls))
    room = cells - (columns - fulls) * STRIP
    out: list[Span] = []
    x = 0
    for at in range(columns):
        full = first <= at < first + fulls
        nth = at - first
        size = room * (nth + 1) // fulls - room * nth // fulls if full else STRIP
        size = max(0, min(size, cells - x))
        out.append(Span(x, size, full))
        x += size
    return out, first
