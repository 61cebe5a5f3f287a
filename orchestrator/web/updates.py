"""Updates of the core as a program may ask for them: to propose one, and to learn what became of it.

Nothing here changes the core. `propose` writes a ticket, which measures the update and then asks a person.
`apply` says 200 where the engine has installed what a person approved, and refuses in every other case;
each refusal stands in the journal as `core.refused`.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchestrator import seals
from orchestrator.core import memory as memories
from orchestrator.core import propose as proposing
from orchestrator.web.desk import Desk, Sorry
from orchestrator.web.shapes import Applied
from state import core, core_words
from state.errors import JournalError, JournalMissing
from state.journal import Journal
from state.lock import holder
from tickets.problems import TicketError

if TYPE_CHECKING:
    from state.views import Proposal

WAITS = 2.0
"""Seconds that an engine which lives is given to install what was approved a moment ago."""
_LOOK = 0.1


def verdict(
    found: Proposal | None, digest: str, installed: str | None, current: str | None, engine: bool
) -> str:
    """The version of the core that an approved update became; Sorry in every other case. Pure.

    Args:
        found: the proposal that is meant.
        digest: of its content, as whoever asks knows it.
        installed: the version that an accepted word set by this proposal, if any.
        current: the version that is current and whole, if any.
        engine: whether an engine lives.
    """
    if found is None:
        raise Sorry(404, "proposal", "there is no such proposal")
    if found.kind != "core":
        raise Sorry(409, "kind", f"{found.id} is a proposal of kind {found.kind}, none for the core")
    if found.digest != digest:
        raise Sorry(409, "stale", f"the digest is not that of {found.id}: what it says has changed")
    if found.state == "open":
        raise Sorry(409, "open", f"a person has not approved it yet: `jetbox approve {found.id}`")
    if found.state == "denied":
        raise Sorry(409, "denied", f"a person denied it: {found.reason}"[:500])
    if found.state == "stale":
        raise Sorry(409, "stale", f"{found.id} is void: {found.reason}"[:500])
    if installed is None and found.state == "approved":
        how = "the engine is at it: ask again" if engine else "no engine works: `jetbox run` installs it"
        raise Sorry(409, "waiting", f"it is approved and not installed yet; {how}")
    if installed is None or installed != found.subject.get("core"):
        raise Sorry(409, "void", f"the approval of {found.id} was used, and no core came of it")
    if installed != current:
        raise Sorry(409, "passed", f"{installed[:12]} was installed, and is not the core now: `jetbox core`")
    return installed


def apply(desk: Desk, proposal: str, digest: str) -> Applied:
    """The installed update of an approved proposal; Sorry, on record, in every other case."""
    until = time.monotonic() + WAITS
    while True:
        try:
            return Applied(core=_looked(desk, proposal, digest), proposal=proposal)
        except Sorry as sorry:
            engine = holder(desk.workspace.lock) is not None
            if sorry.reason == "waiting" and engine and time.monotonic() < until:
                time.sleep(_LOOK)
                continue
            on_record(desk, f"apply {proposal[:64]} {digest[:12]}", str(sorry))
            raise


def _looked(desk: Desk, proposal: str, digest: str) -> str:
    engine = holder(desk.workspace.lock) is not None
    try:
        with desk.reading() as journal:
            found = journal.views.proposal(proposal)
            if found is None or found.kind != "core" or found.state != "used":
                return verdict(found, digest, None, None, engine)
            now = core.verified(journal, desk.workspace, seals.yours())
    except JournalMissing:
        return verdict(None, digest, None, None, engine)
    except TicketError as error:
        raise Sorry(503, "settings", str(error)) from None
    set_by = [each.core for each in now.standing.accepted if each.proposal == found.id]
    current = now.version.digest if now.version else None
    return verdict(found, digest, set_by[-1] if set_by else None, current, engine)


def propose(desk: Desk, memory: str, why: str) -> str:
    """The id of the ticket that proposes to take a memory into the core; the same where it waits already."""
    if not desk.workspace.journal.exists():
        raise Sorry(409, "core", core.Current(None, core.Standing()).why)
    if not memories.folder(desk.workspace, memory).is_dir():
        raise Sorry(404, "memory", f"no memory {memory}: GET /memories lists them")
    try:
        return proposing.propose(desk.workspace, memory, why, by=desk.by)
    except core.CoreRefused as refused:  # it is on record
        raise Sorry(409, "core", str(refused)) from None
    except TicketError as error:
        raise Sorry(503, "ticket", str(error)) from None
    except (JournalError, sqlite3.Error) as error:
        raise Sorry(503, "journal", str(error)) from None


def on_record(desk: Desk, what: str, why: str) -> None:
    """Put a refusal into the journal, where there is one."""
    with contextlib.suppress(JournalError):
        if not desk.workspace.journal.exists():
            return
        journal = Journal.open(desk.workspace.journal)
        try:
            core_words.refused(journal, what, why, desk.by)
        finally:
            journal.close()


def current(desk: Desk) -> dict[str, Any]:
    """The core as it stands: the version, its parts, who set which one when, and what was refused."""
    try:
        with desk.reading() as journal:
            found = core.verified(journal, desk.workspace, seals.yours())
    except JournalMissing:
        found = core.Current(None, core.Standing())
    except TicketError as error:
        raise Sorry(503, "settings", str(error)) from None
    version = found.version
    return {
        "core": version.digest if version else None,
        "why": found.why,
        "parts": [_part(name, part) for name, part in version.parts.items()] if version else [],
        "history": [
            {name: getattr(each, name) for name in ("seq", "at", "core", "before", "why", "proposal", "by")}
            | {"refused": each.refused}
            for each in found.standing.settings
        ],
        "refused": [each._asdict() for each in found.standing.refusals[-100:]],
    }


def _part(name: str, part: core.Part) -> Mapping[str, Any]:
    return {
        "name": name,
        "task": part.task,
        "learner": part.learner,
        "calibrated": part.calibration is not None,
    }
