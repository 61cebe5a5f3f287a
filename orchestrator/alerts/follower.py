"""A thread of its own that reads new events from the journal and hands them on.

The journal is the queue: nothing can be lost in between, nothing grows while the reader is slow, and whoever
writes never waits. Whatever goes wrong here is said once, on the engine's log, and tried again.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from state.alerts import Alert
from state.events import Event
from state.journal import Journal
from state.safe_text import safe

PORTION = 500  # events read at once
AGAIN = 5.0  # seconds after which what went wrong is tried again
LEAVING = 3.0  # seconds that an engine which leaves gives its followers to catch up
_MOST_SAID = 100  # alerts from outside the journal that are kept; the engine has a handful in its life


class Sink(Protocol):
    """Whoever is told. All but `leave` is called in the follower's thread; what it raises is tried again."""

    name: str

    def begin(self, journal: Journal, head: int) -> int:
        """The seq behind which it wants the events; `head` is the last one before this engine.

        Called again after something went wrong.
        """

    def take(self, events: list[Event], journal: Journal) -> None:
        """The next events."""

    def said(self, found: Alert) -> None:
        """An alert that is not in the journal."""

    def rest(self) -> float | None:
        """All has been taken. Seconds after which it wants to be called in any case; 0: it is not done."""

    def leave(self) -> None:
        """The engine leaves: cut short what takes long. Called from another thread."""


class Follower:
    """Follows the journal for one sink."""

    def __init__(
        self, path: Path, head: int, sink: Sink, complain: Callable[[str], None] | None = None
    ) -> None:
        self._path, self._head, self._sink = path, head, sink
        self._complain = complain or _to_log
        self._said: deque[Alert] = deque(maxlen=_MOST_SAID)
        self._wake, self._leave = threading.Event(), threading.Event()
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, name=sink.name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def news(self) -> None:
        """The journal may have grown. Never blocks, never raises."""
        self._wake.set()

    def say(self, found: Alert) -> None:
        """Pass on what the journal cannot say. Never blocks, never raises."""
        self._said.append(found)
        self._wake.set()

    def close(self) -> None:
        """Take what there is, and end. Waits for `LEAVING` seconds at most."""
        self._leave.set()
        self._wake.set()
        self._sink.leave()
        self._thread.join(LEAVING)

    def _run(self) -> None:
        while True:
            try:
                with contextlib.closing(Journal.read(self._path)) as journal:
                    self._follow(journal)
                return
            except Exception as error:  # whatever it is: the engine's work does not depend on who is told
                self._trouble_with(error)
            if self._leave.wait(AGAIN):
                return

    def _follow(self, journal: Journal) -> None:
        seq = self._sink.begin(journal, self._head)
        while True:
            leaving = self._leave.is_set()  # before the look, so that the last look sees everything
            seq = self._drain(journal, seq)
            wait = self._sink.rest()
            self._trouble = ""
            if leaving and wait != 0.0:
                return
            self._wake.wait(wait)
            self._wake.clear()

    def _drain(self, journal: Journal, seq: int) -> int:
        until: float | None = None
        while True:
            while self._said:
                self._sink.said(self._said[0])
                self._said.popleft()
            events = journal.events(after=seq, limit=PORTION)
            if self._leave.is_set():
                until = until or time.monotonic() + LEAVING
            if not events or (until and time.monotonic() > until):
                return seq
            self._sink.take(events, journal)
            seq = events[-1].seq

    def _trouble_with(self, error: Exception) -> None:
        """Say what is wrong, once for as long as it is."""
        if str(error) != self._trouble:
            self._trouble = str(error)
            with contextlib.suppress(Exception):  # a log on the same full disk, say
                self._complain(f"{self._sink.name}: {error}; tried again until it goes")


def _to_log(text: str) -> None:
    print(safe(text), file=sys.stderr, flush=True)
