"""A training goes back to a checkpoint that it kept: the very files, and what came after them in its trash.

Done by a person, while nothing works in the run's folder. Nothing is deleted: later checkpoints, the result
and the report move into `trash/` inside the run. Cut off anywhere, the run stands at a whole checkpoint, and
doing it again comes to the same end. Started again, the run goes on from there. It is told in the run's own
events and in the journal.
"""

from __future__ import annotations

import json
import os
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from state import core, durable
from state.core import CoreRefused
from state.events import New
from state.journal import Journal
from state.lock import Lock
from state.run_events import EVENTS, VERSION, open_regular
from state.run_folder import LOCK, RESULT
from state.words import Refused, person
from state.workspace import Workspace
from tickets.values import is_ticket_id

CHECKPOINTS, INDEX, TRASH, REPORT = "checkpoints", "checkpoints.json", "trash", "report"
_NAME = re.compile(r"step-(\d{8,12})")
_STEP = re.compile(r"(?:step:|step-)?(\d{1,12})")
_FILES = (core.WEIGHTS, "train.safetensors")
_WAIT = 0.3  # seconds: whoever only asks whether the lock is held has it for a moment


class Kept(NamedTuple):
    """A checkpoint that a run still has."""

    step: int
    folder: Path
    best: bool
    phases: tuple[str, ...]
    """Those that ended with it."""


def kept(run: Path) -> list[Kept]:
    """The checkpoints of a run, the latest first; nothing of what they hold is looked at."""
    roles = _json(run / INDEX)
    phases = roles.get("phases")
    ends = phases.items() if isinstance(phases, dict) else ()
    found = []
    try:
        entries = sorted(os.scandir(run / CHECKPOINTS), key=lambda each: each.name, reverse=True)
    except OSError:
        return []
    for entry in entries:
        match = _NAME.fullmatch(entry.name)
        if match and entry.is_dir(follow_symlinks=False):
            ended = tuple(str(name)[:48] for name, folder in ends if folder == entry.name)
            best = roles.get("best") == entry.name
            found.append(Kept(int(match[1]), Path(entry.path), best, ended))
    return sorted(found, key=lambda each: -each.step)


def chosen(run: Path, to: str = "") -> Kept:
    """The checkpoint that is meant: a step, `phase:NAME`, `last`, or the best one where nothing is said.

    Raises:
        Refused: there is none such; the line says which there are.
    """
    every = kept(run)
    if not every:
        raise Refused(f"{run} has kept no checkpoint")
    if to in ("", "best", "phase:last-good"):
        found = [each for each in every if each.best] or every[:1]
    elif to == "last":
        found = every[:1]
    elif match := _STEP.fullmatch(to):
        found = [each for each in every if each.step == int(match[1])]
    else:
        found = [each for each in every if to.removeprefix("phase:") in each.phases]
    if not found:
        steps = ", ".join(str(each.step) for each in every[:12])
        more = " and older ones" if len(every) > 12 else ""
        raise Refused(f"no checkpoint {to:.40}: the steps {steps}{more} are kept")
    return found[0]


def roll_back(
    journal: Journal | None, workspace: Workspace, run: Path, to: str = "", by: str | None = None
) -> Kept:
    """Take a run back to a checkpoint; where it is there already, nothing is changed.

    Args:
        journal: of the workspace, where there is one; it is told.
        workspace: that the run may be of.
        run: its folder.
        to: see `chosen`.
        by: who says so; the system's user where it is left out.

    Raises:
        Refused: the run lives, has no such checkpoint, the checkpoint was altered, or what came later landed.
    """
    lock = Lock(run / LOCK)
    if not lock.acquire(_WAIT):
        raise Refused(f"{run} is at work: stop it first")
    try:
        target = chosen(run, to)
        meta = _whole(target)
        _not_landed(journal, workspace, run, target)
        later = [each for each in kept(run) if each.step > target.step]
        ended = [name for name in (RESULT, REPORT) if os.path.lexists(run / name)]
        if later or ended:
            _move(run, [*ended, *(f"{CHECKPOINTS}/{each.folder.name}" for each in later)])
        _index(run, target, meta)
        if later or ended:
            _told(run, target)
    except OSError as error:
        raise Refused(f"{run} can't be taken back: {error.strerror or error}") from error
    finally:
        lock.release()
    if journal is not None:
        ticket, attempt = _whose(workspace, run)
        body = {"run": "/".join(run.absolute().parts[-2:]), "step": target.step, "by": by or person()}
        event = New("run.rolled-back", {**body, "kept": target.folder.name}, ticket, attempt)
        journal.append(event)
    return target


