"""What a backend promises, so that a new system needs one new file and no other change."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Protocol

from orchestrator.sandbox.box import Box


class Unusable(Exception):
    """The backend cannot run commands on this machine; the message says why and what helps."""


class Child(Protocol):
    """A command that was started, with everything that it starts in turn."""

    popen: subprocess.Popen[bytes]
    """What is waited for. Its exit code is the command's own."""

    def ask(self) -> None:
        """Ask the command and its children to end (TERM, or what the system has for it)."""

    def end(self) -> None:
        """Kill all of it and wait until it is gone: when this returns, nothing of the action runs.

        Called after every command, also one that has ended by itself. May be called twice.
        """


class Backend(Protocol):
    """One way to hold a command to its box."""

    name: str
    """As people read it, in proposals and in the status bar: `bubblewrap`, `landlock`, ..., `none`."""
    weaker: tuple[str, ...]
    """What it cannot stop by its nature, one short line each; empty where there is nothing to say."""

    def obstacle(self) -> str | None:
        """Why it cannot even be tried on this machine, with the cure; None when it can. Cheap."""

    def start(self, argv: Sequence[str], box: Box, output: int) -> Child:
        """Start a program in its box: `argv[0]` is looked up on the PATH of `box.env`.

        Its standard input is empty, its output and errors go to the descriptor `output`, and it inherits no
        other descriptor. The caller's thread lives until the command has ended: where the system can, the
        command dies with it.

        Raises:
            Unusable: it cannot be started in a box. OSError: as for a plain start.
        """
