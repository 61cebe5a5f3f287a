"""The child's side of the run protocol: `events.jsonl` while it works, `result.json` last.

A line that a crash tore is cut off when the log is opened again, so each line is whole JSON. Times are for
people and estimates; nothing that a run produces depends on them.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from datagen import files

VERSION = 1
EVENTS, RESULT = "events.jsonl", "result.json"
_PROGRESS_EVERY = 0.25  # seconds
_DISK_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_MEND_BLOCK = 64 * 1024  # bytes


class RunLog:
    """Appends events; `t` counts the seconds since this process began, on a clock that never goes back."""

    def __init__(self, run_dir: Path) -> None:
        path = run_dir / EVENTS
        _mend(path)
        self._file = path.open("ab", buffering=0)
        self._begun = time.monotonic()
        self._last_progress = -_PROGRESS_EVERY

    def emit(self, type_: str, **fields: Any) -> None:
        """Append one event."""
        t = round(time.monotonic() - self._begun, 3)
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"v": VERSION, "t": t, "at": at, "type": type_, **fields}, ensure_ascii=False)
        size = os.fstat(self._file.fileno()).st_size
        try:
            files.write(self._file, line.encode() + b"\n")
        except OSError:
            self._file.truncate(size)  # half a line would swallow the next one
            raise

    def progress(self, done: int, total: int, unit: str) -> None:
        """Say how far the run is, at most four times a second and always at the end."""
        now = time.monotonic()
        if done == total or now - self._last_progress >= _PROGRESS_EVERY:
            self._last_progress = now
            self.emit("progress", done=done, total=total, unit=unit)

    def checkpoint(self, **fields: Any) -> None:
        """Record that what the fields name is on disk for good; the record itself is durable on return."""
        self.emit("checkpoint", **fields)
        os.fsync(self._file.fileno())

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def checkpoints(run_dir: Path) -> Iterator[dict[str, Any]]:
    """The checkpoint events of this folder, of all its processes so far; unreadable lines are none."""
    try:
        lines = (run_dir / EVENTS).open("rb")
    except FileNotFoundError:
        return
    with lines:
        for line in lines:
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(event, dict) and event.get("v") == VERSION and event.get("type") == "checkpoint":
                yield event


def succeed(run_dir: Path, metrics: dict[str, int | float], artifact: str, sha256: str) -> None:
    """Write the last word of a run that made `artifact` (a path below the run folder)."""
    made = {"path": artifact, "sha256": sha256}
    _conclude(run_dir, {"v": VERSION, "ok": True, "metrics": metrics, "artifact": made})


def fail(run_dir: Path, error: str) -> None:
    """Write the last word of a run that could not do it, in one line."""
    _conclude(run_dir, {"v": VERSION, "ok": False, "error": error})


def give_up(run_dir: Path, error: Exception) -> None:
    """The same for an exception. A full disk is no end: the run goes on when there is room, and says so."""
    again = {"again": True} if _full(error) else {}
    _conclude(run_dir, {"v": VERSION, "ok": False, "error": explain(error), **again})


def drop_failure(run_dir: Path) -> None:
    """An earlier attempt's error is not this one's; a good result stays until it is written again."""
    path = run_dir / RESULT
    try:
        good = json.loads(path.read_bytes())["ok"] is True
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError, RecursionError):
        good = False
    if not good:
        path.unlink()


def explain(error: Exception) -> str:
    """One line for a person."""
    if _full(error):
        return "the disk is full: free some space, then retry"
    text = (
        f"{error.strerror}: {error.filename}" if isinstance(error, OSError) and error.filename else str(error)
    )
    return " ".join(text.split())


def _full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in _DISK_FULL


def _conclude(run_dir: Path, body: dict[str, Any]) -> None:
    files.replace(run_dir / RESULT, json.dumps(body, sort_keys=True, ensure_ascii=False).encode() + b"\n")


def _mend(path: Path) -> None:
    """Cut off what stands behind the last newline."""
    try:
        file = path.open("r+b")
    except FileNotFoundError:
        return
    with file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            begin = max(0, end - _MEND_BLOCK)
            file.seek(begin)
            newline = file.read(end - begin).rfind(b"\n")
            if newline >= 0:
                end = begin + newline + 1
                break
            end = begin
        file.truncate(end)
