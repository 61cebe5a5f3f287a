"""Rows that a part never learned from, and what it says of them: what calibration is fitted and measured on.

They are made by the recipe of the part's own training data, from a seed of their own, and only those of the
test side are taken, which no data set of that recipe trains on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datagen import load, recipe
from model import checkpoint
from model.errors import UnfitData
from model.part import Part, Question, Said
from model.reflect.calibration import Signs
from model.reflect.look import look, varying

_CHUNK = 4096  # rows made at once; a tenth of them is held out
_AT_ONCE = 48  # questions asked at once, beside their variants
_SCARCE = 64  # chunks without enough rows: then the recipe holds out too little
Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """A question and its right answer."""

    question: Question
    answer: Said


def cases(columns: Columns, task: str) -> list[Case]:
    """Questions of a data set's columns; UnfitData where they are not of this task."""
    wanted = ("question", "answer") if task == "board" else ("image", "question", "answer")
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise UnfitData(f"the data set has no column {' and '.join(missing)}")
    if task == "board":
        pairs = zip(columns["question"].astype(np.int64), columns["answer"].astype(np.int64), strict=True)
        return [Case(Question(cells=asked), said) for asked, said in pairs]
    rows = zip(columns["image"], _texts(columns["question"]), _texts(columns["answer"]), strict=True)
    return [Case(Question(image=image, text=asked), said) for image, asked, said in rows]


def fresh(meta: checkpoint.Meta, rows: int, seed: int, **options: Any) -> dict[str, np.ndarray]:
    """So many held-out rows of a training's recipe, with these options changed.

    Raises:
        DataError: the recipe is not here. UnfitData: it makes no columns, or holds out too little.
    """
    name = str(meta.data.get("recipe", ""))
    found = recipe.load(name)
    if not recipe.is_columns(found):
        raise UnfitData(f"{name} makes rows of text")
    chosen = recipe.complete(found.options, {**meta.data.get("options", {}), **options})
    own = f"{meta.data.get('content_sha256')}/calibration/{seed}"
    number = int.from_bytes(hashlib.sha256(own.encode()).digest()[:4], "big") >> 1
    parts: list[dict[str, np.ndarray]] = []
    have = at = 0
    while have < rows:
        made = found.make(number, at, at + _CHUNK, chosen)
        kept = made["split"] == 1
        parts.append({each: column[kept] for each, column in made.items()})
        have, at = have + int(kept.sum()), at + _CHUNK
        if at >= _SCARCE * _CHUNK:
            raise UnfitData(f"{name} held out {have} of {at} rows: ask for fewer rows")
    return {each: np.concatenate([part[each] for part in parts])[:rows] for each in parts[0]}


def given(folder: Path, rows: int) -> dict[str, np.ndarray]:
    """The first held-out rows of a data set."""
    columns = load.columns(folder, "test")
    return {name: column[:rows] for name, column in columns.items()}


def observed(part: Part, wanted: Sequence[Case], origin: str = "") -> Iterator[tuple[Signs, bool]]:
    """The signs of each answer, and whether it is right, in order; `origin` is the recipe's name."""
    vary = varying(part, origin)
    for start in range(0, len(wanted), _AT_ONCE):
        chunk = wanted[start : start + _AT_ONCE]
        looks = look(part, [each.question for each in chunk], vary, trace=True)
        for each, case in zip(looks, chunk, strict=True):
            yield each.features, bool(np.array_equal(each.answer.said, case.answer))


def _texts(column: np.ndarray) -> list[str]:
    return [row.tobytes().rstrip(b"\0").decode("utf-8", "replace") for row in column]
