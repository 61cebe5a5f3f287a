"""No sandbox: a command runs as the user, with all their rights. Only ever after a person's typed word."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from orchestrator.process import MARK, end_marked
from orchestrator.sandbox.box import Box

_GRACE = 5.0  # seconds that the system gets to remove what was killed


class Bare:
    """Nothing holds a command but its process group."""

    name = "none"
    weaker: tuple[str, ...] = ("commands run as you: they read, write and reach whatever you can",)

    def obstacle(self) -> str | None:
        """It always runs."""
        return None

    def start(self, argv: Sequence[str], box: Box, output: int) -> Group:
        """Start a program in a group of its own."""
        popen = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(box.env),
            cwd=box.worktree,
            start_new_session=sys.platform != "win32",
            creationflags=_NEW_GROUP,
        )
        return Group(popen, box.env.get(MARK, ""))


class Group:
    """A process and its group. What has left the group is found by the action's mark in its environment."""

    def __init__(self, popen: subprocess.Popen[bytes], mark: str) -> None:
        self.popen, self._mark = popen, mark

    def ask(self) -> None:
        """TERM to the group."""
        _signal_group(self.popen.pid, force=False)

    def end(self) -> None:
        """KILL to the group."""
        _signal_group(self.popen.pid, force=True)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(_GRACE)
        if self._mark:
            end_marked(self._mark)


if sys.platform == "win32":
    _NEW_GROUP = subprocess.CREATE_NEW_PROCESS_GROUP

    def _signal_group(pid: int, *, force: bool) -> None:
        subprocess.run(
            ["taskkill", "/T", *(["/F"] if force else []), "/PID", str(pid)], capture_output=True, check=False
        )

else:
    _NEW_GROUP = 0

    def _signal_group(pid: int, *, force: bool) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL if force else signal.SIGTERM)
