"""The same question in another dress: an answer that can be trusted does not hang on it.

A board: digits renamed, turned and flipped, where its rules stay what they are; the answers are mapped back
and compared cell by cell. A question about a picture: said in other words, the picture mirrored, the picture
moved by a pixel. Which variants are drawn follows from the question alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from model.hrm.config import HrmConfig
from model.part import Question, Said

Symmetry = Literal["sudoku", "square", "none"]


@dataclass(frozen=True)
class Variant:
    """A question that means the same, and how its answer is read as one to the original."""

    question: Question
    back: Callable[[Said], Said]


@dataclass(frozen=True)
class Shape:
    """What of a board may change without changing what is asked."""

    rows: int
    columns: int
    symmetry: Symmetry
    transposable: bool
    vocabulary: int


def shape_of(config: HrmConfig, recipe: str = "") -> Shape:
    """Of a reasoner over boards: by the symmetries it learned under, else by those of its recipe."""
    grid = config.grid
    symmetry: Symmetry = config.augment
    if symmetry == "none" and recipe == "puzzle/sudoku" and grid.box_rows and config.blank == 0:
        symmetry = "sudoku"
    elif symmetry == "none" and recipe == "puzzle/maze" and grid.rows == grid.columns:
        symmetry = "square"
    square = grid.rows == grid.columns and (grid.box_rows or 1) == (grid.box_columns or 1)
    return Shape(grid.rows, grid.columns, symmetry, square, config.vocabulary)


def of_board(shape: Shape, cells: np.ndarray, count: int) -> list[Variant]:
    """Up to `count` different variants of a board; none where nothing may change.

    Digits are renamed but 0, which is a blank; turns and flips keep rows, columns and boxes what they are.
    """
    if shape.symmetry == "none" or count < 1:
        return []
    rng = np.random.default_rng(_seed(cells.astype(np.int64).tobytes()))
    place = np.arange(shape.rows * shape.columns).reshape(shape.rows, shape.columns)
    ways = [
        (turned, up, across)
        for turned in ((False, True) if shape.transposable else (False,))
        for up in (False, True)
        for across in (False, True)
    ]
    order = [ways[at] for at in rng.permutation(len(ways))]
    order.sort(key=lambda way: way == (False, False, False))  # the original itself comes last
    found = []
    for number in range(count):
        turned, up, across = order[number % len(order)]
        if shape.symmetry == "square" and number >= len(order) - 1:
            break
        cell = place.T if turned else place
        cell = (cell[::-1] if up else cell)[:, ::-1] if across else (cell[::-1] if up else cell)
        names = np.arange(shape.vocabulary)
        if shape.symmetry == "sudoku":
            names[1:] = rng.permutation(shape.vocabulary - 1) + 1
        found.append(_of_board(cells, cell.reshape(-1), names))
    return found


def _of_board(cells: np.ndarray, cell: np.ndarray, names: np.ndarray) -> Variant:
    places, digits = np.argsort(cell), np.argsort(names)

    def back(said: Said) -> Said:
        assert isinstance(said, np.ndarray)
        return np.asarray(digits[said][places])

    return Variant(Question(cells=names[cells][cell]), back)


_SIDED = re.compile(r"\b(left|right)\b")
_SAME: tuple[tuple[str, str], ...] = (
    (r"^what colour is (the .+)\?$", r"what colour has \1?"),
    (r"^what shape is (the .+)\?$", r"what shape has \1?"),
    (r"^is (the .+) small or large\?$", r"is \1 large or small?"),
    (r"^how many (.+) are there\?$", r"how many are there of the \1?"),
    (r"^how many (.+) are there\?$", r"there are how many \1?"),
    (r"^what colour is (the .+)\?$", r"\1 is what colour?"),
    (r"^what shape is (the .+)\?$", r"\1 is what shape?"),
    (r"^where is (the .+)\?$", r"\1 is where?"),
    (r"^is there (an? .+)\?$", r"there is \1?"),
    (r"^is (the .+) left of (the .+)\?$", r"is \2 right of \1?"),
    (r"^is (the .+) right of (the .+)\?$", r"is \2 left of \1?"),
    (r"^is (the .+) above (the .+)\?$", r"is \2 below \1?"),
    (r"^is (the .+) below (the .+)\?$", r"is \2 above \1?"),
)
"""Wordings that mean the same. The relations are turned round: `a left of b` is `b right of a`."""


def of_scene(question: Question, known: Callable[[str], bool], count: int) -> list[Variant]:
    """Up to `count` variants of a question about a picture, of words that are `known`; perhaps none.

    Mirrored, left and right change places in the question and in the answer: every shape is its own mirror
    image. Moved, the picture stands a pixel further, its edge repeated.
    """
    if question.image is None:
        return []
    texts = [question.text, *paraphrases(question.text, known)]
    mirrored = np.ascontiguousarray(question.image[:, ::-1])
    moved = np.concatenate([question.image[:, 1:], question.image[:, -1:]], axis=1)
    found = [Variant(Question(image=mirrored, text=sides_changed(texts[0])), _mirrored)]
    found += [Variant(Question(image=question.image, text=each), _same) for each in texts[1:2]]
    found += [Variant(Question(image=moved, text=texts[0]), _same)]
    found += [Variant(Question(image=mirrored, text=sides_changed(each)), _mirrored) for each in texts[1:]]
    return found[:count]


def sides_changed(text: str) -> str:
    """Left for right, and right for left."""
    return _SIDED.sub(lambda found: {"left": "right", "right": "left"}[found[0]], text)


def paraphrases(text: str, known: Callable[[str], bool]) -> list[str]:
    """Other wordings of a question, of known words alone."""
    found = []
    for pattern, made in _SAME:
        if re.match(pattern, text):
            other = re.sub(pattern, made, text)
            if other != text and all(known(word) for word in re.findall(r"[a-z]+", other)):
                found.append(other)
    return found


def _same(said: Said) -> Said:
    return said


def _mirrored(said: Said) -> Said:
    return sides_changed(said) if isinstance(said, str) else said


def agreement(said: Said, others: Sequence[Said]) -> float:
    """0 to 1: how far the variants' answers are this one: of boards the share of cells. 1 of none."""
    if not others:
        return 1.0
    return float(np.mean([np.mean(np.asarray(said == each)) for each in others]))


def _seed(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "little")
