"""A run folder as anybody may ask it, in any process: does it live, how did it end, what was it asked.

Nothing is written here and nothing that stands in the folder is trusted (see `docs/run-protocol.md`): files
are bounded and plain, text comes out without control characters, numbers are finite.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from state.lock import held
from state.run_events import open_regular

LOCK, PROCESS, RESULT = "run.lock", "process.json", "result.json"
REQUEST, OUTPUT, REPORT = "request.json", "output.log", "report/report.txt"
MAX_RESULT = 1024 * 1024  # bytes


@dataclass(frozen=True)
class Artifact:
    """What a run made: a path below its folder, and the SHA-256 of that file."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Result:
    """How a run ended."""

    ok: bool
    error: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    artifact: Artifact | None = None
    again: bool = False
    """It ended for want of room on the disk: without its result it goes on from where it was."""


def alive(run_dir: Path) -> bool:
    """Whether a process works in this run folder now, whoever started it."""
    return held(run_dir / LOCK)


def result(run_dir: Path) -> Result | None:
    """How the run ended, or None when it has not. A file that can't be understood is a failure."""
    try:
        with open_regular(run_dir / RESULT) as file:
            text = file.read(MAX_RESULT + 1)
        if len(text) > MAX_RESULT:
            raise ValueError("it is too large")
        return _parse_result(json.loads(text))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        return Result(ok=False, error=f"{RESULT} is broken: {_printable(str(error))}")


def _parse_result(body: Any) -> Result:
    if not isinstance(body, dict) or body.get("v") != 1 or not isinstance(body.get("ok"), bool):
        raise ValueError("it needs v: 1 and ok: true or false")
    if not body["ok"]:
        error = body.get("error")
        if not isinstance(error, str) or not error.strip():
            raise ValueError("a failure needs an error")
        return Result(ok=False, error=_printable(error), again=body.get("again") is True)
    metrics, artifact = body.get("metrics", {}), body.get("artifact")
    if not isinstance(metrics, dict) or not all(_finite(value) for value in metrics.values()):
        raise ValueError("metrics must map names to finite numbers")
    made = None if artifact is None else _parse_artifact(artifact)
    return Result(ok=True, metrics=metrics, artifact=made)


def _parse_artifact(body: Any) -> Artifact:
    path, sha256 = (body.get("path"), body.get("sha256")) if isinstance(body, dict) else (None, None)
    if not isinstance(path, str) or not isinstance(sha256, str):
        raise ValueError("an artifact needs path and sha256")
    parts = PurePosixPath(path)
    if not path.isprintable() or parts.is_absolute() or ".." in parts.parts or re.search(r"[\\:]", path):
        raise ValueError("the artifact's path leaves the run folder")
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ValueError("the artifact's sha256 is not one")
    return Artifact(path, sha256)


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:500]
