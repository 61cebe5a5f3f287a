"""From the journal's views to what the command line prints: pure but for the queries."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.output import Failed
from orchestrator.workspaces import find
from state.journal import Journal, JournalMissing
from state.lock import holder
from state.workspace import Workspace
from tickets.lifecycle import Answer, State

if TYPE_CHECKING:
    from orchestrator.cli import models
    from state.events import Event
    from state.views import Card, Node, Proposal


def here() -> Workspace:
    """The workspace one stands in."""
    return find(Path.cwd())


@contextlib.contextmanager
def reading(workspace: Workspace) -> Iterator[Journal]:
    """The journal, for reading only."""
    journal = Journal.read(workspace.journal)
    try:
        yield journal
    finally:
        journal.close()


@contextlib.contextmanager
def speaking(workspace: Workspace) -> Iterator[Journal]:
    """The journal, for a person's word. None is made for that: there would be nothing to speak about."""
    if not workspace.journal.exists():
        raise JournalMissing(f"no journal at {workspace.journal}: `jetbox run` or `jetbox` makes one")
    journal = Journal.open(workspace.journal)
    try:
        yield journal
    finally:
        journal.close()


def engine_line(workspace: Workspace, journal: Journal | None) -> models.EngineLine:
    """The engine: what the lock says counts, what the journal says explains."""
    from orchestrator.cli.models import EngineLine

    pid = holder(workspace.lock)
    if pid is None:
        return EngineLine(state="off", pid=None, why="")
    said = journal.views.engine() if journal else {}
    if said.get("state") == "paused":
        return EngineLine(state="paused", pid=pid, why=str(said.get("why", "")))
    return EngineLine(state="running", pid=pid, why="")


def ticket_line(card: Card) -> models.TicketLine:
    """A card as `--json` has it."""
    from orchestrator.cli.models import Checks, TicketLine

    return TicketLine(
        id=card.id,
        kind=card.kind,
        goal=card.goal,
        state=State(card.state),
        progress=card.progress,
        checks=Checks(green=card.green, red=card.red, unknown=card.unknown),
        waiting=waits_for(card),
        note=card.note,
        attempt=card.attempt,
        needs=json.loads(card.needs),
        labels=json.loads(card.labels),
        since=card.since,
    )


def waits_for(card: Card) -> str | None:
    """What a ticket waits for, in one line; None when it waits for nothing."""
    match card.state:
        case "review":
            return "a person: merge"
        case "waiting":
            return card.note or "a person"
        case "backlog":
            return card.note or "what it needs"
        case "ready" if card.note:
            return card.note
    return None


def status(workspace: Workspace) -> models.Status:
    """The board; an empty one where nothing has run yet."""
    from orchestrator.cli.models import Status

    try:
        with reading(workspace) as journal:
            tickets = [ticket_line(card) for card in journal.views.board()]
            return Status(tickets=tickets, engine=engine_line(workspace, journal))
    except JournalMissing:
        return Status(tickets=[], engine=engine_line(workspace, None))


def inbox(proposals: Sequence[Proposal]) -> list[models.InboxLine]:
    """What waits for a person."""
    from orchestrator.cli.models import InboxLine

    return [
        InboxLine(id=p.id, kind=p.kind, ticket=p.ticket, digest=p.digest, summary=p.summary, since=p.since)
        for p in proposals
    ]


def event(found: Event) -> models.Event:
    """An event as `--json` has it."""
    from orchestrator.cli.models import Event

    return Event(
        seq=found.seq,
        at=found.at,
        ticket=found.ticket,
        attempt=found.attempt,
        type=found.type,
        body=found.body,
    )


def show(journal: Journal, id_: str) -> models.Show:
    """One ticket in full.

    Raises:
        Failed: there is no such ticket.
    """
    from orchestrator.cli import models
    from orchestrator.lab import actions

    views = journal.views
    ticket = views.ticket(id_)
    if ticket is None:
        raise Failed(f"no ticket {id_}: `jetbox status` lists them")
    attempt, every = ticket.card.attempt, journal.events(ticket=id_)
    taken = actions.reflected(id_, every)
    return models.Show(
        ticket=ticket_line(ticket.card),
        path=ticket.path,
        revision=ticket.revision,
        removed=ticket.removed,
        problems=ticket.problems,
        spec=ticket.spec,
        attempts=[
            models.Attempt(
                number=a.number,
                state=a.state,
                branch=a.branch,
                base=a.base,
                commit=a.commit,
                artifact=a.artifact,
                started=a.started,
                ended=a.ended,
                why=a.why,
            )
            for a in views.attempts(id_)
        ],
        tree=tree(views.nodes(id_, attempt)),
        receipts=[
            models.Receipt(
                check=r.name,
                side=r.side,
                tree=r.tree,
                passed=r.passed,
                summary=r.summary,
                exit=r.exit,
                seconds=r.seconds,
                output=r.output,
                skipped=r.skipped or None,
            )
            for r in views.receipts(id_, attempt)
        ],
        proposals=[
            models.Proposal(
                **inbox([p])[0].model_dump(),
                attempt=p.attempt,
                state=Answer(p.state),
                reason=p.reason,
                by=p.by,
                subject=p.subject,
            )
            for p in views.proposals(id_, attempt)
        ],
        events=[event(found) for found in every],
        agreement=taken.consistency.variants if taken else None,
    )


def tree(nodes: Sequence[Node]) -> list[models.Task]:
    """Tasks and their actions, in the order they began."""
    from orchestrator.cli.models import Action, Task

    tasks = {
        node.id: Task(title=node.title, state=node.state, actions=[])
        for node in nodes
        if node.level == "task"
    }
    for node in nodes:
        if node.level == "action" and node.parent in tasks:
            tasks[node.parent].actions.append(
                Action(title=node.title, state=node.state, seconds=node.seconds, output=node.output)
            )
    return list(tasks.values())
