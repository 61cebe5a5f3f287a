"""The manifest of a data set: where it came from, how to make it again, and what each file must hold.

A set of rows is written in schema 1, as ever; a set of columns in schema 2, which adds `form`, `columns`,
`legend` and `source`. What a newer Jetbox wrote is refused as such.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from datagen.errors import BrokenData
from datagen.files import open_regular

MANIFEST = "manifest.json"
SCHEMA = 1  # of rows
COLUMNS_SCHEMA = 2
MAX_BYTES = 16 * 1024 * 1024
PROVENANCES = ("synthetic", "interaction")
_BLOCK = 1024 * 1024
DTYPES = {
    "uint8": 1,
    "int8": 1,
    "uint16": 2,
    "int16": 2,
    "uint32": 4,
    "int32": 4,
    "uint64": 8,
    "int64": 8,
    "float32": 4,
    "float64": 8,
}
"""What a column may be made of, with the bytes of one number."""
MAX_COLUMNS, MAX_AXES, MAX_ROW = 64, 6, 1 << 24  # a hostile manifest asks for no more


@dataclass(frozen=True)
class Shard:
    """One file of rows."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Column:
    """The type of a column, little-endian, and the shape of one row of it."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return DTYPES[self.dtype] * math.prod(self.shape)


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
    content_sha256: str
    shards: tuple[Shard, ...]
    row_schema: dict[str, Any] = field(default_factory=dict)  # of rows alone
    form: str = "rows"
    columns: dict[str, Column] = field(default_factory=dict)
    legend: dict[str, Any] = field(default_factory=dict)
    """What the numbers of the columns stand for."""
    source: str = ""
    """What drew the rows, where there is a choice."""

    def encode(self) -> bytes:
        """The bytes of the file: the same for the same content, always."""
        body = {name: value for name, value in asdict(self).items() if name in _fields(self.schema)}
        return json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def shard_name(number: int, form: str = "rows") -> str:
    """The file of a shard inside the data folder."""
    return f"shard-{number:05d}.{'safetensors' if form == 'columns' else 'jsonl'}"


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
    schema = body.get("schema") if isinstance(body, dict) else None
    if isinstance(schema, int) and schema > COLUMNS_SCHEMA:
        raise BrokenData(f"a newer Jetbox made this data set (schema {schema}); this one reads up to 2")
    wanted = _fields(schema)
    if not isinstance(body, dict) or body.keys() != wanted:
        raise BrokenData(f"a manifest has exactly the fields {', '.join(sorted(wanted))}")
    form = "rows" if schema == SCHEMA else "columns"
    wrong = [name for name in _CHECKS if name in wanted and not _CHECKS[name](body[name])]
    if not wrong and any(shard["path"] != shard_name(i, form) for i, shard in enumerate(body["shards"])):
        wrong = ["shards"]
    if wrong:
        raise BrokenData(f"the manifest's {', '.join(wrong)} can't be right")
    shards = tuple(Shard(**shard) for shard in body["shards"])
    given = body.get("columns", {}).items()
    columns = {name: Column(each["dtype"], tuple(each["shape"])) for name, each in given}
    return Manifest(**{**body, "shards": shards, "columns": columns})


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
        and _whole(shard["rows"])
        and _whole(shard["bytes"])
        and _sha256(shard["sha256"])
        for shard in value
    )


def _columns(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and {"split", "key"} <= value.keys()
        and len(value) <= MAX_COLUMNS
        and all(
            re.fullmatch(r"[a-z][a-z0-9_]{0,31}", name)
            and isinstance(each, dict)
            and each.keys() == {"dtype", "shape"}
            and isinstance(each["dtype"], str)
            and each["dtype"] in DTYPES
            and isinstance(each["shape"], list)
            and len(each["shape"]) <= MAX_AXES
            and all(_whole(size) and size >= 1 for size in each["shape"])
            and math.prod(each["shape"]) <= MAX_ROW
            for name, each in value.items()
        )
        and value["split"] == {"dtype": "uint8", "shape": []}
        and value["key"] == {"dtype": "uint64", "shape": []}
    )


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "schema": lambda value: _whole(value) and value in (SCHEMA, COLUMNS_SCHEMA),
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
    "form": lambda value: value == "columns",
    "columns": _columns,
    "legend": lambda value: isinstance(value, dict),
    "source": _text,
}
_NEW = {"form", "columns", "legend", "source"}


def _fields(schema: Any) -> set[str]:
    """The fields of a manifest of this schema."""
    known = set(Manifest.__dataclass_fields__)
    return known - {"row_schema"} if schema == COLUMNS_SCHEMA else known - _NEW
