"""Verbs that work: run and stop the engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.output import Exit, Failed, Wrong, complain, line

if TYPE_CHECKING:
    from state.events import Event
    from state.views import Card
    from state.workspace import Workspace


def run(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="Only these tickets.")] = None,
    until: Annotated[
        str | None, typer.Option(metavar="idle", help="Leave when nothing is left to do without you.")
    ] = None,
) -> int:
    """Run tickets in the foreground.

    With ids it leaves when those tickets have ended or wait: 0 when all landed, 1 when one did not,
    3 when something waits for you. Without, it works on until Ctrl-C, or with `--until idle` until
    nothing is left.

    Example:
      jetbox run TICKET-001 TICKET-002
      jetbox run --until idle
    """
    from orchestrator.cli.reading import here
    from orchestrator.workspaces import set_up

    if until not in (None, "idle"):
        raise Wrong(f"--until takes `idle`, not {until!r}")
    workspace, named = here(), list(dict.fromkeys(ids or ()))
    set_up(workspace)
    _known(workspace, named)
    from orchestrator.cli.telling import telling, told
    from orchestrator.service import serve

    touched: set[str] = set()

    def follow(event: Event) -> None:
        if event.attempt:
            touched.add(event.ticket)
        if telling(event):
            print(told(event), flush=True)

    only = frozenset(named) if named else None
    serve(workspace, only=only, until_idle=bool(named) or until == "idle", follow=follow)
    return _ended(workspace, named, touched)


def _known(workspace: Workspace, named: list[str]) -> None:
    """A mistyped id is told before an engine starts and finds nothing to do."""
    from tickets import folder

    known = folder.scan(workspace.root)
    if missing := [id_ for id_ in named if id_ not in known]:
        raise Wrong(f"no ticket {', '.join(missing)} in {workspace.tickets}")


def _ended(workspace: Workspace, named: list[str], touched: set[str]) -> int:
    from orchestrator.cli.reading import reading, waits_for

    with reading(workspace) as journal:
        cards = journal.views.board()
        if named:
            cards = [card for card in cards if card.id in named]
    codes = {_code(card, asked=bool(named), touched=card.id in touched) for card in cards}
    for card in cards:
        if named and card.state in ("backlog", "broken", "ready"):
            complain(f"{card.id} did not start: {waits_for(card) or card.note or card.state}")
    return next((code for code in (Exit.WRONG, Exit.FAILED, Exit.PERSON) if code in codes), Exit.DONE)


def _code(card: Card, *, asked: bool, touched: bool) -> Exit:
    """What a ticket's state means for who ran it; old failures that nobody asked about mean nothing."""
    if card.state in ("waiting", "review"):
        return Exit.PERSON
    if card.state == "broken":
        return Exit.WRONG
    if card.state in ("failed", "cancelled"):
        return Exit.FAILED if asked or touched else Exit.DONE
    return Exit.FAILED if asked and card.state != "landed" else Exit.DONE


def stop() -> int:
    """Stop the engine. What it was at is taken up by the next one.

    Example:
      jetbox stop
    """
    from orchestrator import service
    from orchestrator.cli.reading import here

    workspace = here()
    if not service.stop(workspace):
        line("No engine runs")
        return 0
    from state.lock import holder

    if pid := holder(workspace.lock):
        raise Failed(f"the engine (process {pid}) has not left yet: `jetbox status` shows when it has")
    line("The engine has left")
    return 0


def engine(folder: Annotated[Path, typer.Argument(metavar="DIR")]) -> int:
    """The engine of a workspace, as the cockpit starts it in the background.

    Example:
      jetbox engine .
    """
    from orchestrator.service import serve
    from orchestrator.workspaces import find, set_up

    workspace = find(folder)
    set_up(workspace)
    serve(workspace)
    return 0
