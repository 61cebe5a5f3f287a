"""Where an action is performed: what its driver works with, how it is reached, and what it gives back."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator import worktrees
from orchestrator.attempt import Attempt
from orchestrator.checks import Check
from orchestrator.core.desk import CoreDesk
from orchestrator.git import Repo, stamp
from orchestrator.models.base import Service
from orchestrator.process import Finished
from orchestrator.sandbox.sandbox import Sandbox
from state.blobs import Blobs
from state.workspace import Workspace


@dataclass(frozen=True)
class Performed:
    """What came of an action. `output` names a blob; a `receipt` goes into the views as well."""

    status: str  # done, failed, interrupted
    result: dict[str, Any] = field(default_factory=dict)
    exit: int | None = None
    seconds: float = 0.0
    output: str = ""
    receipt: dict[str, Any] | None = None


class Control:
    """How the engine reaches an action at work."""

    def __init__(self) -> None:
        self.stop = threading.Event()  # end what runs
        self.leave = False  # the engine goes: a child run is left to work on


class Turn:
    """One landing at a time, from moving the base until the checkouts have followed.

    Following up compares a checkout with the tree before and after *one* landing; were a second one to
    land in between, the first one's files would look like the user's own work.
    """

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._holder = ""

    def take(self, ticket: str, control: Control) -> None:
        """Wait until no other ticket is landing. Taking it again is free.

        Raises:
            Halted: the wait was cut off.
        """
        with self._free:
            while self._holder not in ("", ticket):
                if control.stop.is_set():
                    raise Halted
                self._free.wait(0.05)
            self._holder = ticket

    def give_back(self, ticket: str) -> None:
        """The checkouts have followed, or nothing was landed."""
        with self._free:
            if self._holder == ticket:
                self._holder = ""
                self._free.notify_all()


@dataclass(frozen=True)
class Place:
    """Everything a driver works with."""

    workspace: Workspace
    repo: Repo
    blobs: Blobs
    sandbox: Sandbox
    author: str
    control: Control
    inputs: Mapping[str, str]  # variable names and artifact paths
    progress: Callable[[float, tuple[float, float] | None], None]
    anchor: Callable[[], str]  # the chain's head, for the trailer of a merge
    sound: Callable[[], None]  # returns once the whole chain has been checked, raises when it is broken
    turn: Turn
    models: Service
    checks: Sequence[Check] = ()
    artifacts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # landed, of tickets it names
    base: Callable[[], tuple[str, str]] = lambda: (
        "there is no base here",
        "",
    )  # why there is none; its commit
    tell: Callable[[str], None] = lambda _: None  # the ticket's line on the board
    core: CoreDesk | None = None

    def worktree(self, attempt: Attempt) -> Path:
        """The attempt's worktree, made again at its last checkpoint if somebody took it away."""
        path = self.workspace.worktree(attempt.ticket, attempt.number)
        return worktrees.add(self.repo, path, attempt.head, f"refs/heads/{attempt.branch}")

    def private_ref(self, attempt: Attempt) -> str:
        """What holds the attempt's checkpoints."""
        return f"refs/jetbox/{attempt.ticket}/{attempt.number}"

    def checkpoint(self, attempt: Attempt, what: str) -> worktrees.Checkpoint:
        """A checkpoint of the attempt's worktree as it stands now.

        Raises:
            GitError, OSError: git cannot hold it, or the disk is full or broken.
        """
        return worktrees.checkpoint(
            self.repo,
            self.worktree(attempt),
            self.private_ref(attempt),
            f"{attempt.ticket}: {what}",
            self.author,
            stamp(attempt.at / 1000),
            attempt.head,
        )

    def within(self, seconds: float | None) -> threading.Event:
        """Set when the action is to be ended, or its time is over."""
        return _Until(self.control.stop, seconds)


class _Until(threading.Event):
    """Another event, or the clock: whichever comes first."""

    def __init__(self, other: threading.Event, seconds: float | None) -> None:
        super().__init__()
        self._other = other
        self._end = math.inf if seconds is None else time.monotonic() + seconds

    def is_set(self) -> bool:
        return super().is_set() or self._other.is_set() or time.monotonic() >= self._end

    def wait(self, timeout: float | None = None) -> bool:
        end = min(self._end, math.inf if timeout is None else time.monotonic() + timeout)
        while not self.is_set() and (left := end - time.monotonic()) > 0:
            self._other.wait(min(left, 3600.0))
        return self.is_set()


class Halted(Exception):
    """The action was left where it is; whoever comes next takes it up."""


class NoRoom(Exception):
    """As many tickets are at work as may be; this one goes on when another has come to a rest."""


def spawn(
    command: str | Sequence[str], cwd: Path, timeout: float | None, attempt: Attempt, place: Place
) -> Finished:
    """Run a command of the attempt's in the sandbox: with its inputs, to be followed and stopped."""
    return place.sandbox.run(
        command,
        cwd,
        env={**place.inputs, "JETBOX_TICKET": attempt.ticket},
        readable=[Path(path).parent for path in place.inputs.values()],
        git_dir=place.repo.common_dir,
        mark=mark(place.workspace, attempt.ticket, attempt.number),
        timeout=timeout,
        stop=place.control.stop,
        live=place.workspace.live(attempt.ticket, attempt.number),
    )


def mark(workspace: Workspace, ticket: str, attempt: int) -> str:
    """By what the processes of an attempt are found after a crash."""
    return f"{workspace.root}:{ticket}:{attempt}"
