"""A core of tiny untrained parts, and a memory by heart: what the mind's tests stand on. It loads torch."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model import checkpoint
from model.hrm.config import HrmConfig
from model.hrm.learner import HrmLearner
from model.part import Answer, Learned, Lesson, Memory, Part, Question, Task

torch.set_num_threads(1)
BOARD: dict[str, Any] = {
    "vocabulary": 5,
    "grid": {"rows": 4, "columns": 4, "box_rows": 2, "box_columns": 2},
    "hidden": 16,
    "layers": 1,
    "heads": 2,
    "h_cycles": 2,
    "l_cycles": 2,
    "augment": "sudoku",
}
DATA = {
    "recipe": "puzzle/sudoku",
    "options": {"size": 4, "difficulty": "any"},
    "columns": {"question": ["uint8", [16]], "answer": ["uint8", [16]]},
    "rows": 10,
    "encoder": None,
    "content_sha256": "0" * 64,
}


def trained(folder: Path, seed: int = 0, **strange: object) -> Path:
    """A checkpoint as a training writes it, of weights that the seed decides; `strange` options can't be."""
    torch.manual_seed(seed)
    learner = HrmLearner(HrmConfig.model_validate(BOARD))
    meta = checkpoint.Meta("hrm", {"model": BOARD | strange}, "k", DATA, seed, 1, "all", {}, {})
    return checkpoint.save(folder, meta, learner.state_dict(), {"x": torch.zeros(1)})


def core(home: Path, calibration: Mapping[str, Any] | None = None, **checkpoints: Path) -> str:
    """A version of these parts; its digest."""
    aside = home / "core" / "versions" / "making"
    shutil.rmtree(aside, ignore_errors=True)
    parts = {}
    for name, where in checkpoints.items():
        (aside / "parts" / name).mkdir(parents=True)
        files = {}
        for each in (checkpoint.META, checkpoint.WEIGHTS):
            data = (where / each).read_bytes()
            (aside / "parts" / name / each).write_bytes(data)
            files[each] = hashlib.sha256(data).hexdigest()
        parts[name] = {"task": "board", "learner": "hrm", "files": files, "calibration": calibration}
    body = {"schema": 1, "parent": None, "made": {"by": "adopt"}, "parts": parts}
    text = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    digest = hashlib.sha256(text).hexdigest()
    (aside / "core.json").write_bytes(text)
    shutil.rmtree(aside.with_name(digest), ignore_errors=True)
    aside.rename(aside.with_name(digest))
    return digest


class ByHeart(Memory):
    """A double of what learns: it knows its lessons word for word, nothing else, and counts its learnings."""

    method = "by-heart"
    learnings = 0

    def __init__(self, over: Part) -> None:
        self.core, self.task = over, over.task
        self.known: list[tuple[np.ndarray, np.ndarray]] = []

    task: Task

    def answer(self, questions: Sequence[Question], *, steps: int = 0, trace: bool = False) -> list[Answer]:
        found = []
        for each in questions:
            said = self._said(each)
            found += self.core.answer([each], trace=trace) if said is None else [Answer(said, 3.0)]
        return found

    def learn(self, lessons: Sequence[Lesson], seconds: float) -> Learned:
        type(self).learnings += 1
        self.known = [
            (each.question.cells, np.asarray(each.answer))
            for each in lessons
            if each.question.cells is not None
        ]
        return Learned(0.0, len(lessons), len(lessons), {"known": float(len(lessons))})

    def claims(self, questions: Sequence[Question]) -> list[bool]:
        return [self._said(each) is not None for each in questions]

    def held(self) -> dict[str, np.ndarray]:
        return {
            "asked": np.array([asked for asked, _ in self.known], dtype=np.int64),
            "said": np.array([said for _, said in self.known], dtype=np.int64),
        }

    def hold(self, arrays: Mapping[str, np.ndarray]) -> None:
        if arrays.keys() != {"asked", "said"}:
            raise ValueError("these are no lessons")
        self.known = list(zip(arrays["asked"], arrays["said"], strict=True))

    @property
    def numbers(self) -> int:
        return 32 * len(self.known)

    def _said(self, asked: Question) -> np.ndarray | None:
        for known, said in reversed(self.known):
            if asked.cells is not None and np.array_equal(known, asked.cells):
                return said
        return None


def default(task: Task) -> str:
    """As `model/adapt/methods.py` has it."""
    return "by-heart"


def build(method: str, over: Part) -> Memory:
    """As `model/adapt/methods.py` has it."""
    if method != "by-heart":
        raise ValueError(f"no memory {method!r}")
    return ByHeart(over)
