"""`core.json` of a version, from bytes that may be anything: taken in its one form, or refused in a line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from state.canonical import canonical

SCHEMA = 1
TASKS = ("board", "scene", "latents")
FILES = ("checkpoint.json", "model.safetensors")
MOST_PARTS = 32
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DEVICES = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]", re.IGNORECASE)  # what Windows takes for devices
_MADE = {"adopt": {"by"}, "consolidation": {"by", "part", "memory", "memory_digest"}}


class CoreRefused(Exception):
    """A version of the core is not used; the message says why, in one line."""


@dataclass(frozen=True)
class Part:
    """One part of a version."""

    task: str  # board, scene, latents
    learner: str  # hrm, jepa
    files: Mapping[str, str]  # name -> SHA-256
    calibration: Mapping[str, Any] | None


@dataclass(frozen=True)
class Body:
    """What a `core.json` says."""

    parent: str | None
    made: Mapping[str, Any]
    parts: Mapping[str, Part]


def is_name(value: object) -> bool:
    """Whether a value can be the name of a part or a memory: a file's name on every system."""
    return isinstance(value, str) and bool(_NAME.fullmatch(value)) and not _DEVICES.fullmatch(value)


def parsed(data: bytes) -> Body:
    """The fields of a `core.json`.

    Raises:
        CoreRefused: it is broken, of a newer schema, or not in its one form.
    """
    try:
        body = json.loads(data)
        if not isinstance(body, dict):
            raise ValueError("it is no object")
        schema = body.get("schema")
        if type(schema) is int and schema > SCHEMA:
            raise CoreRefused(
                f"core.json is of schema {schema}, newer than this Jetbox reads ({SCHEMA}): update Jetbox"
            )
        if schema != SCHEMA or type(schema) is not int:
            raise ValueError(f"its schema is not {SCHEMA}")
        if canonical(body).encode() != data:
            raise ValueError("it is not in its one form")
        return _body(body)
    except (ValueError, RecursionError) as error:
        raise CoreRefused(f"core.json is broken: {error}") from None


def _body(body: dict[str, Any]) -> Body:
    if body.keys() != {"schema", "parent", "made", "parts"}:
        raise ValueError("it must have exactly schema, parent, made and parts")
    parent, made, parts = body["parent"], body["made"], body["parts"]
    if not (parent is None or _digest(parent)):
        raise ValueError("its parent is no version")
    by = made.get("by") if isinstance(made, dict) else None
    if not isinstance(by, str) or by not in _MADE or made.keys() != _MADE[by]:
        raise ValueError("it does not say how it was made")
    if by == "consolidation" and not (
        is_name(made["part"]) and is_name(made["memory"]) and _digest(made["memory_digest"])
    ):
        raise ValueError("it does not say which memory it was made from")
    if not isinstance(parts, dict) or not 0 < len(parts) <= MOST_PARTS:
        raise ValueError(f"it must have 1 to {MOST_PARTS} parts")
    return Body(parent, made, {name: _part(name, part) for name, part in parts.items()})


def _part(name: str, part: Any) -> Part:
    if not is_name(name):
        raise ValueError("a part has a name that no folder may have")
    if not isinstance(part, dict) or part.keys() != {"task", "learner", "files", "calibration"}:
        raise ValueError(f"the part {name} must have exactly task, learner, files and calibration")
    files, calibration = part["files"], part["calibration"]
    if part["task"] not in TASKS or not isinstance(part["learner"], str) or not is_name(part["learner"]):
        raise ValueError(f"the part {name} is of no known task")
    if not isinstance(files, dict) or files.keys() != set(FILES) or not all(map(_digest, files.values())):
        raise ValueError(f"the part {name} must name its two files with their checksums")
    if not (calibration is None or isinstance(calibration, dict)):
        raise ValueError(f"the calibration of {name} is no object")
    return Part(part["task"], part["learner"], files, calibration)


def _digest(value: object) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None
