"""Lines of cells out of styled pieces: everything on the screen is made here.

A piece's text has to be safe already (`Look.text`); a line always has exactly the width it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.safe_text import clip, width

Piece = tuple[str, Style]


def line(
    cells: int, ground: Style, left: Iterable[Piece], right: Sequence[Piece] = (), ellipsis: str = "…"
) -> Strip:
    """Pieces from the left, pieces at the right end, ground between; the left gives way."""
    return Strip(segments(cells, ground, left, right, ellipsis), cells)


def segments(
    cells: int, ground: Style, left: Iterable[Piece], right: Sequence[Piece] = (), ellipsis: str = "…"
) -> list[Segment]:
    """As `line`, for putting several side by side."""
    taken = sum(width(text) for text, _ in right)
    if taken > cells:
        right, taken = (), 0
    room = cells - taken
    out: list[Segment] = []
    for text, style in left:
        size = width(text)
        if size > room:
            text = clip(text, room, ellipsis)
            size = width(text)
            if size:
                out.append(Segment(text, style))
            room -= size
            break
        if size:
            out.append(Segment(text, style))
            room -= size
    if room:
        out.append(Segment(" " * room, ground))
    out.extend(Segment(text, style) for text, style in right if text)
    return out
