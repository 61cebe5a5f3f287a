"""One command of a ticket or a check: started, watched, stopped, and nothing of it left running.

Output is bytes: the first and the last part are kept, the middle is counted, so a flood costs no memory.
While the command runs, what it says can be followed in a file.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MARK = "JETBOX_ACTION"
"""Environment variable that every command and its children carry, by which a later engine finds them."""

HEAD = TAIL = 512 * 1024
GRACE = 2.0  # seconds between asking a command to end and ending it
_POLL = 0.05  # seconds between looks at a wish to stop

_KEPT = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "TEMP", "TMP",
    "SYSTEMROOT", "COMSPEC", "PATHEXT", "APPDATA", "LOCALAPPDATA", "USERPROFILE", "VIRTUAL_ENV",
    "PROGRAMFILES", "PROGRAMDATA", "WINDIR",
)  # fmt: skip


@dataclass(frozen=True)
class Finished:
    """How a command ended. `exit` is None when it was stopped; `output` holds head and tail."""

    exit: int | None
    seconds: float
    output: bytes
    reason: str  # exited, timeout, stopped, missing


def run(
    command: str,
    cwd: Path,
    *,
    mark: str,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    stop: threading.Event | None = None,
    live: Path | None = None,
) -> Finished:
    """Run one shell command line to its end.

    Args:
        command: for `sh -c`, or `cmd /c` on Windows.
        cwd: the folder it starts in.
        mark: names the action in the environment of everything it starts.
        env: variables beside the short list that is passed on.
        timeout: seconds of wall time after which it is ended; None for no limit.
        stop: set from outside to end it.
        live: a file to follow the output in while it runs.
    """
    began = time.monotonic()
    if not cwd.is_dir():
        return Finished(None, 0.0, f"the folder {cwd} is gone\n".encode(), "missing")
    child = subprocess.Popen(
        command,
        shell=True,
        cwd=cwd,
        env={**environment(), **(env or {}), MARK: mark},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=_POSIX,
        creationflags=_NEW_GROUP,
    )
    keeper, silent = _Keeper(live), threading.Event()
    reader = threading.Thread(target=_drain, args=(child, keeper, silent), daemon=True)
    reader.start()
    reason = _watch(child, silent, began, timeout, stop)
    _signal_group(child.pid, force=True)  # what it left behind ends with it,
    end_marked(mark)  # in a session of its own too
    reader.join(timeout=GRACE)
    seconds = time.monotonic() - began
    return Finished(child.returncode if reason == "exited" else None, seconds, keeper.bytes(), reason)


def environment() -> dict[str, str]:
    """What a command gets of this process's environment: a short list, so no token travels along."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    own = str(Path(sys.executable).parent)  # last, so that a machine without `python` still finds one
    kept["PATH"] = os.pathsep.join(part for part in (kept.get("PATH"), own) if part)
    return {**kept, "GIT_TERMINAL_PROMPT": "0", "PYTHONUNBUFFERED": "1"}


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


def _watch(
    child: subprocess.Popen[bytes],
    silent: threading.Event,
    began: float,
    timeout: float | None,
    stop: threading.Event | None,
) -> str:
    """Wait for the end. The end of the output tells of it at once; looking now and then is for the rest."""
    while child.poll() is None:
        if timeout is not None and time.monotonic() - began >= timeout:
            _end(child)
            return "timeout"
        if stop is not None and stop.is_set():
            _end(child)
            return "stopped"
        if silent.wait(_POLL):
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_POLL)
    return "exited"


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask, wait, then end."""
    _signal_group(child.pid, force=False)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(GRACE)
        return
    _signal_group(child.pid, force=True)
    child.wait()


if sys.platform == "win32":
    _POSIX, _NEW_GROUP = False, subprocess.CREATE_NEW_PROCESS_GROUP

    def _signal_group(pid: int, *, force: bool) -> None:
        subprocess.run(
            ["taskkill", "/T", *(["/F"] if force else []), "/PID", str(pid)], capture_output=True, check=False
        )

else:
    _POSIX, _NEW_GROUP = True, 0

    def _signal_group(pid: int, *, force: bool) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL if force else signal.SIGTERM)


class _Keeper:
    """The head and the tail of a stream, and its head in a file to follow."""

    def __init__(self, live: Path | None) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._skipped = 0
        self._file = None
        if live is not None:
            with contextlib.suppress(OSError):  # only for show
                live.parent.mkdir(parents=True, exist_ok=True)
                self._file = live.open("wb", buffering=0)

    def add(self, data: bytes) -> None:
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
        if self._file is not None:
            self._file.close()

    def bytes(self) -> bytes:
        if not self._skipped:
            return bytes(self._head + self._tail)
        return bytes(self._head) + b"\n[... %d bytes left out ...]\n" % self._skipped + bytes(self._tail)


def _drain(child: subprocess.Popen[bytes], keeper: _Keeper, silent: threading.Event) -> None:
    assert child.stdout is not None
    fd = child.stdout.fileno()
    try:
        while data := os.read(fd, 65536):
            keeper.add(data)
    except OSError:
        pass
    finally:
        silent.set()
        keeper.close()
        child.stdout.close()
