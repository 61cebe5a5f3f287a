"""A board as lines: what was given, what was filled in, and what is doubtful, each by a shape and a tone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tui.lab.replies import Part
from tui.lines import Line
from tui.look import ASCII, Look
from tui.safe_text import clip, width

DOUBT = 0.5
"""From this doubt on a cell is marked: it is as likely wrong as right."""


class Shown(NamedTuple):
    """What stands on a board."""

    cells: Sequence[int]
    given: Sequence[bool]
    """Which cells the question gave."""
    doubts: Sequence[float] = ()
    changed: frozenset[int] = frozenset()
    """Cells that the last cycle, or the correction, changed."""
    wrong: frozenset[int] = frozenset()
    """Cells that are not as the true answer has them."""
    at: int | None = None
    """Where the cursor is."""


def marks(look: Look) -> dict[str, tuple[str, str, str]]:
    """The marks before a cell's token: the shape, the role, the word of the legend."""
    return {
        "given": (" ", "text", "given"),
        "filled": ("·" if look.g is not ASCII else "'", "accent", "filled in"),
        "doubtful": ("?", "waiting", "doubtful"),
        "changed": ("*", "review", "changed"),
        "wrong": (look.g.cross, "failed", "not so"),
    }


def kind(shown: Shown, at: int, blank: int | None) -> str:
    """What a cell is: the key of its mark; '' for one that is still to be filled in."""
    if at in shown.wrong:
        return "wrong"
    if at in shown.changed:
        return "changed"
    if shown.given[at]:
        return "given"
    if shown.cells[at] == blank:
        return ""
    return "doubtful" if at < len(shown.doubts) and shown.doubts[at] >= DOUBT else "filled"


def board(look: Look, part: Part, shown: Shown, cells: int, lines: int) -> list[Line]:
    """The board in at most so many cells and lines; where it does not fit, the part around the cursor."""
    token = min(2, max((width(look.text(each)) for each in part.tokens), default=1))
    boxes = bool(part.box_rows)
    size, deep = token + 4, 2  # where there is room, a cell is about as high as it is wide
    if _across(part, size) + 3 > cells or _down(part, deep) + 2 > lines:
        size, deep = token + 2, 1
    if _across(part, size) + 3 > cells:
        size = token + 1
    if _across(part, size) + 3 > cells:
        size = token
    fits = _across(part, size) + 3 <= cells and _down(part, deep) + 2 <= lines
    if fits:
        rows, columns = range(part.rows), range(part.columns)
    else:
        boxes = False
        rows = _around(part.rows, lines - 2, (shown.at or 0) // part.columns)
        columns = _around(part.columns, (cells - 3) // size, (shown.at or 0) % part.columns)
    tall, wide = (part.box_rows, part.box_columns) if boxes else (0, 0)
    frame = _Frame(look, columns, size, wide)
    found = [frame.rule(0)]
    for row in rows:
        if tall and row and row % tall == 0:
            found.append(frame.rule(1))
        found.append(_row(look, part, shown, frame, row, size, token))
        if deep > 1 and (not tall or (row + 1) % tall):
            found.append(frame.blank())
    found.append(frame.rule(2))
    return found


def _across(part: Part, size: int) -> int:
    return part.columns * size + (part.columns // part.box_columns - 1 if part.box_columns else 0)


def _down(part: Part, deep: int) -> int:
    between = part.rows // part.box_rows - 1 if part.box_rows else 0
    return deep * part.rows + between


def _around(count: int, room: int, at: int) -> range:
    """At most `room` of so many, around one of them."""
    room = max(1, min(room, count))
    first = max(0, min(at - room // 2, count - room))
    return range(first, first + room)


class _Frame:
    """The rules of a board."""

    def __init__(self, look: Look, columns: range, size: int, wide: int) -> None:
        self.columns, self.size, self.wide = columns, size, wide
        self.style = look("faint" if look.sixteen else "muted")
        plain = look.g is ASCII
        self.side = "|" if plain else "│"
        self._across = "-" if plain else "─"
        self._corners = ("+++", "+++", "+++") if plain else ("┌┬┐", "├┼┤", "└┴┘")

    def breaks(self, column: int) -> bool:
        """Whether a rule stands before a column."""
        return bool(self.wide) and column != self.columns[0] and column % self.wide == 0

    def rule(self, which: int) -> Line:
        """The rule above, between or below."""
        left, middle, right = tuple(self._corners[which])
        text = left
        for column in self.columns:
            text += (middle if self.breaks(column) else "") + self._across * self.size
        return [(f" {text}{right}", self.style)]

    def blank(self) -> Line:
        """A line between two rows."""
        text = self.side
        for column in self.columns:
            text += (self.side if self.breaks(column) else "") + " " * self.size
        return [(f" {text}{self.side}", self.style)]


def _row(look: Look, part: Part, shown: Shown, frame: _Frame, row: int, size: int, token: int) -> Line:
    found: list[tuple[str, object]] = [(f" {frame.side}", frame.style)]
    known = marks(look)
    for column in frame.columns:
        at = row * part.columns + column
        what = kind(shown, at, part.blank)
        mark, role, _ = known.get(what, (" ", "faint", ""))
        here = at == shown.at
        back = "raised" if here else "bg"
        if frame.breaks(column):
            found.append((frame.side, frame.style))
        name = clip(look.text(part.tokens[shown.cells[at]]), token, "")
        if not what and not name.strip():
            name = look.g.dot
        text = name + " " * (token - width(name))
        bold = what in ("given", "wrong", "changed")
        if size > token + 2:
            found.append((" ", look("text", back)))
        if size > token:
            found.append((mark, look(role, back, bold=True)))
        elif what == "doubtful" and not here:
            text = mark + " " * (token - 1)
        found.append((text, look(role, back, bold=bold)))
        if size > token + 1:
            found.append((" " * (2 if size > token + 2 else 1), look("text", back)))
    return [*found, (frame.side, frame.style)]  # type: ignore[list-item]


def legend(look: Look, kinds: Sequence[str]) -> Line:
    """What the marks that are there mean."""
    pieces = []
    for name, (mark, role, word) in marks(look).items():
        if name in kinds:
            pieces += [
                (f" {mark}" if mark.strip() else "", look(role, bold=True)),
                (f" {word} ", look("muted")),
            ]
    return pieces
