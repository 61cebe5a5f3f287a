"""A widget that shows lines: lists, trees, diffs, outputs, events. It draws the lines in view and no others.

What the lines say comes from a `Doc`; it is asked for the lines in view each time they are painted, so a
document of a hundred thousand lines costs what a screen of it costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from textual import events
from textual.strip import Strip
from textual.widget import Widget

from tui.context import Context
from tui.draw import Piece, line

Line = Sequence[Piece]


class Doc(Protocol):
    """Something with lines, laid out for a width."""

    def lay(self, cells: int) -> int:
        """Lay the lines out for so many cells; how many there are."""

    def line(self, at: int, selected: bool) -> tuple[Line, Line, str]:
        """A line: pieces at the left, pieces at the right end, the role of its ground."""


class Text:
    """A document of lines that are there already, or made for a width."""

    def __init__(self, make: Callable[[int], list[Line]]) -> None:
        self._make = make
        self._lines: list[Line] = []

    def lay(self, cells: int) -> int:
        """Make the lines."""
        self._lines = self._make(cells)
        return len(self._lines)

    def line(self, at: int, selected: bool) -> tuple[Line, Line, str]:
        """A line as it was made."""
        return self._lines[at], (), "bg"


class Lines(Widget):
    """Shows a `Doc`. With a cursor it is a list, without one a text that scrolls."""

    def __init__(self, context: Context, *, cursor: bool = False) -> None:
        super().__init__()
        self.context = context
        self.cursor = cursor
        self.at = 0
        self.top = 0
        self.count = 0
        self.active = True
        self.sticky = False
        """Stays at the end while more comes, until someone scrolls up."""
        self.clicked: Callable[[int], None] = lambda at: None
        self.scrolled: Callable[[], None] = lambda: None
        self.painted_at: float | None = None
        """When the document was painted first."""
        self._doc: Doc | None = None

    # The document --------------------------------------------------------------------------------

    def show(self, doc: Doc | None, *, keep: bool = False) -> None:
        """Show a document; `keep` says that it is the same one with news, so nothing moves."""
        self._doc = doc
        if not keep:
            self.at = self.top = 0
            self.painted_at = None
        self.lay()

    def lay(self) -> None:
        """Ask the document for its lines anew."""
        cells = self.size.width - 1
        if cells <= 0:
            self.count = 0  # not laid out: nothing to paint, and the cursor keeps the place it was given
            return
        self.count = self._doc.lay(cells) if self._doc is not None else 0
        if self.sticky:
            self.top = self.count
        self.at = max(0, min(self.at, self.count - 1))
        self._bound()
        self.refresh()

    def on_resize(self) -> None:
        """Another width: other lines."""
        self.lay()
        if self.cursor:
            self._reveal()

    # Moving --------------------------------------------------------------------------------------

    def move(self, by: int) -> None:
        """The cursor, or the text, by so many lines."""
        if self.cursor:
            self.put(self.at + by)
        else:
            self.scroll_lines(by)

    def page(self, by: int) -> None:
        """By a window."""
        self.move(by * max(1, self.size.height - 1))

    def end(self, last: bool) -> None:
        """To the first or the last line."""
        self.move(self.count if last else -self.count)

    def put(self, at: int) -> None:
        """The cursor to a line."""
        if self.size.width <= 1:
            self.at = max(0, at)
            return
        at = max(0, min(at, self.count - 1))
        before, top = self.at, self.top
        self.at = at
        self._reveal()
        if top != self.top:
            self.refresh()
        elif before != at:
            self.repaint_line(before)
            self.repaint_line(at)

    def repaint_line(self, at: int) -> None:
        """Paint one line anew."""
        from textual.geometry import Region

        if 0 <= at - self.top < self.size.height:
            self.refresh(Region(0, at - self.top, self.size.width, 1))

    def scroll_lines(self, by: int) -> None:
        """The window by so many lines."""
        before = self.top
        self.top += by
        self._bound()
        self.sticky = self.sticky and self.at_end
        if self.top != before:
            self.refresh()
        self.scrolled()

    @property
    def at_end(self) -> bool:
        """Whether the last line is in view."""
        return self.top + self.size.height >= self.count

    def _bound(self) -> None:
        self.top = max(0, min(self.top, self.count - self.size.height))

    def _reveal(self) -> None:
        if self.at < self.top:
            self.top = self.at
        elif self.at >= self.top + self.size.height:
            self.top = self.at - self.size.height + 1
        self._bound()

    # Drawing -------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """A line in view, and the scroll mark."""
        look, cells = self.context.look, self.size.width
        at = self.top + y
        if self.painted_at is None and self._doc is not None:
            self.painted_at = self.context.clock()
        mark = (self._thumb(y), look("faint"))
        if self._doc is None or at >= self.count:
            return line(cells, look(), [], [mark])
        left, right, ground = self._doc.line(at, self.cursor and at == self.at)
        return line(cells, look("text", ground), left, [*right, mark], look.g.ellipsis)

    def _thumb(self, y: int) -> str:
        height = self.size.height
        if self.count <= height or height <= 0:
            return " "
        size = max(1, height * height // self.count)
        start = (height - size) * self.top // max(1, self.count - height)
        return self.context.look.g.thumb if start <= y < start + size else " "

    # Mouse ---------------------------------------------------------------------------------------

    def on_click(self, event: events.Click) -> None:
        """A click on a line."""
        at = self.top + event.y
        if at < self.count:
            self.clicked(at)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Wheel."""
        event.stop()
        self.scroll_lines(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Wheel."""
        event.stop()
        self.scroll_lines(-3)
