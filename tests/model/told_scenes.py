"""A tiny reasoner over scenes, scenes with their tables, and a memory that sees them as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import few_scenes
import numpy as np
import torch

from datagen.draws import Draws
from datagen.scenes import render, scene, words
from datagen.scenes.words import Thing
from model.adapt import beliefs
from model.adapt.concepts import Concepts
from model.hrm import scene as reasoners
from model.hrm.scene import SceneReasoner
from model.hrm.scene_part import ScenePart
from model.learner import DataInfo
from model.part import Lesson, Part, Question

FAMILIES = {"ember": ("red", "orange", "yellow"), "brr": ("green", "cyan", "blue")}
NEAR = (("red", "orange"), ("orange", "yellow"), ("yellow", "green"), ("green", "cyan"), ("cyan", "blue"))
_SCENES = 4000
KIND = "what kind is it?"
STAND = "how does the red one stand to the other?"
_TABLES: dict[bytes, np.ndarray] = {}


@cache
def reasoner(seed: int = 0, **over: Any) -> SceneReasoner:
    """Untrained, with the words and answers of some scenes."""
    torch.manual_seed(seed)
    body = {
        "task": "scene", "vision": {"width": 32, "depth": 1, "heads": 2}, "freeze": [], "sight": 32,
        "hidden": 32, "heads": 2, "cells": 2, **over,
    }  # fmt: skip
    made = reasoners.build(body, DataInfo("image/scenes", {}, {}, 64))
    made.prepare(asked(400))
    return made.eval().requires_grad_(False)


def part(seed: int = 0) -> ScenePart:
    """What answers over it."""
    return ScenePart(reasoner(seed))


def asked(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Rows of the recipe with questions."""
    found = few_scenes.columns(rows, seed)
    question, answer, _ = words.questions(Draws("told", seed, 0, rows), found["objects"])
    return {**found, "question": question, "answer": answer}


@cache
def _drawn() -> tuple[np.ndarray, list[list[Thing]]]:
    draws = Draws("told scenes", 0, 0, _SCENES)
    made = scene.draw(draws, 1, scene.MOST)
    pictures = render.draw(draws, made.objects, scene.spots(draws, made, 32), 32)
    tables = beliefs.tables(made.objects)
    for picture, table in zip(pictures, tables, strict=True):
        _TABLES[picture.tobytes()] = table
    return pictures, words.things(made.objects)


def lessons(rule: Callable[[list[Thing]], str | None], text: str, count: int, seed: int) -> list[Lesson]:
    """So many scenes of a rule with their answers, each as often as the others; from 50 on held-out ones."""
    pictures, rows = _drawn()
    half = _SCENES // 2
    found: dict[str, list[Lesson]] = {}
    for at in np.random.default_rng(seed).permutation(half) + (half if seed >= 50 else 0):
        answer = rule(rows[at])
        if answer is not None:
            found.setdefault(answer, []).append(Lesson(Question(image=pictures[at], text=text), answer))
    turns = zip(*(found[answer] for answer in sorted(found)), strict=False)
    return [each for turn in turns for each in turn][:count]


def kind(row: list[Thing]) -> str | None:
    """Of one object: cold or warm, by its colour."""
    if len(row) != 1:
        return None
    return next((name for name, each in FAMILIES.items() if scene.COLOURS[row[0].colour] in each), None)


def stand(row: list[Thing]) -> str | None:
    """Of a red object and another one: on which side it stands."""
    reds = [each for each in row if scene.COLOURS[each.colour] == "red"]
    if len(row) != 2 or len(reds) != 1:
        return None
    other = row[1] if row[0] is reds[0] else row[0]
    aside = reds[0].cell % 3 - other.cell % 3
    return "flim" if aside < 0 else "flom" if aside > 0 else "flum"


def zorp(row: list[Thing]) -> str | None:
    """Of one circle or star: a word for its shape and size together."""
    names = {("circle", 0): "bip", ("circle", 1): "bop", ("star", 0): "tis", ("star", 1): "tos"}
    return names.get((scene.SHAPES[row[0].shape], row[0].size)) if len(row) == 1 else None


class Seeing(Concepts):
    """The memory, with a sight that is never wrong and takes neighbours in the rainbow for alike."""

    def __init__(self, core: Part) -> None:
        super().__init__(core)
        alike = {"shape": np.eye(6), "colour": np.eye(8)}
        for pair in NEAR:
            one, two = (scene.COLOURS.index(each) for each in pair)
            alike["colour"][one, two] = alike["colour"][two, one] = 0.3
        self.reader = beliefs.Reader(self.core.learner, beliefs.Fit((1.0, 1.0, 1.0), alike))

    def remember(self, questions: Sequence[Question]) -> dict[str, np.ndarray]:
        """The true tables."""
        rows = [_TABLES[each.image.tobytes()] for each in questions if each.image is not None]
        return {"beliefs": np.array(rows, np.float32).reshape(-1, 9, beliefs.WIDTH)}


def right(memory: Concepts, held: Sequence[Lesson]) -> float:
    """The share of these that it answers rightly."""
    found = memory.answer([each.question for each in held])
    return float(np.mean([one.said == each.answer for one, each in zip(found, held, strict=True)]))
