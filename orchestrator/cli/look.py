"""Verbs that only look: status, show, log, inbox. None needs an engine, none changes anything."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import output
from orchestrator.cli.output import line, seconds, table, when

if TYPE_CHECKING:
    from orchestrator.cli.models import Show
    from state.journal import Journal

_FOLLOW = 0.1  # seconds between looks at the journal's version
_SHOWN_EVENTS = 20

Json = Annotated[bool, typer.Option("--json", help="Print JSON, as `jetbox schema` describes it.")]
TicketId = Annotated[str, typer.Argument(metavar="ID", help="A ticket, such as TICKET-001.")]


def status(json: Json = False) -> int:
    """Show the board: each ticket and what it waits for.

    Example:
      jetbox status
      jetbox status --json | jq '.tickets[] | select(.state == "review").id'
    """
    from orchestrator.cli.reading import here, status

    found = status(here())
    if json:
        output.json_object(found)
        return 0
    if not found.tickets:
        line(
            'Nothing has run here yet: write tickets (`jetbox new run "..."`), then `jetbox` or `jetbox run`'
        )
    else:
        rows = [
            (
                t.id,
                (output.state(t.state), t.state),
                t.kind,
                _checks(t.checks.green, t.checks.green + t.checks.red + t.checks.unknown),
                (f"{t.goal} ({t.waiting or t.note})" if t.waiting or t.note else t.goal),
            )
            for t in found.tickets
        ]
        table(("ticket", "state", "kind", "checks", "goal"), rows)
    engine = found.engine
    word = {"running": f"running (process {engine.pid})", "paused": f"paused: {engine.why}", "off": "off"}
    line(f"engine {word[engine.state]}")
    return 0


def inbox(json: Json = False) -> int:
    """Show what waits for a person, most severe first.

    Example:
      jetbox inbox
    """
    from orchestrator.cli.reading import here, inbox, reading
    from state.errors import JournalMissing

    try:
        with reading(here()) as journal:
            waiting = journal.views.inbox()
    except JournalMissing:
        waiting = []
    found = inbox(waiting)
    if json:
        output.json_object([entry.model_dump(mode="json") for entry in found])
    elif not found:
        line("Nothing waits for you")
    else:
        rows = [(p.id, p.kind, p.ticket, when(p.since), p.summary) for p in found]
        table(("proposal", "kind", "ticket", "since", "what"), rows)
        verb = "answer" if waiting[0].subject.get("options") else "approve"
        line(f"`jetbox {verb} {found[0].id}` shows what it asks, and takes your word")
    return 0


def log(
    id: Annotated[str, typer.Argument(metavar="[ID]", help="Of this ticket only.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as events are written.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> int:
    """Show the journal, oldest first.

    Example:
      jetbox log TICKET-001
      jetbox log -f --json
    """
    from orchestrator.cli.reading import here, reading

    workspace = here()
    with reading(workspace) as journal:
        if id and journal.views.ticket(id) is None:
            raise output.Failed(f"no ticket {id}: `jetbox status` lists them")
        seen = _print_events(journal, 0, id, json)
        version = journal.version()
        while follow:
            time.sleep(_FOLLOW)
            if (now := journal.version()) != version:
                version = now
                seen = _print_events(journal, seen, id, json)
    return 0


def _print_events(journal: Journal, after: int, ticket: str, json: bool) -> int:
    from orchestrator.cli.reading import event
    from orchestrator.cli.telling import told

    portion = 1_000
    while found := journal.events(after=after, ticket=ticket or None, limit=portion):
        for each in found:
            if json:
                output.json_object(event(each), indent=None)
            else:
                print(told(each, full=True))
        after = found[-1].seq
    print(end="", flush=True)
    return after


def show(id: TicketId, json: Json = False) -> int:
    """Show one ticket in full.

    Its spec, its attempts, what was done, its checks and what it asks.

    Example:
      jetbox show TICKET-001
    """
    from orchestrator.cli.reading import here, reading, show

    with reading(here()) as journal:
        found = show(journal, id)
    if json:
        output.json_object(found)
    else:
        _show(found)
    return 0


def _show(found: Show) -> None:
    from state.views import verdict

    ticket = found.ticket
    line(f"{ticket.id}  {ticket.goal}", "head")
    line(f"{output.state(ticket.state)}  {ticket.note}".rstrip(), ticket.state)
    for name, text in (
        ("kind", ticket.kind),
        ("file", found.path + (" (gone)" if found.removed else "")),
        ("needs", ", ".join(ticket.needs)),
        ("labels", ", ".join(ticket.labels)),
    ):
        if text:
            line(f"  {name:<8} {text}")
    for problem in found.problems:
        line(f"  {problem}", "problem")
    for key, value in found.spec.items():
        if key not in ("kind", "goal", "needs", "labels"):
            line(f"  {key:<8} {_plain(value)}")
    for attempt in found.attempts:
        took = "" if attempt.ended is None else f", {seconds((attempt.ended - attempt.started) / 1000)}"
        made = attempt.commit[:10] or attempt.artifact.get("path", "") or attempt.why
        line()
        line(f"attempt {attempt.number}  {attempt.state}  {when(attempt.started)}{took}  {made}", "head")
    if found.agreement is not None:
        line(f"  the attempts took the same actions to {found.agreement:.0%}")
    for task in found.tree:
        line(f"  {task.title}")
        for action in task.actions:
            line(f"    {action.state:<11} {action.title}  {seconds(action.seconds)}".rstrip(), action.state)
    if found.receipts:
        line()
        line("checks", "head")
        for receipt in found.receipts:
            word = "waiting" if receipt.skipped else "green" if receipt.passed else "red"
            said = verdict(receipt.passed, receipt.side, receipt.skipped or "")
            line(f"  {said}: {receipt.check}: {receipt.summary}", word)
    for proposal in found.proposals:
        line()
        line(
            f"{proposal.kind} {proposal.id}  {proposal.state}  {proposal.reason or proposal.summary}", "head"
        )
    if found.events:
        from orchestrator.cli.telling import told
        from state.events import Event

        line()
        line(f"last events (all: `jetbox log {ticket.id}`)", "head")
        for each in found.events[-_SHOWN_EVENTS:]:
            print("  " + told(Event(each.seq, each.at, each.ticket, each.attempt, each.type, each.body)))


def _plain(value: object) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _checks(green: int, all_: int) -> str:
    return f"{green}/{all_}" if all_ else ""
