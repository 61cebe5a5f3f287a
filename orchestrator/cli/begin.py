"""Verbs to begin with: init, demo, new, check, schema."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import output
from orchestrator.cli.look import Json
from orchestrator.cli.output import Exit, Wrong, line

if TYPE_CHECKING:
    from state.workspace import Workspace
    from tickets.load import Loaded
    from tickets.problems import Problem

_SETTINGS = """\
# Settings of Jetbox for this project. Each may be left out.

# The branch that tickets land on.
{base}

# How many tickets run at once.
parallel: 2
"""


def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="A folder of a git repository.")] = Path(),
) -> int:
    """Set a repository up. Touches nothing that is there.

    Makes `jetbox.yaml` and `tickets/`, and `.jetbox/` and `runs/`, which git ignores by themselves.

    Example:
      jetbox init
    """
    from orchestrator.cli.repository import branch
    from orchestrator.workspaces import find, set_up, write_new

    workspace = find(folder)
    set_up(workspace)
    base = branch(workspace)
    text = _SETTINGS.format(base=f"base: {_yaml(base)}" if base else "# base: main")
    made = [workspace.config.name] if write_new(workspace.config, text) else []
    if not workspace.tickets.exists():
        workspace.tickets.mkdir()
        made.append(f"{workspace.tickets.name}/")
    line(f"Made {' and '.join(made)} in {workspace.root}" if made else f"All is there in {workspace.root}")
    line('Next: `jetbox new run "what is wanted"` writes a ticket, `jetbox` opens the cockpit')
    return 0


def demo(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Where to make it. Default: ./jetbox-demo.")
    ] = None,
    headless: Annotated[
        bool, typer.Option("--headless", help="No screen: run it through and print what landed.")
    ] = False,
) -> int:
    """Make a sample project with tickets, and run it.

    On a terminal the cockpit opens on it, and you approve. With --headless the demo approves what it
    contains itself, prints how every ticket ended, and exits 0 when each ended as it should.

    Example:
      jetbox demo
      jetbox demo /tmp/try --headless
    """
    from orchestrator import demo as demos

    if not headless and not output.can_ask():
        raise Wrong("the cockpit needs a terminal: `jetbox demo --headless` runs the demo without one")
    from orchestrator import demo_toy

    root = demos.make(folder)
    line(f"A project with {len(demos.script().tickets)} tickets, made in {root}")
    toy = demo_toy.start(root)
    if toy is None:
        from orchestrator.providers.embedded_link import INSTALL

        line(f"{demos.script().toy.ticket} is for a model: start Ollama, or {INSTALL} and make the demo anew")
    if headless:
        from orchestrator.cli.demo_report import play

        return play(root, toy)
    from orchestrator.main import cockpit

    return cockpit(root)


def new(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="run, code, datagen, train or eval.")],
    goal: Annotated[str, typer.Argument(metavar="GOAL", help="What is wanted, in 8 to 240 characters.")],
) -> int:
    """Write a ticket with the next free id, ready to edit.

    Example:
      jetbox new run "Sort the imports of every module"
    """
    from orchestrator.cli.reading import here
    from orchestrator.kinds.base import installed
    from tickets import folder
    from tickets.problems import did_you_mean, listed
    from tickets.templates import template

    workspace, kinds = here(), installed()
    if kind not in kinds:
        raise Wrong(f"no kind {kind!r}, there is {listed(kinds)}{did_you_mean(kind, kinds)}")
    text = template(kind, goal, kinds[kind])
    path = folder.create(workspace.root, text, _taken(workspace))
    line(path.relative_to(workspace.root).as_posix())
    return 0


def backlog(
    chain: Annotated[
        str, typer.Argument(metavar="[CHAIN]", help="Which chain to take into this repository.")
    ] = "",
) -> int:
    """Take a chain of tickets that is shipped with Jetbox into this repository.

    Without a name it lists the chains. The tickets get the next free ids; read and edit them as your own.
    They need the extra `model`.

    Example:
      jetbox backlog
      jetbox backlog small
    """
    from orchestrator.cli.reading import here
    from tickets import chains
    from tickets.problems import did_you_mean, listed
    from tickets.strict_yaml import read

    known = chains.names()
    if not chain:
        for name in known:
            line(name)
            for text in chains.read(name).values():
                root = read(text.encode(), name).root
                line(f"  {root.value['goal']}" if root is not None else "")
        return 0
    if chain not in known:
        raise Wrong(f"no chain {chain!r}, there is {listed(known)}{did_you_mean(chain, known)}")
    workspace = here()
    for path in chains.take(workspace.root, chain, _taken(workspace)):
        line(path.relative_to(workspace.root).as_posix())
    line("Next: `jetbox run` works on them in order, `jetbox inbox` shows what waits for you")
    return 0


def _taken(workspace: Workspace) -> list[str]:
    """The ids with a history: a number whose file is gone still names its own."""
    from state.errors import JournalError
    from state.journal import Journal

    with contextlib.suppress(JournalError):
        journal = Journal.read(workspace.journal)
        try:
            return list(journal.views.files())
        finally:
            journal.close()
    return []


def check(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE...]", help="Tickets. Default: all of them.")
    ] = None,
    json: Json = False,
) -> int:
    """Validate tickets: every fault, at its place.

    Example:
      jetbox check
      jetbox check tickets/TICKET-007.yaml
    """
    from orchestrator.cli import models
    from orchestrator.cli.reading import here

    count, problems = faults(here(), [path.absolute() for path in files or ()])
    if json:
        output.json_object(
            models.CheckReport(
                ok=not problems,
                files=count,
                problems=[
                    models.Problem(
                        file=p.file, line=p.line, column=p.column, field=p.field, message=p.message
                    )
                    for p in problems
                ],
            )
        )
    else:
        for problem in problems:
            print(output.safe(problem))
        if not problems:
            line(f"{count} ticket{'s' if count != 1 else ''}, no fault")
    return Exit.WRONG if problems else Exit.DONE


def faults(workspace: Workspace, wanted: list[Path]) -> tuple[int, list[Problem]]:
    """How many files were asked for, and what is wrong with them, with the graph they are part of."""
    from orchestrator import config, personas
    from orchestrator.checks import BUILT_IN
    from orchestrator.kinds.base import installed
    from orchestrator.models import catalogue
    from tickets import folder, graph
    from tickets.load import load_ticket
    from tickets.problems import TicketError
    from tickets.values import is_ticket_id

    found: list[Problem] = []
    names: frozenset[str] | None = None
    try:
        names = frozenset(BUILT_IN) | frozenset(config.load(workspace).checks)
        catalogue.load(workspace)
    except TicketError as error:
        found += error.problems
    kinds, known = installed(), folder.scan(workspace.root)
    who = personas.working(workspace.personas)
    every = {file.path.absolute(): id_ for id_, file in known.items()}
    loaded: list[Loaded] = []
    asked = list(dict.fromkeys(wanted)) or list(every)
    for path in dict.fromkeys([*every, *asked]):
        try:
            ticket = load_ticket(_within(path, workspace.root), workspace.root, kinds, names, who)
        except TicketError as error:
            if path in asked:
                found += error.problems
        else:
            if path in asked or path in every:
                loaded.append(ticket)
    shown = {ticket.id for ticket in loaded if (workspace.root / ticket.path) in map(_resolved, asked)}
    ids = {id_ for id_ in known if is_ticket_id(id_)} | {ticket.id for ticket in loaded}
    for id_, problems in graph.problems(loaded, ids).items():
        if id_ in shown:
            found += problems
    return len(asked), found


def _within(path: Path, root: Path) -> Path:
    """A path as the repository's root spells it, where it lies inside."""
    resolved = _resolved(path)
    return resolved if resolved.is_relative_to(root) else path


def _resolved(path: Path) -> Path:
    """The folder resolved and the name kept: whether the file itself is a link is the loader's to see."""
    return path.parent.resolve() / path.name


def schema(
    name: Annotated[str, typer.Argument(metavar="NAME", help="`ticket`, `event`, or what `--json` prints.")],
) -> int:
    """Print a JSON Schema.

    Of a ticket, for editors; of a status event, a line of `.jetbox/status.jsonl`; or of what a verb prints
    with `--json`.

    Names: ticket, persona, event, proposal, status, inbox, log, show, personas, check, verify, doctor, data,
    train, eval, runs, core; reflection: a line of `.jetbox/reflections/`;
    api: OpenAPI of what `jetbox serve` answers.

    Example:
      jetbox schema ticket > ticket.schema.json
    """
    from orchestrator.cli import models

    found = models.schema(name)
    if found is None:
        from tickets.problems import did_you_mean, listed

        known = models.names()
        raise Wrong(f"no schema {name!r}, there is {listed(known)}{did_you_mean(name, known)}")
    output.json_object(found)
    return 0


def _yaml(text: str) -> str:
    """A branch's name as YAML reads it back."""
    from tickets.templates import scalar

    return scalar(text)
