"""The driver of a child run: start it or take up one that lives, follow it, leave it when the engine goes.

A run that takes memory worth a ledger has it before it starts and gives it back when it ends. One that dies
is started again and goes on from its last checkpoint: deaths without progress are bounded, not deaths.
"""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator import comfyui, runs
from orchestrator.actions import Run
from orchestrator.attempt import Attempt
from orchestrator.models.base import NoModel
from orchestrator.place import Halted, Performed, Place
from orchestrator.training.resolve import altered
from state import durable
from state.run_folder import RESULT
from state.run_view import thresholds

RUN_DEATHS = 3
"""A run that dies this often in a row without a new checkpoint or a result has failed."""
STOP_GRACE = 30.0
"""Seconds that a run gets to write a last checkpoint; a data run needs none of it."""
_LOOK = 0.05  # seconds between looks at a run that says nothing
_KEPT = 200  # progress events that the remaining time is told from


def run(action: Run, attempt: Attempt, place: Place) -> Performed:
    """Work until the run has ended, is to be stopped, or is left to work on.

    Raises:
        Halted: the engine goes; the run goes on by itself.
    """
    folder = place.workspace.run(attempt.ticket, attempt.number)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _say_what_is_wanted(folder, attempt)
    if not action.memory:
        return _follow(action, folder, place)
    who = holder(attempt)
    if runs.alive(folder):
        place.models.adopt(who, action.memory)
    else:
        try:
            if not place.models.hold(who, action.memory, place.control.stop, place.tell):
                if place.control.leave:
                    raise Halted
                return Performed("interrupted", {"why": "stopped"})
        except NoModel as error:  # other programs hold it: told, tried again, and given up at last
            return Performed("interrupted", {"why": "memory", "broke": str(error)})
    try:
        return _follow(action, folder, place)
    finally:
        place.models.release(who)


def _say_what_is_wanted(folder: Path, attempt: Attempt) -> None:
    """Leave the bounds of the ticket's metrics where the run's report draws them in."""
    wanted = thresholds(attempt.spec)
    if wanted and runs.result(folder) is None:
        bounds = {name: {"min": each.least, "max": each.most} for name, each in wanted.items()}
        folder.mkdir(exist_ok=True)
        text = json.dumps({"schema": 1, "metrics": bounds}, sort_keys=True, allow_nan=False)
        durable.replace(folder / "thresholds.json", text.encode() + b"\n")


def holder(attempt: Attempt) -> str:
    """What the ledger of memory calls an attempt's run."""
    return f"run {attempt.ticket}"


def _follow(action: Run, folder: Path, place: Place) -> Performed:
    began = time.monotonic()
    deaths, reached = 0, _Reached()
    rests = not runs.alive(folder) and runs.result(folder) is None
    if rests and (why := altered(action.pins, place.workspace.root)):
        return Performed("failed", {"why": why})
    if rests and (cut := _given(action, folder, place)):
        return cut
    if why := _start(action, folder):
        return Performed("failed", {"why": why})
    tail = runs.Tail(folder)
    seen: list[runs.Event] = []
    while True:
        events = tail.read()
        if reached.further(events):
            deaths = 0
        if fresh := [event for event in events if event.get("type") == "progress"]:
            seen = [*seen, *fresh][-_KEPT:]
            now = runs.progress(seen)
            eta = None if now.eta_low is None or now.eta_high is None else (now.eta_low, now.eta_high)
            place.progress(now.fraction, eta)
        if place.control.stop.wait(0.0 if events else _LOOK):
            if place.control.leave:
                raise Halted
            runs.stop(folder, STOP_GRACE)
            return Performed("interrupted", {"why": "stopped"}, seconds=time.monotonic() - began)
        if action.timeout is not None and time.monotonic() - began > action.timeout:
            runs.stop(folder, STOP_GRACE)
            return Performed("interrupted", {"why": "timeout"}, seconds=time.monotonic() - began)
        if events or runs.alive(folder):
            continue
        seconds = time.monotonic() - began
        if found := runs.result(folder):
            return _ended(found, folder, place, seconds)
        deaths += 1
        if deaths >= RUN_DEATHS:
            why = f"the run died {deaths} times without a result: {runs.OUTPUT} in its folder says more"
            return Performed("failed", {"why": why}, seconds=seconds)
        if why := altered(action.pins, place.workspace.root) or _start(action, folder):
            return Performed("failed", {"why": why}, seconds=seconds)


def _start(action: Run, folder: Path) -> str:
    """Start the run, or let the one that works be; why it can't be, where it can't."""
    try:
        runs.start(folder, action.module, action.request)
    except runs.RunError as error:
        return str(error)
    return ""


def _given(action: Run, folder: Path, place: Place) -> Performed | None:
    """Put what the run needs and can't fetch itself into its folder; what came of it where that failed."""
    until = place.within(action.timeout)
    try:
        comfyui.give(folder, action.request, until, place.tell, lambda share: place.progress(share, None))
    except comfyui.GiveError as error:
        return Performed("failed", {"why": str(error)})
    if place.control.leave:
        raise Halted
    if until.is_set():
        return Performed("interrupted", {"why": "stopped" if place.control.stop.is_set() else "timeout"})
    return None


class _Reached:
    """How far a run's checkpoints have come, over all its lives."""

    def __init__(self) -> None:
        self._step = float("-inf")
        self._paths: set[str] = set()

    def further(self, events: Sequence[Mapping[str, Any]]) -> bool:
        """Whether one of these events is a checkpoint beyond all before it."""
        found = False
        for event in events:
            if event.get("type") != "checkpoint":
                continue
            step, path = event.get("step"), str(event["path"])
            if isinstance(step, int | float):
                found |= step > self._step
                self._step = max(self._step, step)
            else:
                found |= path not in self._paths
                self._paths.add(path)
        return found


def _ended(found: runs.Result, folder: Path, place: Place, seconds: float) -> Performed:
    """What came of a run.

    Raises:
        OSError: it found the disk full. The engine pauses, and decides the run again when there is room.
    """
    if found.again:
        (folder / RESULT).unlink(missing_ok=True)
        raise OSError(errno.ENOSPC, found.error)
    if not found.ok or found.artifact is None:
        return Performed("failed", {"why": found.error or "the run made no artifact"}, seconds=seconds)
    path = (folder / found.artifact.path).relative_to(place.workspace.root).as_posix()
    artifact = {"path": path, "sha256": found.artifact.sha256, "run": folder.name}
    return Performed("done", {"artifact": artifact, "metrics": dict(found.metrics)}, seconds=seconds)
