"""Reads captions and answers questions by itself, so that what a scene says of itself can be doubted."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

SHAPES = ["circle", "square", "triangle", "star", "cross", "ring"]
COLOURS = ["red", "green", "blue", "yellow", "purple", "orange", "cyan", "white"]
SIZES = ["small", "large"]
PLACES = [
    *("top left", "top", "top right", "left", "middle", "right", "bottom left", "bottom", "bottom right"),
]
NUMBERS = ["zero", "one", "two", "three"]
_SIZE, _COLOUR, _SHAPE = (f"({'|'.join(words)})" for words in (SIZES, COLOURS, SHAPES))
_PLACE = f"(?:at|in|on) the ({'|'.join(sorted(PLACES, key=len, reverse=True))})"
_WAY = r"(standing still|moving (?:up|down|left|right)(?: and (?:left|right))?)"


class Seen(NamedTuple):
    """An object as a caption tells of it, or as the columns hold it."""

    size: str
    colour: str
    shape: str
    place: str
    way: str = ""


def seen(objects: list[list[int]]) -> list[Seen]:
    """The objects of a row of the columns."""
    return [
        Seen(SIZES[size], COLOURS[colour], SHAPES[shape], PLACES[cell])
        for shape, colour, size, cell, present in objects
        if present
    ]


def way(x: int, y: int) -> str:
    """The words for a velocity."""
    words = [word for word in ("down" if y > 0 else "up" if y < 0 else "", _across(x)) if word]
    return f"moving {' and '.join(words)}" if words else "standing still"


def _across(x: int) -> str:
    return "right" if x > 0 else "left" if x < 0 else ""


_FORMS = [
    (f"{_SIZE} {_COLOUR} {_SHAPE} {_PLACE}", "size colour shape place"),
    (f"{_PLACE} a {_SIZE} {_COLOUR} {_SHAPE}", "place size colour shape"),
    (f"a {_SHAPE}, {_SIZE} and {_COLOUR}, {_PLACE}", "shape size colour place"),
    (f"the {_SHAPE} {_PLACE} is {_SIZE} and {_COLOUR}", "shape place size colour"),
]
_MOVING = [
    (f"a {_SIZE} {_COLOUR} {_SHAPE} {_PLACE} {_WAY}", "size colour shape place way"),
    (f"{_PLACE} a {_SIZE} {_COLOUR} {_SHAPE} {_WAY}", "place size colour shape way"),
    (f"the {_SIZE} {_COLOUR} {_SHAPE} {_PLACE} is {_WAY}", "size colour shape place way"),
]


def told(caption: str, moving: bool = False) -> tuple[int, Counter[Seen]]:
    """The number that a caption names and the objects it tells of; ValueError where it has no known form."""
    number = re.search(r"\b(one|two|three) (?:object|shape)(s?)\b", caption)
    if number is None or (number[2] == "") != (number[1] == "one"):
        raise ValueError(f"no number: {caption}")
    for form, fields in _MOVING if moving else _FORMS:
        found = re.findall(form, caption)
        things = Counter(Seen(**dict(zip(fields.split(), each, strict=True))) for each in found)
        shapes = re.findall(rf"\b{_SHAPE}\b", caption)
        if things.total() == len(shapes) > 0:
            return NUMBERS.index(number[1]), things
    raise ValueError(f"no known form: {caption}")


def answer(question: str, row: list[Seen]) -> str:
    """The answer to a question of a scene; ValueError where it has no answer or more than one."""
    if question == "how many objects are there?":
        return NUMBERS[len(row)]
    if found := re.fullmatch(rf"how many {_COLOUR} objects are there\?", question):
        return NUMBERS[sum(each.colour == found[1] for each in row)]
    if found := re.fullmatch(rf"how many {_SHAPE}(?:e?s) are there\?", question):
        return NUMBERS[sum(each.shape == found[1] for each in row)]
    if found := re.fullmatch(rf"is there an? {_COLOUR} {_SHAPE}\?", question):
        return "yes" if any((each.colour, each.shape) == found.groups() for each in row) else "no"
    if found := re.fullmatch(r"is (the .+) (left of|right of|above|below) (the .+)\?", question):
        one, two = (PLACES.index(_meant(found[group], row).place) for group in (1, 3))
        holds = {
            "left of": one % 3 < two % 3,
            "right of": one % 3 > two % 3,
            "above": one // 3 < two // 3,
            "below": one // 3 > two // 3,
        }
        return "yes" if holds[found[2]] else "no"
    if found := re.fullmatch(r"is (the .+) small or large\?", question):
        return _meant(found[1], row).size
    if found := re.fullmatch(r"what (colour|shape) is (the .+)\?", question):
        return str(getattr(_meant(found[2], row), found[1]))
    if found := re.fullmatch(r"where is (the .+)\?", question):
        return _meant(found[1], row).place
    raise ValueError(f"no known question: {question}")


def _meant(name: str, row: list[Seen]) -> Seen:
    """The one object that a name fits."""
    found = re.fullmatch(rf"the (?:{_SIZE} ?)?(?:{_COLOUR} ?)?(?:{_SHAPE}|object)(?: {_PLACE})?", name)
    if found is None:
        raise ValueError(f"no known name: {name}")
    fields = dict(zip(("size", "colour", "shape", "place"), found.groups(), strict=True))
    fit = [each for each in row if all(getattr(each, k) == v for k, v in fields.items() if v is not None)]
    if len(fit) != 1:
        raise ValueError(f"{name!r} fits {len(fit)} objects of {row}")
    return fit[0]
