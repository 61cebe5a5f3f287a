"""Windows: a job object, and a token that may write to the worktree alone.

The job holds everything that the command starts: nobody leaves it, memory and processes are bounded, and it
dies as a whole, with its last handle at the latest. The token has no privileges and low integrity: Windows
lets such a process write only where a label says so, on the worktree and on a private temporary folder. It is
a guard on writes, not on what is read, nor on the network: `weaker` says so. For more than that, Jetbox runs
inside WSL2, and has the backends of Linux there.
"""

from __future__ import annotations

import contextlib
import errno
import ntpath
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from orchestrator.sandbox import scratch
from orchestrator.sandbox.backend import Unusable
from orchestrator.sandbox.box import Box
from orchestrator.sandbox.winapi import LOW_FILE, LOW_FOLDER, MEDIUM, UI_ALL, Api, job_limits

_GRACE = 5.0  # seconds that the system gets to remove what was killed
_LOOK = 0.01  # seconds between looks whether it has
_KILLED = 1  # the exit code that ending a job gives
_EXTENSIONS = ".COM;.EXE;.BAT;.CMD"

_WEAKER = (
    "it reads whatever you can read, your keys and tokens among it",
    "it reaches the network, and servers on this machine",
    "it writes where any program of low integrity may, as in AppData\\LocalLow",
    "a command cannot be asked to end: it is ended",
    "the largest file, and the size of the temporary folder, are not bounded",
)


class Job:
    """A job object, with a token of low integrity where one can be had."""

    name = "windows job"

    def __init__(self, api: Api | None = None) -> None:
        self._api = api
        self._token_problem: str | None = None
        self._examined = False
        self._labelled: set[Path] = set()
        self.weaker: tuple[str, ...] = _WEAKER

    def obstacle(self) -> str | None:
        """It runs on every Windows; whether there is a low token is found out here, and said in `weaker`."""
        if self._api is None and sys.platform != "win32":
            return "job objects are part of Windows"
        self._examine()
        return None

    def start(self, argv: Sequence[str], box: Box, output: int) -> Held:
        """Create the process suspended, put it into its job, and only then let it run."""
        if why := self.obstacle():
            raise Unusable(why)
        api = self._load()
        program = find(argv[0], box.env, box.worktree)
        line = command_line(argv)
        with contextlib.ExitStack() as undo:
            folder = scratch.make()
            undo.callback(scratch.remove, folder)
            block = environment_block(scratch.environment(box.env, folder))
            with contextlib.ExitStack() as meanwhile, _refused():
                token = self._token(meanwhile)
                if token is not None:
                    self._open_for_writing(box.worktree, folder)
                _hold(api, box.worktree / ".git", undo)
                ui = 0 if api.in_job() else UI_ALL  # within another job, one that restricts it is refused
                job = api.create_job(job_limits(box.limits.memory, box.limits.processes), ui)
                undo.callback(api.close, job)
                std = (
                    _closing(api, api.null(), meanwhile),
                    _closing(api, api.inheritable(output), meanwhile),
                )
                made = _started(api, job, token, program, line, block, str(box.worktree), std)
            undo.callback(api.close, made[0])
            return Held(api, Process(api, *made, argv), job, undo.pop_all())

    def _load(self) -> Api:
        if self._api is None:
            if sys.platform == "win32":
                from orchestrator.sandbox.winnative import Native

                self._api = Native()
            else:
                raise Unusable("job objects are part of Windows")
        return self._api

    def _examine(self) -> None:
        """Once: can this user have a low token, and does this process restrict what a job may do?"""
        if self._examined:
            return
        api = self._load()
        more = []
        try:
            api.close(api.low_token())
        except OSError as error:
            self._token_problem = str(error)
            more.append(f"it writes wherever you can write: no restricted token could be had ({error})")
        with contextlib.suppress(OSError):
            if api.in_job():
                more.append("it shares the clipboard and the desktop: Jetbox itself runs inside a job")
        self.weaker = (*more, *_WEAKER)
        self._examined = True

    def _token(self, undo: contextlib.ExitStack) -> int | None:
        if self._token_problem is not None:
            return None
        return _closing(self._load(), self._load().low_token(), undo)

    def _open_for_writing(self, worktree: Path, folder: Path) -> None:
        """Label what the command may write; the worktree's files once, since new ones take its label."""
        api = self._load()
        try:
            api.label(folder, LOW_FOLDER)
            if worktree in self._labelled:
                return
            api.label(worktree, LOW_FOLDER)
        except OSError as error:
            raise Unusable(
                f"{worktree} takes no integrity label ({error}): is it on an NTFS disk?"
            ) from error
        for path, label in labels(worktree):
            with contextlib.suppress(OSError):  # a file that stays as it was cannot be written, no more
                api.label(path, label)
        self._labelled.add(worktree)


class Process:
    """What is used of `subprocess.Popen`, for a process that was created by hand."""

    def __init__(self, api: Api, handle: int, pid: int, argv: Sequence[str]) -> None:
        self._api, self._handle, self._argv = api, handle, list(argv)
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code if it has ended. Never waits."""
        return self._look(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end.

        Raises:
            subprocess.TimeoutExpired: it has not ended within `timeout` seconds.
        """
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self._argv, timeout or 0.0)
        return code

    def kill(self) -> None:
        """End it at once; what it started is ended by the job."""
        with contextlib.suppress(OSError):  # it may end between the two
            if self.poll() is None:
                self._api.terminate(self._handle)

    def let_go(self) -> None:
        """Its handle is about to be closed: ask the system no more. What never ended counts as killed."""
        if self.returncode is None:
            self.returncode = _KILLED

    def _look(self, seconds: float | None) -> int | None:
        if self.returncode is None and self._api.ended(self._handle, seconds):
            self.returncode = self._api.exit_code(self._handle)
        return self.returncode


