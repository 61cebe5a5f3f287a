"""What a run says while it works: its `events.jsonl`, read as it grows, and how far it has come.

The file is another process's, so nothing in it is trusted: a line that can't be read never raises, it is
counted into one alert; memory stays bounded whatever the file holds; text comes out without control
characters. `Tail.offset` always stands at the start of a line, so it can be kept and used again after a
crash of either side.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

Event = dict[str, Any]

VERSION = 1
EVENTS = "events.jsonl"
MAX_LINE = 64 * 1024  # bytes; a longer line is broken
CHUNK = 1024 * 1024  # bytes held at once
NO_NUMBER = (None, "NaN", "Infinity", "-Infinity")
"""How a metric's value is written that JSON has no number for; it is read as None."""
_SAMPLES = 3  # fewer say nothing about the speed
_RECENT = 64  # samples that the estimate looks back


class Tail:
    """The events of a run from `offset` on; each `read` gives those that were completed since.

    `chunk` bytes are read at once, at least one line's most: few where a read must be short.
    """

    def __init__(self, run_dir: Path, offset: int = 0, chunk: int = CHUNK) -> None:
        self.path = run_dir / EVENTS
        self.offset = offset  # start of the first line not yet given
        self.size = 0  # of the file, when it was read last
        self._chunk = max(chunk, 2 * MAX_LINE)
        self._wrong = ""  # why the file could not be read the last time
        self._skipped = 0  # bytes of an overlong line, from offset on, already looked at

    def read(self) -> list[Event]:
        """The events of the next lines, at most `chunk` bytes of them; an empty list means: none now."""
        try:
            file = open_regular(self.path)
        except FileNotFoundError:
            return []
        except OSError as error:
            wrong, before = f"{EVENTS} can't be read: {error.strerror or error}", self._wrong
            self._wrong = wrong
            return (
                [_alert(wrong)] if wrong != before else []
            )  # once: who reads to the end would never be done
        self._wrong = ""
        with file:
            size = self.size = os.fstat(file.fileno()).st_size
            if size < self.offset:
                message = f"{EVENTS} became shorter than what was already read of it"
                self.offset, self._skipped = size, 0
                return [_alert(message)]
            if size < self.offset + self._skipped:
                self._skipped = 0  # the torn line was cut off: read again from its start
            file.seek(self.offset + self._skipped)
            while True:
                chunk = file.read(self._chunk)
                events = self._take(chunk)
                if events or len(chunk) < self._chunk:  # else this was the middle of an overlong line
                    return events

    def _take(self, chunk: bytes) -> list[Event]:
        end = chunk.rfind(b"\n") + 1
        if end == 0:  # no line is complete
            if self._skipped or len(chunk) > MAX_LINE:
                self._skipped += len(chunk)
            return []
        lines = chunk[:end].split(b"\n")[:-1]
        broken: list[str] = []
        if self._skipped:
            lines = lines[1:]
            broken.append(f"longer than {MAX_LINE} bytes")
        events: list[Event] = []
        for line in lines:
            try:
                events.append(parse(line))
            except ValueError as error:
                broken.append(str(error))
        if broken:
            noun = "line" if len(broken) == 1 else "lines"
            near = f"after byte {self.offset}"
            events.append(_alert(f"{len(broken)} unreadable {noun} in {EVENTS} {near}: {broken[0]}"))
        self.offset += self._skipped + end
        self._skipped = 0
        return events


