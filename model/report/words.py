"""Text from data sets, requests and models, made safe to show: in a terminal, in Markdown.

A caption may hold anything. What `plain` returns is one line without control, direction or invisible
characters; what `markdown` returns says the same and cannot become a heading, a link, a picture, HTML or a
column of a table.
"""

from __future__ import annotations

import textwrap
import unicodedata

import numpy as np

MARK = "\N{REPLACEMENT CHARACTER}"
"""Stands for a character that was taken out."""
COLUMNS = 80
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Mn", "Me"))
_SPECIAL = frozenset("\\`*_{}[]()<>#|!~&$")
_MOST = 400  # characters of any one text


def plain(text: object, most: int = _MOST) -> str:
    """One line that a terminal can only print, of at most so many characters, all of them one cell wide."""
    spaced = " ".join(str(text)[: 4 * most].split())
    kept = "".join(MARK if _odd(c) else c for c in spaced)
    return kept if len(kept) <= most else kept[: most - 1] + "…"


def markdown(text: object, most: int = _MOST) -> str:
    """The same, each character that Markdown would read as its own written so that it is only itself."""
    return "".join(f"\\{c}" if c in _SPECIAL else c for c in plain(text, most))


def wrapped(text: str, columns: int = COLUMNS, indent: str = "") -> list[str]:
    """Plain text in lines of at most so many columns."""
    return textwrap.wrap(plain(text, 4000), columns, initial_indent=indent, subsequent_indent=indent) or [""]


def caption(row: np.ndarray) -> str:
    """The text of one row of a text column: UTF-8 bytes uint8 [L], padded with zeros."""
    return bytes(row.astype(np.uint8)).rstrip(b"\0").decode("utf-8", "replace")


def share(value: float) -> str:
    """A share as a person reads it: 97.3 %."""
    return "not measured" if value != value else f"{100 * value:.1f} %"


def _odd(char: str) -> bool:
    """Whether a character is hidden, sits on the one before it, or takes two cells."""
    if " " <= char <= "~":
        return False
    return unicodedata.category(char) in _HIDDEN or unicodedata.east_asian_width(char) in "WF"
