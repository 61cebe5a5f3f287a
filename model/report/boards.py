"""A puzzle and how its answer grew, step by step: as a picture and as text, wrong cells marked in both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from model.report.chart import INK, LIMIT, PAPER, SOFT, WIDTH, Canvas
from model.report.words import COLUMNS

RIGHT, GIVEN, MISSED = (0, 114, 178), (34, 34, 34), (150, 200, 232)
WALL, OPEN, START, GOAL, PATH = 1, 2, 3, 4, 5  # of a maze
BOXES = {4: (2, 2), 6: (2, 3), 9: (3, 3)}  # rows and columns of a Sudoku's box
_MOST_PANELS = 6
_GAP = 26
_LABEL = 23  # columns below a board: three stand beside each other


@dataclass(frozen=True)
class Growth:
    """One puzzle with the model's answer after each refinement step."""

    kind: str  # sudoku or maze
    question: np.ndarray  # [L], L a square number
    answer: np.ndarray  # [L]
    steps: np.ndarray  # [S, L]
    sure: Sequence[float]  # [S]: the model's own value of its answer, 0 to 1; NaN where it gives none

    @property
    def side(self) -> int:
        """Cells in a row."""
        return math.isqrt(len(self.question))

    def panels(self) -> list[tuple[str, np.ndarray]]:
        """The question, then the steps, the first and the last among them, each with its line below."""
        count = len(self.steps)
        shown = sorted({round(each) for each in np.linspace(0, count - 1, min(count, _MOST_PANELS - 1))})
        out = [("the puzzle", self.question)]
        for number in shown:
            wrong = int((self.steps[number] != self.answer).sum())
            verdict = "solved" if not wrong else f"{wrong} wrong"
            sure = self.sure[number]
            says = "" if math.isnan(sure) else f", {sure:.0%} sure"
            out.append((f"step {number + 1}: {verdict}{says}", self.steps[number]))
        return out


def picture(growth: Growth, title: str) -> Image.Image:
    """The panels beside each other, three in a row."""
    panels = growth.panels()
    across = 3
    board = (WIDTH - 48 - (across - 1) * _GAP) / across
    down = math.ceil(len(panels) / across)
    canvas = Canvas(WIDTH, round(86 + down * (board + 40)))
    canvas.text(24, 16, title, 18)
    legend = (
        "black: given; blue: filled in rightly; red: wrong"
        if growth.kind == "sudoku"
        else "blue: on the path; red: marked, but not on it; light blue: on the path, but not marked"
    )
    canvas.text(24, 44, legend, 12, SOFT)
    for number, (name, values) in enumerate(panels):
        left = 24 + number % across * (board + _GAP)
        top = 72 + number // across * (board + 40)
        draw = _sudoku if growth.kind == "sudoku" else _maze
        draw(canvas, left, top, board / growth.side, growth, values)
        canvas.text(left + board / 2, top + board + 8, name, 13, INK, "ma")
    return canvas.done()


def text(growth: Growth) -> list[str]:
    """Lines of at most 80 columns: `!` behind a wrong digit; in a maze `x` for wrong, `o` for missed."""
    blocks = []
    for name, values in growth.panels():
        rows = _sudoku_rows(growth, values) if growth.kind == "sudoku" else _maze_rows(growth, values)
        name = name.removeprefix("step ")
        wide = max(len(rows[0]), min(len(name), _LABEL))
        blocks.append([row.ljust(wide) for row in rows] + [name[:wide].ljust(wide)])
    across = max(1, COLUMNS // (len(blocks[0][0]) + 3))
    lines: list[str] = []
    for start in range(0, len(blocks), across):
        group = blocks[start : start + across]
        lines += ["  " + "   ".join(parts).rstrip() for parts in zip(*group, strict=True)]
        lines.append("")
    return [line[:COLUMNS] for line in lines[:-1]]


def _sudoku(canvas: Canvas, left: float, top: float, cell: float, growth: Growth, values: np.ndarray) -> None:
    side = growth.side
    for at, value in enumerate(values.tolist()):
        x, y = left + at % side * cell, top + at // side * cell
        given, right = growth.question[at] != 0, value == growth.answer[at]
        wrong = not right and values is not growth.question
        if wrong:
            canvas.box((x, y, x + cell, y + cell), fill=LIMIT)
        if value:
            colour = PAPER if wrong else GIVEN if given else RIGHT
            canvas.text(x + cell / 2, y + cell / 2, str(value), cell * 0.56, colour, "mm")
    high, wide = BOXES.get(side, (side, side))
    for number in range(side + 1):
        line, place = number * cell, side * cell
        canvas.line([(left + line, top), (left + line, top + place)], INK, 2 if number % wide == 0 else 0.6)
        canvas.line([(left, top + line), (left + place, top + line)], INK, 2 if number % high == 0 else 0.6)


def _maze(canvas: Canvas, left: float, top: float, cell: float, growth: Growth, values: np.ndarray) -> None:
    side = growth.side
    colours = {WALL: (68, 68, 68), START: (0, 158, 115), GOAL: (230, 159, 0)}
    for at, value in enumerate(values.tolist()):
        x, y = left + at % side * cell, top + at // side * cell
        known = int(growth.question[at])
        canvas.box((x, y, x + cell, y + cell), fill=colours.get(known, PAPER))
        mark = _mark(growth, values, at, value)
        if mark:
            inset = cell * 0.2
            colour = {"right": RIGHT, "wrong": LIMIT, "missed": MISSED}[mark]
            canvas.box((x + inset, y + inset, x + cell - inset, y + cell - inset), fill=colour)
        elif known in (START, GOAL):
            canvas.text(x + cell / 2, y + cell / 2, "S" if known == START else "G", cell * 0.6, PAPER, "mm")
    canvas.box((left, top, left + side * cell, top + side * cell), edge=SOFT)


def _mark(growth: Growth, values: np.ndarray, at: int, value: int) -> str:
    if values is growth.question:
        return ""
    on = growth.answer[at] == PATH
    if value == growth.answer[at]:
        return "right" if on else ""
    return "missed" if on else "wrong"


def _sudoku_rows(growth: Growth, values: np.ndarray) -> list[str]:
    side = growth.side
    high, wide = BOXES.get(side, (side, side))
    rows = []
    for y in range(side):
        parts = []
        for x in range(side):
            at = y * side + x
            wrong = values is not growth.question and values[at] != growth.answer[at]
            bar = "│" if x and x % wide == 0 else ""
            parts.append(f"{bar}{values[at] or '·'}{'!' if wrong else ' '}")
        rows.append("".join(parts))
        if y + 1 < side and (y + 1) % high == 0:
            rows.append("".join("┼" if c == "│" else "─" for c in rows[-1]))
    return rows


def _maze_rows(growth: Growth, values: np.ndarray) -> list[str]:
    side = growth.side
    signs = {"right": "•", "wrong": "x", "missed": "o"}
    known = {WALL: "█", START: "S", GOAL: "G"}
    cells = []
    for at, value in enumerate(values.tolist()):
        mark = _mark(growth, values, at, value)
        cells.append(signs[mark] if mark else known.get(int(growth.question[at]), " "))
    return ["".join(cells[y * side : (y + 1) * side]) for y in range(side)]
