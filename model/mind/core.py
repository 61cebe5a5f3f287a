"""A version of the core, opened: every byte held against its digest first, then sealed.

Each file is read once, and what was hashed is what is used: a file that is changed meanwhile changes nothing.
The weights in memory are sealed by the guard, and `unchanged` finds whoever wrote to them by hand.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load

from datagen.files import open_regular
from datagen.scenes import scene
from model import checkpoint, learners
from model.adapt import guard, wording
from model.encoders import Words
from model.errors import CheckpointError, ModelError
from model.hrm.board_part import BoardPart
from model.hrm.config import HrmConfig
from model.hrm.learner import HrmLearner
from model.hrm.scene import SceneReasoner
from model.hrm.scene_part import ScenePart
from model.jepa.learner import JepaLearner
from model.learner import Learner
from model.part import Part, Question

INDEX, PARTS = "core.json", "parts"
SCHEMA = 1
MOST_INDEX = 1 << 20  # bytes
MOST_WEIGHTS = 4 << 30  # bytes of a part: a hostile file fills no memory
MOST_PARTS = 32
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FILES = (checkpoint.META, checkpoint.WEIGHTS)
_GRID = ("cells", "rows", "columns", "box_rows", "box_columns")
_TOKENS = {"puzzle/maze": ("?", "#", " ", "S", "G", ".")}
"""What the ids of a board are called, where they are no digits; as the recipe's own text has them."""
_SCENE = {
    "shapes": scene.SHAPES,
    "colours": scene.COLOURS,
    "sizes": scene.SIZES,
    "cells": scene.CELLS,
    "most": scene.MOST,
}
_ANSWERING: dict[type[Learner], str] = {HrmLearner: "board", SceneReasoner: "scene", JepaLearner: "latents"}


class CoreRefused(ModelError):
    """A version of the core can't be used: it is not what its digest names."""


@dataclass(frozen=True)
class Opened:
    """One part: its learner sealed, and what answers from it (None of latents)."""

    name: str
    task: str
    learner_name: str
    learner: Learner
    part: Part | None
    meta: checkpoint.Meta
    weights: str  # SHA-256 of model.safetensors
    sealed: str  # the guard's hash, when it was opened
    calibration: Mapping[str, Any] | None

    @property
    def parameters(self) -> int:
        """How many numbers it learned."""
        return sum(each.numel() for each in self.learner.parameters())

    @property
    def size(self) -> int:
        """Pixels a side of the pictures it takes; 0 where it takes none."""
        learner = self.learner
        return learner.config.vision.size if isinstance(learner, SceneReasoner | JepaLearner) else 0

    @property
    def board(self) -> HrmConfig | None:
        """What a reasoner over boards is made of."""
        return self.learner.config if isinstance(self.learner, HrmLearner) else None

    @property
    def takes(self) -> dict[str, Any]:
        """What its questions are made of, for `status`."""
        if isinstance(self.learner, JepaLearner):
            return {"size": self.size, "width": self.learner.config.latent}
        if isinstance(self.learner, SceneReasoner):
            return {"size": self.size, "answers": self.learner.answers(), **_SCENE}
        if self.board is None:
            return {}
        told = {name: getattr(self.board.grid, name) for name in _GRID}
        known = _TOKENS.get(str(self.meta.data.get("recipe")), ("." if self.board.blank == 0 else "0",))
        tokens = [*known, *map(str, range(len(known), self.board.vocabulary))][: self.board.vocabulary]
        return told | {"vocabulary": self.board.vocabulary, "blank": self.board.blank, "tokens": tokens}

    @cached_property
    def words(self) -> frozenset[str]:
        """The words that a reasoner over pictures knows; none of another."""
        learner = self.learner
        if not isinstance(learner, SceneReasoner):
            return frozenset()
        return frozenset(Words.parse(learner.vocabulary, learner.config.words).listed())

    def strange(self, question: Question) -> list[str]:
        """Words of a question that it has never heard: how sure it is of such a one was never measured."""
        return sorted(wording.parse(question.text, self.words).new) if self.task == "scene" else []

    def unchanged(self) -> str:
        """The guard's hash now; `CoreChanged` where it is not that of the opening."""
        return guard.verify(self.learner)


@dataclass(frozen=True)
class Core:
    """A version, whole."""

    digest: str
    parts: Mapping[str, Opened]

    def answering(self) -> dict[str, Opened]:
        """The parts that take questions."""
        return {name: each for name, each in self.parts.items() if each.part is not None}


def index(home: Path, digest: str) -> dict[str, Any]:
    """The `core.json` of a version, held against its digest and parsed; CoreRefused says what is wrong."""
    if not _DIGEST.fullmatch(digest):
        raise CoreRefused(f"{digest[:80]!r} is no digest of a core")
    path = folder(home, digest) / INDEX
    text = _bytes(path, MOST_INDEX)
    if hashlib.sha256(text).hexdigest() != digest:
        raise CoreRefused(f"{path} was altered: it is not the core {digest[:12]}")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        raise CoreRefused(f"{path} is no JSON") from None
    if isinstance(body, dict) and isinstance(body.get("schema"), int) and body["schema"] > SCHEMA:
        raise CoreRefused(f"{path} is of schema {body['schema']}: a newer Jetbox wrote it")
    wrong = _wrong(body)
    if wrong:
        raise CoreRefused(f"{path}: {wrong}")
    return dict(body)


