"""What a run wrote about itself, read from its `events.jsonl` with bounds: series, phases, what went wrong.

After a resume a step may be written again; its last value counts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datagen import runlog
from datagen.files import open_regular
from model.report.chart import Series

MOST_BYTES = 512 * 1024 * 1024
_MOST_LINE = 64 * 1024
_MOST_SERIES = 64
_MOST_POINTS = 200_000  # of one series; beyond it, the first ones are kept
_MOST_SAID = 50


@dataclass
class History:
    """A run's curves and messages."""

    metrics: dict[tuple[str, str], dict[int, float]] = field(default_factory=dict)
    """By name and split: the value of each step."""
    phases: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    checkpoints: list[dict[str, Any]] = field(default_factory=list)
    breaker: str = "closed"

    def series(self, name: str, split: str, label: str, dots: bool = False) -> Series | None:
        """The curve of a metric, by rising step; None where it was never written."""
        points = self.metrics.get((name, split))
        if not points:
            return None
        steps = sorted(points)
        return Series(label, steps, [points[step] for step in steps], dots)

    def last(self, name: str, split: str) -> float | None:
        """The value at the greatest step."""
        points = self.metrics.get((name, split))
        return points[max(points)] if points else None


def read(run_dir: Path) -> History:
    """The history of a run folder; what can't be read is left out."""
    history = History()
    try:
        lines = open_regular(run_dir / runlog.EVENTS)
    except OSError:
        return history
    size = 0
    with lines:
        while (line := lines.readline(_MOST_LINE + 1)) and size < MOST_BYTES:
            size += len(line)
            event = _event(line)
            if event is not None:
                _take(history, event)
    return history


def thresholds(run_dir: Path) -> dict[str, tuple[float | None, float | None]]:
    """What is wanted of which metric, least and most: from `thresholds.json`, if somebody put it there.

    `{"schema": 1, "metrics": {"exact": {"min": 0.98}}}`; anything else is as if there were none.
    """
    try:
        with open_regular(run_dir / "thresholds.json") as file:
            body = json.loads(file.read(_MOST_LINE))
        wanted = body["metrics"] if body["schema"] == 1 else {}
        return {
            str(name): (_number(each.get("min")), _number(each.get("max"))) for name, each in wanted.items()
        }
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return {}


def _event(line: bytes) -> Mapping[str, Any] | None:
    if len(line) > _MOST_LINE or not line.endswith(b"\n"):
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and event.get("v") == runlog.VERSION else None


def _take(history: History, event: Mapping[str, Any]) -> None:
    kind = event.get("type")
    if kind == "metric":
        name, split, step, value = (
            event.get("name"),
            event.get("split", "train"),
            event.get("step"),
            event.get("value"),
        )
        known = (
            isinstance(name, str)
            and isinstance(split, str)
            and isinstance(step, int)
            and _number(value) is not None
        )
        if known and ((name, split) in history.metrics or len(history.metrics) < _MOST_SERIES):
            points = history.metrics.setdefault((str(name), str(split)), {})
            if step in points or len(points) < _MOST_POINTS:
                points[int(step)] = float(value)  # type: ignore[arg-type]
    elif kind == "phase" and len(history.phases) < _MOST_SAID:
        history.phases.append(str(event.get("name", ""))[:80])
    elif kind == "breaker":
        history.breaker = str(event.get("state", ""))[:20]
        if history.breaker != "closed" and len(history.warnings) < _MOST_SAID:
            history.warnings.append(str(event.get("message", ""))[:400])
    elif kind == "alert" and len(history.warnings) < _MOST_SAID:
        history.warnings.append(str(event.get("message", ""))[:400])
    elif kind == "checkpoint" and len(history.checkpoints) < 10_000:
        history.checkpoints.append(dict(event))


def _number(value: object) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None
