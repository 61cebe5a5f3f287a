"""Taking trained models into the core: the first version, or one with parts added or exchanged.

What is copied is a checkpoint that holds its own checksums. Of a ticket's run it must be what landed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from orchestrator import runs
from orchestrator.core import store
from orchestrator.extras import MODELS, lacking
from orchestrator.lab.link import Gone, Link, MindError
from orchestrator.lab.mind import host_command
from state import core, core_words
from state.contract import Sealer
from state.core import CoreRefused, Part, Version
from state.core_parse import is_name
from state.journal import Journal
from state.run_events import open_regular
from state.run_list import places
from state.workspace import Workspace

CALIBRATE = "model.calibrate"
_ROWS = 1024  # that a part's certainty is fitted and measured on
_LONGEST = 1800.0  # seconds for one calibration: some 20 of CPU time, on a machine that is busy otherwise
_OPENING = 300.0  # seconds for a mind to open it
_MOST = 1024 * 1024  # bytes of a calibration

Tell = Callable[[str], None]


class Source(NamedTuple):
    """A checkpoint that is to become a part."""

    folder: Path
    part: Part


def adopt(
    workspace: Workspace,
    journal: Journal,
    sealer: Sealer,
    parts: Mapping[str, Path],
    *,
    by: str | None = None,
    signoff: str = "",
    tell: Tell = lambda _: None,
) -> Version:
    """Make a version of the parts in force and these, and put it into force by the person's sealed word.

    Args:
        workspace: whose core it is.
        journal: of the workspace.
        sealer: the person's; it may ask for a passphrase.
        parts: a part's name -> a run's folder, or a checkpoint's.
        by: who says so; the system's user where it is left out.
        signoff: what the person pressed or typed.
        tell: one line for each step that takes time.

    Raises:
        CoreRefused: a source does not hold; it is on record then.
        Refused: the word was not taken. OSError: the disk is full; the old version is in force.
    """
    try:
        now = core.verified(journal, workspace, sealer)
        core_words.notice(journal, now, by)
        found = {name: source(name, path, workspace, journal) for name, path in parts.items()}
        calibrated = {name: calibrate(workspace, name, each, tell) for name, each in found.items()}
        version = store.write(workspace, _fill(now.version, found, calibrated))
        opens(workspace, version, tell)
    except CoreRefused as error:
        core_words.refused(journal, f"adopt {', '.join(parts)}", str(error), by)
        raise
    if version.digest == now.standing.head:  # its files had been altered, and are whole again
        tell(f"{version.digest[:12]} is in force already")
        return version
    core_words.adopt(journal, workspace, version.digest, by, sealer=sealer, signoff=signoff)
    return version


def _fill(
    before: Version | None, found: Mapping[str, Source], calibrated: Mapping[str, Mapping[str, Any] | None]
) -> store.Fill:
    def fill(aside: Path) -> tuple[str | None, Mapping[str, Any], Mapping[str, Part]]:
        made: dict[str, Part] = {}
        for name, part in (before.parts if before else {}).items():
            if before is not None and name not in found:
                store.copy_part(before.folder / "parts" / name, aside, name, part)
                made[name] = part
        for name, each in found.items():
            store.copy_part(each.folder, aside, name, each.part)
            made[name] = Part(each.part.task, each.part.learner, each.part.files, calibrated[name])
        return (before.digest if before else None), {"by": "adopt"}, made

    return fill


def opens(workspace: Workspace, version: Version, tell: Tell) -> None:
    """Have the mind open a version, which is not in force yet.

    Raises:
        CoreRefused: one of its parts can't be built.
    """
    if lacking(MODELS, "opening it"):
        tell("whether it opens was not tried: the extra `model` is not installed")
        return
    link = Link(host_command(workspace, version.digest))
    try:
        link.ready(_OPENING)
    except (MindError, Gone) as error:
        raise CoreRefused(f"it does not open: {error}") from None
    finally:
        link.kill("it was only tried")


def source(name: str, path: Path, workspace: Workspace, journal: Journal) -> Source:
    """The checkpoint that a path names, held against its own checksums and against what landed.

    Raises:
        CoreRefused: there is none, it was altered, or it is of a run that did not land.
    """
    if not is_name(name):
        raise CoreRefused(f"{name:.60} is no name for a part: small letters, digits and -, 40 at most")
    if (path / core.META).is_file():
        return checkpoint(path)
    folder = _run(path, workspace)
    ended = runs.result(folder)
    if ended is None or not ended.ok or ended.artifact is None:
        raise CoreRefused(f"{folder} has made no model: `jetbox runs` says how it stands")
    made = folder / ended.artifact.path
    if made.name != core.META:
        raise CoreRefused(f"{folder} is no training run: it made {made.name}")
    _landed(folder, ended.artifact.sha256, workspace, journal)
    if core.hashed(made, core.MAX_META)[0] != ended.artifact.sha256:
        raise CoreRefused(f"{made} was altered after the run had ended")
    return checkpoint(made.parent)


def _run(path: Path, workspace: Workspace) -> Path:
    """A run's folder: as it is named, of a ticket's last attempt, or of TICKET/ATTEMPT."""
    if (path / runs.REQUEST).is_file():
        return path
    ticket, _, attempt = path.as_posix().partition("/")
    found = [each for each in places(workspace.runs) if each.ticket == ticket]
    if attempt.isdigit():
        found = [each for each in found if each.attempt == int(attempt)]
    if not found:
        raise CoreRefused(f"{path} is no checkpoint and no run: `jetbox runs` lists those there are")
    return max(found, key=lambda each: each.attempt).folder


def _landed(folder: Path, sha256: str, workspace: Workspace, journal: Journal) -> None:
    """Of a ticket's run, the very model that landed is taken and nothing else."""
    for place in places(workspace.runs):
        if place.folder.resolve() != folder.resolve():
            continue
        for attempt in journal.views.attempts(place.ticket):
            if attempt.number != place.attempt:
                continue
            if attempt.state != "landed":
                raise CoreRefused(f"{place.ticket} is {attempt.state}: its model has not been accepted")
            if attempt.artifact.get("sha256") != sha256:
                raise CoreRefused(f"{folder} does not hold the model that {place.ticket} landed")


