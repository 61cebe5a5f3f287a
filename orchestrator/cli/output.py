"""What the command line writes: plain where it is piped, coloured where a person looks, JSON where asked for.

Whatever comes from tickets, models, commands or file names passes `safe` before it reaches a terminal.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from state import safe_text

if TYPE_CHECKING:
    from pydantic import BaseModel


class Exit(IntEnum):
    """What an exit code says."""

    DONE = 0
    FAILED = 1  # the work failed, or a check is red
    WRONG = 2  # wrong use, or a broken ticket
    PERSON = 3  # something waits for a person
    INTERRUPTED = 130


class Failed(Exception):
    """It cannot be done; the message is one line that says what and what to do."""

    code = Exit.FAILED


class Wrong(Failed):
    """It was asked for in a way that cannot be meant."""

    code = Exit.WRONG


# Text ------------------------------------------------------------------------------------------------

_BREAKS = str.maketrans("\t\n\r", "   ")


def safe(text: object) -> str:
    """One line that a terminal can only print; where it would break, there is a blank."""
    return safe_text.safe(str(text).translate(_BREAKS))


def when(at: int) -> str:
    """A moment (ms) as the wall clock here shows it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at / 1000))


def seconds(value: float | None) -> str:
    """A duration as people say it."""
    if value is None:
        return ""
    if value < 60:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


# Colour: never alone, always beside the word ---------------------------------------------------------

_COLOURS = {
    "running": "34", "waiting": "33", "review": "35", "landed": "32", "failed": "31", "broken": "31",
    "done": "32", "interrupted": "33", "open": "33", "approved": "32", "denied": "31", "ok": "32",
    "problem": "31", "green": "32", "red": "31", "add": "32", "drop": "31", "head": "1", "faint": "2",
}  # fmt: skip
_GLYPHS = {
    "broken": "▲", "backlog": "○", "ready": "◔", "running": "◑", "waiting": "‖", "review": "◕",
    "landed": "●", "failed": "✗", "cancelled": "⊘", "ok": "✓", "problem": "✗", "note": "·",
}  # fmt: skip


def is_terminal() -> bool:
    """Whether a person looks at what is written."""
    return sys.stdout.isatty()


def can_ask() -> bool:
    """Whether a person can be asked: both ways lead to a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def paint(text: str, role: str) -> str:
    """Safe text in the colour of a role, where there is a terminal and colour is wanted."""
    colour = _COLOURS.get(role)
    if colour is None or not is_terminal() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


def state(word: str) -> str:
    """A state's shape and word, or the word alone where nobody looks or the shapes cannot be shown."""
    glyph = _GLYPHS.get(word)
    if glyph is None or not is_terminal() or not (sys.stdout.encoding or "").lower().startswith("utf"):
        return word
    return f"{glyph} {word}"


# Writing ---------------------------------------------------------------------------------------------


def line(text: object = "", role: str = "") -> None:
    """One line of output."""
    print(paint(safe(text), role))


def table(head: Sequence[str], rows: Iterable[Sequence[tuple[str, str] | str]], *, wide: int = -1) -> None:
    """Rows in columns: cells are text, or text with the role that colours it.

    On a terminal the column `wide` gives way to the width there is; piped, nothing is cut.
    """
    cells = [[_cell(cell) for cell in row] for row in rows]
    texts = [[text for text, _ in row] for row in cells]
    widths = [max(map(cell_width, column)) for column in zip(head, *texts, strict=True)]
    if is_terminal():
        room = shutil.get_terminal_size().columns - 2 * (len(widths) - 1) - 1
        wide = wide % len(widths)
        widths[wide] = max(12, min(widths[wide], room - sum(widths) + widths[wide]))
    print(paint(_row(head, widths), "head"))
    for row in cells:
        padded = [
            paint(_fit(text, width, last=column == len(widths) - 1), role)
            for column, ((text, role), width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(padded).rstrip())


def _cell(cell: tuple[str, str] | str) -> tuple[str, str]:
    text, role = cell if isinstance(cell, tuple) else (cell, "")
    return safe(text), role


def _row(texts: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(_fit(text, width) for text, width in zip(texts, widths, strict=True)).rstrip()


def _fit(text: str, width: int, *, last: bool = False) -> str:
    cells = cell_width(text)
    if cells <= width:
        return text if last else text + " " * (width - cells)
    kept, used = "", 1
    for char in text:
        used += cell_width(char)
        if used > width:
            break
        kept += char
    return kept.rstrip() + "…" + " " * (width - 1 - cell_width(kept.rstrip()))


def cell_width(text: str) -> int:
    """Cells that safe text takes on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def json_object(value: BaseModel | Mapping[str, Any] | list[Any], *, indent: int | None = 2) -> None:
    """One JSON value. Not ASCII is escaped, so no terminal is steered by it and nothing is lost."""
    plain = value if isinstance(value, Mapping | list) else value.model_dump(mode="json", by_alias=True)
    print(json.dumps(plain, indent=indent, ensure_ascii=True))


def complain(text: object) -> None:
    """One line on stderr."""
    print(f"jetbox: {safe(text)}", file=sys.stderr)
