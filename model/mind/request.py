"""A line of the protocol becomes a request, or is refused with a line: pure, and bounded before use."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from datagen.draws import Draws
from datagen.scenes import render, scene, stills
from model.mind.errors import MindRefused
from model.part import Question, Said

LINE = 4 << 20  # bytes (docs/mind.md)
VERBS = ("status", "encode", "example", "reason", "reflect", "correct", "memory")
OPS = ("list", "on", "off", "forget", "copy", "drop-last")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_TEXT, _ANSWER = 400, 64  # characters
_SIDE = 512  # pixels
_WORDS = {"shape": scene.SHAPES, "colour": scene.COLOURS, "size": scene.SIZES, "cell": scene.CELLS}


@dataclass(frozen=True)
class Asked:
    """One request, its common fields checked."""

    number: int
    do: str
    body: Mapping[str, Any]


def parse(line: bytes) -> Asked:
    """A request; MindRefused where it is none. `number_of` tells the id of one that is refused."""
    if len(line) > LINE:
        raise MindRefused("request", f"a line of more than {LINE} bytes is not read")
    try:
        body = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise MindRefused("request", f"a request is one JSON object a line: {error}") from None
    if not isinstance(body, dict) or not _whole(body.get("id")):
        raise MindRefused("request", "a request has an id, a whole number, and do")
    if body.get("do") not in VERBS:
        raise MindRefused(
            "request", f"there is no {str(body.get('do'))[:40]!r}; there are {', '.join(VERBS)}"
        )
    return Asked(body["id"], body["do"], body)


def number_of(line: bytes) -> int | None:
    """The id in a line that was refused, so that its asker hears of it; None where there is none."""
    try:
        body = json.loads(line[:LINE])
    except (ValueError, RecursionError):
        return None
    number = body.get("id") if isinstance(body, dict) else None
    return number if _whole(number) else None


def question(body: Mapping[str, Any], task: str, size: int) -> Question:
    """The question of a request to a part of this task, whose pictures have `size` pixels a side."""
    if task == "board":
        return Question(cells=board(body.get("cells")))
    text = body.get("question")
    if not isinstance(text, str) or not text.strip() or len(text) > _TEXT:
        raise MindRefused("request", f"a question in words is needed, of at most {_TEXT} characters")
    return Question(image=picture(body, size), text=" ".join(text.split()))


def board(cells: object) -> np.ndarray:
    """Token ids int64 [N]; whether they are this part's is for the part to say."""
    if not isinstance(cells, list) or not 1 <= len(cells) <= 4096 or not all(map(_whole, cells)):
        raise MindRefused("request", "cells is a list of 1 to 4096 whole numbers")
    if not all(0 <= each < 1 << 16 for each in cells):
        raise MindRefused("request", "a cell is a number from 0 to 65535")
    return np.array(cells, dtype=np.int64)


def picture(body: Mapping[str, Any], size: int) -> np.ndarray:
    """uint8 [size, size, 3], of `image` or of `scene`."""
    if ("image" in body) == ("scene" in body):
        raise MindRefused("request", "either an image or a scene is needed")
    return _image(body["image"], size) if "image" in body else drawn(body["scene"], size)


def answer(said: object, task: str, cells: int = 0) -> Said:
    """The answer of a correction."""
    if task == "board":
        found = board(said)
        if len(found) != cells:
            raise MindRefused("request", f"the answer has {len(found)} cells, the board {cells}")
        return found
    if not isinstance(said, str) or not said.strip() or len(said) > _ANSWER or not said.isprintable():
        raise MindRefused("request", f"the answer is a word or a few, of at most {_ANSWER} characters")
    return " ".join(said.split())


def name(value: object, what: str = "memory") -> str:
    """The name of a memory or a part."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise MindRefused("request", f"{str(value)[:40]!r} is no name of a {what}: small letters, digits, -")
    return value


def drawn(told: object, size: int) -> np.ndarray:
    """A scene as the training's pictures are: objects in words, places and light by its seed."""
    if not isinstance(told, dict) or not told.keys() <= {"objects", "seed"}:
        raise MindRefused("request", "a scene is {objects, seed}")
    seed, objects = told.get("seed", 0), told.get("objects")
    if not _whole(seed) or not 0 <= seed < 1 << 31:
        raise MindRefused("request", "the seed of a scene is a whole number from 0 to 2147483647")
    if not isinstance(objects, list) or not 1 <= len(objects) <= scene.MOST:
        raise MindRefused("request", f"a scene has one to {scene.MOST} objects")
    rows = sorted((_object(each) for each in objects), key=lambda row: row[scene.CELL])
    if len({row[scene.CELL] for row in rows}) < len(rows):
        raise MindRefused("request", "two objects of a scene stand in one cell")
    table = np.zeros((1, scene.MOST, 5), np.uint8)
    table[0, : len(rows)] = rows
    made = scene.Scenes(table, np.array([len(rows)], np.uint8), scene.keys(table), np.zeros(1, np.uint8))
    spots = scene.spots(Draws(f"{stills.NAME}/spots", seed, 0, 1), made, size)
    return np.asarray(render.draw(Draws(f"{stills.NAME}/light", seed, 0, 1), table, spots, size)[0])


def _object(told: object) -> list[int]:
    if not isinstance(told, dict) or told.keys() != _WORDS.keys():
        raise MindRefused("request", f"an object of a scene has {', '.join(_WORDS)}")
    for kind, words in _WORDS.items():
        if told[kind] not in words:
            raise MindRefused("request", f"{str(told[kind])[:40]!r} is no {kind}: {', '.join(words)}")
    order = ("shape", "colour", "size", "cell")
    return [*(_WORDS[kind].index(told[kind]) for kind in order), 1]


def _image(told: object, size: int) -> np.ndarray:
    if not isinstance(told, dict) or told.keys() != {"size", "rgb"} or not isinstance(told["rgb"], str):
        raise MindRefused("request", "an image is {size, rgb}")
    side = told["size"]
    if not _whole(side) or not 1 <= side <= _SIDE:
        raise MindRefused("request", f"an image has 1 to {_SIDE} pixels a side")
    if side != size:
        raise MindRefused(
            "request", f"this part sees pictures of {size} x {size} pixels, not {side} x {side}"
        )
    try:
        data = base64.b64decode(told["rgb"], validate=True)
    except (binascii.Error, ValueError):
        raise MindRefused("request", "the rgb of the image is no base64") from None
    if len(data) != side * side * 3:
        raise MindRefused("request", f"the image has {len(data)} bytes, not {side * side * 3}")
    return np.frombuffer(data, np.uint8).reshape(side, side, 3).copy()


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")
