"""Evaluations for tests: small data sets made by hand, untrained models in real checkpoints, requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import few_scenes
import numpy as np
import torch

from datagen import columns
from datagen.manifest import COLUMNS_SCHEMA, MANIFEST, Manifest
from model import checkpoint, learners
from model.learner import DataInfo

SUDOKU: dict[str, Any] = {
    "vocabulary": 5,
    "grid": {"rows": 4, "columns": 4, "box_rows": 2, "box_columns": 2},
    "hidden": 16,
    "h_cycles": 1,
    "l_cycles": 1,
    "layers": 1,
    "halt_steps": 2,
}
MAZE: dict[str, Any] = SUDOKU | {
    "vocabulary": 6,
    "blank": None,
    "grid": {"rows": 5, "columns": 5},
    "mixing": ["local"],
}


def puzzles(rows: int = 96, seed: int = 0, split: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Sudoku of 4 x 4 with half of its cells blank; every third row is held out."""
    chance = np.random.default_rng(seed)
    base = np.array([1, 2, 3, 4, 3, 4, 1, 2, 2, 1, 4, 3, 4, 3, 2, 1], dtype=np.uint8)
    renamed = np.stack([chance.permutation(4) + 1 for _ in range(rows)]).astype(np.uint8)
    answer = renamed[:, base - 1]
    return {
        "question": np.where(chance.random(answer.shape) < 0.5, answer, 0).astype(np.uint8),
        "answer": answer,
        "guesses": chance.integers(0, 6, rows).astype(np.uint16),
        "split": (np.arange(rows) % 3 == 0).astype(np.uint8) if split is None else split,
        "key": np.arange(rows, dtype=np.uint64),
    }


def mazes(rows: int = 60) -> dict[str, np.ndarray]:
    """A maze of 5 x 5 with one corridor, again and again."""
    answer = np.array(
        [1, 1, 1, 1, 1, 1, 3, 5, 5, 1, 1, 1, 1, 5, 1, 1, 4, 5, 5, 1, 1, 1, 1, 1, 1], dtype=np.uint8
    )
    answers = np.tile(answer, (rows, 1))
    return {
        "question": np.where(answers == 5, 2, answers).astype(np.uint8),
        "answer": answers,
        "length": np.full(rows, 5, dtype=np.uint16),
        "split": (np.arange(rows) % 2).astype(np.uint8),
        "key": np.arange(rows, dtype=np.uint64),
    }


def scenes(rows: int = 90) -> dict[str, np.ndarray]:
    """Scenes of which every second is held out."""
    return few_scenes.columns(rows) | {"split": (np.arange(rows) % 2).astype(np.uint8)}


def data_set(folder: Path, recipe: str, arrays: dict[str, np.ndarray]) -> Path:
    """A data set of columns in one shard."""
    folder.mkdir(parents=True)
    rows = len(arrays["key"])
    spec = columns.spec(recipe, {name: (each.dtype.name, each.shape[1:]) for name, each in arrays.items()})
    shard = columns.write(folder / "shard-00000.safetensors", spec, arrays, rows)
    totals = columns.Totals(spec)
    totals.add(arrays)
    told: dict[str, Any] = {
        "schema": COLUMNS_SCHEMA,
        "provenance": "synthetic",
        "recipe": recipe,
        "recipe_version": "1",
        "seed": 5,
        "count": rows,
        "parameters": {},
        "splits": totals.splits(),
        "content_sha256": totals.content(),
        "shards": (shard,),
        "form": "columns",
        "columns": spec,
    }
    (folder / MANIFEST).write_bytes(Manifest(**told).encode())
    return folder


def model(
    run_dir: Path, kind: str, options: dict[str, Any], seed: int = 0, recipe: str = "puzzle/sudoku"
) -> Path:
    """The folder of a checkpoint with an untrained model."""
    info = DataInfo(recipe, {}, {}, 64)
    learner = learners.build(kind, options, info, seed)
    if kind == "jepa":
        learner.prepare(few_scenes.columns(60, seed=9))  # which makes the tokenizer
    meta = checkpoint.Meta(
        learner=kind,
        config={
            "learner": kind,
            "model": options,
            "batch": 8,
            "steps": 10,
            "optimizer": {"name": "adamw", "lr": 0.1},
        },
        config_key="0" * 64,
        data={
            "recipe": recipe,
            "options": {},
            "columns": {},
            "rows": 64,
            "encoder": None,
            "content_sha256": "0" * 64,
        },
        seed=seed,
        step=10,
        phase="end",
        metrics={"loss": 1.5, "exact": 0.25},
        memory={"precision": "fp32"},
    )
    return checkpoint.save(run_dir, meta, learner.state_dict(), {"nothing": torch.zeros(1)})


def ask(run_dir: Path, suite: str, models: list[Path], data: Path, **over: Any) -> Path:
    """Write a request."""
    run_dir.mkdir(parents=True, exist_ok=True)
    body = {
        "schema": 1,
        "suite": suite,
        "models": [str(each) for each in models],
        "data": str(data),
        "seeds": [0, 1, 2],
        "rows": 24,
        "options": {"rollouts": 2},
    }
    (run_dir / "request.json").write_text(json.dumps(body | over))
    return run_dir
