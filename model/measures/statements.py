"""False things said of a scene that are nearly true: one attribute swapped, or left said for right.

A model that only knows the words of a caption, and not what they say of which object, can't tell these from
the truth (Yuksekgonul et al., arXiv 2210.01936). Both texts of a pair have the same wording, so nothing but
the swap tells them apart, and a blind model is right half the time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datagen.scenes.scene import CELLS, COLOURS, SHAPES, SIZES
from datagen.scenes.words import CAPTION, NUMBERS, Thing, caption, column, things

ATTRIBUTES = ("count", "shape", "colour", "position", "size")
_WORDING = 0
_SIDE = 3  # cells in a row of the scene's grid


def swapped(objects: np.ndarray, attribute: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """True captions and false ones of scenes [N, K, 5]: two text columns uint8 [N, 192].

    In each false one a single attribute of a single object is another, drawn by the seed, or the number of
    objects.
    """
    chance = np.random.default_rng([seed, ATTRIBUTES.index(attribute)])
    rows = things(objects)
    false = [
        _counted(row, chance) if attribute == "count" else _changed(row, attribute, chance) for row in rows
    ]
    return column([caption(row, _WORDING) for row in rows], CAPTION), column(false, CAPTION)


def contradicted(objects: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows int64 [M] with two objects beside each other, what is true of them, the contrary: [M, 192] each.

    "a small red circle left of a large blue star" against "... right of ...".
    """
    rows, true, false = [], [], []
    for number, row in enumerate(things(objects)):
        pair = _beside(row)
        if pair:
            one, two = (f"a {SIZES[t.size]} {COLOURS[t.colour]} {SHAPES[t.shape]}" for t in pair)
            rows.append(number)
            true.append(f"{one} left of {two}")
            false.append(f"{one} right of {two}")
    return np.array(rows, dtype=np.int64), column(true, CAPTION), column(false, CAPTION)


def _changed(row: Sequence[Thing], attribute: str, chance: np.random.Generator) -> str:
    changed = list(row)
    at = int(chance.integers(len(row)))
    one = row[at]
    if attribute == "position":
        free = sorted(set(range(len(CELLS))) - {each.cell for each in row})
        changed[at] = one._replace(cell=int(chance.choice(free)))
    elif attribute == "shape":
        changed[at] = one._replace(shape=_other(one.shape, len(SHAPES), chance))
    elif attribute == "colour":
        changed[at] = one._replace(colour=_other(one.colour, len(COLOURS), chance))
    else:
        changed[at] = one._replace(size=_other(one.size, len(SIZES), chance))
    return caption(changed, _WORDING)


def _counted(row: Sequence[Thing], chance: np.random.Generator) -> str:
    """The caption with another number in front of the same objects."""
    number = _other(len(row) - 1, len(NUMBERS) - 1, chance) + 1
    tail = caption(list(row), _WORDING).partition(":")[2]
    return f"{NUMBERS[number]} object{'' if number == 1 else 's'}:{tail}"


def _other(value: int, count: int, chance: np.random.Generator) -> int:
    return (value + 1 + int(chance.integers(count - 1))) % count


def _beside(row: Sequence[Thing]) -> tuple[Thing, Thing] | None:
    """The first two objects of which one is left of the other, the left one first."""
    for at, one in enumerate(row):
        for two in row[at + 1 :]:
            distance = two.cell % _SIDE - one.cell % _SIDE
            if distance:
                return (one, two) if distance > 0 else (two, one)
    return None
