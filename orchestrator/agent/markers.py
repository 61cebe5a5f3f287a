"""SEARCH/REPLACE blocks in the text of a model.

    <<<<<<< SEARCH
    lines as they stand
    =======
    what comes in their place
    >>>>>>> REPLACE

Pure and linear in the length of the text. The marks have 5 to 9 signs; where the text itself holds lines that
look like them, the marks are those of the first one's length. What can't be told for sure is `Torn`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

FORM = """\
<<<<<<< SEARCH
lines exactly as they stand in the file
=======
the lines that come in their place
>>>>>>> REPLACE"""

_OPEN = re.compile(r"([ \t]*)(<{5,9})[ \t]*(?:SEARCH|ORIGINAL|OLD)\b[ \t:]*\Z", re.IGNORECASE)
_PART = re.compile(r"[ \t]*(={5,9})[ \t]*\Z")
_CLOSE = re.compile(r"[ \t]*(>{5,9})[ \t]*(?:REPLACE|UPDATED|NEW)\b[ \t:]*\Z", re.IGNORECASE)


class Torn(Exception):
    """A block that can't be read; the message says why, for the model."""


def opens(line: str) -> bool:
    """Whether a block begins at this line."""
    return "<<<<<" in line and _OPEN.match(line) is not None


def block(lines: Sequence[str], at: int) -> tuple[list[str], list[str], int]:
    """The block that opens at a line.

    Returns:
        the lines to find, the lines to put, and the number of the line behind the block.

    Raises:
        Torn: it is not closed, or has no line, or more than one, that parts it.
    """
    opening = _OPEN.match(lines[at])
    assert opening is not None
    margin, length = opening[1], len(opening[2])
    end = _end(lines, at, length)
    parts = [n for n in range(at + 1, end) if _PART.match(lines[n])]
    exact = [n for n in parts if len(lines[n].strip()) == length]
    parts = exact or parts
    if not parts:
        raise Torn(f"the block at line {at + 1} of the reply has no ======= line between its two parts")
    if len(parts) > 1:
        longer = "<" * 9
        raise Torn(
            f"the block at line {at + 1} of the reply holds {len(parts)} lines of =, so it can't be told"
            f" where its parts meet. Use marks of nine signs ({longer} SEARCH) where the text itself has"
            " such lines, or a smaller block without them"
        )
    here = parts[0]
    return _plain(lines[at + 1 : here], margin), _plain(lines[here + 1 : end], margin), end + 1


def _end(lines: Sequence[str], at: int, length: int) -> int:
    """Where the block closes: at a mark as long as the one that opens it, else at the first of any length."""
    other = None
    for number in range(at + 1, len(lines)):
        line = lines[number]
        opening = _OPEN.match(line) if "<<<<<" in line else None
        if opening and len(opening[2]) == length:
            break
        if ">>>>>" in line and (close := _CLOSE.match(line)):
            if len(close[1]) == length:
                return number
            other = number if other is None else other
    if other is not None:
        return other
    raise Torn(f"the block at line {at + 1} of the reply is not closed by >>>>>>> REPLACE")


def _plain(lines: Sequence[str], margin: str) -> list[str]:
    """Without the indentation of the marks, where each line has it (a block within a list)."""
    if margin and all(line.startswith(margin) or not line.strip() for line in lines):
        return [line.removeprefix(margin) for line in lines]
    return list(lines)
