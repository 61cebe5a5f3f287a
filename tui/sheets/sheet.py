"""The one overlay of a screen, and what it may show.

A sheet takes every key from the moment it is asked for, before it is painted: keys typed ahead cannot
reach the screen below, and a sheet that decides something can tell a key meant for it from an older one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from textual import events
from textual.geometry import Offset
from textual.strip import Strip
from textual.widget import Widget

from tui.context import Context
from tui.draw import line
from tui.look import Look
from tui.safe_text import width


class Sheet(ABC):
    """What is shown and what a key does to it."""

    title = ""
    cells = 64
    """How wide it would like to be, its frame included."""

    def __init__(self) -> None:
        self.close: Callable[[], None] = lambda: None
        self.painted_at: float | None = None

    @abstractmethod
    def lines(self, look: Look, cells: int, rows: int) -> list[Strip]:
        """Its content in so many cells, at most so many rows."""

    @abstractmethod
    def key(self, name: str, character: str | None) -> None:
        """Take a key."""

    def paste(self, text: str) -> None:  # noqa: B027
        """Take pasted text."""

    def clicked(self, row: int) -> None:  # noqa: B027
        """A click on one of its lines."""

    def wheel(self, by: int) -> None:  # noqa: B027
        """The wheel was turned over it."""


class SheetView(Widget):
    """Draws the sheet that is shown, in a frame, in the middle."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self.sheet: Sheet | None = None
        self._content: list[Strip] = []

    def show(self, sheet: Sheet | None) -> None:
        """Show a sheet, or none."""
        self.sheet = sheet
        self.display = sheet is not None
        if sheet is not None:
            self.sync()

    def on_mount(self) -> None:
        """A sheet may have been asked for before there was a screen to lay it on."""
        self.sync()

    def sync(self) -> None:
        """Draw what the sheet says now."""
        if self.sheet is None or not self.is_attached:
            return
        across, down = self.screen.size
        cells = max(20, min(self.sheet.cells, across - 2))
        self._content = self.sheet.lines(self.context.look, cells - 4, max(3, down - 6))
        rows = len(self._content) + 2
        self.styles.width, self.styles.height = cells, rows
        place = Offset((across - cells) // 2, max(0, (down - rows) // 3))
        self.styles.offset = (place.x, place.y)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """A line of the frame or of the content."""
        look, cells = self.context.look, self.size.width
        edge, ground = look("accent", "card"), look("text", "card")
        tl, tr, bl, br, across, down = tuple(look.g.box)
        if self.sheet is None:
            return Strip.blank(cells, ground)
        if y == 0:
            title = look.clip(self.sheet.title, cells - 6)
            rest = across * (cells - 5 - width(title))
            pieces = [
                (f"{tl}{across} ", edge),
                (title, look("text", "card", bold=True)),
                (f" {rest}{tr}", edge),
            ]
            return line(cells, ground, pieces)
        if y > len(self._content):
            if self.sheet.painted_at is None:
                self.sheet.painted_at = self.context.clock()
            return line(cells, edge, [(bl + across * (cells - 2) + br, edge)])
        inner = self._content[y - 1]
        start = Strip([*line(2, ground, [(down + " ", edge)])], 2)
        end = Strip([*line(2, ground, [(" " + down, edge)])], 2)
        return Strip.join([start, inner, end])

    def on_click(self, event: events.Click) -> None:
        """Hand a click on a line to the sheet."""
        event.stop()
        if self.sheet is not None and 0 < event.y <= len(self._content):
            self.sheet.clicked(event.y - 1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Wheel."""
        event.stop()
        self._wheel(1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Wheel."""
        event.stop()
        self._wheel(-1)

    def _wheel(self, by: int) -> None:
        if self.sheet is not None:
            self.sheet.wheel(by)
            self.sync()