def checkpoint(folder: Path) -> Source:
    """A checkpoint's folder as a part without a calibration: what it says of itself, held against its bytes.

    Raises:
        CoreRefused: it is no checkpoint, of another version, or was altered.
    """
    path = folder / core.META
    sha256, _ = core.hashed(path, core.MAX_META)
    try:
        with open_regular(path) as file:
            text = file.read(core.MAX_META)
        said = json.loads(text)
        if hashlib.sha256(text).hexdigest() != sha256:
            raise ValueError("it changes while it is read")
        if said["version"] != 1:
            raise CoreRefused(f"{folder} is of version {said['version']!r:.20}; this Jetbox reads version 1")
        if said["seal"] != _seal(said):
            raise ValueError("it was altered: it has not its checksum")
        learner, model = said["learner"], said["config"]["model"]
        weights = said["files"][core.WEIGHTS]["sha256"]
        task = "latents" if learner == "jepa" else "scene" if model.get("task") == "scene" else "board"
        if learner not in ("hrm", "jepa") or not core.is_digest(weights):
            raise ValueError("it is no model of a kind that the core can hold")
    except CoreRefused:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CoreRefused(f"{path} is broken: {error}") from None
    if core.hashed(folder / core.WEIGHTS, core.MAX_WEIGHTS)[0] != weights:
        raise CoreRefused(f"{folder / core.WEIGHTS} was altered: it has not its checksum")
    return Source(folder, Part(task, learner, {core.META: sha256, core.WEIGHTS: weights}, None))


def _seal(said: Mapping[str, Any]) -> str:
    """As `model/checkpoint.py` seals the other fields."""
    rest = {name: value for name, value in said.items() if name != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def calibrate(workspace: Workspace, name: str, found: Source, tell: Tell) -> Mapping[str, Any] | None:
    """What the part's certainty is worth, measured by a child run; None where that can't be done here."""
    if found.part.task == "latents" or importlib.util.find_spec(CALIBRATE) is None:
        return None
    folder = workspace.home / "core" / "calibrating" / name
    shutil.rmtree(folder, ignore_errors=True)
    tell(f"{name}: measuring how far its certainty can be believed")
    request = {"schema": 1, "checkpoint": str(found.folder.resolve()), "data": None, "rows": _ROWS}
    began = time.monotonic()
    try:
        runs.start(folder, CALIBRATE, request)
        while runs.alive(folder):
            if time.monotonic() - began > _LONGEST:
                runs.stop(folder, 1.0)
            time.sleep(0.05)
        ended = runs.result(folder)
        if ended is None or not ended.ok:
            why = ended.error if ended else "it died"
            tell(f"{name}: not measured ({str(why)[:200]}); its certainty is shown as it comes")
            return None
        with open_regular(folder / "calibration.json") as file:
            made = json.loads(file.read(_MOST))
        if not isinstance(made, dict):
            raise ValueError("it is no object")
        return made
    except (OSError, ValueError, RecursionError, runs.RunError) as error:
        tell(f"{name}: not measured ({error}); its certainty is shown as it comes")
        return None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
