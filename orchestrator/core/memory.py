"""A working memory's folder as whoever proposes an update reads it: held against its own checksums.

Nothing that stands in it is trusted; see `docs/mind.md` for the form.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.core.store import copy
from state import core, durable
from state.canonical import digest
from state.core import CoreRefused
from state.core_parse import is_name
from state.run_events import open_regular
from state.workspace import Workspace

MEMORY_JSON = "memory.json"
_MOST = 256 * 1024 * 1024  # bytes of memory.json: lessons may hold pictures
_MOST_ARRAYS = 4 << 30


@dataclass(frozen=True)
class Memory:
    """A memory as it stood when it was read."""

    name: str
    part: str
    core: str
    """The version that it was made over."""
    method: str
    digest: str
    arrays: str
    lessons: tuple[tuple[str, int], ...]
    """Of each lesson its kind in a word, and when it was given (ms; 0 where that is not known)."""
    lessons_digest: str
    folder: Path
    right: int = 0
    """Of its lessons, those that it answers rightly, as it says."""

    @property
    def file(self) -> str:
        """The file of its arrays, which bears the beginning of their checksum."""
        return f"{self.arrays[:32]}.safetensors"

    def kinds(self, since: int = 0) -> dict[str, int]:
        """How many lessons of each kind were given since then; those without a date are old."""
        found: dict[str, int] = {}
        for kind, at in self.lessons:
            if at > since or since == 0:
                found[kind] = found.get(kind, 0) + 1
        return found


def folder(workspace: Workspace, name: str) -> Path:
    """Where a memory lies."""
    return workspace.home / "memories" / name


def read(workspace: Workspace, name: str) -> Memory:
    """A memory by its name.

    Raises:
        CoreRefused: there is none, or it is not what it says.
    """
    if not is_name(name):
        raise CoreRefused(f"{name!s:.60} is no name of a memory")
    where = folder(workspace, name)
    if not where.is_dir() or where.is_symlink():
        raise CoreRefused(f"no memory {name}: `jetbox lab memory list` shows those there are")
    found = _read(where, name)
    if core.hashed(where / found.file, _MOST_ARRAYS)[0] != found.arrays:
        raise CoreRefused(f"the memory {name} was altered, or is being written: try again")
    return found


def _read(where: Path, name: str) -> Memory:
    try:
        with open_regular(where / MEMORY_JSON) as file:
            text = file.read(_MOST + 1)
        if len(text) > _MOST:
            raise ValueError("it is too large")
        body = json.loads(text)
        if body["schema"] != 1:
            raise CoreRefused(f"the memory {name} is of schema {body['schema']!r:.20}; this Jetbox reads 1")
        if body["name"] != name or not is_name(body["part"]) or not core.is_digest(body["core"]):
            raise ValueError("it does not say whose it is")
        if body["arrays"] == "":
            raise CoreRefused(f"the memory {name} has learned nothing over this core yet")
        if not core.is_digest(body["arrays"]):
            raise ValueError("it does not name its arrays")
        lessons = tuple(_lessons(body["lessons"], str(body["part"])))
        rest = {key: value for key, value in body.items() if key not in ("on", "generation")}
        whole, taught = digest(rest), digest(body["lessons"])
        learned = body.get("learned")
        right = learned.get("right") if isinstance(learned, dict) else 0
    except CoreRefused:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CoreRefused(f"the memory {name} is broken: {error}") from None
    method = str(body.get("method", ""))[:40]
    answered = right if type(right) is int else 0
    part, over, arrays = body["part"], body["core"], body["arrays"]
    return Memory(name, part, over, method, whole, arrays, lessons, taught, where, answered)


def _lessons(found: Any, part: str) -> Iterator[tuple[str, int]]:
    if not isinstance(found, list):
        raise ValueError("its lessons are no list")
    for each in found:
        said: Mapping[str, Any] = each if isinstance(each, dict) else {}
        kind, at = said.get("kind"), said.get("at")
        yield (kind[:40] if isinstance(kind, str) and kind else part), (at if type(at) is int else 0)


def snapshot(found: Memory, target: Path) -> dict[str, str]:
    """Copy a memory as it was read, so that lessons given meanwhile change nothing of what is measured.

    Returns the files with their checksums.

    Raises:
        CoreRefused: it has changed since it was read.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    with open_regular(found.folder / MEMORY_JSON) as file:
        durable.replace(target / MEMORY_JSON, file.read(_MOST + 1))
    copy(found.folder / found.file, target / found.file, found.arrays)
    if _read(target, found.name).digest != found.digest:
        raise CoreRefused(f"the memory {found.name} learned something meanwhile: try again")
    return {MEMORY_JSON: core.hashed(target / MEMORY_JSON, _MOST)[0], found.file: found.arrays}
