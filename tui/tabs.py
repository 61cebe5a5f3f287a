"""One line of tabs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.strip import Strip

from tui.bars import Bar
from tui.context import Context
from tui.draw import Piece, line
from tui.safe_text import width


class TabBar(Bar):
    """Names, one of which is open; a click opens another."""

    def __init__(self, context: Context, names: Sequence[str], opened: Callable[[int], None]) -> None:
        super().__init__(context)
        self.names = list(names)
        self.at = 0
        self.note: tuple[Piece, ...] = ()
        self._opened = opened

    def value(self) -> object:
        """Names and the open one."""
        return self.context.look, tuple(self.names), self.at, self.note

    def render_line(self, y: int) -> Strip:
        """The line."""
        look, cells = self.context.look, self.size.width
        self._spots.clear()
        pieces: list[Piece] = []
        gap = " " if sum(width(look.text(name)) + 2 for name in self.names) <= cells else ""
        at = 0
        for index, name in enumerate(self.names):
            here = index == self.at
            back = "raised" if here and len(self.names) > 1 else "bg"
            text = f" {look.text(name)}{gap}"
            pieces.append((text, look("text" if here else "muted", back, bold=here)))
            self.spot(at, at + width(text), str(index))
            at += width(text)
        return line(cells, look(), pieces, self.note if at < cells - 16 else (), look.g.ellipsis)

    def clicked(self, what: str) -> None:
        """A tab."""
        self._opened(int(what))
