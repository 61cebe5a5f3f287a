"""Scenes in words: captions that name everything, and questions with their answers.

All that is said of a scene follows from its objects; which wording is taken, and which question, is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from datagen.draws import Draws
from datagen.scenes.scene import CELLS, COLOURS, PRESENT, SHAPES, SIZES, Bytes

NUMBERS = ("zero", "one", "two", "three")
TOPICS = ("count", "count-of", "exists", "colour", "shape", "size", "position", "relation")
RELATIONS = ("left of", "right of", "above", "below")
CAPTION, QUESTION, ANSWER = 192, 96, 16  # bytes of a text in a column
WORDINGS, MOVING_WORDINGS = 6, 3
MOVING_CAPTION = 256  # bytes
LEGEND = {
    "objects": ["shape", "colour", "size", "cell", "present"],
    "shape": list(SHAPES),
    "colour": list(COLOURS),
    "size": list(SIZES),
    "cell": list(CELLS),
    "topic": list(TOPICS),
}
"""The words of the numbers in the columns, as the manifest keeps them."""
_PLACED = {"middle": "in", "left": "on", "right": "on"}
_WHERE = tuple(f"{_PLACED.get(cell, 'at')} the {cell}" for cell in CELLS)
_DRAWN = 8  # numbers a question may use up
Pick = Callable[[int], int]


class Thing(NamedTuple):
    """One object, by the numbers of its words."""

    shape: int
    colour: int
    size: int
    cell: int

    @property
    def words(self) -> tuple[str, str, str, str]:
        """Its shape, colour, size and place."""
        return SHAPES[self.shape], COLOURS[self.colour], SIZES[self.size], _WHERE[self.cell]


def captions(draws: Draws, objects: Bytes, wordings: int) -> Bytes:
    """[N, 192]: a caption of each scene, in one of the first `wordings` wordings."""
    which = draws.below(wordings, 1)[:, 0].tolist()
    return column([caption(row, way) for row, way in zip(things(objects), which, strict=True)], CAPTION)


def questions(draws: Draws, objects: Bytes) -> tuple[Bytes, Bytes, Bytes]:
    """[N, 96], [N, 16], [N]: a question of each scene, its answer, and its number in TOPICS."""
    drawn = draws.below(1 << 31, _DRAWN).tolist()
    asked = [question(row, _picker(numbers)) for row, numbers in zip(things(objects), drawn, strict=True)]
    topics = np.array([topic for topic, _, _ in asked], np.uint8)
    return column([q for _, q, _ in asked], QUESTION), column([a for _, _, a in asked], ANSWER), topics


def column(texts: Sequence[str], width: int) -> Bytes:
    """[N, width]: the texts in UTF-8, padded with zeros; ValueError where one is too long."""
    coded = [text.encode() for text in texts]
    if any(len(each) > width for each in coded):
        raise ValueError(f"a text is longer than {width} bytes")
    packed = b"".join(each.ljust(width, b"\0") for each in coded)
    return np.frombuffer(packed, np.uint8).reshape(len(texts), width).copy()


def texts(cells: Bytes) -> list[str]:
    """The texts of such a column."""
    return [row.tobytes().rstrip(b"\0").decode() for row in cells]


def things(objects: Bytes) -> list[list[Thing]]:
    """The objects of each scene that are present."""
    return [[Thing(*each[:PRESENT]) for each in row if each[PRESENT]] for row in objects.tolist()]


def caption(row: list[Thing], wording: int) -> str:
    """Everything in a scene, said in one of the wordings 0 to WORDINGS - 1."""
    number = NUMBERS[len(row)]
    said = [each.words for each in row]
    plain = [f"a {size} {colour} {shape} {where}" for shape, colour, size, where in said]
    s = "" if len(row) == 1 else "s"
    if wording == 0:
        return f"{number} object{s}: {_listed(plain)}"
    if wording == 1:
        return f"there {'are' if s else 'is'} {number} object{s}, {_listed(plain)}"
    if wording == 2:
        turned = [f"{where} a {size} {colour} {shape}" for shape, colour, size, where in said]
        return f"{_listed(turned)}: {number} object{s}"
    if wording == 3:
        loose = [f"a {shape}, {size} and {colour}, {where}" for shape, colour, size, where in said]
        return f"{number} shape{s}: {'; '.join(loose)}"
    if wording == 4:
        return f"{_listed(plain[::-1])}, {number} object{s} in all"
    whole = [f"the {shape} {where} is {size} and {colour}" for shape, colour, size, where in said]
    return f"{number} shape{s}. {'. '.join(whole)}."


def moving_caption(row: list[Thing], ways: list[list[int]], wording: int) -> str:
    """Everything in a moving scene; a way is the sign of the velocity along x and y."""
    number, s = NUMBERS[len(row)], "" if len(row) == 1 else "s"
    said = [(*each.words, _way(*way)) for each, way in zip(row, ways, strict=False)]
    if wording == 0:
        parts = [f"a {size} {colour} {shape} {where} {way}" for shape, colour, size, where, way in said]
        return f"{number} object{s}: {_listed(parts)}"
    if wording == 1:
        parts = [f"{where} a {size} {colour} {shape} {way}" for shape, colour, size, where, way in said]
        return f"{'; '.join(parts)}: {number} object{s}"
    parts = [f"the {size} {colour} {shape} {where} is {way}" for shape, colour, size, where, way in said]
    return f"{number} object{s}. {'. '.join(parts)}."


def _way(x: int, y: int) -> str:
    across, down = ("", "right", "left")[x], ("", "down", "up")[y]
    return f"moving {' and '.join(filter(None, (down, across)))}" if across or down else "standing still"


def question(row: list[Thing], pick: Pick) -> tuple[int, str, str]:
    """The topic's number, a question with exactly one true answer, and that answer."""
    topic = TOPICS[pick(len(TOPICS) if len(row) > 1 else len(TOPICS) - 1)]  # a relation takes two
    index = pick(len(row))
    name = _name(row, index, topic, pick)
    if topic == "count" or name is None:
        topic = "count"
        text, answer = "how many objects are there?", NUMBERS[len(row)]
    elif topic == "count-of":
        text, answer = _count_of(row, row[index], pick)
    elif topic == "exists":
        text, answer = _exists(row, row[index], pick)
    elif topic == "relation":
        text, answer = _relation(row, index, pick)
    else:
        shape, colour, size, _ = row[index].words
        text, answer = {
            "colour": (f"what colour is {name}?", colour),
            "shape": (f"what shape is {name}?", shape),
            "size": (f"is {name} small or large?", size),
            "position": (f"where is {name}?", CELLS[row[index].cell]),
        }[topic]
    return TOPICS.index(topic), text, answer


