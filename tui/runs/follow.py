"""Looks at the run folders beside the screen: the list of runs, and one run in full.

A thread of its own reads and parses, in slices of some milliseconds, so that neither a run of a million
events nor a slow disk keeps a key waiting. It only reads. What it has found is taken under `lock`; `version`
says whether there is something new.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from state.run_events import EVENTS
from state.run_list import Glance, Glances, places
from state.run_view import RunReader, RunView
from tui.runs.own import Own, measure

_STEP = 0.1  # seconds between looks at the run in full
_LIST = 1.0  # seconds between looks at all of them
_REST = 0.002  # seconds after each slice: the screen is drawn by another thread of this process


class Follower:
    """Follows a workspace's runs while somebody looks."""

    def __init__(self, runs: Path, own: Callable[[], Own] = measure) -> None:
        self.runs = runs
        self.lock = threading.Lock()
        self.version = 0
        self.glances: list[Glance] = []
        self.listed = False
        """Whether the list has been read at least once."""
        self.view = RunView()
        self.folder: Path | None = None
        self.share = 1.0
        """How much of the run's events has been read."""
        self.own: Own | None = None
        """What this machine has and what of it is in use."""
        self._own = own
        self._reader: RunReader | None = None
        self._stamp: object = None
        self._stop: threading.Event | None = None
        self._wake = threading.Event()

    def start(self) -> None:
        """Begin to look; nothing happens where it looks already."""
        if self._stop is None:
            self._stop = threading.Event()
            threading.Thread(target=self._work, args=(self._stop,), name="runs", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        if self._stop is not None:
            self._stop.set()
            self._wake.set()
            self._stop = None

    def choose(self, folder: Path | None) -> None:
        """The run to read in full."""
        if folder == self.folder:
            return
        with self.lock:
            self.folder, self.share = folder, 0.0 if folder else 1.0
            self._reader = RunReader(folder) if folder else None
            self.view = self._reader.view if self._reader else RunView()
            self._stamp = None
            self.version += 1
        self._wake.set()

    # The thread ----------------------------------------------------------------------------------

    def _work(self, stop: threading.Event) -> None:
        looks, due = Glances(), 0.0
        while not stop.is_set():
            now = time.monotonic()
            if now >= due:
                due = now + _LIST
                with contextlib.suppress(OSError):
                    self._look(looks)
            if self._more():
                time.sleep(_REST)
                continue
            self._wake.wait(_STEP)
            self._wake.clear()

    def _look(self, looks: Glances) -> None:
        glances, own = looks.look(places(self.runs)), self._own()
        with self.lock:
            if glances != self.glances or own != self.own or not self.listed:
                self.glances, self.own, self.listed = glances, own, True
                self.version += 1

    def _more(self) -> bool:
        """Read a slice of the run in full; True where there may be more."""
        with self.lock:
            reader, folder, stamp = self._reader, self.folder, self._stamp
        if reader is None or folder is None:
            return False
        try:
            stat = os.stat(folder / EVENTS, follow_symlinks=False)  # noqa: PTH116
            now: object = (stat.st_size, stat.st_mtime_ns)
        except OSError:
            now = None
        if now == stamp and now is not None:
            return False
        events = reader.take()
        with self.lock:
            if reader is not self._reader:
                return False
            reader.fold(events)
            if not events:
                self._stamp = now
            if events or self.share != 1.0:
                self.share = reader.share if events else 1.0
                self.version += 1
        return bool(events)
