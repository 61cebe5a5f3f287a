"""Pictures of the page, as SVG: a scene, a board with its doubts, a trace over the cycles. Pure functions.

A picture is shown as an image, so that nothing in it runs, and every text in it is escaped; how many marks it
has is bounded, whatever the mind says.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from orchestrator.web.written import Part, Unclear, number, short, size, words

MOST_CYCLES = 64
MOST_DRAWN = 1_024  # cells of a board that is drawn; a larger one is shown as text alone
_RGB = {
    "red": "#d62728", "green": "#2ca02c", "blue": "#1f5fd0", "yellow": "#e8c511", "purple": "#8e44ad",
    "orange": "#f08018", "cyan": "#17becf", "white": "#f4f4f4",
}  # fmt: skip
_INK, _GROUND, _LINE = "#222", "#fff", "#bbb"
_SURE, _DOUBT = "#0072b2", "#d55e00"  # apart in all colour visions
_CELL = 34


def image(svg: str, name: str) -> str:
    """A picture as the page's Markdown has it; '' for none."""
    if not svg:
        return ""
    return f"![{name}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def scene(given: Mapping[str, Any], part: Part) -> str:
    """A scene as it is meant; the mind draws its own, as the training's pictures are."""
    places = words(part.get("cells"))
    across = max(1, math.isqrt(len(places)))
    marks = []
    objects = given.get("objects")
    for each in objects[:64] if isinstance(objects, list) else []:
        if isinstance(each, Mapping) and each.get("cell") in places:
            at = places.index(str(each["cell"]))
            x, y = (at % across + 0.5) * 64, (at // across + 0.5) * 64
            reach = 15 if each.get("size") == "small" else 26
            fill = _RGB.get(str(each.get("colour")), "#888")
            marks.append(_shape(str(each.get("shape")), x, y, reach, fill))
    return _svg(across * 64, across * 64, marks, "#30343a")


def _shape(shape: str, x: float, y: float, reach: float, fill: str) -> str:
    if shape == "circle":
        return f'<circle cx="{x}" cy="{y}" r="{reach}" fill="{fill}"/>'
    if shape == "ring":
        wide = reach * 0.4
        return (
            f'<circle cx="{x}" cy="{y}" r="{reach - wide / 2}" fill="none" '
            f'stroke="{fill}" stroke-width="{wide}"/>'
        )
    if shape == "triangle":
        corners = [(0, -1), (0.95, 0.9), (-0.95, 0.9)]
    elif shape == "star":
        turns = [(math.tau * n / 10, 1 if n % 2 == 0 else 0.42) for n in range(10)]
        corners = [(far * math.sin(turn), -far * math.cos(turn)) for turn, far in turns]
    elif shape == "cross":
        a, b = 0.34, 1.0
        corners = [(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b), (-a, b), (-a, a), (-b, a)]
        corners += [(-b, -a), (-a, -a)]
    else:
        corners = [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]
    points = " ".join(f"{x + reach * u:.1f},{y + reach * v:.1f}" for u, v in corners)
    return f'<polygon points="{points}" fill="{fill}"/>'


def board(reply: Mapping[str, Any], given: Sequence[int], part: Part) -> str:
    """An answered board: what was given is dark, what was filled in is shaded by its doubt."""
    said, doubts = reply.get("answer"), reply.get("doubts")
    try:
        rows, columns = size(part)
    except Unclear:
        return ""
    if rows * columns > MOST_DRAWN or not isinstance(said, list) or len(said) != rows * columns:
        return ""
    sure = doubts if isinstance(doubts, list) and len(doubts) == len(said) else [None] * len(said)
    tokens, blank = words(part.get("tokens")), part.get("blank")
    marks = []
    for at, each in enumerate(said):
        x, y = at % columns * _CELL, at // columns * _CELL
        asked = at < len(given) and given[at] == blank
        doubt = number(sure[at]) if asked else 0.0
        shade = 0.0 if doubt is None else doubt
        marks.append(
            f'<rect x="{x}" y="{y}" width="{_CELL}" height="{_CELL}" fill="{_DOUBT}" '
            f'fill-opacity="{shade:.2f}" stroke="{_LINE}"/>'
        )
        token = short(tokens[each], 2) if type(each) is int and 0 <= each < len(tokens) else "?"
        marks.append(_text(x + _CELL / 2, y + _CELL * 0.7, token, 18, _SURE if asked else _INK, "middle"))
    down, over = part.get("box_rows"), part.get("box_columns")
    if type(down) is int and type(over) is int and down > 0 and over > 0:
        for row in range(0, rows + 1, down):
            marks.append(_stroke(0, row * _CELL, columns * _CELL, row * _CELL, _INK, 2))
        for column in range(0, columns + 1, over):
            marks.append(_stroke(column * _CELL, 0, column * _CELL, rows * _CELL, _INK, 2))
    return _svg(columns * _CELL, rows * _CELL, marks)


def trace(reply: Mapping[str, Any]) -> str:
    """What went on over the cycles: doubt and halting as lines, how much the latent moved as bars."""
    found = reply.get("trace")
    cycles = [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []
    cycles = cycles[:MOST_CYCLES]
    if not cycles:
        return ""
    left, top, high = 44.0, 30.0, 120.0
    step = min(90.0, max(14.0, 560.0 / len(cycles)))
    wide = left + step * len(cycles) + 10
    marks = [_stroke(left, top + high * n / 4, wide, top + high * n / 4, "#ddd", 1) for n in range(5)]
    marks += [
        _text(left - 6, top + high * n / 4 + 4, f"{1 - n / 4:.0%}", 10, "#555", "end") for n in range(5)
    ]
    lines: dict[str, list[str]] = {"doubt": [], "halt": []}
    for at, cycle in enumerate(cycles):
        x = left + step * (at + 0.5)
        moved = number(cycle.get("change"))
        if moved is not None:
            tall = high * moved
            marks.append(
                f'<rect x="{x - step * 0.3:.1f}" y="{top + high - tall:.1f}" width="{step * 0.6:.1f}" '
                f'height="{tall:.1f}" fill="#bbb" fill-opacity="0.5"/>'
            )
        for name, points in lines.items():
            value = number(cycle.get(name))
            if value is not None:
                points.append(f"{x:.1f},{top + high * (1 - value):.1f}")
        marks.append(_text(x, top + high + 14, str(at + 1), 10, "#555", "middle"))
        said = cycle.get("answer")
        if isinstance(said, str) and len(cycles) <= 12:
            marks.append(_text(x, top + high + 30, short(said, 10), 11, _INK, "middle"))
        elif isinstance(said, list) and at and len(cycles) <= 24:
            before = cycles[at - 1].get("answer")
            if isinstance(before, list) and len(before) == len(said):
                changed = sum(one != other for one, other in zip(said, before, strict=True))
                marks.append(_text(x, top + high + 30, f"{changed}", 10, _INK, "middle"))
    for name, colour in (("doubt", _DOUBT), ("halt", _SURE)):
        if lines[name]:
            path = " ".join(lines[name])
            marks.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
    marks.append(_text(left, 16, "doubt", 12, _DOUBT))
    marks.append(_text(left + 50, 16, "halts", 12, _SURE))
    marks.append(
        _text(left + 100, 16, "moved (bars), by cycle; below: answers, or cells that changed", 12, "#666")
    )
    return _svg(max(wide, 480), top + high + 40, marks)


def latent(numbers: object) -> str:
    """A latent as bars, up and down from the middle."""
    if not isinstance(numbers, list):
        return ""
    found = [number(each, -1e6, 1e6) or 0.0 for each in numbers[:512]]
    most = max((abs(each) for each in found), default=0.0) or 1.0
    marks = []
    for at, each in enumerate(found):
        tall = 50 * abs(each) / most
        marks.append(
            f'<rect x="{at * 6}" y="{55 - (tall if each > 0 else 0):.1f}" width="5" height="{tall:.1f}" '
            f'fill="{_SURE if each > 0 else _DOUBT}"/>'
        )
    return _svg(max(6 * len(found), 60), 110, marks)


def _text(x: float, y: float, said: str, high: int, colour: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{high}" font-family="sans-serif" fill="{colour}" '
        f'text-anchor="{anchor}">{escape(said)}</text>'
    )


def _stroke(x: float, y: float, to_x: float, to_y: float, colour: str, wide: int) -> str:
    return (
        f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="{colour}" '
        f'stroke-width="{wide}"/>'
    )


def _svg(wide: float, high: float, marks: Sequence[str], ground: str = _GROUND) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:.0f}" height="{high:.0f}" '
        f'viewBox="0 0 {wide:.0f} {high:.0f}"><rect width="100%" height="100%" fill="{ground}"/>'
        f"{''.join(marks)}</svg>"
    )
