"""Doubles of what a core is made of, where a test is about who may change it and not about learning.

`checkpoint` writes a folder as `model.train` leaves it, sealed the same way, with bytes for weights;
`memory` a working memory as `model/mind/records.py` does; `scripted` a double of the consolidation.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator import runs
from orchestrator.core import adopt
from orchestrator.kinds import core as core_kind

DOUBLES = Path(__file__).resolve().parent


def scripted(put: Any) -> None:
    """Have the doubles work in place of the model wing; `put` is `setattr`, or a monkeypatch's."""
    put(core_kind, "MODULE", "scripted_consolidate")
    put(core_kind, "MODELS", ())
    put(adopt, "CALIBRATE", "scripted_calibration_that_is_not_there")
    put(adopt, "opens", lambda *given: None)  # these weights are no weights
    plain = runs.environment

    def with_doubles(source: Mapping[str, str]) -> dict[str, str]:
        return plain(source) | {"PYTHONPATH": str(DOUBLES)}

    put(runs, "environment", with_doubles)


def checkpoint(folder: Path, weights: bytes = b"weights", task: str = "board") -> Path:
    """A checkpoint's folder."""
    folder.mkdir(parents=True)
    learner = "jepa" if task == "latents" else "hrm"
    model = {"task": "scene"} if task == "scene" else {}
    named = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in (("model.safetensors", weights), ("train.safetensors", b"state"))
    }
    body: dict[str, Any] = {
        "version": 1, "learner": learner, "config": {"model": model}, "config_key": "k", "seed": 0,
        "step": 10, "data": {"recipe": "puzzle/sudoku"}, "phase": "train", "metrics": {}, "memory": {},
        "files": named,
    }  # fmt: skip
    body["seal"] = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "train.safetensors").write_bytes(b"state")
    (folder / "checkpoint.json").write_text(json.dumps(body, sort_keys=True, indent=1) + "\n")
    return folder


def memory(
    home: Path, name: str, part: str, core: str, lessons: int = 3, at: int = 0, **learned: Any
) -> Path:
    """A working memory's folder; `learned` steers the double of the consolidation."""
    folder = home / "memories" / name
    folder.mkdir(parents=True, exist_ok=True)
    arrays = f"arrays of {lessons} lessons".encode()
    sha256 = hashlib.sha256(arrays).hexdigest()
    at = at or time.time_ns() // 1_000_000 + 60_000
    body = {
        "schema": 1, "name": name, "part": part, "core": core, "method": "relations", "on": True,
        "lessons": [
            {"question": {"cells": [n]}, "answer": [n], "core": core, "at": at} for n in range(lessons)
        ],
        "learned": {"right": lessons, "numbers": 12, "facts": learned}, "generation": 1, "arrays": sha256,
    }  # fmt: skip
    (folder / f"{sha256[:32]}.safetensors").write_bytes(arrays)
    (folder / "memory.json").write_text(json.dumps(body, sort_keys=True) + "\n")
    return folder
