"""What an evaluation is held against: figures measured once, each with its tolerance.

`{"schema": 1, "suite": "sudoku", "metrics": {"exact": {"value": 0.98, "tolerance": 0.01, "better":
"higher"}}}`; more may be said in `about`. A baseline is a file in a repository, so a new one is a change that
a person reads.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datagen.files import open_regular
from model.errors import ModelError

SCHEMA = 1
MAX_BYTES = 1024 * 1024
LEAST_TOLERANCE = 0.01
LOWER = ("brier", "calibration_error", "loss", "still_dimensions")  # ends of names of which less is better
_SIDES = ("higher", "lower")


class BaselineError(ModelError):
    """A baseline that can't be compared with."""


@dataclass(frozen=True)
class Wanted:
    """One figure of a baseline."""

    value: float
    tolerance: float
    better: str

    def lost(self, value: float | None) -> bool:
        """Whether a value is worse by more than the tolerance; one that was not measured is."""
        if value is None or not math.isfinite(value):
            return True
        worse = self.value - value if self.better == "higher" else value - self.value
        return worse > self.tolerance + 1e-12


@dataclass(frozen=True)
class Baseline:
    """The figures of a suite."""

    suite: str
    metrics: Mapping[str, Wanted]

    def regressed(self, means: Mapping[str, float]) -> list[str]:
        """The metrics that are worse than they were, or missing, by name."""
        return sorted(name for name, wanted in self.metrics.items() if wanted.lost(means.get(name)))

    def encode(self) -> bytes:
        """The bytes of the file."""
        figures = {
            name: {"value": each.value, "tolerance": each.tolerance, "better": each.better}
            for name, each in self.metrics.items()
        }
        body = {"schema": SCHEMA, "suite": self.suite, "metrics": figures}
        return json.dumps(body, indent=1, sort_keys=True).encode() + b"\n"


def read(path: Path, suite: str) -> Baseline:
    """The baseline in a file; BaselineError says what is wrong with it."""
    try:
        with open_regular(path) as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BaselineError(f"the baseline {path} can't be read: {error.strerror or error}") from None
    try:
        body = json.loads(text) if len(text) <= MAX_BYTES else None
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise BaselineError(f"the baseline {path} is not a JSON object")
    schema = body.get("schema")
    if schema != SCHEMA:
        newer = isinstance(schema, int) and schema > SCHEMA
        cure = (
            "it was written by a newer version: update Jetbox, or write the baseline again" if newer else ""
        )
        raise BaselineError(f"the baseline {path} has schema {schema!r}, not {SCHEMA}. {cure}".strip())
    if body.get("suite") != suite:
        raise BaselineError(f"the baseline {path} is of the suite {body.get('suite')!r}, not of {suite}")
    metrics = body.get("metrics")
    if not isinstance(metrics, dict) or not metrics or len(metrics) > 1000:
        raise BaselineError(f"the baseline {path} names no metrics")
    return Baseline(suite, {str(name): _wanted(path, str(name), each) for name, each in metrics.items()})


def proposed(suite: str, means: Mapping[str, float], spreads: Mapping[str, float]) -> Baseline:
    """What these figures would be as a baseline: two spreads worse are still the same, and at least 0.01."""
    found = {}
    for name, value in means.items():
        tolerance = max(LEAST_TOLERANCE * max(1.0, abs(value)), 2 * spreads.get(name, 0.0))
        better = "lower" if name.endswith(LOWER) else "higher"
        found[name] = Wanted(round(value, 6), round(tolerance, 6), better)
    return Baseline(suite, found)


def _wanted(path: Path, name: str, body: Any) -> Wanted:
    if not isinstance(body, dict) or body.keys() != {"value", "tolerance", "better"}:
        raise BaselineError(f"the baseline {path}: {name} needs value, tolerance and better")
    numbers = [body["value"], body["tolerance"]]
    if not all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in numbers):
        raise BaselineError(f"the baseline {path}: {name} has a value that is no number")
    value, tolerance = (_finite(each) for each in numbers)
    if value is None or tolerance is None or tolerance < 0:
        raise BaselineError(f"the baseline {path}: {name} has a value that is no number")
    if body["better"] not in _SIDES:
        raise BaselineError(f"the baseline {path}: {name} is better when {' or '.join(_SIDES)}")
    return Wanted(value, tolerance, body["better"])


def _finite(value: float) -> float | None:
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None
