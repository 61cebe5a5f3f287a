"""Whether a training run fits into the memory there is, and what lighter ones there are: `Estimate`'s driver.

The child `model.estimate` builds the learner and reckons; what is free is the engine's to say, which knows
what the models hold and can have taken out.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
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
TIME = 900.0  # seconds: building a learner takes some, on a machine that is busy with another run many
_MOST = 1024 * 1024  # bytes of lighter.json
_LIGHTER = 3  # shown at most


def estimate(action: Estimate, attempt: Attempt, place: Place) -> Performed:
    """The bytes it takes, the bytes that are free for it, whether that fits, and lighter configurations."""
    folder = side_runs.folder(place.workspace, attempt, f"estimate-{action.number}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        found = side_runs.ended(folder, MODULE, action.request, place, timeout=TIME)
        told = _told(found, folder, action.request)
    except (runs.RunError, BadConfig) as error:
        shutil.rmtree(folder, ignore_errors=True)
        return Performed("failed", {"why": str(error)})
    shutil.rmtree(folder, ignore_errors=True)
    free, shared = _free(told, place.models)
    return Performed(
        "done",
        {
            "bytes": told["bytes"],
            "free": free,
            "fits": free is None or told["bytes"] <= free,
            "device": told["device"],
            "shared": shared,
            "config": told["config"],
            "lighter": told["lighter"],
        },
    )


def _free(told: Mapping[str, Any], models: Service) -> tuple[int | None, bool]:
    """Bytes that the run may take (None: not known), and whether they are those that models share.

    What models hold counts as free: they are taken out before the run starts. What the child saw counts too,
    since it knows of limits (a container's) that the engine does not see.
    """
    pool, room, held = models.room()
    if pool != ("gpu" if told["device"].startswith("cuda") else "ram"):
        return told["free"], False
    return (room if told["free"] is None else min(room, told["free"] + held)), True


def _told(found: Result, folder: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What the child says; BadConfig where it cannot be believed."""
    if not found.ok or found.artifact is None:
        raise BadConfig(found.error or "the estimate names no file")
    try:
        with open_regular(folder / found.artifact.path) as file:
            text = file.read(_MOST + 1)
        body = json.loads(text) if len(text) <= _MOST else None
    except (OSError, ValueError, RecursionError) as error:
        raise BadConfig(f"the estimate cannot be read: {error}") from None
    body = body if isinstance(body, dict) else {}
    config = body.get("config")
    bytes_, free = found.metrics.get("bytes"), found.metrics.get("free")
    if bytes_ is None or bytes_ < 0 or not isinstance(config, dict):
        raise BadConfig("the estimate names no bytes, or no configuration")
    if config.get("learner") != asked["learner"]:
        raise BadConfig("the estimate is about another learner")
    lighter = [each for entry in _list(body.get("lighter")) if (each := _lighter(entry, config))]
    return {
        "device": str(body.get("device") or "cpu")[:40],
        "bytes": int(bytes_),
        "free": None if free is None else int(free),
        "config": config,
        "lighter": lighter[:_LIGHTER],
    }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _lighter(entry: Any, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """One lighter configuration as what it changes, where it is one that can be chosen."""
    if not isinstance(entry, dict) or not isinstance(entry.get("config"), dict):
        return None
    changes = difference(config, entry["config"])
    try:
        changed(config, changes)
    except BadConfig:
        return None
    bytes_ = entry.get("bytes")
    if not changes or not isinstance(bytes_, int | float):
        return None
    return {"set": changes, "bytes": int(bytes_), "about": str(entry.get("about") or "")[:200]}


def difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """What makes the second configuration of the first, by dotted keys."""
    before, after = dict(_leaves(one)), dict(_leaves(other))
    return {key: value for key, value in after.items() if key not in before or before[key] != value}


def _leaves(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from _leaves(inner, f"{path}{key}.")
        else:
            yield f"{path}{key}", inner
