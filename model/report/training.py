"""The report of a training run, from its folder alone: what was run, its curves, what the best model does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datagen import load
from datagen.files import open_regular
from model import learners
from model.checkpoint import FOLDER, INDEX, Meta
from model.learner import Columns, Learner
from model.report import chart, series, showing, terminal
from model.report.chart import Limit, Series, number_text
from model.report.document import Document, Picture, Section, Table
from model.report.series import History
from model.report.words import plain

_MOST_JSON = 1024 * 1024
_PLAIN = ("loss", "lr", "grad_norm", "steps_per_second", "core_seconds", "memory_bytes")
SAYS = {
    "exact": "share of puzzles with every cell right",
    "cells": "share of cells that are right",
    "rank": "directions that the image latents use (effective rank)",
    "text_rank": "directions that the text latents use (effective rank)",
    "recall": "share whose own caption or image is found first",
}


def document(run_dir: Path) -> Document:
    """The whole report; raises what reading the run, its best checkpoint or its data raises."""
    asked = _json(run_dir / "request.json")
    history, wanted = series.read(run_dir), series.thresholds(run_dir)
    learner, meta = learners.restore(run_dir / FOLDER / _best(run_dir))
    columns = load.columns(Path(str(asked["data"])), "test")
    recipe = str(meta.data.get("recipe", ""))
    made = Document(f"Training of {plain(meta.learner, 20)} on {plain(recipe, 40)}")
    made.sections.append(_what(meta, learner, columns))
    made.sections.append(_outcome(meta, history, wanted))
    made.sections.append(_curves(history, wanted))
    made.sections += showing.sections(learner, recipe, columns)
    return made


def _what(meta: Meta, learner: Learner, columns: Columns) -> Section:
    config = meta.config
    held = len(next(iter(columns.values())))
    optimizer = config.get("optimizer", {})
    budget = (
        f"{config.get('core_minutes')} core-minutes"
        if config.get("core_minutes")
        else f"{config.get('steps')} steps"
    )
    rows = [
        ["model", meta.learner],
        ["parameters", f"{sum(each.numel() for each in learner.parameters()):,}"],
        [
            "data",
            f"{meta.data.get('recipe')}, {meta.data.get('rows'):,} rows to learn from, {held:,} held out",
        ],
        ["data's content", str(meta.data.get("content_sha256", ""))[:16]],
        ["seed", str(meta.seed)],
        ["budget", f"{budget}, {config.get('batch')} rows a step"],
        ["optimizer", f"{optimizer.get('name')}, rate {optimizer.get('lr')}"],
        ["numbers", str(meta.memory.get("precision", ""))],
    ]
    section = Section("What was run")
    section.shows.append(Table(["", ""], rows))
    options = _flat(config.get("model", {}))
    if options:
        section.shows.append(
            Table(["the model's options", ""], [[name, each] for name, each in options.items()])
        )
    return section


def _outcome(
    meta: Meta, history: History, wanted: Mapping[str, tuple[float | None, float | None]]
) -> Section:
    section = Section("What came out")
    section.says.append(
        f"The best checkpoint is that of step {meta.step:,}: the one to use. Its figures are of held-out "
        "rows, which were never learned from."
    )
    rows = []
    for name, value in meta.metrics.items():
        low, high = wanted.get(name, (None, None))
        limits = [
            f"{word} {number_text(each)}"
            for word, each in (("at least", low), ("at most", high))
            if each is not None
        ]
        met = (low is None or value >= low) and (high is None or value <= high)
        verdict = "" if not limits else "met" if met else "not met"
        rows.append([name, number_text(value), " and ".join(limits), verdict, SAYS.get(name, "")])
    section.shows.append(Table(["held-out", "value", "wanted", "", "meaning"], rows))
    spent = [
        (name, history.last(key, "train"), unit)
        for name, key, unit in (("CPU time", "core_seconds", "s"), ("most memory", "memory_bytes", "bytes"))
    ]
    cost = [f"{name} {_amount(value, unit)}" for name, value, unit in spent if value is not None]
    if cost:
        section.says.append("It took: " + ", ".join(cost) + ".")
    for warning in history.warnings:
        section.says.append(f"Warning during the run: {plain(warning)}")
    return section


def _curves(history: History, wanted: Mapping[str, tuple[float | None, float | None]]) -> Section:
    section = Section("How it learned")
    section.shows.append(_curve(history, "loss", None, log=True))
    names = sorted({name for name, split in history.metrics if split == "heldout" and name not in _PLAIN})
    for name in sorted(names, key=lambda each: (each not in wanted, each not in SAYS, each))[:4]:
        low, high = wanted.get(name, (None, None))
        limit = Limit("wanted: at least", low) if low is not None else None
        limit = Limit("wanted: at most", high) if limit is None and high is not None else limit
        section.shows.append(_curve(history, name, limit))
    if ("lr", "train") in history.metrics:
        section.shows.append(_curve(history, "lr", None))
    return section


def _curve(history: History, name: str, limit: Limit | None, *, log: bool = False) -> Picture:
    line, dots = (
        history.series(name, "train", "training"),
        history.series(name, "heldout", "held-out", dots=True),
    )
    there: list[Series] = [each for each in (line, dots) if each is not None]
    label = {"lr": "learning rate"}.get(name, name)
    title = f"{label}: {SAYS[name]}" if name in SAYS else label.capitalize()
    picture = chart.lines(title, there, "steps", label, limit, log)
    slug = "".join(c for c in name.lower() if c.isascii() and (c.isalnum() or c in "-_"))[:40] or "metric"
    return Picture(f"curve-{slug}", title, picture, terminal.lines(line, dots, "steps", limit, log))


def _best(run_dir: Path) -> str:
    """The name of the best checkpoint, or of the last where no best was written."""
    index = _json(run_dir / INDEX)
    name = index.get("best") or index.get("last")
    if not isinstance(name, str) or Path(name).name != name:
        raise ValueError(f"{INDEX} names no checkpoint")
    return name


def _json(path: Path) -> dict[str, Any]:
    with open_regular(path) as file:
        body = json.loads(file.read(_MOST_JSON))
    if not isinstance(body, dict):
        raise ValueError(f"{path.name} holds no object")
    return body


def _flat(options: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested options as dotted names."""
    out: dict[str, str] = {}
    for name, value in options.items():
        if isinstance(value, Mapping):
            out |= _flat(value, f"{prefix}{name}.")
        elif value not in (None, [], ()):
            out[f"{prefix}{name}"] = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return out


def _amount(value: float, unit: str) -> str:
    if unit == "bytes":
        return f"{value / 2**20:,.0f} MiB" if value < 2**30 else f"{value / 2**30:.1f} GiB"
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.1f} min"
