"""An example for a person to begin with: a question of the part's own recipe, and the true answer."""

from __future__ import annotations

from typing import Any

from datagen import recipe
from datagen.draws import Draws
from datagen.errors import DataError
from datagen.scenes import scene, stills, words
from model.mind.core import Opened
from model.mind.errors import MindRefused


def example(opened: Opened, seed: int) -> dict[str, Any]:
    """`question` as the protocol has it, and `answer`; MindRefused where the recipe is not here."""
    if opened.task == "scene":
        return _scene(opened.name, seed)
    name, options = str(opened.meta.data.get("recipe", "")), opened.meta.data.get("options", {})
    try:
        found = recipe.load(name)
        if not recipe.is_columns(found):
            raise MindRefused("request", f"{name} makes no boards")
        row = found.make(seed, 0, 1, recipe.complete(found.options, options))
    except DataError as error:
        raise MindRefused("request", f"no example can be made: {error}") from None
    cells, answer = row["question"][0].tolist(), row["answer"][0].tolist()
    return {"question": {"part": opened.name, "cells": cells}, "answer": answer}


def _scene(part: str, seed: int) -> dict[str, Any]:
    made = scene.draw(Draws(f"{stills.NAME}/scene", seed, 0, 1), 1, scene.MOST)
    asked, said, _ = words.questions(Draws(f"{stills.NAME}/question", seed, 0, 1), made.objects)
    objects = [
        {
            "shape": scene.SHAPES[each.shape],
            "colour": scene.COLOURS[each.colour],
            "size": scene.SIZES[each.size],
            "cell": scene.CELLS[each.cell],
        }
        for each in words.things(made.objects)[0]
    ]
    shown = {"objects": objects, "seed": seed}
    question = {"part": part, "question": words.texts(asked)[0], "scene": shown}
    return {"question": question, "answer": words.texts(said)[0]}
