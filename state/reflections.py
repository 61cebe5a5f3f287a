"""What is kept of each answer of the mind: how it came about, how far it can be trusted, never the question.

`.jetbox/reflections/YYYY-MM.jsonl`, one object a line, appended by whoever asked, after the reply. It is no
record that anything is decided by, so it is not fsynced; after a crash the last line may be torn, and is
passed over. Bounded: a month has two files of 16 MiB, a line 64 KiB, and two years are kept.
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from state.canonical import digest
from state.run_events import open_regular

FOLDER = "reflections"
SCHEMA = 1
MOST_FILE, MOST_LINE = 16 << 20, 64 << 10  # bytes
MOST_MONTHS = 24
_NAME = re.compile(r"\d{4}-\d{2}(\.old)?\.jsonl")
_ASKED = ("part", "cells", "question", "image", "scene")  # what makes a question, of a request's fields
_TEXT = 200  # characters of a text in a record

Kind = Literal["answer", "actions"]


@dataclass(frozen=True)
class Consistency:
    """0 to 1; None where nobody looked."""

    cycles: float | None = None
    """How far the later cycles of one answer agree."""
    variants: float | None = None
    """How far answers to the same question in other dresses agree; of actions, attempts at one ticket."""


@dataclass(frozen=True)
class Reflection:
    """One line. Of kind `actions`, `part` is the ticket and `question` the digest of what was compared."""

    id: str
    at: int
    """Wall clock, ms since 1970."""
    kind: Kind
    core: str
    part: str
    question: str
    """A digest of the question, so that the same one can be told again; never its content."""
    answer: list[int] | str
    by: str
    """`core`, or the memory that answered."""
    probability: float | None
    abstained: bool
    consistency: Consistency = field(default_factory=Consistency)
    trace: list[dict[str, Any]] = field(default_factory=list)
    corrected: str | None = None
    """The right answer, where a person gave it."""
    schema: int = SCHEMA


def of_answer(
    request: Mapping[str, Any], reply: Mapping[str, Any], core: str, corrected: str | None = None
) -> Reflection:
    """The record of one ANSWER of docs/mind.md to the question of a request."""
    asked = {name: request[name] for name in _ASKED if name in request}
    consistency = reply.get("consistency")
    told: Mapping[str, Any] = consistency if isinstance(consistency, Mapping) else {}
    said = reply.get("answer")
    return Reflection(
        id=new_id(),
        at=time.time_ns() // 1_000_000,
        kind="answer",
        core=core,
        part=str(request.get("part", ""))[:_TEXT],
        question=digest(asked),
        answer=said if isinstance(said, list) else str(said)[:_TEXT],
        by=str(reply.get("by", ""))[:_TEXT],
        probability=_share(reply.get("probability")),
        abstained=reply.get("abstained") is True,
        consistency=Consistency(_share(told.get("cycles")), _share(told.get("variants"))),
        trace=[each for each in reply.get("trace") or [] if isinstance(each, dict)],
        corrected=corrected,
    )


def new_id() -> str:
    """An id that sorts by time."""
    return f"{time.time_ns() // 1_000_000:011x}{secrets.token_hex(3)}"


def write(home: Path, made: Reflection) -> None:
    """Append a record; OSError where it can't be, and then nothing is lost but this line."""
    body = asdict(made)
    line = _line(body)
    if len(line) > MOST_LINE:
        line = _line(body | {"trace": []})
    if len(line) > MOST_LINE:
        line = _line(body | {"trace": [], "answer": ""})
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{time.strftime('%Y-%m', time.gmtime(made.at / 1000))}.jsonl"
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
    try:
        size = os.fstat(fd).st_size
        if size:
            os.lseek(fd, -1, os.SEEK_END)
            if os.read(fd, 1) != b"\n":
                line = b"\n" + line  # who wrote last was killed in its middle
        os.write(fd, line)
    finally:
        os.close(fd)
    if size > MOST_FILE:
        path.replace(path.with_name(f"{path.stem}.old.jsonl"))
    if not size:
        _tidy(folder)


def read(home: Path, limit: int = 1000) -> list[Reflection]:
    """The newest records, newest first; lines that can't be read are passed over."""
    found: list[Reflection] = []
    for path in _files(home / FOLDER):
        for each in _lines(path):
            found.append(each)
            if len(found) == limit:
                return found
    return found


def find(home: Path, start: str) -> list[Reflection]:
    """The records whose id begins so, newest first."""
    return [each for path in _files(home / FOLDER) for each in _lines(path) if each.id.startswith(start)]


def of_ticket(home: Path, ticket: str) -> Reflection | None:
    """What was last reflected about the actions of a ticket."""
    for path in _files(home / FOLDER):
        for each in _lines(path):
            if each.kind == "actions" and each.part == ticket:
                return each
    return None


def parse(line: bytes) -> Reflection:
    """A record from its line; ValueError where it is none."""
    try:
        body = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(body, dict) or body.keys() != set(Reflection.__dataclass_fields__):
        raise ValueError("it has not exactly its fields")
    if body["schema"] != SCHEMA:
        raise ValueError(f"it is of schema {body['schema']!r}")
    for name in ("id", "core", "part", "question", "by"):
        if not isinstance(body[name], str) or len(body[name]) > _TEXT:
            raise ValueError(f"its {name} is no text")
    told, answer = body["consistency"], body["answer"]
    fits = (
        body["kind"] in ("answer", "actions")
        and type(body["at"]) is int
        and type(body["abstained"]) is bool
        and (isinstance(answer, str) or (isinstance(answer, list) and all(type(n) is int for n in answer)))
        and isinstance(told, dict)
        and told.keys() == {"cycles", "variants"}
        and isinstance(body["trace"], list)
        and all(isinstance(each, dict) for each in body["trace"])
        and (body["corrected"] is None or isinstance(body["corrected"], str))
    )
    if not fits:
        raise ValueError("a field is not of its kind")
    consistency = Consistency(_share(told["cycles"]), _share(told["variants"]))
    return Reflection(**{**body, "consistency": consistency, "probability": _share(body["probability"])})


def _line(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _share(value: object) -> float | None:
    """A number from 0 to 1; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and 0.0 <= value <= 1.0 else None


def _files(folder: Path) -> list[Path]:
    """Newest month first; of a month, the file that is written to first."""
    try:
        names = [each.name for each in folder.iterdir() if _NAME.fullmatch(each.name)]
    except OSError:
        return []
    names.sort(key=lambda name: (name[:7], ".old" not in name), reverse=True)
    return [folder / name for name in names]


def _lines(path: Path) -> Iterator[Reflection]:
    """The records of a file, newest first."""
    try:
        with open_regular(path) as file:
            lines = file.read(2 * MOST_FILE).split(b"\n")
    except OSError:
        return
    for line in reversed(lines):
        if line and len(line) <= MOST_LINE:
            try:
                yield parse(line)
            except ValueError:
                continue


def _tidy(folder: Path) -> None:
    months = sorted({path.name[:7] for path in _files(folder)})
    for path in _files(folder):
        if path.name[:7] in months[:-MOST_MONTHS]:
            path.unlink(missing_ok=True)
