"""A person's own questions, answers and corrections as a data set; only where they said so, off by default.

`.jetbox/interactions/` is a data set of rows with provenance `interaction`, which `datagen.load` reads:
shards that are closed never change, the open one and the manifest are replaced whole. A crash between the two
is mended by the next row. Whether anything is kept is the last event `lab.keep`, a person's word.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from state import durable
from state.events import New
from state.journal import Journal
from state.lock import Lock
from state.run_events import open_regular
from state.views import Views
from state.words import person
from state.workspace import Workspace

RECIPE, VERSION = "interaction/lab", "1"
SHARD = 256
"""Rows of a shard: so much is written again for each new one at most."""
MOST = 100_000  # rows; then no more are kept, and `keep --forget` makes room
_MOST_SHARD = 64 << 20  # bytes
_WAIT = 2.0  # seconds for another front that writes
_ASKED = ("part", "cells", "question", "image", "scene")
_FIELDS = {
    "id": str, "seed": int, "task": str, "family": str, "difficulty": int, "split": str, "input": str,
    "target": str, "cot": str,
}  # fmt: skip
"""Those of a row of a data set; `tests/lab` holds them against `datagen.rows`."""


def folder(workspace: Workspace) -> Path:
    """Where the data set lies."""
    return workspace.home / "interactions"


def wanted(journal: Journal) -> bool:
    """Whether the person said that interactions are kept."""
    said = list(journal.events(types=("lab.keep",)))
    return bool(said) and said[-1].body.get("on") is True


def say(journal: Journal, on: bool, by: str | None = None) -> None:
    """The person's word: from now on they are kept, or not."""

    def decide(views: Views) -> list[New]:
        return [New("lab.keep", {"on": on, "by": by or person()})]

    journal.transact(decide)


def forget(workspace: Workspace) -> int:
    """Remove all that was kept; how many rows that was."""
    rows = count(workspace)
    shutil.rmtree(folder(workspace), ignore_errors=True)
    return rows


def count(workspace: Workspace) -> int:
    """How many rows are kept."""
    return sum(len(each) for each in _shards(folder(workspace)))


def keep(workspace: Workspace, request: Mapping[str, Any], reply: Mapping[str, Any], corrected: Any) -> None:
    """Add a question with its answer, or with the right one where a person gave it. OSError where it can't.

    Whether it may be kept is for the caller to ask (`wanted`).
    """
    where = folder(workspace)
    where.mkdir(parents=True, exist_ok=True)
    lock = Lock(workspace.home / "interactions.lock")
    if not lock.acquire(_WAIT):
        raise OSError("another front is writing interactions")
    try:
        shards = _shards(where)
        number = sum(len(each) for each in shards)
        if number >= MOST:
            return
        line = _row(number, request, reply, corrected)
        if not shards or len(shards[-1]) >= SHARD:
            shards.append([])
        shards[-1].append(line)
        durable.replace(where / _name(len(shards) - 1), b"".join(shards[-1]))
        durable.replace(where / "manifest.json", _manifest(shards))
    finally:
        lock.release()


def _row(number: int, request: Mapping[str, Any], reply: Mapping[str, Any], corrected: Any) -> bytes:
    asked = _text({name: request[name] for name in _ASKED if name in request})
    right = corrected if corrected is not None else reply.get("answer")
    digest = hashlib.sha256(asked.encode()).digest()
    body: dict[str, Any] = {
        "id": f"{RECIPE}:0:{number}",
        "seed": 0,
        "task": str(request.get("part", "")),
        "family": "correction" if corrected is not None else "answer",
        "difficulty": 0,
        "split": "test" if int.from_bytes(digest[:8], "big") % 10 == 0 else "train",
        "input": asked,
        "target": right if isinstance(right, str) else _text(right),
        "cot": "",
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _manifest(shards: list[list[bytes]]) -> bytes:
    """As `datagen/manifest.py` has it, schema 1."""
    rows = [json.loads(line) for shard in shards for line in shard]
    whole = [b"".join(shard) for shard in shards]
    body = {
        "schema": 1,
        "provenance": "interaction",
        "recipe": RECIPE,
        "recipe_version": VERSION,
        "seed": 0,
        "count": len(rows),
        "parameters": {},
        "splits": {side: sum(row["split"] == side for row in rows) for side in ("train", "test")},
        "content_sha256": hashlib.sha256(b"".join(whole)).hexdigest(),
        "shards": [
            {
                "path": _name(at),
                "rows": len(shard),
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
            for at, (shard, data) in enumerate(zip(shards, whole, strict=True))
        ],
        "row_schema": {
            "type": "object",
            "properties": {
                name: {"type": "integer" if kind is int else "string"} for name, kind in _FIELDS.items()
            },
            "required": list(_FIELDS),
            "additionalProperties": False,
        },
    }
    return json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _shards(where: Path) -> list[list[bytes]]:
    """The lines of each shard, in order; what can't be read is left out."""
    found: list[list[bytes]] = []
    while True:
        try:
            with open_regular(where / _name(len(found))) as file:
                data = file.read(_MOST_SHARD)
        except OSError:
            return found
        found.append([line + b"\n" for line in data.split(b"\n") if _fits(line)])


def _fits(line: bytes) -> bool:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and row.keys() == _FIELDS.keys()


def _name(number: int) -> str:
    return f"shard-{number:05d}.jsonl"


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
