"""A diff by the line: read from the very bytes that a proposal names, coloured, wrapped and complete.

Long lines are wrapped, never cut, and characters that would hide something are shown as marks: what is
approved has to be what was seen.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from state.blobs import BlobDamaged, Blobs
from state.safe_text import safe_lines
from tui.lines import Line
from tui.look import Look
from tui.safe_text import chop, width

MOST = 16 << 20
"""Bytes of a diff that are shown; of a larger one the screen says that it is not all there."""


class Kind(NamedTuple):
    """How a kind of line is drawn: role, ground, weight."""

    role: str
    ground: str = "bg"
    bold: bool = False


FILE = Kind("text", "bar", bold=True)
NAME = Kind("text", bold=True)
META = Kind("faint")
HUNK = Kind("accent")
SAME = Kind("muted")
ADDED = Kind("add", "add_bg")
REMOVED = Kind("drop", "drop_bg")

_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")


@dataclass(frozen=True)
class Diff:
    """The lines of a diff and what they add up to, or why not all of it is there."""

    lines: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ()
    added: int = 0
    removed: int = 0
    files: int = 0
    problem: str = ""


def load(blobs: Blobs, name: str) -> Diff:
    """Read a diff by its blob's name; the bytes are held against the name."""
    try:
        return parse(blobs.get(name))
    except BlobDamaged as error:
        return Diff(problem=str(error))


def parse(data: bytes) -> Diff:
    """The lines of a diff and their kinds.

    A hunk says how many lines it has, so that a changed line which looks like a header is not taken for one.
    """
    problem = ""
    if len(data) > MOST:
        data = data[:MOST]
        problem = f"The diff is larger than {MOST >> 20} MB and not all of it is shown: o opens it"
    lines = safe_lines(data.decode("utf-8", "replace"))
    kinds: list[Kind] = []
    old = new = 0  # lines of the hunk that are still to come
    for text in lines:
        first = text[:1]
        if (old > 0 or new > 0) and first in ("+", "-", " ", ""):
            kinds.append(ADDED if first == "+" else REMOVED if first == "-" else SAME)
            old -= first != "+"
            new -= first != "-"
        elif found := _HUNK.match(text):
            old, new = (int(count) if count is not None else 1 for count in found.groups())
            kinds.append(HUNK)
        elif text.startswith("diff --git "):
            kinds.append(FILE)
        else:
            kinds.append(NAME if text.startswith(("+++ ", "--- ")) else META)
    counts = Counter(kinds)
    return Diff(tuple(lines), tuple(kinds), counts[ADDED], counts[REMOVED], counts[FILE], problem)


class DiffDoc:
    """Draws a `Diff`."""

    def __init__(self, diff: Diff, look: Look) -> None:
        self.diff = diff
        self._look = look
        self._cells = 0
        self._rows: list[tuple[int, int]] = []

    def lay(self, cells: int) -> int:
        """Wrap for a width: one row for each part of a line."""
        if cells != self._cells:
            self._cells = cells
            self._rows = []
            for at, text in enumerate(self.diff.lines):
                parts = 1 if width(text) <= cells else len(chop(text, cells))
                self._rows.extend((at, part) for part in range(parts))
        return len(self._rows) + bool(self.diff.problem)

    def line(self, at: int, selected: bool) -> tuple[Line, Line, str]:
        """A row: its text in the colour of its kind."""
        look = self._look
        if at >= len(self._rows):
            return [(look.text(self.diff.problem), look("failed", bold=True))], (), "bg"
        index, part = self._rows[at]
        text, kind = self.diff.lines[index], self.diff.kinds[index]
        shown = chop(text, self._cells)[part]
        return [(look.text(shown), look(kind.role, kind.ground, bold=kind.bold))], (), kind.ground
