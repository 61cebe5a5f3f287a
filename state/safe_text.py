"""The one boundary between text from anywhere and a terminal, or a log that is read on one.

Ticket text, file names, outputs and diffs may hold anything. What `safe` returns holds no control
character, no bidirectional or zero-width control and no flood of combining marks, so no terminal can be
steered by it. What it takes out stays visible as a mark: hidden text in something that is about to be
approved must not stay hidden. Bytes that are kept are kept as they came; this is for what is shown.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

MARK = "\N{REPLACEMENT CHARACTER}"
"""Stands for a character that was taken out."""
HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
"""Unicode's categories of what cannot be seen, or looks different on every machine."""

_MOST_MARKS = 2  # combining marks on one character; more would spill over other lines
_TAB = 4
_PLAIN, _MARK, _STYLE, _TAKEN = range(4)


def safe(text: str) -> str:
    """One line of text that a terminal can only print. Line breaks become a visible mark too."""
    if text.isascii() and text.isprintable():
        return text
    return _cleaned(text)


def safe_lines(text: str) -> list[str]:
    """The lines of a text, each one safe; tabs become spaces."""
    return [safe(line.expandtabs(_TAB) if "\t" in line else line) for line in _split(text)]


def trace(error: BaseException) -> str:
    """The lines of an error's trace, safe to print: its message may hold what a command said."""
    import traceback  # not needed for a screen's first paint

    return "\n".join(safe_lines("".join(traceback.format_exception(error))))


def _split(text: str) -> list[str]:
    """Lines as a diff or a program means them: ended by LF, with or without CR."""
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _cleaned(text: str) -> str:
    out: list[str] = []
    marks = _MOST_MARKS  # a mark with no base before it would sit on the layout's own cell
    styled = True
    for char in text:
        if " " <= char <= "~":
            out.append(char)
            marks, styled = 0, False
            continue
        kind = _kind(char)
        if kind == _PLAIN:
            out.append(char)
        elif kind == _MARK:
            marks += 1
            if marks <= _MOST_MARKS:
                out.append(char)
            continue
        elif kind == _STYLE and not styled:  # one is how emoji are spelt, more would spell something hidden
            styled = True
            continue
        else:
            out.append(_mark(char))
        marks, styled = 0, False
    return "".join(out)


@lru_cache(maxsize=4096)
def _kind(char: str) -> int:
    category = unicodedata.category(char)
    if char in "\ufe0e\ufe0f":  # emoji or text style: changes the width on some terminals only
        return _STYLE
    if category in HIDDEN or _blank(ord(char)):
        return _TAKEN
    # Marks that have a cell of their own by Unicode have none on many terminals, and the parts of a Hangul
    # syllable and the skin of an emoji have none behind what they belong to.
    if category[0] == "M" or unicodedata.combining(char) or _joins(ord(char)):
        return _MARK
    return _PLAIN


def _blank(code: int) -> bool:
    """Letters and marks that show nothing: fillers, joiners, and selectors, by which text can be hidden."""
    return (
        code in (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0)
        or 0x180B <= code <= 0x180F
        or 0xFE00 <= code <= 0xFE0D
        or 0xE0100 <= code <= 0xE01EF
    )


def _joins(code: int) -> bool:
    return 0x1161 <= code <= 0x11FF or 0xD7B0 <= code <= 0xD7FB or 0x1F3FB <= code <= 0x1F3FF


def _mark(char: str) -> str:
    """What stands for a character that was taken out: the picture of a control, or the common mark."""
    code = ord(char)
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else MARK
