"""The drivers of a ticket of kind `core`. Each may be cut off anywhere and done again, to the same end.

A candidate counts only as what its digest names, made from the version in force, and different from it in the
one part that was to learn. Whatever is refused here is put on record.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.attempt import Attempt
from orchestrator.core import memory as memories
from orchestrator.core import propose, store
from orchestrator.core.desk import CoreDesk
from orchestrator.core.steps import Install, Plan, Weigh
from orchestrator.core.weighing import BadFigures, differences, effects
from orchestrator.place import Performed, Place
from state import core, core_words, reflections
from state.core import CoreRefused, Version
from state.errors import JournalError
from state.events import New
from state.run_events import open_regular
from state.words import Refused, Stale

EFFECTS, DIFFERENCE = "effects.json", "difference.json"
_MOST = 4 * 1024 * 1024  # bytes of either
_NAMED = 16  # reflections that a proposal names
BY = "engine"


def plan(action: Plan, attempt: Attempt, place: Place) -> Performed:
    """The request of the consolidation, over a copy of the memory that nobody teaches any more."""
    desk = _desk(place)
    now = desk.now()
    core_words.notice(desk.journal, now, BY)
    try:
        if now.version is None:
            raise CoreRefused(now.why)
        found = memories.read(place.workspace, action.memory)
        if found.core != now.version.digest:
            raise CoreRefused(propose.stale(found, now.version.digest))
        part = action.part or found.part
        if part != found.part or part not in now.version.parts:
            raise CoreRefused(f"the memory {found.name} is about the part {found.part}, not about {part}")
        if why := core.denials(desk.journal).get((found.digest, now.version.digest)):
            raise CoreRefused(propose.denied(found.name, why))
        given = place.workspace.run(attempt.ticket, attempt.number) / "given" / found.name
        files = memories.snapshot(found, given)
    except CoreRefused as error:
        return _refused(desk, attempt, f"update from the memory {action.memory}", error)
    request = {
        "schema": 1,
        "core": str(now.version.folder),
        "part": part,
        "memory": str(given),
        "seed": action.seed,
        "core_seconds": action.core_seconds,
    }
    root = place.workspace.root
    pins = {(given / name).relative_to(root).as_posix(): sha256 for name, sha256 in files.items()}
    pins[(now.version.folder / core.CORE_JSON).relative_to(root).as_posix()] = now.version.digest
    about = {
        "name": found.name,
        "digest": found.digest,
        "method": found.method,
        "lessons": len(found.lessons),
        "lessons_digest": found.lessons_digest,
        "kinds": found.kinds(now.standing.since),
        "since": now.standing.since,
        "reflections": _corrected(place, part, now.version.digest),
    }
    result = {"request": request, "pins": pins, "before": now.version.digest, "part": part, "memory": about}
    return Performed("done", result)


def _corrected(place: Place, part: str, version: str) -> list[str]:
    """The ids of the latest reflections on this part, over this version, that a person corrected."""
    found = reflections.read(place.workspace.home)
    return [r.id for r in found if r.corrected is not None and (r.part, r.core) == (part, version)][:_NAMED]


def weigh(action: Weigh, attempt: Attempt, place: Place) -> Performed:
    """What the candidate is and changes, and whether there is a way back; failed where it is not sound."""
    desk = _desk(place)
    folder = (place.workspace.root / action.path).parent
    made = attempt.done["core:plan"].result
    try:
        before = core.read(core.versions(place.workspace) / action.before, action.before)
        found = core.read(folder, action.sha256, named=False)
        _succeeds(before, found, str(made["part"]), made["memory"])
        said, changed = _json(folder.parent / EFFECTS), _json(folder.parent / DIFFERENCE)
        result = {
            "core": found.digest,
            "candidate": folder.relative_to(place.workspace.root).as_posix(),
            "effects": effects(said[0]),
            "effects_sha256": said[1],
            "difference": differences(changed[0]),
            "difference_sha256": changed[1],
            "rehearsed": f"{before.digest[:12]} verifies: {len(before.parts)} parts, {before.bytes} bytes",
        }
    except (CoreRefused, BadFigures) as error:
        return _refused(desk, attempt, f"candidate {action.sha256[:12]}", error)
    return Performed("done", result)


def _succeeds(before: Version, found: Version, part: str, memory: Mapping[str, Any]) -> None:
    """A candidate may differ from the version in force in one part, and must say what it was made from."""
    made = {
        "by": "consolidation",
        "part": part,
        "memory": memory["name"],
        "memory_digest": memory["digest"],
    }
    if found.parent != before.digest or dict(found.made) != made:
        raise CoreRefused("the candidate was not made from this core and this memory")
    if found.parts.keys() != before.parts.keys():
        raise CoreRefused("the candidate has other parts than the core")
    other = [name for name in before.parts if name != part and found.parts[name] != before.parts[name]]
    if other:
        raise CoreRefused(f"the candidate changes {', '.join(other)}, and was to change {part} alone")
    new, old = found.parts[part], before.parts[part]
    if (new.task, new.learner) != (old.task, old.learner):
        raise CoreRefused(f"the candidate makes another kind of part of {part}")


def _json(path: Path) -> tuple[Any, str]:
    """A bounded JSON file of a run, with its checksum."""
    try:
        with open_regular(path) as file:
            text = file.read(_MOST + 1)
        if len(text) > _MOST:
            raise ValueError("it is too large")
        return json.loads(text), hashlib.sha256(text).hexdigest()
    except (OSError, ValueError, RecursionError) as error:
        raise CoreRefused(f"{path.name} can't be read: {error}") from None


def install(action: Install, attempt: Attempt, place: Place) -> Performed:
    """Copy what was approved among the versions; the word is written with the outcome (`into_force`)."""
    place.sound()
    desk = _desk(place)
    try:
        found = store.install(place.workspace, place.workspace.root / action.candidate, action.core)
    except CoreRefused as error:
        return _refused(desk, attempt, f"install {action.core[:12]}", error)
    return Performed("done", {"core": found.digest})


def into_force(desk: CoreDesk, attempt: Attempt, proposal: str, outcome: New) -> list[New]:
    """Write the outcome of an installation and the word that puts it into force, in one transaction.

    Returns what is to be written instead where it is refused: the outcome as a failure, and the record.
    """
    word = next((each for each in attempt.words if each.id == proposal), None)
    try:
        if word is None or not isinstance(word.contract, Mapping):
            raise Refused(f"{proposal} was not approved")
        core_words.installed(
            desk.journal,
            desk.sealer,
            ticket=attempt.ticket,
            attempt=attempt.number,
            proposal=proposal,
            subject=word.subject,
            contract=word.contract,
            more=[outcome],
        )
    except Refused as error:
        result = {"why": str(error), "stale": isinstance(error, Stale)}
        body = {**outcome.body, "status": "failed", "result": result}
        what = f"install by the proposal {proposal}"
        record = core_words.refusal(what, str(error), BY, attempt.ticket, attempt.number)
        return [New(outcome.type, body, outcome.ticket, outcome.attempt), record]
    return []


def _refused(desk: CoreDesk, attempt: Attempt, what: str, error: Exception) -> Performed:
    desk.journal.append(core_words.refusal(what, str(error), BY, attempt.ticket, attempt.number))
    return Performed("failed", {"why": str(error)})


def _desk(place: Place) -> CoreDesk:
    if place.core is None:
        raise JournalError("the core cannot be reached from here")
    return place.core
