"""Still scenes as columns: `image/scenes`. Pure functions of the seed, the options and the row's number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from datagen.draws import Draws
from datagen.scenes import render, scene, words

NAME = "image/scenes"


def columns(options: Mapping[str, Any]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The type and the shape of a row of each column."""
    side = options["size"]
    return {
        "image": ("uint8", (side, side, 3)),
        "caption": ("uint8", (words.CAPTION,)),
        "count": ("uint8", ()),
        "objects": ("uint8", (scene.MOST, 5)),
        "question": ("uint8", (words.QUESTION,)),
        "answer": ("uint8", (words.ANSWER,)),
        "topic": ("uint8", ()),
        "split": ("uint8", ()),
        "key": ("uint64", ()),
    }


def make(seed: int, start: int, stop: int, options: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """Rows start to stop - 1; options are `size` (pixels a side), `objects` (at most) and `wordings`."""

    def draws(part: str) -> Draws:
        return Draws(f"{NAME}/{part}", seed, start, stop)

    scenes = scene.draw(draws("scene"), 1, options["objects"])
    spots = scene.spots(draws("spots"), scenes, options["size"])
    question, answer, topic = words.questions(draws("question"), scenes.objects)
    return {
        "image": render.draw(draws("light"), scenes.objects, spots, options["size"]),
        "caption": words.captions(draws("caption"), scenes.objects, options["wordings"]),
        "count": scenes.count,
        "objects": scenes.objects,
        "question": question,
        "answer": answer,
        "topic": topic,
        "split": scenes.split,
        "key": scenes.key,
    }