class Held:
    """A command in its job."""

    def __init__(self, api: Api, process: Process, job: int, undo: contextlib.ExitStack) -> None:
        self.popen = process
        self._api, self._job, self._undo = api, job, undo
        self._over = False

    def ask(self) -> None:
        """Windows has nothing that every program heeds: what is asked to end is ended."""
        if not self._over:
            with contextlib.suppress(OSError):
                self._api.terminate_job(self._job)

    def end(self) -> None:
        """End the job, wait until nothing of it lives, and close every handle."""
        if self._over:
            return
        self._over = True
        try:
            with contextlib.suppress(OSError):
                self._api.terminate_job(self._job)
                until = time.monotonic() + _GRACE
                while self._api.active(self._job) and time.monotonic() < until:
                    time.sleep(_LOOK)
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                self.popen.wait(_GRACE)
        finally:
            self.popen.let_go()
            self._undo.close()


def find(
    program: str, env: Mapping[str, str], folder: Path, is_file: Callable[[str], bool] | None = None
) -> str:
    """Where a program is. Not in the current folder, unlike Windows' own search: that may be a repository's.

    Raises:
        FileNotFoundError: it is nowhere on the PATH of `env`, or not where its name says.
    """
    is_file = is_file or os.path.isfile
    folders = [part.strip('"') for part in env.get("PATH", "").split(";")]
    folders = [part for part in folders if ntpath.isabs(part)]
    if ntpath.basename(program) != program:
        folders = [str(folder)]
    endings = env.get("PATHEXT", _EXTENSIONS).lower().split(";")
    named = ntpath.splitext(program)[1].lower() in endings
    for each in folders:
        for ending in ["", *endings] if named else endings:
            path = ntpath.join(each, program + ending)
            if is_file(path):
                return path
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)


def command_line(argv: Sequence[str]) -> str:
    """One line that a program's runtime splits into these arguments again.

    `cmd /s /c LINE` is told apart: `cmd` takes off the first and the last quote and the rest as it is.
    """
    if any("\0" in word for word in argv):
        raise ValueError("embedded null character")
    name = ntpath.basename(argv[0]).lower()
    if name in ("cmd", "cmd.exe") and len(argv) > 2 and argv[-2].lower() == "/c":
        return f'{subprocess.list2cmdline(argv[:-1])} "{argv[-1]}"'
    return subprocess.list2cmdline(argv)


def environment_block(env: Mapping[str, str]) -> str:
    """`NAME=value` entries, sorted as Windows asks for, each ended by a NUL, and one more at the end."""
    for name, value in env.items():
        if "\0" in name + value or not name or "=" in name:
            raise ValueError(f"not a variable for a command: {name!r}")
    latest = {name.upper(): f"{name}={value}\0" for name, value in env.items()}
    return "".join(latest[name] for name in sorted(latest)) + ("\0" if latest else "\0\0")


def labels(worktree: Path) -> Iterator[tuple[Path, str]]:
    """The label of each file and folder below a worktree.

    Its `.git` stays out of reach. A link or a junction is passed over, and so is a file that has further
    names: what they lead to lies elsewhere.
    """
    folders = [worktree]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as found:
            for entry in found:
                facts = os.lstat(entry.path)
                if _leads_away(facts):
                    continue
                if entry.name.lower() == ".git" and Path(entry.path).parent == worktree:
                    yield Path(entry.path), MEDIUM
                elif stat.S_ISDIR(facts.st_mode):
                    folders.append(Path(entry.path))
                    yield Path(entry.path), LOW_FOLDER
                elif facts.st_nlink == 1:
                    yield Path(entry.path), LOW_FILE


def _leads_away(facts: os.stat_result) -> bool:
    reparse = getattr(facts, "st_file_attributes", 0) & stat.FILE_ATTRIBUTE_REPARSE_POINT
    return bool(reparse) or stat.S_ISLNK(facts.st_mode)


def _hold(api: Api, pointer: Path, undo: contextlib.ExitStack) -> None:
    """A label keeps `.git` from being written, but not from being replaced in its folder. This does."""
    if os.path.lexists(pointer):
        _closing(api, api.hold(pointer), undo)


def _closing(api: Api, handle: int, undo: contextlib.ExitStack) -> int:
    undo.callback(api.close, handle)
    return handle


def _started(
    api: Api,
    job: int,
    token: int | None,
    program: str,
    line: str,
    block: str,
    folder: str,
    std: tuple[int, int],
) -> tuple[int, int]:
    """Create, assign, resume: its handle and number. Whatever fails, nothing is left running."""
    process, thread, pid = api.create_process(token, program, line, block, folder, std)
    try:
        with contextlib.ExitStack() as undo:
            undo.callback(api.close, thread)
            api.assign(job, process)
            api.resume(thread)
    except BaseException:
        with contextlib.suppress(OSError):
            api.terminate(process)
            api.ended(process, _GRACE)
        api.close(process)
        raise
    return process, pid


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    """What Windows refuses on the way is no fault of the command's; that its program is not there, is."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Unusable(f"Windows refused to hold the command: {error}") from error
