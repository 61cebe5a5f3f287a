"""The sandbox as the rest of Jetbox sees it: one command, run to its end in its box."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator import process
from orchestrator.process import Finished
from orchestrator.sandbox import toolchains
from orchestrator.sandbox.backend import Backend
from orchestrator.sandbox.box import Box, Limits
from orchestrator.sandbox.pointer import Pointer
from orchestrator.sandbox.policy import Policy, narrowed
from orchestrator.sandbox.watch import Watch
from state.workspace import Workspace

SAID = {
    "timeout": "its time was up",
    "stopped": "it was stopped",
    "missing": "its folder is gone",
    "memory": "it held more memory than it may",
    "growth": "the worktree grew by more than it may",
}
"""For people, by `Finished.reason`."""

BROKEN = ("memory", "growth")
"""Of these, those that are a limit broken: trying again would not help."""


@dataclass(frozen=True)
class Sandbox:
    """A backend that has been tried, and what it lets commands of one workspace use."""

    backend: Backend
    policy: Policy
    workspace: Workspace
    holds: bool = True
    """False where a backend can be broken out of and is used for its limits alone."""

    @property
    def isolation(self) -> str:
        """What holds commands, as it stands in proposals; `none` when nothing does."""
        return self.backend.name if self.holds else "none"

    def run(
        self,
        command: Sequence[str] | str,
        worktree: Path,
        *,
        env: Mapping[str, str] | None = None,
        readable: Sequence[Path] = (),
        git_dir: Path | None = None,
        mark: str = "",
        timeout: float | None = None,
        stop: threading.Event | None = None,
        live: Path | None = None,
        sink: Callable[[bytes], None] | None = None,
        limits: Limits | None = None,
    ) -> Finished:
        """Run one command to its end; when this returns, nothing of it runs and `.git` is what it was.

        Args:
            command: a program with its arguments, or a shell command line.
            worktree: the folder it starts in, and the only one that it can write.
            env: variables beside the short list that is passed on.
            readable: further folders and files that it can read.
            git_dir: the repository's common git dir, to be read.
            mark: names the action in the environment of everything it starts.
            timeout: seconds of wall time.
            stop: set from outside to end it.
            live: a file to follow the output in.
            sink: is given each piece of output as it comes.
            limits: narrower ones than the policy's.

        Raises:
            Unusable: the backend cannot run it. OSError: no room for a pipe or a process.
        """
        worktree = worktree.absolute()
        if not worktree.is_dir():
            return Finished(None, 0.0, f"the folder {worktree} is gone\n".encode(), "missing")
        box = self.box(worktree, env or {}, readable, git_dir, mark, limits)
        pointer, watch = Pointer(worktree), Watch(worktree, box.limits)
        argv = _shell(command) if isinstance(command, str) else list(command)
        began = time.monotonic()
        reading, writing = os.pipe()
        try:
            child = self.backend.start(argv, box, writing)
        except BaseException as error:
            os.close(reading)
            if isinstance(error, FileNotFoundError) and error.filename == argv[0]:
                return Finished(127, time.monotonic() - began, f"{argv[0]}: not found\n".encode(), "exited")
            raise
        finally:
            os.close(writing)
        over = watch.of(child.popen.pid).over
        finished = process.follow(child, reading, timeout=timeout, stop=stop, live=live, sink=sink, over=over)
        _open_again(worktree)
        pointer.restore()
        return Finished(finished.exit, time.monotonic() - began, finished.output, finished.reason)

    def box(
        self,
        worktree: Path,
        env: Mapping[str, str],
        readable: Sequence[Path],
        git_dir: Path | None,
        mark: str,
        limits: Limits | None,
    ) -> Box:
        """What a command finds: values only, nothing is started."""
        root, policy = self.workspace.root, self.policy
        given = process.environment(policy.environment)
        given["PATH"] = toolchains.search_path(policy, root, worktree, given["PATH"])
        if environment := toolchains.environment_of(policy, root, worktree):
            given["VIRTUAL_ENV"] = str(environment)
            if own := toolchains.project_path(environment, root, worktree):
                given["PYTHONPATH"] = os.pathsep.join(own)
        if self.backend.name != "none":
            given |= {"HOME": "/tmp", "USER": "jetbox", "LOGNAME": "jetbox"}
            given |= toolchains.variables(policy)
        else:
            given |= {name: os.environ[name] for name in ("HOME", "USER", "LOGNAME") if name in os.environ}
        given |= {**env, **({process.MARK: mark} if mark else {})}
        return Box(
            worktree=worktree,
            readable=(*toolchains.readable(policy, root, self.workspace.home), *readable),
            hidden=toolchains.hidden(root),
            git_dir=git_dir,
            env=given,
            limits=narrowed(policy.limits, limits) if limits else policy.limits,
        )


def _open_again(worktree: Path) -> None:
    """A command may have closed the folder to its own user."""
    with contextlib.suppress(FileNotFoundError):
        mode = stat.S_IMODE(worktree.stat().st_mode)
        if mode & stat.S_IRWXU != stat.S_IRWXU:
            worktree.chmod(mode | stat.S_IRWXU)


def _shell(command: str) -> list[str]:
    if sys.platform == "win32":
        return [os.environ.get("COMSPEC", "cmd.exe"), "/d", "/s", "/c", command]
    return ["/bin/sh", "-c", command]
