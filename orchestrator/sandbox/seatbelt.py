"""macOS: `sandbox-exec`, the system's own sandbox. Apple calls the command deprecated; browsers, build
systems and package managers rest on it all the same, and there is no other way to hold any program at all.

The profile is in `seatbelt_profile.py`. Inside, a shell lowers the limits that the system keeps for each
process, and becomes the command. There are no namespaces: what the command started is found by its process
group, its session, its ancestry and its private temporary folder.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.sandbox import scratch
from orchestrator.sandbox.backend import Unusable
from orchestrator.sandbox.box import Box, Limits
from orchestrator.sandbox.seatbelt_profile import Places, profile

if TYPE_CHECKING:
    import psutil

PROGRAM = "/usr/bin/sandbox-exec"
SHELL = "/bin/dash"  # part of macOS since 10.15; its `ulimit -f` counts 512 bytes, always
_FILES = 4096  # descriptors
_GRACE = 5.0  # seconds that the system gets to remove what was killed
_LOOK = 0.005  # seconds between looks whether it has

# A limit that is lower already stays: that raising it fails is no error.
_STAGE = """\
ulimit -c 0
for limit in "-f $1" "-p $2" "-n $3"; do ulimit $limit 2>/dev/null; done
shift 3
exec "$@"
"""


class Seatbelt:
    """`sandbox-exec` with a profile that denies everything but what the box names."""

    name = "seatbelt"
    weaker: tuple[str, ...] = (
        "the memory of a command and the size of its temporary folder are watched, not bounded by the system",
        "a process that leaves its session and clears its environment outlives the command",
        "a command outlives a Jetbox that is killed, until the next start ends it",
        "which processes run can be seen, and the repository's git configuration can be read",
        "named semaphores are shared with the whole machine",
        "servers on the loopback do not work inside",
        "Apple calls sandbox-exec deprecated: a later macOS may come without it",
    )

    def __init__(self, program: str = PROGRAM, shell: str = SHELL) -> None:
        self._program, self._shell = program, shell

    def obstacle(self) -> str | None:
        """Without `sandbox-exec`, or as root, there is nothing to try."""
        for tool in (self._program, self._shell):
            if not os.access(tool, os.X_OK):
                return f"there is no {tool}: it is part of macOS"
        if is_root():
            return "commands would run as root: start Jetbox as an ordinary user"
        return None

    def start(self, argv: Sequence[str], box: Box, output: int) -> Held:
        """Start a program under its profile, in a session of its own."""
        if why := self.obstacle():
            raise Unusable(why)
        folder = scratch.make()
        try:
            text, parameters = profile(places(box, folder))
            popen = subprocess.Popen(
                [
                    *(self._program, "-p", text),
                    *(f"-D{name}={value}" for name, value in parameters.items()),
                    *(self._shell, "-c", _STAGE, "sh", *_numbers(box.limits), *argv),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=scratch.environment(box.env, folder),
                cwd=box.worktree,
                start_new_session=True,
            )
        except BaseException:
            scratch.remove(folder)
            raise
        return Held(popen, folder)


class Held:
    """A command under a profile, and everything that can be told to be its own."""

    def __init__(self, popen: subprocess.Popen[bytes], folder: Path) -> None:
        self.popen, self._folder = popen, folder
        self._over = False

    def ask(self) -> None:
        """TERM to the group."""
        if not self._over:
            _signal_group(self.popen.pid, force=False)

    def end(self) -> None:
        """KILL to all of it, again and again until a look finds nothing; then the temporary folder goes."""
        if self._over:
            return
        until = time.monotonic() + _GRACE
        while True:
            found = _belonging(self.popen.pid, str(self._folder))
            _signal_group(self.popen.pid, force=True)
            if not _kill(found) or time.monotonic() > until:
                break
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(_GRACE)
        scratch.remove(self._folder)
        self._over = True


def places(box: Box, folder: Path) -> Places:
    """A box's paths as the system compares them: by what they lead to, not by how they are written."""
    written = [*box.readable, *([box.git_dir] if box.git_dir else []), box.worktree]
    real = [Path(os.path.realpath(path)) for path in written]
    passed = {parent for path in (*written, *real, folder) for parent in path.parents}
    passed |= {path for path, end in zip(written, real, strict=True) if path != end}
    return Places(real[-1], folder, tuple(real[:-1]), tuple(sorted(passed)))


def _numbers(limits: Limits) -> list[str]:
    """For `ulimit -f`, `-p`, `-n`. The system counts the processes of a user, not those of a command."""
    import psutil

    return [str(-(-limits.file // 512)), str(len(psutil.pids()) + limits.processes), str(_FILES)]


def is_root() -> bool:
    """Whether commands would run with all rights."""
    return sys.platform != "win32" and os.geteuid() == 0


if sys.platform == "win32":

    def _signal_group(pid: int, *, force: bool) -> None:
        raise Unusable("not on Windows")

    def _session(pid: int) -> int:
        raise Unusable("not on Windows")

else:

    def _signal_group(pid: int, *, force: bool) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL if force else signal.SIGTERM)

    def _session(pid: int) -> int:
        return os.getsid(pid)


def _belonging(leader: int, folder: str) -> list[int]:
    """Processes of a command: of its session, with its temporary folder in their environment, and below."""
    import psutil

    mine, parents = {leader}, {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            parents[process.pid] = process.ppid()
            if _session(process.pid) == leader or process.environ().get("TMPDIR") == folder:
                mine.add(process.pid)
    while below := {pid for pid, parent in parents.items() if parent in mine} - mine:
        mine |= below
    return sorted(mine - {leader, os.getpid()})


def _kill(found: Iterable[int]) -> int:
    """Kill these processes and wait until none of them runs. Returns how many there were."""
    import psutil

    killed = []
    for pid in found:
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            if _runs(process):
                process.kill()
                killed.append(process)
    until = time.monotonic() + _GRACE
    while any(_runs(process) for process in killed) and time.monotonic() < until:
        time.sleep(_LOOK)
    return len(killed)


def _runs(process: psutil.Process) -> bool:
    """Not so when it has ended and only waits for its parent to notice."""
    import psutil

    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
