"""A page of headings, labelled values and paragraphs, laid out for a width."""

from __future__ import annotations

from rich.style import Style

from tui.lines import Line
from tui.look import Look
from tui.safe_text import chop, fit, wrap

_LABEL = 13


class Page:
    """Collects lines. Every text that goes in is made safe here."""

    def __init__(self, look: Look, cells: int) -> None:
        self.look = look
        self.cells = max(12, cells - 2)
        self.lines: list[Line] = [[]]

    def gap(self) -> None:
        """An empty line, never two."""
        if self.lines and self.lines[-1]:
            self.lines.append([])

    def title(self, text: str, role: str = "text") -> None:
        """The page's own heading."""
        for part in wrap(self.look.text(text), self.cells):
            self.lines.append([(" ", self.look()), (part, self.look(role, bold=True))])

    def head(self, text: str) -> None:
        """A heading in the page."""
        self.gap()
        self.lines.append([(f" {self.look.text(text)}", self.look("accent", bold=True))])

    def text(self, text: str, role: str = "text", bold: bool = False) -> None:
        """A paragraph."""
        for part in wrap(self.look.text(text), self.cells):
            self.lines.append([(" ", self.look()), (part, self.look(role, bold=bold))])

    def field(self, label: str, value: str, role: str = "text", bold: bool = False) -> None:
        """A label and its value, nothing of it cut."""
        style: Style = self.look(role, bold=bold)
        room = max(8, self.cells - _LABEL)
        value = self.look.text(value)
        parts = chop(value, room) if " " not in value else list(wrap(value, room))
        for at, part in enumerate(parts):
            name = fit(self.look.text(label), _LABEL) if at == 0 else " " * _LABEL
            self.lines.append([(" ", self.look()), (name, self.look("muted")), (part, style)])

    def item(self, glyph: str, role: str, text: str, detail: str = "") -> None:
        """A line of a list: a shape, a text, and something beside it."""
        room = max(8, self.cells - 2)
        whole = self.look.text(text) + (f"  {self.look.text(detail)}" if detail else "")
        main = self.look.text(text)
        for at, part in enumerate(wrap(whole, room)):
            shape = (f" {glyph} ", self.look(role)) if at == 0 else ("   ", self.look())
            if at == 0 and detail and part.startswith(main):
                self.lines.append([shape, (main, self.look()), (part[len(main) :], self.look("muted"))])
            else:
                self.lines.append([shape, (part, self.look("text" if at == 0 or not detail else "muted"))])
