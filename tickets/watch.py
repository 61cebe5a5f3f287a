"""Tells when ticket files change: edited, made, deleted, renamed, or the whole folder replaced.

Guarantees: after `start` has returned, every change is followed by a call of `on_change`, usually within
0.1 s and always within about a second; many changes at once make few calls. The call comes on the watcher's
own thread, and an exception in it is logged and ends nothing. Where the system has no watches left to give,
the folder is polled instead.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tickets.folder import EPHEMERAL, FOLDER, is_ticket_file, scan

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver

_QUIET = 0.05
"""Seconds without a further change before the caller is told: one save is several events."""
_LONGEST_QUIET = 0.5
"""Seconds after which the caller is told in any case."""
_LOOK = 0.5
"""Seconds between looks at the folder itself, whose replacement ends a watch without a word."""
_POLL_SHARE = 20
"""Polling rests this many times as long as a scan took, so that a large folder can't eat a core."""

_log = logging.getLogger(__name__)


class TicketWatcher:
    """Watches the tickets of one repository until stopped. Not restartable."""

    def __init__(self, root: Path, on_change: Callable[[], None]) -> None:
        self._root = root
        self._folder = root / FOLDER
        self._on_change = on_change
        self._changed = threading.Event()
        self._stopping = threading.Event()
        self._observer: BaseObserver | None = None
        self._lost = False
        self._exhausted = False
        self._thread = threading.Thread(target=self._run, name="ticket-watcher", daemon=True)

    def start(self) -> None:
        """Begin to watch; what changes from now on is told."""
        self._arm()
        self._state = self._look()
        self._thread.start()

    def stop(self) -> None:
        """End it and wait until no call of `on_change` is under way (unless called from within one)."""
        self._stopping.set()
        self._changed.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    @property
    def polling(self) -> bool:
        """Whether changes are found by looking, since the system gave no watch."""
        return self._exhausted

    def _take(self, event: FileSystemEvent) -> None:
        """Take a change from watchdog, on its thread."""
        paths = [Path(os.fsdecode(path)) for path in (event.src_path, event.dest_path) if path]
        if any(path == self._folder and event.event_type in ("deleted", "moved") for path in paths):
            self._lost = True
            self._changed.set()
        elif any(is_ticket_file(path.name) for path in paths):
            self._changed.set()

    def _run(self) -> None:
        pause = _LOOK
        try:
            while not self._stopping.is_set():
                told = self._changed.wait(pause)
                if self._stopping.is_set():
                    return
                if told:
                    self._settle()
                began = time.monotonic()
                state = self._look()
                pause = max(_LOOK, (time.monotonic() - began) * _POLL_SHARE)
                moved = state != self._state
                unwatched = self._observer is None and state[0] is not None
                # Else the folder is another one, or it changed without a word from the watch.
                stale = moved and (not told or state[0] != self._state[0])
                if self._lost or ((unwatched or stale) and not self._exhausted):
                    self._arm()
                    state = self._look()
                self._state = state
                if told or moved:
                    self._tell()
        finally:
            self._disarm()

    def _settle(self) -> None:
        """Wait until the changes pause."""
        deadline = time.monotonic() + _LONGEST_QUIET
        while not self._stopping.is_set() and time.monotonic() < deadline:
            self._changed.clear()
            if not self._changed.wait(_QUIET):
                return
        self._changed.clear()

    def _look(self) -> tuple[object, object]:
        """Return which folder it is, and what tells that it changed: all files if polling, else its time."""
        try:
            found = self._folder.stat()
        except OSError:
            return None, None
        which = found.st_dev, found.st_ino
        if self._exhausted:
            return which, scan(self._root)
        try:  # not watched but looked at: a person has just said one and waits for it
            said = (self._root / EPHEMERAL).stat().st_mtime_ns
        except OSError:
            said = 0
        return which, (found.st_mtime_ns, said)

    def _tell(self) -> None:
        try:
            self._on_change()
        except Exception:
            _log.exception("telling of changed tickets failed; the watch goes on")

    def _arm(self) -> None:
        """Watch the folder as it is now, if it is there and the system lets us."""
        from watchdog import events
        from watchdog.observers import Observer

        self._disarm()
        self._lost = False
        take = self._take

        class Handler(events.FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                take(event)

        observer = Observer()
        kinds: list[type[FileSystemEvent]] = [
            events.FileCreatedEvent,
            events.FileModifiedEvent,
            events.FileMovedEvent,
            events.FileDeletedEvent,
            events.DirDeletedEvent,
            events.DirMovedEvent,
        ]
        try:
            observer.schedule(Handler(), str(self._folder), event_filter=kinds)
            observer.start()
        except (FileNotFoundError, NotADirectoryError):
            return  # looking will find it when it comes
        except OSError as error:
            _log.warning("no file watch left (%s): looking for changed tickets instead", error.strerror)
            self._exhausted = True
            return
        self._exhausted = False
        self._observer = observer

    def _disarm(self) -> None:
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
            self._observer = None
