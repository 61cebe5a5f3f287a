"""Whether a training run fits into the memory there is, and what lighter ones there are: `Estimate`'s driver.

The child `model.estimate` builds the learner and reckons; what is free is the engine's to say, which knows
what the models hold and can have taken out.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator import runs, side_runs
from orchestrator.actions import Estimate
from orchestrator.attempt import Attempt
from orchestrator.models.base import Service
from orchestrator.place import Performed, Place
from orchestrator.training.presets import BadConfig, changed
from state.run_events import open_regular
from state.run_folder import Result

MODULE = "model.estimate"
TIME = 300.0  # seconds: building a learner is a matter of some
_MOST = 1024 * 1024  # bytes of lighter.json
_LIGHTER = 3  # shown at most


def estimate(action: Estimate, attempt: Attempt, place: Place) -> Performed:
    """The bytes it takes, the bytes that are free for it, whether that fits, and lighter configurations."""
    folder = side_runs.folder(place.workspace, attempt, f"estimate-{action.number}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        found = side_runs.ended(folder, MODULE, action.request, place, timeout=TIME)
        told = _told(found, folder)
    except (runs.RunError, BadConfig) as error:
        shutil.rmtree(folder, ignore_errors=True)
        return Performed("failed", {"why": f"its memory cannot be reckoned: {error}"})
    shutil.rmtree(folder, ignore_errors=True)
    if not found.ok:
        return Performed("failed", {"why": str(found.error)})
    free, shared = room(told["device"], place.models)
    if free is None:
        free = told["free"]
    lighter = [each for each in told["lighter"] if _applies(action.request, each["set"])][:_LIGHTER]
    needs = told["bytes"]
    return Performed(
        "done",
        {
            "bytes": needs,
            "free": free,
            "fits": free is None or needs <= free,
            "device": told["device"],
            "shared": shared,
            "lighter": lighter,
        },
    )


def room(device: str, models: Service) -> tuple[int | None, bool]:
    """Bytes that a run on a device may take (None: not known), and whether models share them."""
    pool, free = models.room()
    wanted = "gpu" if device.startswith("cuda") else "ram"
    return (free, True) if pool == wanted else (None, False)


def _told(found: Result, folder: Path) -> dict[str, Any]:
    """What the child says; BadConfig where it cannot be believed."""
    if not found.ok:
        return {"device": "cpu", "bytes": 0, "free": None, "lighter": []}
    bytes_ = found.metrics.get("bytes")
    if bytes_ is None or bytes_ < 0:
        raise BadConfig("the estimate names no bytes")
    body: Any = {}
    if found.artifact is not None:
        try:
            with open_regular(folder / found.artifact.path) as file:
                text = file.read(_MOST + 1)
            body = json.loads(text) if len(text) <= _MOST else None
        except (OSError, ValueError, RecursionError) as error:
            raise BadConfig(f"the estimate cannot be read: {error}") from None
    if not isinstance(body, dict):
        raise BadConfig("the estimate is no object")
    free = found.metrics.get("free", found.metrics.get("free_bytes"))
    return {
        "device": str(body.get("device") or "cpu"),
        "bytes": int(bytes_),
        "free": None if free is None else int(free),
        "lighter": [each for each in map(_lighter, _list(body.get("lighter"))) if each],
    }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _lighter(entry: Any) -> dict[str, Any] | None:
    """One lighter configuration, where it is one."""
    if not isinstance(entry, dict) or not isinstance(entry.get("set"), dict) or not entry["set"]:
        return None
    bytes_ = entry.get("bytes")
    about = entry.get("about") or entry.get("title") or ""
    return {
        "set": entry["set"],
        "bytes": int(bytes_) if isinstance(bytes_, int | float) else None,
        "about": str(about)[:200],
    }


def _applies(request: Mapping[str, Any], changes: Mapping[str, Any]) -> bool:
    try:
        changed(request["config"], changes)
    except BadConfig:
        return False
    return True
