"""The manifest of a data set: where it came from, how to make it again, and what each file must hold."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from datagen.errors import BrokenData
from datagen.files import open_regular

MANIFEST = "manifest.json"
SCHEMA = 1
MAX_BYTES = 16 * 1024 * 1024
PROVENANCES = ("synthetic", "interaction")
_BLOCK = 1024 * 1024


@dataclass(frozen=True)
class Shard:
    """One file of rows."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The fields of `manifest.json`. `content_sha256` covers all rows in order, however they are cut."""

    schema: int
    provenance: str
    recipe: str
    recipe_version: str
    seed: int
    count: int
    parameters: dict[str, Any]
    splits: dict[str, int]
    row_schema: dict[str, Any]
    content_sha256: str
    shards: tuple[Shard, ...]

    def encode(self) -> bytes:
        """The bytes of the file: the same for the same content, always."""
        return json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def shard_name(number: int) -> str:
    """The file of a shard inside the data folder."""
    return f"shard-{number:05d}.jsonl"


def read(data_dir: Path) -> Manifest:
    """The manifest of a data folder; BrokenData says what is wrong with it."""
    path = data_dir / MANIFEST
    try:
        with open_regular(path) as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise BrokenData(f"{path} is larger than a manifest can be")
        body = json.loads(text)
    except FileNotFoundError:
        raise BrokenData(f"{data_dir} has no {MANIFEST}: the data set was not finished") from None
    except (ValueError, RecursionError) as error:
        raise BrokenData(f"{path} is not JSON: {error}") from None
    return parse(body)


def parse(body: Any) -> Manifest:
    """A manifest from its JSON."""
    wanted = Manifest.__dataclass_fields__.keys()
    if not isinstance(body, dict) or body.keys() != wanted:
        raise BrokenData(f"a manifest has exactly the fields {', '.join(wanted)}")
    wrong = [name for name, fits in _CHECKS.items() if not fits(body[name])]
    if wrong:
        raise BrokenData(f"the manifest's {', '.join(wrong)} can't be right")
    shards = tuple(Shard(**shard) for shard in body["shards"])
    return Manifest(**{**body, "shards": shards})


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    whole = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(_BLOCK):
            whole.update(block)
    return whole.hexdigest()


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _sha256(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) is not None


def _shards(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(shard, dict)
        and shard.keys() == {"path", "rows", "bytes", "sha256"}
        and shard["path"] == shard_name(number)
        and _whole(shard["rows"])
        and _whole(shard["bytes"])
        and _sha256(shard["sha256"])
        for number, shard in enumerate(value)
    )


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "schema": lambda value: value == SCHEMA,
    "provenance": _text,
    "recipe": _text,
    "recipe_version": _text,
    "seed": _whole,
    "count": _whole,
    "parameters": lambda value: isinstance(value, dict),
    "splits": lambda value: isinstance(value, dict) and all(map(_whole, value.values())),
    "row_schema": lambda value: isinstance(value, dict),
    "content_sha256": _sha256,
    "shards": _shards,
}
