"""The runs of a workspace, each at a glance: how it stands and how far it is, from the end of its events.

A glance costs the same for a run of a minute and of a week. Runs that have ended are looked at once.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

from state.run_events import EVENTS, Progress, Tail, open_regular, parse
from state.run_folder import REQUEST, RESULT, Result, alive, result
from state.run_view import RunView

MOST = 200
"""Runs that are shown: the latest."""
_FOLDERS = 5_000  # folders that are looked at
_END = 64 * 1024  # bytes of the end of the events that are read
_BACK = 16 << 20  # bytes in which the last phase is looked for
_REQUEST = 256 * 1024  # bytes of a request that are read


class Place(NamedTuple):
    """A run folder of a ticket's attempt."""

    ticket: str
    attempt: int
    folder: Path
    changed: int  # ms of wall clock


class Glance(NamedTuple):
    """How a run stands."""

    place: Place
    state: str
    """running (a process works there), done, failed, or interrupted: neither."""
    kind: str = ""
    """train, eval, datagen, or '' where its request does not tell."""
    phase: str = ""
    done: float = 0.0
    total: float = 0.0
    unit: str = ""
    progress: Progress = Progress(0.0, None, None)
    speed: float | None = None
    """Steps a second, as the run says it."""
    loss: float | None = None
    error: str = ""


def places(runs: Path, most: int = MOST) -> list[Place]:
    """The run folders `runs/<ticket>/<attempt>` there are, the latest first."""
    found: list[Place] = []
    for ticket in _folders(runs):
        for entry in _folders(Path(ticket.path)):
            if entry.name.isdecimal() and len(entry.name) < 7 and (place := _place(ticket.name, entry)):
                found.append(place)
    found.sort(key=lambda place: (-place.changed, place.ticket, -place.attempt))
    return found[:most]


def _folders(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            found = [entry for entry, _ in zip(entries, range(_FOLDERS), strict=False)]
        return [entry for entry in found if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _place(ticket: str, entry: os.DirEntry[str]) -> Place | None:
    folder = Path(entry.path)
    for name in (EVENTS, REQUEST):
        try:
            changed = os.stat(folder / name, follow_symlinks=False).st_mtime_ns // 1_000_000  # noqa: PTH116
            return Place(ticket, int(entry.name), folder, changed)
        except OSError:
            continue
    return None


class Glances:
    """Looks at runs again and again; what can have changed is read, nothing else."""

    def __init__(self) -> None:
        self._known: dict[Path, _Known] = {}

    def look(self, found: list[Place]) -> list[Glance]:
        """Every place at a glance: the living first, then as they were given."""
        kept = {place.folder for place in found}
        self._known = {folder: known for folder, known in self._known.items() if folder in kept}
        seen = [self._known.setdefault(place.folder, _Known(place.folder)).look(place) for place in found]
        return sorted(seen, key=lambda glance: glance.state != "running")


class _Known:
    """What is known of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kind = _kind(folder)
        self._tail: Tail | None = None
        self._view = RunView()
        self._ended: tuple[int, Result] | None = None

    def look(self, place: Place) -> Glance:
        ended = self._result()
        lives = ended is None and _alive(self._folder)
        self._more()
        state = "running" if lives else "interrupted" if ended is None else "done" if ended.ok else "failed"
        view, error = self._view, (ended.error or "") if ended else ""
        speed, loss = view.latest("steps_per_second"), view.latest("loss")
        shown = Glance(place, state, self._kind, view.phase, view.done, view.total, view.unit)
        return shown._replace(progress=view.progress(), speed=speed, loss=loss, error=error)

    def _result(self) -> Result | None:
        try:
            stamp = os.stat(self._folder / RESULT, follow_symlinks=False).st_mtime_ns  # noqa: PTH116
        except OSError:
            return None
        if self._ended is None or self._ended[0] != stamp:
            found = result(self._folder)
            if found is None:
                return None
            self._ended = (stamp, found)
        return self._ended[1]

    def _more(self) -> None:
        if self._tail is None:
            start, phase = _end(self._folder / EVENTS)
            self._tail, self._view.phase = Tail(self._folder, start), phase
        while events := self._tail.read():
            for event in events:
                self._view.apply(event)


def _alive(folder: Path) -> bool:
    try:
        return alive(folder)
    except OSError:  # a lock that is no file: nobody of ours holds it
        return False


def _end(path: Path) -> tuple[int, str]:
    """Where the last lines begin, and the last phase that was named before them."""
    try:
        with open_regular(path) as file:
            size = file.seek(0, os.SEEK_END)
            if size <= _END:
                return 0, ""
            file.seek(size - _END)
            start = size - _END + file.read(_END).find(b"\n") + 1
            least, end = max(0, start - _BACK), start
            while end > least:
                begin = max(least, end - (1 << 20))
                file.seek(begin)
                block = file.read(end - begin + 400)  # some more: a line may lie across the border
                at = max(block.rfind(b'"type": "phase"'), block.rfind(b'"type":"phase"'))
                if at >= 0:
                    line = block[block.rfind(b"\n", 0, at) + 1 :].partition(b"\n")[0]
                    return start, _phase(line)
                end = begin
            return start, ""
    except OSError:
        return 0, ""


def _phase(line: bytes) -> str:
    try:
        event = parse(line)
    except ValueError:
        return ""
    return str(event["name"])[:48] if event["type"] == "phase" else ""


def _kind(folder: Path) -> str:
    asked = request(folder)
    for key, kind in (("learner", "train"), ("suite", "eval"), ("recipe", "datagen")):
        if key in asked:
            return kind
    return ""


def request(folder: Path) -> dict[str, object]:
    """What the run was asked; {} where that can't be read."""
    try:
        with open_regular(folder / REQUEST) as file:
            found = json.loads(file.read(_REQUEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
