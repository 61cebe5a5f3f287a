"""Puts the model wing's doubles in its place: for whoever starts its runs, in this process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator import extras, runs
from orchestrator.kinds import eval as eval_kind
from orchestrator.kinds import train as train_kind
from orchestrator.training import sizing

DOUBLES = Path(__file__).resolve().parent


def scripted(put: Any) -> None:
    """Have doubles work in place of the model wing; `put` is `setattr`, or a monkeypatch's."""
    put(train_kind, "MODULE", "scripted_training")
    for where in (extras, train_kind, eval_kind):  # the doubles need nothing
        put(where, "MODELS", ())
    put(eval_kind, "MODULE", "scripted_evaluation")
    put(sizing, "MODULE", "scripted_estimate")
    plain = runs.environment

    def with_doubles(source: Mapping[str, str]) -> dict[str, str]:
        return plain(source) | {"PYTHONPATH": str(DOUBLES)}

    put(runs, "environment", with_doubles)


def tiny(**model: Any) -> dict[str, Any]:
    """A configuration that takes a moment."""
    return {
        "learner": "hrm",
        "model": model,
        "batch": 8,
        "steps": 30,
        "assess": {"every": 5, "rows": 16},
        "checkpoint": {"seconds": 0.02},
    }
