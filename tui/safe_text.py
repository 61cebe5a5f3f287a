"""The one boundary between text from anywhere and the terminal.

Ticket text, file names, outputs and diffs may hold anything. What `safe` returns holds no control
character, no bidirectional or zero-width control and no flood of combining marks, so no terminal can be
steered by it and every cell is where the layout counts it. What it takes out stays visible as a mark:
hidden text in something that is about to be approved must not stay hidden.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from rich.cells import cell_len, set_cell_size

MARK = "\N{REPLACEMENT CHARACTER}"
"""Stands for a character that was taken out."""

_MAX_COMBINING = 2
_TAB = 4
_DROPPED = frozenset("\ufe0e\ufe0f")  # emoji or text style: changes the width on some terminals only
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


def safe(text: str) -> str:
    """One line of text that a terminal can only print. Line breaks become a visible mark too."""
    if text.isascii() and text.isprintable():
        return text
    return _cleaned(text)


def safe_lines(text: str) -> list[str]:
    """The lines of a text, each one safe; tabs become spaces."""
    return [safe(line.expandtabs(_TAB) if "\t" in line else line) for line in _split(text)]


def _split(text: str) -> list[str]:
    """Lines as a diff or a program means them: ended by LF, with or without CR."""
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _cleaned(text: str) -> str:
    out: list[str] = []
    combining = _MAX_COMBINING  # a mark with no base before it would sit on the layout's own cell
    for char in text:
        if " " <= char <= "~":
            out.append(char)
            combining = 0
            continue
        code = ord(char)
        if code < 0x20:
            out.append(chr(0x2400 + code))
            combining = 0
        elif char in _DROPPED:
            continue
        elif unicodedata.category(char) in _HIDDEN:
            out.append("\u2421" if code == 0x7F else MARK)
            combining = 0
        elif unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me") or not cell_len(char):
            combining += 1
            if combining <= _MAX_COMBINING:
                out.append(char)
        else:
            out.append(char)
            combining = 0
    return "".join(out)


def width(text: str) -> int:
    """Cells that safe text takes."""
    return len(text) if text.isascii() else cell_len(text)


def clip(text: str, cells: int, ellipsis: str = "…") -> str:
    """Safe text in at most so many cells; an ellipsis says that some is missing."""
    if width(text) <= cells:
        return text
    if cells <= 0:
        return ""
    mark = ellipsis if cells >= len(ellipsis) else ""
    if text.isascii():
        return text[: cells - len(mark)].rstrip() + mark
    return set_cell_size(text, cells - len(mark)).rstrip() + mark


def fit(text: str, cells: int, ellipsis: str = "…") -> str:
    """Safe text in exactly so many cells."""
    cut = clip(text, cells, ellipsis)
    return cut + " " * (cells - width(cut))


@lru_cache(maxsize=4096)
def wrap(text: str, cells: int, most: int = 0, ellipsis: str = "…") -> tuple[str, ...]:
    """Safe text by the word into lines of at most `cells`; at most `most` lines where it is not 0."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        while width(word) > cells:  # longer than a line: fill the rest of this one, then go on
            room = cells - width(line) - 1 if line else cells
            if room < min(8, cells):
                lines.append(line)
                line, room = "", cells
            head = _head(word, room)
            lines.append(f"{line} {head}".lstrip())
            line, word = "", word[len(head) :]
        if not line:
            line = word
        elif width(line) + 1 + width(word) <= cells:
            line = f"{line} {word}"
        else:
            lines.append(line)
            line = word
    if line or not lines:
        lines.append(line)
    if most and len(lines) > most:
        rest = " ".join(lines[most - 1 :])
        lines = [*lines[: most - 1], clip(rest, cells, ellipsis)]
    return tuple(lines)


def chop(text: str, cells: int) -> list[str]:
    """Safe text by the cell into lines of at most `cells`, nothing left out: for code and diffs."""
    if width(text) <= cells or cells < 2:
        return [text]
    if text.isascii():
        return [text[at : at + cells] for at in range(0, len(text), cells)]
    parts: list[str] = []
    while text:
        head = _head(text, cells)
        parts.append(head)
        text = text[len(head) :]
    return parts


def _head(text: str, cells: int) -> str:
    """The longest beginning that fits; at least one character."""
    used = 0
    for at, char in enumerate(text):
        used += 1 if char.isascii() else cell_len(char)
        if used > cells:
            return text[: max(1, at)]
    return text
