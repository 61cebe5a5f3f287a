"""What an action printed: the end of its output, followed while it runs.

Only the end is held, so an output of any size opens at once and memory stays bounded.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path

from state.run_events import open_regular
from state.safe_text import safe_lines
from tui.lines import Line
from tui.look import Look
from tui.safe_text import chop

TAIL = 256 << 10
"""Bytes of the end that are read."""
_LINES = 10_000


class Tail:
    """The last lines of a file that may still grow."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: deque[str] = deque(maxlen=_LINES)
        self.skipped = 0
        self.problem = ""
        self._offset = 0
        self._rest = b""

    def read(self) -> bool:
        """Read what has come; True when there is something new."""
        try:
            size = self.path.stat().st_size
            if size == self._offset:
                return False
            if size < self._offset:  # begun anew
                self.lines.clear()
                self._offset, self._rest = 0, b""
            with open_regular(self.path) as file:
                if size - self._offset > TAIL:
                    self.skipped = size - TAIL
                    self._offset, self._rest = self.skipped, b""
                    self.lines.clear()
                file.seek(self._offset)
                data = file.read(TAIL)
        except FileNotFoundError:
            return False
        except OSError as error:
            self.problem = f"{self.path} cannot be read: {error.strerror or error}"
            return True
        self._offset += len(data)
        self._take(self._rest + data)
        return True

    def _take(self, data: bytes) -> None:
        whole, newline, self._rest = data.rpartition(b"\n")
        if not newline and len(self._rest) > TAIL:
            whole, self._rest = self._rest, b""
        if whole or newline:
            text = whole.decode("utf-8", "replace")
            self.lines.extend(safe_lines("\n".join(_after_return(line) for line in text.split("\n")) + "\n"))

    def all_lines(self) -> list[str]:
        """The lines, and the one that is still being written."""
        rest = safe_lines(_after_return(self._rest.decode("utf-8", "replace"))) if self._rest else []
        return [*self.lines, *rest]


def _after_return(line: str) -> str:
    """What a terminal would show of a progress line that was written over itself."""
    return line.removesuffix("\r").rpartition("\r")[2]


class OutputDoc:
    """Draws the lines of an output, wrapped."""

    def __init__(self, lines: list[str], look: Look, note: str) -> None:
        self._lines, self._look, self._note = lines, look, note
        self._rows: list[str] = []

    def lay(self, cells: int) -> int:
        """Wrap for a width."""
        self._rows = []
        for text in self._lines:
            if len(text) <= cells - 1 and text.isascii():
                self._rows.append(text)
            else:
                self._rows.extend(chop(text, cells - 1))
        return len(self._rows) + 1

    def line(self, at: int, selected: bool) -> tuple[Line, Line, str]:
        """A row."""
        look = self._look
        if at == 0:
            return [(" ", look()), (look.text(self._note), look("faint"))], (), "bg"
        return [(" ", look()), (look.text(self._rows[at - 1]), look("text"))], (), "bg"
