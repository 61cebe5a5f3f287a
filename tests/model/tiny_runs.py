"""Training runs of the tiny learner: their data, requests, and the real child that does them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from datagen import columns
from datagen.manifest import COLUMNS_SCHEMA, MANIFEST, Manifest

HERE = Path(__file__).parent
MEASURED = ("steps_per_second", "core_seconds", "memory_bytes")
"""Metrics of the machine, which no two runs share."""


def sums(rows: int, width: int = 6) -> dict[str, Any]:
    """Digits and a tenth of their sum."""
    question = np.random.default_rng(5).integers(0, 10, (rows, width)).astype(np.uint8)
    return {"question": question, "answer": (question.sum(1) / 10).astype(np.float32)}


def data_set(folder: Path, rows: int = 300, arrays: dict[str, Any] | None = None, **odd: Any) -> Path:
    """A data set of columns, sums where no others are given; a tenth is held out. `odd`: manifest fields."""
    folder.mkdir(parents=True)
    arrays = arrays or sums(rows)
    rows = len(next(iter(arrays.values())))
    split, key = (np.arange(rows) % 10 == 9).astype(np.uint8), np.arange(rows, dtype=np.uint64)
    arrays = {"split": split, "key": key, **arrays}
    spec = columns.spec("tiny", {name: (each.dtype.name, each.shape[1:]) for name, each in arrays.items()})
    shard = columns.write(folder / "shard-00000.safetensors", spec, arrays, rows)
    totals = columns.Totals(spec)
    totals.add(arrays)
    told: dict[str, Any] = {
        "schema": COLUMNS_SCHEMA,
        "provenance": "synthetic",
        "recipe": "tiny/sums",
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
    (folder / MANIFEST).write_bytes(Manifest(**(told | odd)).encode())
    return folder


def request(run_dir: Path, data: Path, *, learner: str = "tiny", **over: Any) -> dict[str, Any]:
    """Write a request; `over` sets parts of the configuration, or the request's own fields."""
    outer = {name: over.pop(name) for name in ("seed", "devices", "device") if name in over}
    config: dict[str, Any] = {
        "learner": learner,
        "batch": 16,
        "steps": 40,
        "optimizer": {"name": "adamw", "lr": 0.01, "warmup": 5},
        "assess": {"every": 10, "rows": 30},
        "precision": "fp32",
    }
    body = {
        "schema": 1,
        "learner": learner,
        "config": config | over,
        "data": str(data),
        "device": "cpu",
        **outer,
    }
    run_dir.mkdir(parents=True, exist_ok=True)
    (run_dir / "request.json").write_text(json.dumps(body))
    return body


def environment(packages: Path) -> dict[str, str]:
    """An environment in which the tiny learner is an installed one, by a real entry point."""
    found = packages / "tiny_jetbox-1.dist-info"
    found.mkdir(parents=True, exist_ok=True)
    (found / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-jetbox\nVersion: 1\n")
    (found / "entry_points.txt").write_text("[jetbox.learners]\ntiny = tiny_learner:build\n")
    path = os.pathsep.join((str(packages), str(HERE)))
    return {**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1"}


def start(run_dir: Path, packages: Path, module: str = "model.train", **popen: Any) -> subprocess.Popen[str]:
    """The real child, as the engine starts it."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "orchestrator.child", str(run_dir), module],
        env=environment(packages),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # as the engine does: the child lowers the priority of its session
        **popen,
    )


def child(run_dir: Path, packages: Path, module: str = "model.train", **popen: Any) -> tuple[int, str]:
    """Its exit status and output."""
    process = start(run_dir, packages, module, **popen)
    output, _ = process.communicate(timeout=290)
    return process.returncode, output


def until(what: Callable[[], bool], seconds: float = 280) -> None:
    """Wait; the limit is for a hung child alone."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def events(run_dir: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """What a run recorded; a torn last line is none."""
    path = run_dir / "events.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [each for each in map(json.loads, lines) if kind is None or each["type"] == kind]


def curves(run_dir: Path) -> dict[tuple[str, str, int], float]:
    """The last value of every metric at every step, but those of the machine."""
    return {
        (each["name"], each["split"], each["step"]): each["value"]
        for each in events(run_dir, "metric")
        if each["name"] not in MEASURED
    }


def result(run_dir: Path) -> dict[str, Any]:
    """The last word."""
    return dict(json.loads((run_dir / "result.json").read_text()))