def _count_of(row: list[Thing], near: Thing, pick: Pick) -> tuple[str, str]:
    """Half of them ask for what is there."""
    there = pick(2)
    if pick(2):
        colour = near.colour if there else pick(len(COLOURS))
        found, name = sum(each.colour == colour for each in row), f"{COLOURS[colour]} objects"
    else:
        shape = near.shape if there else pick(len(SHAPES))
        word = SHAPES[shape]
        found, name = sum(each.shape == shape for each in row), f"{word}{'es' if word == 'cross' else 's'}"
    return f"how many {name} are there?", NUMBERS[found]


def _exists(row: list[Thing], near: Thing, pick: Pick) -> tuple[str, str]:
    """Half of them are true; a false one is near to the truth: another colour or another shape."""
    shape, colour = near.shape, near.colour
    if pick(2):
        if pick(2):
            colour = (colour + 1 + pick(len(COLOURS) - 1)) % len(COLOURS)
        else:
            shape = (shape + 1 + pick(len(SHAPES) - 1)) % len(SHAPES)
    found = any(each.shape == shape and each.colour == colour for each in row)
    word = f"{'an' if COLOURS[colour][0] in 'aeiou' else 'a'} {COLOURS[colour]} {SHAPES[shape]}"
    return f"is there {word}?", "yes" if found else "no"


def _relation(row: list[Thing], index: int, pick: Pick) -> tuple[str, str]:
    """Half of them are true."""
    other = (index + 1 + pick(len(row) - 1)) % len(row)
    one, two = row[index].cell, row[other].cell
    across, down = one % 3 - two % 3, one // 3 - two // 3
    holds = (across < 0, across > 0, down < 0, down > 0)
    wanted = bool(pick(2))
    fitting = [word for word, true in zip(RELATIONS, holds, strict=True) if true is wanted]
    word = fitting[pick(len(fitting))]
    names = _name(row, index, "relation", pick), _name(row, other, "relation", pick)
    return f"is {names[0]} {word} {names[1]}?", "yes" if wanted else "no"


def _name(row: list[Thing], index: int, topic: str, pick: Pick) -> str | None:
    """Words for this object alone that do not give away what is asked; None where only its place tells."""
    said = [each.words for each in row]
    names = []
    for shape, colour, size, where in said:
        each = {
            "shape": f"the {shape}",
            "colour": f"the {colour} object",
            "colour shape": f"the {colour} {shape}",
            "size": f"the {size} object",
            "size shape": f"the {size} {shape}",
            "size colour": f"the {size} {colour} object",
            "size colour shape": f"the {size} {colour} {shape}",
            "position": f"the object {where}",
        }
        names.append([name for parts, name in each.items() if topic not in parts.split()])
    here = names[index]
    alone = [name for place, name in enumerate(here) if sum(o[place] == name for o in names) == 1]
    if topic == "relation" and len(alone) > 1:
        alone.pop()  # its place would give the answer away
    return alone[pick(len(alone))] if alone else None


def _picker(numbers: list[int]) -> Pick:
    """The drawn 31-bit numbers, one after the other, as choices."""
    rest = iter(numbers)
    return lambda limit: (next(rest) * limit) >> 31


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
