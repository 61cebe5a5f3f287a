"""How an evaluation goes: cell by cell (a model with a seed), then figures over seeds, then the report.

`cells/*.json` are kept over restarts, byte by byte; `metrics.json` holds each metric's mean, spread (standard
deviation over seeds), values and n; `baseline.json` is what these figures would be as a baseline.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datagen import files, load
from datagen.files import open_regular
from datagen.runlog import RunLog, succeed
from model import baseline, checkpoint, devices, learners, report
from model.baseline import Baseline
from model.errors import UnfitData
from model.learner import Columns, Learner
from model.report.evaluation import Evaluated
from model.suites import Measured, asking, seeing, solving
from model.suites import request as requests
from model.suites.request import Request

VERSION = 2
"""Changes whenever the same model, data and seed give other figures: kept cells are then measured again."""
CELLS, METRICS, BASELINE = "cells", "metrics.json", "baseline.json"
_LEAST_LEFT = 256  # rows: with fewer, retrieval has too few scenes and a share of solved ones says little
_MOST_CELL = 64 * 1024 * 1024
_NEEDS = {
    "scenes": ("image", "caption", "objects", "count", "key"),
    "questions": ("image", "question", "answer", "topic", "key"),
    "sudoku": ("question", "answer", "key"),
    "maze": ("question", "answer", "key"),
}
_KINDS: Mapping[str, Callable[[Learner], Learner]] = {
    "scenes": seeing.jepa,
    "questions": asking.reasoner,
    "sudoku": solving.hrm,
    "maze": solving.hrm,
}
"""What gives back a learner that the suite can measure, and refuses another."""


@dataclass(frozen=True)
class Subject:
    """A model that is measured."""

    name: str
    folder: Path
    learner: Learner
    meta: checkpoint.Meta

    @property
    def sha256(self) -> str:
        """The checksum of its weights."""
        return str(self.meta.files[checkpoint.WEIGHTS]["sha256"])


@dataclass(frozen=True)
class Figure:
    """A metric over seeds."""

    values: tuple[float | None, ...]

    @property
    def known(self) -> list[float]:
        """The values of the seeds that gave one."""
        return [value for value in self.values if value is not None]

    @property
    def mean(self) -> float | None:
        """None where no seed gave a value."""
        return float(np.mean(self.known)) if self.known else None

    @property
    def spread(self) -> float:
        """The standard deviation over seeds; 0 for one."""
        return float(np.std(self.known, ddof=1)) if len(self.known) > 1 else 0.0

    def body(self) -> dict[str, Any]:
        """As JSON."""
        return {"mean": self.mean, "spread": self.spread, "values": list(self.values), "n": len(self.known)}


def conduct(run_dir: Path, threads: int) -> None:
    """Do the evaluation of a run folder; raises ModelError, DataError or OSError."""
    asked = requests.read(run_dir)
    wanted = baseline.read(Path(asked.baseline), asked.suite) if asked.baseline else None
    device = devices.choose(asked.device)
    devices.settle(threads, attention="math")
    with RunLog(run_dir) as log:
        log.emit("phase", name="load")
        manifest = load.manifest(Path(asked.data))
        columns = _held_out(Path(asked.data), asked.suite)
        subjects = [_subject(asked, number, device) for number in range(len(asked.models))]
        columns, chose = unseen(columns, subjects, manifest.content_sha256)
        log.emit("phase", name="evaluate")
        if chose:
            log.emit("alert", level="info", message=f"{chose} of the rows also chose a model's checkpoint")
        cells = [
            _cells(run_dir, log, asked, each, at, columns, manifest.content_sha256)
            for at, each in enumerate(subjects)
        ]
        log.emit("phase", name="report")
        figures = [_figures(each) for each in cells]
        regressed = wanted.regressed(_means(figures[0])) if wanted else []
        _write_figures(run_dir, asked, subjects, figures, manifest.content_sha256, wanted, regressed)
        for name, value in _means(figures[0]).items():
            log.emit("metric", name=name, value=value, step=0, split="heldout")
        about = Evaluated(asked, subjects, figures, cells, columns, manifest, wanted, regressed)
        made = report.write_evaluation(run_dir, log, about)
    metrics: dict[str, int | float] = {
        "rows": min(asked.rows, len(columns["key"])),
        "seeds": len(asked.seeds),
        "rows_that_chose": chose,
    }
    for name, figure in figures[0].items():
        if figure.mean is not None:
            metrics[name] = figure.mean
            metrics[f"{name}_spread"] = figure.spread
            if len(figure.known) < len(asked.seeds):  # a mean over fewer says so
                metrics[f"{name}_seeds"] = len(figure.known)
    if wanted:
        metrics["regressed"] = len(regressed)
    succeed(run_dir, metrics, made.path.relative_to(run_dir).as_posix(), made.sha256)


def _held_out(data_dir: Path, suite: str) -> Columns:
    """The test split, and nothing else of the data set."""
    columns = load.columns(data_dir, "test")
    missing = [name for name in _NEEDS[suite] if name not in columns]
    if missing:
        raise UnfitData(
            f"{data_dir} has no column {', '.join(missing)}: it is not data for the suite {suite}"
        )
    if not len(columns["key"]):
        raise UnfitData(f"{data_dir} has no held-out rows: make a larger data set")
    return columns


def unseen(columns: Columns, subjects: Sequence[Subject], content: str) -> tuple[Columns, int]:
    """The rows by which no subject's best checkpoint was chosen, and 0; all rows, where too few were left.

    Training measures the first `assess.rows` held-out rows and keeps the one that does best on them, so on
    those very rows it looks a little better than it is. Rows are left out by their place alone: to leave out
    every problem that comes again, too, would leave another mix (of small Sudokus those with many clues).
    The number is of the rows given that did choose.
    """
    told = [each.meta for each in subjects if each.meta.data.get("content_sha256") == content]
    first = max((int(each.config.get("assess", {}).get("rows", 0)) for each in told), default=0)
    rows = len(columns["key"])
    if rows - first < _LEAST_LEFT:
        return columns, min(first, rows)
    return {name: column[first:] for name, column in columns.items()} if first else columns, 0


def _subject(asked: Request, number: int, device: torch.device) -> Subject:
    folder = Path(asked.models[number])
    learner, meta = learners.restore(folder, device)
    _KINDS[asked.suite](learner)  # of the right kind, before any work
    called = asked.names[number] if asked.names else f"{meta.learner} {folder.name}"
    if len(asked.models) > 1 and not asked.names:
        called = f"{number + 1}: {called}"
    return Subject(called, folder, learner, meta)


def _cells(
    run_dir: Path, log: RunLog, asked: Request, subject: Subject, at: int, columns: Columns, content: str
) -> list[Measured]:
    """What a model gives with each seed; those measured before are read."""
    (run_dir / CELLS).mkdir(exist_ok=True)
    total, found = len(asked.models) * len(asked.seeds), []
    for nth, seed in enumerate(asked.seeds):
        path = run_dir / CELLS / f"{at:02d}-{subject.sha256[:12]}-seed-{seed}.json"
        key = _key(asked, subject, content, len(columns["key"]), seed)
        cell = _kept(path, key)
        if cell is None:
            cell = _measure(asked, subject, columns, seed)
            body = {"key": key, "metrics": _plain(cell.metrics), "details": cell.details}
            text = json.dumps(body, sort_keys=True, allow_nan=False).encode() + b"\n"
            files.replace(path, text)
            where = path.relative_to(run_dir).as_posix()
            log.checkpoint(path=where, sha256=hashlib.sha256(text).hexdigest(), key=key)
            cell = Measured(_plain(cell.metrics), json.loads(text)["details"])
        found.append(cell)
        log.progress(at * len(asked.seeds) + nth + 1, total, "measurements")
    return found


def _measure(asked: Request, subject: Subject, columns: Columns, seed: int) -> Measured:
    if asked.suite != "scenes":
        measure = asking.measure if asked.suite == "questions" else solving.measure
        return measure(subject.learner, columns, seed, asked.wanted)
    meta = subject.meta
    control = learners.build(meta.learner, meta.config["model"], meta.info(), seed)
    device = next(subject.learner.parameters()).device
    return seeing.measure(subject.learner, control.to(device), columns, seed, asked.wanted)


def _key(asked: Request, subject: Subject, content: str, rows: int, seed: int) -> str:
    """A name for exactly this measurement."""
    body = [
        VERSION,
        asked.suite,
        subject.sha256,
        subject.meta.config_key,
        content,
        rows,
        seed,
        asdict(asked.wanted),
    ]
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _kept(path: Path, key: str) -> Measured | None:
    """The measurement in a file, where it is this very one and whole."""
    try:
        with open_regular(path) as file:
            body = json.loads(file.read(_MOST_CELL))
        if body["key"] != key or not isinstance(body["details"], dict):
            return None
        metrics = {
            str(name): None if value is None else float(value) for name, value in body["metrics"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return Measured(metrics, body["details"])


def _plain(metrics: Mapping[str, float | None]) -> dict[str, float | None]:
    """Metrics as JSON can hold them: what is no number is None."""
    return {
        re.sub(r"[^a-z0-9_+-]", "_", name): float(value)
        if value is not None and math.isfinite(value)
        else None
        for name, value in metrics.items()
    }


def _figures(cells: list[Measured]) -> dict[str, Figure]:
    """Each metric over all seeds; a seed without it gave None."""
    names = dict.fromkeys(name for cell in cells for name in cell.metrics)
    return {name: Figure(tuple(cell.metrics.get(name) for cell in cells)) for name in names}


def _means(figures: Mapping[str, Figure]) -> dict[str, float]:
    return {name: each.mean for name, each in figures.items() if each.mean is not None}


def _write_figures(
    run_dir: Path,
    asked: Request,
    subjects: list[Subject],
    figures: list[dict[str, Figure]],
    content: str,
    wanted: Baseline | None,
    regressed: list[str],
) -> None:
    models = [
        {
            "name": subject.name,
            "checkpoint": str(subject.folder),
            "sha256": subject.sha256,
            "step": subject.meta.step,
            "metrics": {name: figure.body() for name, figure in each.items()},
        }
        for subject, each in zip(subjects, figures, strict=True)
    ]
    body = {
        "schema": 1,
        "suite": asked.suite,
        "seeds": list(asked.seeds),
        "data_sha256": content,
        "metrics": models[0]["metrics"],
        "models": models,
        "regressed": regressed if wanted else None,
    }
    files.replace(
        run_dir / METRICS, json.dumps(body, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"
    )
    spreads = {name: each.spread for name, each in figures[0].items()}
    made = baseline.proposed(asked.suite, _means(figures[0]), spreads)
    files.replace(run_dir / BASELINE, made.encode())