def folder(home: Path, digest: str) -> Path:
    """Where a version lies."""
    return home / "core" / "versions" / digest


def open_core(home: Path, digest: str) -> Core:
    """A version with all its parts, verified, restored and sealed.

    Raises:
        CoreRefused: a file is missing or altered, or is not what `core.json` says.
    """
    body = index(home, digest)
    found = {}
    for name, told in body["parts"].items():
        found[name] = _opened(folder(home, digest) / PARTS / name, name, told)
    return Core(digest, found)


def _opened(where: Path, name: str, told: Mapping[str, Any]) -> Opened:
    held = {}
    for each, most in zip(_FILES, (checkpoint.MAX_META, MOST_WEIGHTS), strict=True):
        held[each] = _bytes(where / each, most)
        if hashlib.sha256(held[each]).hexdigest() != told["files"][each]:
            raise CoreRefused(f"{where / each} was altered: it has not its checksum")
    try:
        meta = checkpoint.parse(held[checkpoint.META], where)
        if meta.learner != told["learner"]:
            raise CoreRefused(f"the part {name!r} is a {meta.learner}, not a {told['learner']}")
        learner = learners.assembled(where, meta, load(held[checkpoint.WEIGHTS]))
    except (ModelError, SafetensorError, ValueError, KeyError) as error:
        raise CoreRefused(f"the part {name!r} can't be opened: {error}") from None
    kind = next((task for type_, task in _ANSWERING.items() if isinstance(learner, type_)), None)
    if kind is None or kind != told["task"]:
        raise CoreRefused(f"the part {name!r} is of the task {kind}, not {told['task']}")
    sealed = guard.seal(learner, name)
    weights = told["files"][checkpoint.WEIGHTS]
    return Opened(
        name, kind, meta.learner, learner, part_of(learner), meta, weights, sealed, told["calibration"]
    )


def part_of(learner: Learner) -> Part | None:
    """What answers from a restored learner; None where it takes no questions."""
    if isinstance(learner, HrmLearner):
        return BoardPart(learner)
    if isinstance(learner, SceneReasoner):
        return ScenePart(learner)
    return None


def part_at(where: Path) -> tuple[Part, checkpoint.Meta]:
    """The part of a checkpoint, of which `train.safetensors` need not be there; CheckpointError otherwise."""
    try:
        meta = checkpoint.parse(_bytes(where / checkpoint.META, checkpoint.MAX_META), where)
        weights = _bytes(where / checkpoint.WEIGHTS, MOST_WEIGHTS)
    except CoreRefused as error:
        raise CheckpointError(str(error)) from None
    if hashlib.sha256(weights).hexdigest() != meta.files[checkpoint.WEIGHTS]["sha256"]:
        raise CheckpointError(f"{where / checkpoint.WEIGHTS} is torn or was altered: it has not its checksum")
    try:
        part = part_of(learners.assembled(where, meta, load(weights)))
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{where} can't be opened: {error}") from None
    if part is None:
        raise CheckpointError(f"{where} holds a {meta.learner} that takes no questions")
    return part, meta


def _bytes(path: Path, most: int) -> bytes:
    try:
        with open_regular(path) as file:
            data = file.read(most + 1)
    except OSError as error:
        raise CoreRefused(f"{path} can't be read: {error.strerror or error}") from None
    if len(data) > most:
        raise CoreRefused(f"{path} is larger than {most} bytes")
    return data


def _wrong(body: object) -> str:
    """What is wrong with a `core.json`; '' where nothing."""
    if not isinstance(body, dict) or body.keys() != {"schema", "parent", "made", "parts"}:
        return "it has not exactly schema, parent, made and parts"
    parts = body["parts"]
    if not isinstance(parts, dict) or not 1 <= len(parts) <= MOST_PARTS:
        return f"it has not 1 to {MOST_PARTS} parts"
    for name, each in parts.items():
        if not _NAME.fullmatch(name):
            return f"{name[:40]!r} is no name of a part"
        if not isinstance(each, dict) or each.keys() != {"task", "learner", "files", "calibration"}:
            return f"the part {name!r} has not exactly task, learner, files and calibration"
        files = each["files"]
        if not isinstance(files, dict) or files.keys() != set(_FILES):
            return f"the part {name!r} does not name {' and '.join(_FILES)}"
        if not all(isinstance(sha, str) and _DIGEST.fullmatch(sha) for sha in files.values()):
            return f"the part {name!r} has a checksum that is none"
        if each["calibration"] is not None and not isinstance(each["calibration"], dict):
            return f"the calibration of the part {name!r} is no object"
    return ""