def _whole(target: Kept) -> dict[str, Any]:
    """The checkpoint's own word, its files held against it."""
    meta = _json(target.folder / core.META)
    named = meta.get("files")
    if not isinstance(named, dict):
        raise Refused(f"{target.folder} is broken: it does not name its files")
    for name in _FILES:
        said = named.get(name)
        sha256 = said.get("sha256") if isinstance(said, dict) else None
        try:
            if core.hashed(target.folder / name, core.MAX_WEIGHTS)[0] != sha256:
                raise Refused(f"{target.folder / name} was altered: it has not its checksum")
        except CoreRefused as error:
            raise Refused(str(error)) from error
    return meta


def _not_landed(journal: Journal | None, workspace: Workspace, run: Path, target: Kept) -> None:
    """What landed is what other tickets stand on: it is not moved from under them."""
    ticket, number = _whose(workspace, run)
    for attempt in journal.views.attempts(ticket) if journal is not None and ticket else ():
        path = str(attempt.artifact.get("path", ""))
        step = re.search(r"/step-(\d{8,12})/", path)
        if attempt.number == number and attempt.state == "landed" and step and int(step[1]) > target.step:
            raise Refused(f"{ticket} has landed step {int(step[1])}: `jetbox rollback {ticket}` first")


def _whose(workspace: Workspace, run: Path) -> tuple[str, int]:
    """The ticket and attempt of a run's folder; '' and 0 where it is none of a ticket's."""
    ticket, name = run.absolute().parent, run.absolute().name
    if ticket.parent.resolve() != workspace.runs.resolve() or not is_ticket_id(ticket.name):
        return "", int(name) if name.isdecimal() and len(name) < 7 else 0
    return ticket.name, int(name) if name.isdecimal() and len(name) < 7 else 0


def _move(run: Path, names: list[str]) -> None:
    """Into the trash, the result first and then the latest checkpoint first: each move leaves a sound run."""
    place, number = run / TRASH / time.strftime("%Y%m%d-%H%M%S"), 1
    while os.path.lexists(place):
        number += 1
        place = place.with_name(f"{place.name.partition('.')[0]}.{number}")
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).rename(place / name)
        durable.sync_folder((run / name).parent)


def _index(run: Path, target: Kept, meta: dict[str, Any]) -> None:
    """`checkpoints.json` as it was when the checkpoint was the last one."""
    said = meta.get("memory")
    memory = said if isinstance(said, dict) else {}
    there = {each.step: each.folder.name for each in kept(run)}
    best, phases = memory.get("best"), memory.get("phases")
    step = best.get("step") if isinstance(best, dict) else None
    roles = {
        "version": 1,
        "best": there.get(step) if isinstance(step, int) else None,
        "last": target.folder.name,
        "phases": {
            name: folder
            for name, folder in (phases.items() if isinstance(phases, dict) else ())
            if folder in there.values()
        },
    }
    durable.replace(run / INDEX, json.dumps(roles, sort_keys=True).encode() + b"\n")


def _told(run: Path, target: Kept) -> None:
    """The run's own events: where it stands again, so that curves go on from there."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    head = {"v": VERSION, "t": 0.0, "at": at}
    sha256 = core.hashed(target.folder / core.META, core.MAX_META)[0]
    path = f"{CHECKPOINTS}/{target.folder.name}"
    events = [
        {**head, "type": "phase", "name": "rolled back", "resumed": True, "step": target.step},
        {**head, "type": "checkpoint", "path": path, "step": target.step, "kind": "last", "sha256": sha256},
    ]
    lines = "".join(json.dumps(event) + "\n" for event in events).encode()
    with (run / EVENTS).open("a+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            lines = lines if file.read(1) == b"\n" else b"\n" + lines
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())


def _json(path: Path) -> dict[str, Any]:
    try:
        with open_regular(path) as file:
            found = json.loads(file.read(core.MAX_META))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
