"""A working memory on the disk: what was taught, and what was learned of it, whole or not there.

`memory.json` is the truth; it names the arrays by their checksum, which is the name of their file, too, so
putting it in place is the one step that counts. Arrays that are missing or altered are no loss: the lessons
are learned again.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as parse_arrays
from safetensors.numpy import save as serialise

from datagen import files

SCHEMA = 1
RECORD = "memory.json"
MOST_RECORD, MOST_ARRAYS = 64 << 20, 256 << 20  # bytes
MOST_LESSONS = 512
NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_SHA = re.compile(r"[0-9a-f]{64}")


class RecordBroken(Exception):
    """A memory on the disk can't be used; one line says why and what to do."""


@dataclass(frozen=True)
class Record:
    """The fields of `memory.json`."""

    name: str
    part: str
    core: str  # the version that the arrays were learned over
    method: str
    on: bool
    lessons: tuple[dict[str, Any], ...]  # question as the protocol has it, answer, core, at, kind
    learned: dict[str, Any]  # right, numbers, facts
    generation: int
    arrays: str  # SHA-256 of the file of arrays; '' where there are none
    schema: int = SCHEMA

    @property
    def digest(self) -> str:
        """SHA-256 of its canonical JSON without `on` and `generation`."""
        body = {k: v for k, v in asdict(self).items() if k not in ("on", "generation")}
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def right(self) -> int:
        """Of its lessons, those it answers rightly."""
        return min(int(self.learned.get("right", 0)), len(self.lessons))


def stamp(folder: Path) -> tuple[int, int, int] | None:
    """What changes whenever a memory is written; None where there is none."""
    try:
        found = (folder / RECORD).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def read(folder: Path) -> Record:
    """A memory's record; RecordBroken says what is wrong with it."""
    path = folder / RECORD
    try:
        with files.open_regular(path) as file:
            text = file.read(MOST_RECORD + 1)
        body = json.loads(text) if len(text) <= MOST_RECORD else None
    except (OSError, ValueError, RecursionError) as error:
        raise RecordBroken(f"{path} can't be read: {error}") from None
    if isinstance(body, dict) and isinstance(body.get("schema"), int) and body["schema"] > SCHEMA:
        raise RecordBroken(f"{path} is of schema {body['schema']}: a newer Jetbox wrote it")
    wrong = _wrong(body, folder.name)
    if wrong or not isinstance(body, dict):
        raise RecordBroken(f"{path} is broken ({wrong}): `jetbox lab memory forget {folder.name}` removes it")
    return Record(**{**body, "lessons": tuple(body["lessons"])})


def arrays(folder: Path, record: Record) -> dict[str, np.ndarray] | None:
    """What a record's arrays hold; None where they are missing or not what it names."""
    data = _bytes(folder / _file(record.arrays))
    if data is None or hashlib.sha256(data).hexdigest() != record.arrays:
        return None
    try:
        return dict(parse_arrays(data))
    except (SafetensorError, ValueError, KeyError):
        return None


def write(folder: Path, record: Record, held: Mapping[str, np.ndarray] | None) -> Record:
    """Put a memory in place in one durable step; the record as written. None leaves the arrays it names.

    For whoever holds the memory's lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if held is not None:
        data = serialise({name: np.ascontiguousarray(each) for name, each in held.items()})
        record = replace(record, arrays=hashlib.sha256(data).hexdigest())
        files.replace(folder / _file(record.arrays), data)
    text = json.dumps(asdict(record), sort_keys=True, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    if len(text) > MOST_RECORD:
        raise RecordBroken(f"the memory {record.name} would be larger than {MOST_RECORD >> 20} MiB")
    files.replace(folder / RECORD, text)
    for other in folder.iterdir():  # also what a killed process left
        if other.name not in (RECORD, _file(record.arrays)) and not other.is_dir():
            other.unlink(missing_ok=True)
    return record


def remove(folder: Path) -> None:
    """Forget a memory: gone in one step, then from the disk."""
    gone = folder.with_name(f".{folder.name}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    folder.replace(gone)
    shutil.rmtree(gone, ignore_errors=True)


def _file(sha256: str) -> str:
    return f"{sha256[:32]}.safetensors"


def _bytes(path: Path) -> bytes | None:
    try:
        with files.open_regular(path) as file:
            data = file.read(MOST_ARRAYS + 1)
    except OSError:
        return None
    return data if len(data) <= MOST_ARRAYS else None


def _wrong(body: object, name: str) -> str:
    """What is wrong with a record; '' where nothing."""
    if not isinstance(body, dict) or body.keys() != set(Record.__dataclass_fields__):
        return "it has not exactly its fields"
    kinds: dict[str, type] = {
        "name": str, "part": str, "core": str, "method": str, "on": bool, "lessons": list, "learned": dict,
        "generation": int, "arrays": str, "schema": int,
    }  # fmt: skip
    for each, kind in kinds.items():
        if not isinstance(body[each], kind) or (kind is int and isinstance(body[each], bool)):
            return f"its {each} can't be right"
    if body["name"] != name or not NAME.fullmatch(name) or not NAME.fullmatch(body["part"]):
        return "its name is another"
    if not _SHA.fullmatch(body["core"]) or not (body["arrays"] == "" or _SHA.fullmatch(body["arrays"])):
        return "a digest in it is none"
    if len(body["lessons"]) > MOST_LESSONS:
        return f"it has more than {MOST_LESSONS} lessons"
    if not all(_is_lesson(each) for each in body["lessons"]):
        return "one of its lessons is none"
    right = body["learned"].get("right", 0)
    return "" if isinstance(right, int) and right >= 0 else "what it learned can't be right"


def _is_lesson(body: object) -> bool:
    return (
        isinstance(body, dict)
        and body.keys() - {"kind"} == {"question", "answer", "core", "at"}
        and isinstance(body["question"], dict)
        and isinstance(body["core"], str)
        and type(body["at"]) is int
    )
