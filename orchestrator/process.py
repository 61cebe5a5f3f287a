"""A command at work: its output kept, its time and its wishes to stop watched, and how it ended.

Output is bytes: the first and the last part are kept, the middle is counted, so a flood costs no memory.
While the command runs, what it says can be followed in a file.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.sandbox.backend import Child

MARK = "JETBOX_ACTION"
"""Environment variable that every command and its children carry, by which a later engine finds them."""

HEAD = TAIL = 512 * 1024
GRACE = 2.0  # seconds between asking a command to end and ending it
_POLL = 0.05  # seconds between looks at a wish to stop

_SYSTEM = (
    "SYSTEMROOT", "COMSPEC", "PATHEXT", "APPDATA", "LOCALAPPDATA", "USERPROFILE", "PROGRAMFILES",
    "PROGRAMDATA", "WINDIR", "USERNAME", "TEMP", "TMP",
)  # fmt: skip


@dataclass(frozen=True)
class Finished:
    """How a command ended. `exit` is None when it was stopped; `output` holds head and tail."""

    exit: int | None
    seconds: float
    output: bytes
    reason: str  # exited, timeout, stopped, missing, memory, growth


def environment(names: Iterable[str] = ()) -> dict[str, str]:
    """What a command gets of this process's environment: a short list, so no token travels along.

    Args:
        names: further variables to pass on where they are set.
    """
    kept = {name: os.environ[name] for name in ("PATH", *_SYSTEM, *names) if name in os.environ}
    own = str(Path(sys.executable).parent)  # last, so that a machine without `python` still finds one
    kept["PATH"] = os.pathsep.join(part for part in (kept.get("PATH"), own) if part)
    return {**kept, "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "PYTHONUNBUFFERED": "1"}


def follow(
    child: Child,
    output: int,
    *,
    timeout: float | None = None,
    stop: threading.Event | None = None,
    live: Path | None = None,
    sink: Callable[[bytes], None] | None = None,
    over: Callable[[bool], str] = lambda last: "",
) -> Finished:
    """Watch a command until it has ended, and nothing of it is left.

    Args:
        child: the command, as a backend has started it.
        output: the reading end of what it writes to; closed here.
        timeout: seconds of wall time after which it is ended; None for no limit.
        stop: set from outside to end it.
        live: a file to follow the output in while it runs.
        sink: is given each piece of output as it comes, in another thread.
        over: says which limit the command has broken, if any; asked now and then, and with True at the end.
    """
    began = time.monotonic()
    keeper, silent = Keeper(live), threading.Event()
    reader = threading.Thread(target=_drain, args=(output, keeper, silent, sink), daemon=True)
    reader.start()
    reason = ""
    try:
        while not reason and child.popen.poll() is None:
            if timeout is not None and time.monotonic() - began >= timeout:
                reason = "timeout"
            elif stop is not None and stop.is_set():
                reason = "stopped"
            elif broken := over(False):
                reason = broken
            elif silent.wait(_POLL):  # the end of the output tells of the end; looking is for the rest
                _ended(child, _POLL)
        if reason in ("timeout", "stopped"):
            child.ask()
            _ended(child, GRACE)
        reason = reason or over(True) or "exited"
    finally:  # an interruption from the keyboard, too, leaves nothing at work
        child.end()
    reader.join(timeout=GRACE)
    exit_code = child.popen.returncode if reason == "exited" else None
    return Finished(exit_code, time.monotonic() - began, keeper.bytes(), reason)


def _ended(child: Child, seconds: float) -> None:
    """Wait for the end, but no longer than this."""
    import subprocess

    if _seen_to_end(child, seconds):
        seconds = 0.0
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.popen.wait(seconds)


def _seen_to_end(child: Child, seconds: float) -> bool:
    """Wait where the system tells of the end at once: `Popen.wait` with a limit sleeps too long."""
    if sys.platform == "linux" and child.popen.returncode is None:
        import select

        with contextlib.suppress(OSError):
            fd = os.pidfd_open(child.popen.pid)
            try:
                poll = select.poll()
                poll.register(fd, select.POLLIN)
                poll.poll(seconds * 1000)
            finally:
                os.close(fd)
            return True
    return False


def end_marked(mark: str) -> int:
    """End every process with this mark: what a command or a killed engine left. Returns how many."""
    import psutil

    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and process.pid != os.getpid():
                found.append(process)
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(found, timeout=GRACE)
    return len(found)


class Keeper:
    """The head and the tail of a stream, and its head in a file to follow."""

    def __init__(self, live: Path | None = None) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._skipped = 0
        self._file = None
        if live is not None:
            with contextlib.suppress(OSError):  # only for show
                live.parent.mkdir(parents=True, exist_ok=True)
                self._file = live.open("wb", buffering=0)

    def add(self, data: bytes) -> None:
        """Take the next piece."""
        room = HEAD - len(self._head)
        if room > 0:
            if self._file is not None:
                with contextlib.suppress(OSError):
                    self._file.write(data[:room])
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > 2 * TAIL:
            self._skipped += len(self._tail) - TAIL
            del self._tail[:-TAIL]

    def close(self) -> None:
        """Nothing more comes."""
        if self._file is not None:
            self._file.close()

    def bytes(self) -> bytes:
        """What is kept, with a line where the middle is missing."""
        if not self._skipped:
            return bytes(self._head + self._tail)
        return bytes(self._head) + b"\n[... %d bytes left out ...]\n" % self._skipped + bytes(self._tail)


def _drain(
    output: int, keeper: Keeper, silent: threading.Event, sink: Callable[[bytes], None] | None
) -> None:
    try:
        while data := os.read(output, 65536):
            keeper.add(data)
            if sink is not None:
                sink(data)
    except OSError:
        pass
    finally:
        silent.set()
        keeper.close()
        os.close(output)
