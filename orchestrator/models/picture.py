"""Keeps the picture of the machine for the fronts: at most once a second, and soon after a change."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.models.base import NoModel
from orchestrator.models.choosing import Judged
from state import machine

if TYPE_CHECKING:
    from orchestrator.models.service import Models

APART = 1.0  # seconds between two pictures at least
STILL = 4.0  # seconds after which one is taken in any case: a front looks at its age


class Painter:
    """Writes from a thread of its own, once begun, until ended."""

    def __init__(self, models: Models, path: Path) -> None:
        self._models, self._path = models, path
        self._wake, self._stop = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Begin, where that has not been done."""
        with self._lock:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._run, daemon=True, name="models-picture")
                self._thread.start()

    def nudge(self) -> None:
        """Something has changed."""
        self._wake.set()

    def end(self) -> None:
        """Take a last one, and end."""
        with self._lock:
            self._stop.set()
            self._wake.set()
            thread = self._thread
        if thread is not None:
            thread.join(5.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            self._write()
            self._stop.wait(APART)
            self._wake.wait(STILL - APART)
        self._write()

    def _write(self) -> None:
        with contextlib.suppress(NoModel):  # all servers have been let go of: the last picture
            self._models.refresh()
        with contextlib.suppress(OSError):  # a full disk costs the show, never the work
            machine.write(self._path, picture(self._models, int(time.time() * 1000)))


def picture(models: Models, at: int) -> machine.Machine:
    """The machine as it is known now; no server is waited for.

    Args:
        models: the service.
        at: milliseconds of wall clock.
    """
    catalogue = models.catalogue
    roles = []
    for role in catalogue.roles:
        judged = models.peeked(role)
        used = next((each for each in judged if each.chosen is not None), None)
        roles.append(
            machine.Role(role=role, candidates=tuple(_candidate(each, each is used) for each in judged))
        )
    holders = tuple(
        machine.Holder(
            who=each.who, what=each.what, bytes=each.bytes, context=each.context, since=each.since or at
        )
        for each in models.holds()
    )
    shown = {each.model for wishes in catalogue.roles.values() for each in wishes}
    findings = tuple(
        machine.Finding(model=each.model, digest=each.digest, says=each.says())
        for each in models.findings().values()
        if each.model in shown
    )
    return machine.Machine(
        at=at,
        policy=catalogue.policy,
        roles=tuple(roles),
        devices=models.devices(),
        holders=holders,
        findings=findings,
        paused=models.paused,
        reserve=catalogue.reserve,
    )


def _candidate(judged: Judged, used: bool) -> machine.Candidate:
    wish = judged.wish
    return machine.Candidate(
        model=wish.model,
        provider=wish.source.name,
        used=used,
        why=judged.why,
        bytes=min(judged.bytes, 10**15 - 1),
        label=wish.label,
    )
