"""What a model says, by the line: who is asked, what it thinks, its reply, and what goes wrong between.

Text is added as it comes. What was laid out stays: news costs what the news is, at 30 tokens a second too.
"""

from __future__ import annotations

from state.safe_text import safe_lines
from state.stream import Piece
from tui.lines import Line
from tui.look import Look
from tui.safe_text import chop

_MOST = 20_000
"""Lines that are kept: more than a model says in one call, and a screen of them costs the same."""


class TalkDoc:
    """Draws pieces of a stream: thinking dimmed behind an edge, the reply plain, `call` and `note` marked."""

    def __init__(self, look: Look, note: str = "") -> None:
        self._look = look
        self.note = note
        self._sort = ""
        self._tail = ""  # of the last line, while it has no end
        self._lines: list[tuple[str, str]] = []  # sort and text of each whole line
        self._rows: list[tuple[str, str]] = []
        self._laid = 0  # lines that are laid out already
        self._cells = 0
        self.lost = 0

    def add(self, pieces: list[Piece]) -> None:
        """Take what has come."""
        for sort, text in pieces:
            if sort != self._sort:
                self._close()
                if self._sort not in ("", "call"):
                    self._lines.append(("", ""))
                self._sort = sort
            *whole, self._tail = (self._tail + text).split("\n")
            self._keep(whole)
            if sort in ("call", "note"):
                self._close()

    def _close(self) -> None:
        if self._tail:
            self._keep([self._tail])
            self._tail = ""

    def _keep(self, lines: list[str]) -> None:
        room = max(0, _MOST - len(self._lines))
        self.lost += max(0, len(lines) - room)
        self._lines += [(self._sort, (safe_lines(text) or [""])[0]) for text in lines[:room]]

    # As a document -------------------------------------------------------------------------------

    def lay(self, cells: int) -> int:
        """Wrap for a width."""
        if cells != self._cells:
            self._cells, self._laid, self._rows = cells, 0, []
        for sort, text in self._lines[self._laid :]:
            self._rows += [(sort, part) for part in chop(text, cells - 3)]
        self._laid = len(self._lines)
        return len(self._rows) + len(self._open()) + 1

    def _open(self) -> list[tuple[str, str]]:
        text = (safe_lines(self._tail) or [""])[0] if self._tail else ""
        return [(self._sort, part) for part in chop(text, self._cells - 3)] if text else []

    def line(self, at: int, selected: bool) -> tuple[Line, Line, str]:
        """A row."""
        look = self._look
        if at == 0:
            return [(" ", look()), (look.text(self.note), look("faint"))], (), "bg"
        rows = self._rows
        sort, text = rows[at - 1] if at <= len(rows) else self._open()[at - 1 - len(rows)]
        text = look.text(text)
        match sort:
            case "think":
                return [(f" {look.g.box[5]} ", look("faint")), (text, look("faint", italic=True))], (), "bg"
            case "call":
                return [(f" {look.g.shut} ", look("accent")), (text, look("accent", bold=True))], (), "bg"
            case "note":
                return [(f" {look.g.warn} ", look("waiting")), (text, look("waiting"))], (), "bg"
        return [("   ", look()), (text, look("text"))], (), "bg"
