"""Short runs of an attempt's own request: is it the same when it is resumed, and when it is made again.

A short run is the ticket's own request with fewer steps and more frequent checkpoints, in a folder beside the
attempt's. Nothing else is changed, so that what holds for it is said of this model, data and configuration.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator import runs, side_runs
from orchestrator.place import Halted, Place
from orchestrator.training.digests import sha256_of

SPAN = 6.0
"""Seconds of stepping that a short run aims at: some checkpoints, two kills, and no long wait."""
LEAST, MOST = 12, 20_000
"""Steps of a short run."""
CLOCKED = frozenset(("steps_per_second", "core_seconds", "memory_bytes"))
"""Metrics that tell of the machine: they differ from run to run, and are not compared."""
_EVERY = 0.3  # seconds between checkpoints
_ASSESSED = 4  # times that held-out rows are measured
_ROWS = 64  # of them
_TRIES = 3  # for a run that ends before it could be killed twice
_POLL = 0.01
_SHOWN = 3  # differences that are named

Curve = Mapping[tuple[str, str, int], float | None]
"""Values by split, name and step."""


class Broken(Exception):
    """A short run failed; the message says why."""


@dataclass(frozen=True)
class Trace:
    """What a short run comes to: every metric of every step, and the last checkpoint's weights."""

    curve: Curve
    weights: Mapping[str, str]  # file of the checkpoint -> SHA-256
    step: int  # of the last checkpoint


@dataclass(frozen=True)
class Kill:
    """A kill, and where the run went on."""

    at: int  # the last step that was told before it
    kept: int  # of the newest checkpoint then
    again: int  # the first step told after it


def cut(request: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """The request with so many steps; thresholds of the breaker that want more steps are left out."""
    short = copy.deepcopy(dict(request))
    config = short["config"]
    config.pop("core_minutes", None)
    config["steps"] = steps
    assess = config.setdefault("assess", {})
    assess["every"] = max(1, steps // _ASSESSED)
    assess["rows"] = min(int(assess.get("rows") or _ROWS), _ROWS)
    config.setdefault("checkpoint", {})["seconds"] = _EVERY
    (config.get("breaker") or {}).pop("floors", None)
    return short


def steps_for(run_dir: Path, span: float) -> int:
    """How many steps take about `span` seconds, by what the run itself said of its speed."""
    tail, speed = runs.Tail(run_dir), 0.0
    while events := tail.read():
        for event in events:
            if event.get("type") == "metric" and event["name"] == "steps_per_second" and event["value"]:
                speed = float(event["value"])
    return max(LEAST, min(MOST, int(speed * span)))


def whole(folder: Path, module: str, request: Mapping[str, Any], place: Place) -> Trace:
    """Run to the end, undisturbed.

    Raises:
        Broken: it failed. Halted: the engine goes.
    """
    side_runs.clear(folder)
    found = side_runs.ended(folder, module, request, place)
    if not found.ok:
        raise Broken(str(found.error))
    return trace(folder)


def killed_twice(
    folder: Path, module: str, request: Mapping[str, Any], place: Place, dice: random.Random
) -> tuple[Trace, list[Kill]]:
    """Run to the end, killed -9 at two random steps on the way and started again each time.

    Raises:
        Broken: it failed, or ended too soon to be killed twice. Halted: the engine goes.
    """
    steps = int(request["config"]["steps"])
    for again in range(_TRIES):
        side_runs.clear(folder)
        last = 0.8 / 2**again  # earlier and earlier, for what is too fast
        targets = sorted(dice.randint(1, max(2, int(steps * last))) for _ in range(2))
        kills = _kill_at(folder, module, request, targets, place)
        found = side_runs.ended(folder, module, request, place)
        if not found.ok:
            raise Broken(str(found.error))
        if len(kills) == 2:
            return trace(folder), _gone_on(folder, kills)
    raise Broken(f"it ended before it could be killed twice, {_TRIES} times over {steps} steps")


def trace(folder: Path) -> Trace:
    """What a run's folder tells of its steps; of a step that was told twice the later word counts."""
    curve: dict[tuple[str, str, int], float | None] = {}
    tail = runs.Tail(folder)
    while events := tail.read():
        for event in events:
            if event.get("type") == "metric" and event["name"] not in CLOCKED:
                curve[str(event.get("split", "")), event["name"], _step(event)] = event["value"]
    kept = sorted((folder / "checkpoints").glob("step-*/checkpoint.json"))
    if not kept:
        raise Broken("it left no checkpoint")
    last = kept[-1].parent
    weights = {path.name: digest(path) for path in sorted(last.glob("*.safetensors"))}
    if not weights:
        raise Broken(f"its last checkpoint {last.name} holds no weights")
    return Trace(curve, weights, int(last.name.removeprefix("step-")))


def differences(one: Trace, other: Trace) -> list[str]:
    """What is not the same in two runs, each as one line; nothing where all coincides."""
    found = []
    for key in sorted(one.curve.keys() | other.curve.keys()):
        here, there = one.curve.get(key, "nothing"), other.curve.get(key, "nothing")
        if here != there:
            split, name, step = key
            found.append(f"{split} {name} at step {step} is {here} and {there}".strip())
    if one.step != other.step:
        found.append(f"the last step is {one.step} and {other.step}")
    for name in sorted(one.weights.keys() | other.weights.keys()):
        if one.weights.get(name) != other.weights.get(name):
            found.append(f"{name} of the last step is not the same")
    return found


def told(found: list[str]) -> str:
    """Differences in one line."""
    more = len(found) - _SHOWN
    return "; ".join(found[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def digest(path: Path) -> str:
    """SHA-256 of a file; Broken where it cannot be read."""
    try:
        return sha256_of(path)
    except OSError as error:
        raise Broken(f"{path.name} cannot be read: {error.strerror or error}") from None


def _kill_at(
    folder: Path, module: str, request: Mapping[str, Any], targets: list[int], place: Place
) -> list[tuple[int, int, int]]:
    """Start the run, and kill it at each of these steps once it has a checkpoint to go on from.

    Gives for each kill the last step told, the newest checkpoint's, and where the next life's events begin.
    """
    kills: list[tuple[int, int, int]] = []
    tail, at, kept = runs.Tail(folder), 0, 0
    for target in targets:
        runs.start(folder, module, request)
        fresh = False  # told in this life: what a life before told says nothing of where this one is
        while True:
            lives = runs.alive(folder)
            for event in tail.read():
                if event.get("type") == "checkpoint":
                    kept = max(kept, _step(event))
                elif event.get("type") in ("metric", "progress"):
                    at, fresh = _step(event), True
            if not lives:
                break
            if fresh and at >= target and kept:
                runs.stop(folder, 0.0)
                continue  # once more round, for what it said before it died
            if place.control.stop.wait(_POLL):
                runs.stop(folder, 0.0)
                raise Halted
        if runs.result(folder) is not None:
            break  # it was faster
        if not fresh:
            raise Broken("it died before its first step")
        kills.append((at, kept, tail.offset))
    return kills


def _gone_on(folder: Path, kills: list[tuple[int, int, int]]) -> list[Kill]:
    """With each kill, the first training step that was told by the life after it."""
    found = []
    for at, kept, offset in kills:
        tail, again = runs.Tail(folder, offset), -1
        while again < 0 and (events := tail.read()):
            told = (_step(e) for e in events if e.get("type") == "metric" and e.get("split") == "train")
            again = next(told, -1)
        found.append(Kill(at, kept, again))
    return found


def _step(event: Mapping[str, Any]) -> int:
    step = event.get("step", event.get("done", 0))
    return int(step) if isinstance(step, int | float) else 0
