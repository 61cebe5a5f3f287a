"""Pictures in a terminal: two pixels a cell by half blocks, letters where there are no colours to trust.

A terminal of 256 colours gets the nearest of its own (the console translates), one of 16 its own names.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style

from tui.lines import Line
from tui.look import ASCII, Look

_RGB = {
    "red": "#e4262c", "green": "#28aa3c", "blue": "#345cfa", "yellow": "#f6de28", "purple": "#a034c8",
    "orange": "#fa8616", "cyan": "#2ad0de", "white": "#f6f6f6",
}  # fmt: skip
_SIXTEEN = {
    "red": "red", "green": "green", "blue": "blue", "yellow": "bright_yellow", "purple": "magenta",
    "orange": "yellow", "cyan": "cyan", "white": "bright_white",
}  # fmt: skip
_GROUND, _GROUND_16 = "#30343a", "black"
_STEPS = " .:-=+*#%@"
_COLD, _WARM = (86, 180, 233), (230, 159, 0)  # blue and orange stay apart in all colour visions


def drawn(look: Look, picture: Sequence[Sequence[str]], indent: int = 1) -> list[Line]:
    """A picture of colours' names, two rows of it a line."""
    lines: list[Line] = []
    margin = (" " * indent, look())
    for top in range(0, len(picture) - 1, 2):
        upper, lower = picture[top], picture[top + 1]
        cells = [_cell(look, one, two) for one, two in zip(upper, lower, strict=False)]
        lines.append([margin, *_joined(cells)])
    return lines


def _cell(look: Look, upper: str, lower: str) -> tuple[str, Style]:
    if look.g is ASCII:
        name = upper or lower
        letter = name[:1].upper() if name[:1].isascii() and name[:1].isalpha() else ("?" if name else ".")
        return letter, look("text" if name else "line", bold=bool(name))
    one, two = _colour(look, upper), _colour(look, lower)
    return ("▀", Style(color=one, bgcolor=two)) if one != two else (" ", Style(bgcolor=one))


def _colour(look: Look, name: str) -> str:
    known, ground = (_SIXTEEN, _GROUND_16) if look.sixteen else (_RGB, _GROUND)
    return known.get(name, known["white"]) if name else ground


def _joined(cells: Sequence[tuple[str, Style]]) -> list[tuple[str, Style]]:
    """Neighbours of one style as one piece."""
    found: list[tuple[str, Style]] = []
    for text, style in cells:
        if found and found[-1][1] == style:
            found[-1] = (found[-1][0] + text, style)
        else:
            found.append((text, style))
    return found


def strip(look: Look, numbers: Sequence[float], cells: int, indent: int = 1) -> list[Line]:
    """Numbers as a strip: blue below zero, orange above, stronger further off; two rows a line."""
    most = max((abs(each) for each in numbers), default=0.0) or 1.0
    shares = [each / most for each in numbers]
    width = max(8, cells - 2 * indent)
    margin = (" " * indent, look())
    lines: list[Line] = []
    if look.g is ASCII or look.sixteen:
        for at in range(0, len(shares), width):
            row = [
                (_STEPS[round(abs(each) * (len(_STEPS) - 1))], look("accent" if each < 0 else "waiting"))
                for each in shares[at : at + width]
            ]
            lines.append([margin, *_joined(row)])
        return lines
    half = min(width, -(-len(shares) // 2))
    for at in range(0, len(shares), 2 * half):
        upper, lower = shares[at : at + half], shares[at + half : at + 2 * half]
        row = [
            ("▀", Style(color=_tone(look, one), bgcolor=_tone(look, lower[n] if n < len(lower) else 0.0)))
            for n, one in enumerate(upper)
        ]
        lines.append([margin, *_joined(row)])
    return lines


def _tone(look: Look, value: float) -> str:
    """Between the ground and one of two colours."""
    ground = look.colours["card"].lstrip("#")
    base = [int(ground[at : at + 2], 16) for at in (0, 2, 4)]
    end = _WARM if value > 0 else _COLD
    share = min(1.0, abs(value))
    return "#" + "".join(f"{round(b + (e - b) * share):02x}" for b, e in zip(base, end, strict=True))
