"""One holder at a time, by a lock that the operating system drops when its holder dies.

POSIX: `flock`, which belongs to the open file, so a child that inherits the descriptor keeps the lock
alive after its parent was killed: who acquires it next knows that no such child is left. Windows:
`msvcrt.locking` far behind the end of the file, dropped with the process.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from state.process import is_alive, own_identity

_LOCKED_BYTE = 1 << 30  # behind the text, so that others can read who holds the lock


class Held(Exception):
    """The lock has another holder."""


class Lock:
    """An exclusive lock on a file; the file names its holder, for messages."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    @property
    def fd(self) -> int:
        """The locked descriptor, for a child to inherit."""
        if self._fd is None:
            raise Held(f"{self.path} is not locked by this process")
        return self._fd

    def acquire(self, timeout: float = 0.0) -> bool:
        """Take the lock, waiting at most `timeout` seconds; True when it is ours."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        deadline = time.monotonic() + timeout
        try:
            while not (ours := _try_lock(fd)) and time.monotonic() < deadline:
                time.sleep(0.01)
        except BaseException:
            os.close(fd)
            raise
        if not ours:
            os.close(fd)
            return False
        self._fd = fd
        self._sign()
        return True

    def adopt(self, fd: int) -> bool:
        """Become the holder by a locked descriptor that this process inherited (POSIX only).

        False when the descriptor is not one of this file, or does not hold the lock.
        """
        if not os.path.samestat(os.fstat(fd), os.stat(self.path)) or not _try_lock(fd):  # noqa: PTH116
            return False
        os.set_inheritable(fd, False)
        self._fd = fd
        self._sign()
        return True

    def hand_over(self) -> None:
        """Let go of the descriptor without unlocking: the child that inherited it holds the lock now."""
        os.close(self.fd)
        self._fd = None

    def _sign(self) -> None:
        """Name the holder, for messages only: a full disk is no reason not to hold the lock."""
        with suppress(OSError):
            os.lseek(self.fd, 0, os.SEEK_SET)
            os.ftruncate(self.fd, os.write(self.fd, json.dumps(own_identity()).encode() + b"\n"))

    def release(self) -> None:
        """Give the lock back; the file stays, since removing it would race with the next holder."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Lock:
        if not self.acquire():
            raise Held(f"{self.path} is held by another process")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def holder(path: Path) -> int | None:
    """Pid of the living process that wrote its name into this lock file, without touching the lock."""
    try:
        body = json.loads(path.read_text())
        pid, start = int(body["pid"]), str(body["start"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if is_alive(pid, start) else None


def held(path: Path) -> bool:
    """Whether anyone holds this lock. It asks for a moment; who acquires at that moment should wait 0.1 s."""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe in its place blocks nobody
    except FileNotFoundError:
        return False
    try:
        return not _probe(fd)
    finally:
        os.close(fd)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(fd: int) -> bool:
        os.lseek(fd, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    _probe = _try_lock

else:
    import fcntl

    def _try_lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _probe(fd: int) -> bool:
        try:  # shared, so that two who ask at once do not take each other for the holder
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
