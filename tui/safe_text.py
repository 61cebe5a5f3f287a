"""How safe text (`state.safe_text`) is laid out: in cells of a terminal, none of them outside its own."""

from __future__ import annotations

from functools import lru_cache

from rich.cells import cell_len, set_cell_size


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
