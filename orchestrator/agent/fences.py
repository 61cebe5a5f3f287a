"""Fenced code in the text of a model: where it opens and closes, and when that can't be told.

Pure and linear in the length of the text. A fence is closed by a bare one of its sign, at its indentation and
at least as long. One with a language inside opens another, which has to be closed first: that is how models
write a file that holds fences itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_FENCE = re.compile(r"([ \t]{0,16})(`{3,64}|~{3,64})[ \t]{0,16}([^`]{0,80})\Z")


@dataclass(frozen=True)
class Mark:
    """A line that is a fence."""

    indent: str
    sign: str  # the backticks or tildes themselves
    info: str  # the language, or what else stands behind; '' for a bare one


@dataclass(frozen=True)
class Fence:
    """A fenced part: the lines `first` to `end - 1` of the text stand in it."""

    mark: Mark
    first: int
    end: int  # the line that closes it; the length of the text where none does
    closed: bool


def mark(line: str) -> Mark | None:
    """What a line is as a fence, if it is one."""
    found = _FENCE.match(line.rstrip()) if "```" in line or "~~~" in line else None
    return Mark(found[1], found[2], found[3].strip()) if found else None


def fenced(lines: Sequence[str], at: int, stop: int | None = None) -> Fence | None:
    """The fence that opens at a line, if one does; looked for no further than line `stop`."""
    opening = mark(lines[at])
    if opening is None:
        return None
    end = len(lines) if stop is None else stop
    depth = 1
    for number in range(at + 1, end):
        inner = mark(lines[number])
        if inner is None or not _meets(opening, inner):
            continue
        depth += 1 if inner.info else -1
        if not depth:
            return Fence(opening, at + 1, number, True)
    return Fence(opening, at + 1, end, False)


def doubtful(lines: Sequence[str], fence: Fence, stop: int) -> bool:
    """Whether a fence may go on behind its end: the next one there, before `stop`, is bare as well.

    A file that holds a bare fence closes the one around it too early; what follows then begins with its rest.
    """
    for number in range(fence.end + 1, stop):
        after = mark(lines[number])
        if after is not None and _meets(fence.mark, after):
            return not after.info
    return False


def inside(lines: Sequence[str], fence: Fence) -> list[str]:
    """The lines in a fence, without the indentation that the fence itself has."""
    margin = fence.mark.indent
    return [line.removeprefix(margin) if margin else line for line in lines[fence.first : fence.end]]


def _meets(opening: Mark, other: Mark) -> bool:
    """Whether a fence inside another could close it, or open one of its kind."""
    return other.indent == opening.indent and other.sign.startswith(opening.sign)
