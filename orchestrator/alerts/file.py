"""The status file: one status event a line, appended, for programs that follow what happens.

Guarantees: each event of the journal has one line, in order, also over a crash at any instruction, a full
disk or a folder that could not be written for a while, because the file itself says how far it is. It is
derived, so it is not fsynced. A file and one older one, `.1`, of 4 MiB each are kept.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import time
from pathlib import Path

from orchestrator.alerts.status import Standing, of_alert
from state.alerts import Alert
from state.blobs import BlobDamaged, Blobs
from state.events import Event
from state.journal import Journal
from state.workspace import Workspace

LIMIT = 4 << 20
"""Bytes after which a new file is begun: some thousand events."""

BACKLOG = 10_000
"""Events of a journal that is older than the file: how many of the last ones get a line."""

ROOM = 32 << 20
"""Bytes that are left free: the journal and the engine's pause on a full disk come first."""

_TAIL = 1 << 18  # bytes from the end in which the last line is looked for; a line is some hundred


class StatusFile:
    """One writer's hold on the file."""

    def __init__(self, path: Path, limit: int = LIMIT) -> None:
        self.path = path
        self._older = path.with_name(path.name + ".1")
        self._limit = limit

    def last(self) -> int | None:
        """The seq of the last whole line that comes from the journal; None where there is none.

        Raises:
            OSError: it is there and cannot be read.
        """
        for path in (self.path, self._older):
            with contextlib.suppress(FileNotFoundError):
                for line in reversed(_tail(path).splitlines()):
                    if seq := _seq(line):
                        return seq
        return None

    def put_away(self) -> None:
        """Begin a new file: what is there is of another journal.

        Raises:
            OSError: it cannot be renamed.
        """
        with contextlib.suppress(FileNotFoundError):
            self.path.replace(self._older)

    def append(self, lines: list[str]) -> None:
        """Write these lines, all or none of them.

        Raises:
            OSError: no room, no rights, or something else stands there; nothing was written.
        """
        if shutil.disk_usage(self.path.parent).free < ROOM:
            raise OSError(errno.ENOSPC, "what room is left is the journal's", str(self.path))
        data = "".join(lines).encode()
        fd = self._open()
        try:
            size = _whole(fd)
            if size and size + len(data) > self._limit:
                os.close(fd)
                fd = -1
                self.put_away()
                fd = self._open()
                size = 0
            try:
                _write(fd, data)
            except OSError:
                os.ftruncate(fd, size)
                raise
        finally:
            if fd >= 0:
                os.close(fd)

    def _open(self) -> int:
        """Open for appending. A link is refused: what it leads to is not ours to write."""
        extra = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | extra, 0o644)


def _whole(fd: int) -> int:
    """The file's size without a line that a crash cut off, which is taken away."""
    size = os.lseek(fd, 0, os.SEEK_END)
    start = max(0, size - _TAIL)
    os.lseek(fd, start, os.SEEK_SET)
    tail = os.read(fd, size - start)
    if not tail or tail.endswith(b"\n"):
        return size
    whole = start + tail.rfind(b"\n") + 1
    os.ftruncate(fd, whole)
    return whole


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _tail(path: Path) -> bytes:
    """The whole lines at the end of a file."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        data = file.read()
    return data[: data.rfind(b"\n") + 1]


def _seq(line: bytes) -> int | None:
    try:
        found = json.loads(line)["seq"]
    except (ValueError, TypeError, KeyError):
        return None
    return found if isinstance(found, int) and found > 0 else None


class FileSink:
    """Writes a status event for every event of the journal."""

    name = "status file"

    def __init__(self, workspace: Workspace) -> None:
        self._file = StatusFile(workspace.status)
        self._blobs = Blobs(workspace.blobs)
        self._standing = Standing(lambda _: ())

    def begin(self, journal: Journal, head: int) -> int:
        """Behind the last line that was written."""
        self._standing = Standing(lambda ticket: journal.events(ticket=ticket), self._size)
        last = self._file.last()
        if last is not None and last > journal.head()[0]:
            self._file.put_away()
            last = None
        return max(0, head - BACKLOG) if last is None else last

    def take(self, events: list[Event], journal: Journal) -> None:
        """A line for each."""
        self._file.append([self._standing.after(event).line() for event in events])

    def said(self, found: Alert) -> None:
        """A line with the wall clock of now."""
        self._file.append([of_alert(found, int(time.time() * 1000)).line()])

    def rest(self) -> float | None:
        """Nothing to do until there is news."""
        return None

    def leave(self) -> None:
        """A line takes no time."""

    def _size(self, name: str) -> int:
        with contextlib.suppress(OSError, BlobDamaged):
            return self._blobs.path(name).stat().st_size
        return 0
