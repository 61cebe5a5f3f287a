"""Proposing an update of the core: a ticket that measures it and then asks a person. Nothing is changed here.

It is asked for by a person, by the API, or by the Lab where corrections recur (`due`). What a person said no
to is not proposed again until the memory has learned something new.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.core import memory as memories
from orchestrator.core.memory import Memory
from state import core, core_words
from state.contract import Sealer
from state.core import CoreRefused, Standing
from state.events import New
from state.journal import Journal
from state.views import Views
from state.words import person
from state.workspace import Workspace
from tickets import folder
from tickets.lifecycle import ENDED
from tickets.templates import scalar

RECURRING = 3
"""Lessons of one kind after which an update is proposed, where the person's settings say nothing else."""


@dataclass(frozen=True)
class Past:
    """What the journal says that bears on another proposal."""

    core: str | None = None
    since: int = 0
    """When it was set, ms."""
    asked: Mapping[str, int] = field(default_factory=dict)
    """Memory -> when an update from it was last proposed, ms."""
    digests: frozenset[tuple[str, str]] = frozenset()
    """(memory's digest, core) of all that was proposed."""
    tickets: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """The last ticket of each."""
    open: frozenset[str] = frozenset()
    """Memories of which a proposal is on its way: its ticket has not come to an end."""
    denied: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(memory's digest, core) -> why a person said no."""


def past(journal: Journal, workspace: Workspace, said: Standing) -> Past:
    """Gather it."""
    asked: dict[str, int] = {}
    tickets: dict[tuple[str, str], str] = {}
    whose: dict[str, str] = {}
    for event in journal.events(types=("core.asked",)):
        body = {name: str(event.body.get(name, "")) for name in ("memory", "digest", "core", "ticket")}
        asked[body["memory"]] = event.at
        tickets[body["digest"], body["core"]] = body["ticket"]
        whose[body["ticket"]] = body["memory"]
    open_ = frozenset(memory for each, memory in whose.items() if _open(journal.views, workspace, each))
    denied_ = core.denials(journal)
    return Past(said.head, said.since, asked, frozenset(tickets), tickets, open_, denied_)


def due(memory: Memory, history: Past, after: int = RECURRING) -> bool:
    """Whether corrections recur so that an update is worth proposing. Pure.

    `after` lessons of one kind since the core was set and since this memory was last proposed; never twice
    for the same content or while a proposal of it is on its way, never what a person denied, never from a
    memory over another core, or one that gets fewer than half of its own lessons right. 0: never.
    """
    if after <= 0 or history.core is None or memory.core != history.core:
        return False
    if memory.name in history.open or 2 * memory.right < len(memory.lessons):
        return False
    if (about := (memory.digest, history.core)) in history.digests or about in history.denied:
        return False
    since = max(history.since, history.asked.get(memory.name, 0))
    return max(memory.kinds(since).values(), default=0) >= after


def consider(workspace: Workspace, name: str) -> str:
    """Propose an update from a memory if it is due under the person's settings: the ticket, or ''.

    Raises:
        CoreRefused, TicketError, JournalError: it cannot be looked at, or not be proposed.
    """
    from orchestrator import seals, user

    settings = user.load()
    if settings.lab.propose_after == 0 or not workspace.journal.exists():
        return ""
    memory = memories.read(workspace, name)
    journal = Journal.open(workspace.journal)
    try:
        history = past(journal, workspace, core.standing(journal, seals.of(settings.approval)))
    finally:
        journal.close()
    if not due(memory, history, settings.lab.propose_after):
        return ""
    since = max(history.since, history.asked.get(name, 0))
    kind, count = max(memory.kinds(since).items(), key=lambda each: each[1])
    return propose(workspace, name, f"{count} corrections of one kind ({kind})", by="lab")


def propose(
    workspace: Workspace,
    memory: str,
    why: str,
    *,
    by: str | None = None,
    sealer: Sealer | None = None,
    seconds: int = 60,
) -> str:
    """Write the ticket that measures an update from this memory and then asks a person; its id.

    Asked for twice for the same content while the first ticket is open, it is the first ticket's id.

    Args:
        workspace: whose core it is.
        memory: the memory's name.
        why: who wants it and what for, in one line.
        by: who asks; the system's user where it is left out.
        sealer: the person's, to check the words on the core; found where it is left out.
        seconds: of CPU time that the consolidation may take.

    Raises:
        CoreRefused: no core, no such memory, a memory over another core, or a person said no to exactly this.
        TicketError: the ticket can't be written. JournalError: the journal can't be used.
    """
    from orchestrator import seals

    journal, who = Journal.open(workspace.journal), by or person()
    try:
        now = core.verified(journal, workspace, sealer or seals.yours())
        core_words.notice(journal, now, who)
        try:
            found = memories.read(workspace, memory)
            _may(found, now, past(journal, workspace, now.standing))
        except CoreRefused as error:
            core_words.refused(journal, f"propose {memory}", str(error), who)
            raise

        def decide(views: Views) -> list[New]:  # nobody else proposes between the look and the ticket
            history = past(journal, workspace, now.standing)
            about = (found.digest, found.core)
            if open_ := _open(views, workspace, history.tickets.get(about, "")):
                made.append(open_)
                return []
            id_ = _write(workspace, views, found, now.standing, seconds)
            made.append(id_)
            body = {"ticket": id_, "memory": memory, "digest": found.digest, "core": found.core}
            return [New("core.asked", {**body, "why": why[:300], "by": who})]

        made: list[str] = []
        journal.transact(decide)
        return made[0]
    finally:
        journal.close()


def _may(memory: Memory, now: core.Current, history: Past) -> None:
    if now.version is None:
        raise CoreRefused(now.why)
    if memory.core != now.version.digest:
        raise CoreRefused(stale(memory, now.version.digest))
    if memory.part not in now.version.parts:
        raise CoreRefused(f"the core has no part {memory.part}")
    if not memory.lessons:
        raise CoreRefused(f"the memory {memory.name} has learned nothing yet")
    if why := history.denied.get((memory.digest, now.version.digest)):
        raise CoreRefused(denied(memory.name, why))


def stale(memory: Memory, version: str) -> str:
    """Why a memory over another version is not taken."""
    return (
        f"the memory {memory.name} was made over another version of the core ({memory.core[:12]}, and"
        f" {version[:12]} is in force): open the Lab, it learns its lessons again, then propose it"
    )


def denied(memory: str, why: str) -> str:
    """Why what a person denied is not proposed again."""
    return (
        f"a person said no to exactly this: {why} (when {memory} has learned more, it can be proposed again)"
    )


def _open(views: Views, workspace: Workspace, ticket: str) -> str:
    """A ticket, where it is still to come to an end; ''."""
    if not ticket or not (workspace.tickets / f"{ticket}.yaml").is_file():
        return ""
    state = views.states([ticket]).get(ticket, "")
    return "" if state in ENDED else ticket


def _write(workspace: Workspace, views: Views, memory: Memory, said: Standing, seconds: int) -> str:
    known = list(views.files())
    path = folder.create(workspace.root, text(memory, said.since, seconds), known)
    return path.stem


def text(memory: Memory, since: int, seconds: int) -> str:
    """The ticket."""
    count = len(memory.lessons)
    noun = "lesson" if count == 1 else "lessons"
    day = f" since {time.strftime('%Y-%m-%d', time.localtime(since / 1000))}" if since else ""
    goal = f"Teach the core's part {memory.part} what the memory {memory.name} knows ({count} {noun}{day})"
    lines = [
        "kind: core",
        f"goal: {scalar(goal)}",
        "with:",
        f"  memory: {scalar(memory.name)}",
        f"  part: {scalar(memory.part)}",
        f"  core_seconds: {seconds}",
        "accept:",
        "  - keeps  # no task may lose more than one point; a bound on a metric can only tighten it",
    ]
    return "\n".join(lines) + "\n"
