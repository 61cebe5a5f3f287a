"""The parent's side of the run protocol: start a run, see whether it lives, read its result, stop it.

A run is a child process with a folder of its own. It outlives the process that started it; whoever comes
back asks its folder, not a process table. Whether it lives is told by `run.lock`, which the system drops
with the last process that holds it, so neither a recycled pid nor a crash can lie about it. All functions
may be repeated, by any process, in any order.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.child import PROBE_WAIT
from state import durable
from state.lock import Lock
from state.process import is_alive
from state.run_events import Event, Progress, Tail, open_regular, progress
from state.run_folder import (
    LOCK,
    MAX_RESULT,
    OUTPUT,
    PROCESS,
    REQUEST,
    RESULT,
    Artifact,
    Result,
    alive,
    result,
)

__all__ = ["Artifact", "Event", "Progress", "Result", "RunError", "Tail", "alive", "progress"]
__all__ += ["OUTPUT", "REQUEST", "result", "start", "stop"]

_KILL_WAIT = 5.0  # seconds that the system gets to remove a killed group
_LOCK_WAIT = 10.0  # seconds for a child to take its lock where it can't be handed one (Windows)

# What a run may know of the environment it was started from: no tokens, no keys, no paths of imports.
# fmt: off
_PASSED = frozenset(
    (
        "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT",
        "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "USERPROFILE", "APPDATA", "LOCALAPPDATA",
        "NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES",
        "CUDA_HOME", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MKL_NUM_THREADS",
    )
)
# fmt: on


class RunError(Exception):
    """A run can't be started as asked."""


def start(run_dir: Path, module: str, request: Mapping[str, Any]) -> None:
    """Have a child process work in `run_dir`, and return at once.

    Nothing happens when one works there already or when the run has its result, good or bad. A run folder
    keeps its first request: another one raises RunError.
    """
    run_dir = run_dir.absolute()
    run_dir.mkdir(parents=True, exist_ok=True)
    lock = Lock(run_dir / LOCK)
    ours = not alive(run_dir) and lock.acquire(PROBE_WAIT)
    try:
        _keep_request(run_dir / REQUEST, request, write=ours)
        if ours and not (run_dir / RESULT).exists():
            _spawn(run_dir, module, lock)
    finally:
        lock.release()


def stop(run_dir: Path, grace: float) -> bool:
    """End the run: TERM to its process group, KILL after `grace` seconds. True when nothing is left of it.

    Only the process that `process.json` names with its start time is ever signalled.
    """
    begun = time.monotonic()
    asked: int | None = None
    while alive(run_dir):
        waited = time.monotonic() - begun
        if waited > grace + _KILL_WAIT:
            return False
        pid = _own_process(run_dir)
        if pid is not None and waited > grace:
            _signal(pid, force=True)
        elif pid is not None and pid != asked:
            _signal(pid, force=False)
            asked = pid
        time.sleep(0.02)
    return True


def environment(source: Mapping[str, str]) -> dict[str, str]:
    """The environment of a run: a short list of names, and UTF-8 everywhere."""
    kept = {name: text for name, text in source.items() if name.upper() in _PASSED or name.startswith("LC_")}
    return kept | {"PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}


def _keep_request(path: Path, request: Mapping[str, Any], *, write: bool) -> None:
    text = json.dumps(request, sort_keys=True, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    try:
        with open_regular(path) as file:
            kept = file.read(len(text) + 1)
    except FileNotFoundError:
        if write:
            durable.replace(path, text)
        return
    except OSError as error:
        raise RunError(f"{path} can't be read: {error.strerror or error}; use a new run folder") from error
    if kept != text:
        raise RunError(f"{path.parent} was started with another request; use a new run folder")


def _spawn(run_dir: Path, module: str, lock: Lock) -> None:
    """Start the host detached. On POSIX it inherits the lock, so the run is alive from this call on."""
    command = [sys.executable, "-P", "-m", "orchestrator.child", str(run_dir), module]
    try:
        with (run_dir / OUTPUT).open("ab") as output:
            if sys.platform == "win32":
                lock.release()
                flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS
                child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=run_dir,
                    env=environment(os.environ),
                    creationflags=flags,
                )
                _await_lock(run_dir, child)
            else:
                child = subprocess.Popen(
                    [*command, str(lock.fd)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=run_dir,
                    env=environment(os.environ),
                    start_new_session=True,
                    pass_fds=(lock.fd,),
                )
                lock.hand_over()
    except OSError as error:
        raise RunError(f"could not start a run in {run_dir}: {error}") from error
    # Waited for in the background, so that an ended child does not stay as a zombie of a long-lived parent.
    threading.Thread(target=child.wait, name=f"wait-{child.pid}", daemon=True).start()


def _await_lock(run_dir: Path, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _LOCK_WAIT
    while not alive(run_dir) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)


def _own_process(run_dir: Path) -> int | None:
    """The pid that the run wrote, if that very process still lives."""
    try:
        with open_regular(run_dir / PROCESS) as file:
            body = json.loads(file.read(MAX_RESULT))
        pid, begun = int(body["pid"]), str(body["start"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return pid if is_alive(pid, begun) else None


def _signal(pid: int, *, force: bool) -> None:
    try:
        if sys.platform == "win32":
            import psutil

            process = psutil.Process(pid)
            for each in [*process.children(recursive=True), process]:
                each.kill() if force else each.terminate()
        else:
            number = signal.SIGKILL if force else signal.SIGTERM
            # Started by hand, the host may sit in a shell's group: then it alone is meant.
            if os.getpgid(pid) == pid:
                os.killpg(pid, number)
            else:
                os.kill(pid, number)
    except ProcessLookupError:
        return