def parse(line: bytes) -> Event:
    """One event from one line; ValueError says what is wrong with it."""
    if len(line) > MAX_LINE:
        raise ValueError(f"longer than {MAX_LINE} bytes")
    try:
        text = line.decode()
        event = json.loads(text, parse_constant=_refuse_constant)
        if "\\" in text or not text.isprintable() or not _plain(event):
            event = _clean(event)
    except RecursionError:
        raise ValueError("nested too deep") from None
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except json.JSONDecodeError:
        raise ValueError("not JSON") from None
    if not isinstance(event, dict):
        raise ValueError("not an object")
    if event.get("v") != VERSION:
        raise ValueError(f"not of version {VERSION}")
    needed = {"t": _number, "at": _text} | _FIELDS.get(str(event.get("type")), {"type": _never})
    for name, fits in needed.items():
        if name not in event or not fits(event[name]):
            raise ValueError(f"field {name} is missing or wrong")
    if event["type"] == "metric" and isinstance(event["value"], str):
        event["value"] = None
    return event


class Progress(NamedTuple):
    """How far a run is, and the seconds it still takes: a range, or None while nothing can be said."""

    fraction: float
    eta_low: float | None
    eta_high: float | None


def progress(events: Iterable[Mapping[str, Any]]) -> Progress:
    """Fraction done and a range of the remaining seconds, from the `progress` events seen so far.

    The range spans three speeds: over all samples kept, over the later half, over the last quarter. A run
    that was started again begins a new clock, so only the samples since then count.
    """
    samples: list[tuple[float, float, float]] = []
    for event in events:
        if event.get("type") == "progress":
            if samples and event["t"] < samples[-1][0]:
                samples.clear()
            samples.append((float(event["t"]), float(event["done"]), float(event["total"])))
    if not samples:
        return Progress(0.0, None, None)
    _, done, total = samples[-1]
    fraction = min(1.0, done / total)
    if len(samples) < _SAMPLES:
        return Progress(fraction, None, None)
    recent = samples[-_RECENT:]
    last = len(recent) - 1
    speeds = [_speed(recent[first:]) for first in (0, last // 2, last - max(1, last // 4))]
    left = max(0.0, total - done)
    if min(speeds) <= 0:
        return Progress(fraction, None, None)
    return Progress(fraction, left / max(speeds), left / min(speeds))


def open_regular(path: Path) -> BinaryIO:
    """Open a file that another process wrote: never through a link, never a pipe that would block."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    fd = os.open(path, flags | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError("not a regular file")
    return os.fdopen(fd, "rb")


def _speed(samples: list[tuple[float, float, float]]) -> float:
    seconds = samples[-1][0] - samples[0][0]
    return (samples[-1][1] - samples[0][1]) / seconds if seconds > 0 else 0.0


def _alert(message: str) -> Event:
    return {"v": VERSION, "t": 0.0, "at": "", "type": "alert", "level": "warn", "message": message}


def _clean(value: Any) -> Any:
    """The same value with each character replaced that a terminal could act upon; only finite numbers."""
    if isinstance(value, str):
        return value if value.isprintable() else "".join(c if c.isprintable() else " " for c in value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):  # 1e999: JSON could not hold it again
        raise ValueError("a number is too large")
    if isinstance(value, dict):
        return {_clean(name): _clean(item) for name, item in value.items()}
    return value


def _plain(event: Any) -> bool:
    """Whether there is nothing for `_clean` to do where the text itself is printable: most lines are so."""
    if not isinstance(event, dict):
        return False
    return all(isinstance(item, (str, int)) or _number(item) for item in event.values())


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) < 1e300 and math.isfinite(value)


def _positive(value: Any) -> bool:
    return _number(value) and value > 0


def _at_least_zero(value: Any) -> bool:
    return _number(value) and value >= 0


def _measured(value: Any) -> bool:
    return _number(value) or ((value is None or isinstance(value, str)) and value in NO_NUMBER)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _never(_: Any) -> bool:
    return False


_FIELDS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "progress": {"done": _at_least_zero, "total": _positive},
    "metric": {"name": _text, "value": _measured},
    "phase": {"name": _text},
    "checkpoint": {"path": _text, "sha256": _text},
    "alert": {"level": _text, "message": _text},
    "breaker": {"state": _text, "rule": _text, "message": _text},
    "artifact": {"path": _text, "sha256": _text},
}
