"""What a backend promises, so that a new system needs one new file and no other change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from orchestrator.sandbox.box import Box


class Unusable(Exception):
    """The backend cannot run commands on this machine; the message says why and what helps."""


class Process(Protocol):
    """What is used of `subprocess.Popen`, for backends that start their programs in another way."""

    @property
    def pid(self) -> int:
        """Its number, as the system knows it."""

    @property
    def returncode(self) -> int | None:
        """The exit code; None until `poll` or `wait` has seen the end."""

    def poll(self) -> int | None:
        """The exit code if it has ended. Never waits."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, at most `timeout` seconds.

        Raises:
            subprocess.TimeoutExpired: it has not ended by then.
        """

    def kill(self) -> None:
        """End it at once; nothing happens when it has ended."""


class Child(Protocol):
    """A command that was started, with everything that it starts in turn."""

    @property
    def popen(self) -> Process:
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
