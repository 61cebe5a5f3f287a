"""Verbs around an agent: `do` says a ticket and follows it, `replay` goes through a recorded attempt."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import output
from orchestrator.cli.look import Json, TicketId
from orchestrator.cli.output import Exit, Failed, Wrong, complain, line, seconds

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.agent.replay import Step
    from state.events import Event
    from state.stream import Piece, Reader
    from state.views import Card, Proposal
    from state.workspace import Workspace

_POLL = 0.1


def do(
    goal: Annotated[str, typer.Argument(metavar="GOAL", help="What is wanted, in 8 to 240 characters.")],
    check: Annotated[
        list[str] | None,
        typer.Option("--check", metavar="CMD", help="Exits 0 when it is done; may be given again."),
    ] = None,
    path: Annotated[
        list[str] | None,
        typer.Option("--path", metavar="GLOB", help="What may be changed; may be given again."),
    ] = None,
    persona: Annotated[str, typer.Option(help="Who does it; `jetbox personas` lists them.")] = "coder",
    plan: Annotated[bool, typer.Option(help="Make a plan first.")] = True,
) -> int:
    """Have a local model do one thing, and watch it. Nothing is merged before you say so.

    It is a ticket like any other, kept under .jetbox and not in git: `jetbox show` and `jetbox replay` know
    it. Without --check the project's own `standard` check is taken, or the one for its language.

    Example:
      jetbox do "Add a --verbose flag to the command line" --check "python -m pytest -q"
    """
    import json

    from orchestrator.cli.reading import here
    from orchestrator.workspaces import set_up
    from tickets import folder

    workspace = here()
    set_up(workspace)
    accept: list[Any] = [{"run": each} for each in check or ()] or _usual(workspace)
    spec: dict[str, Any] = {"kind": "code", "goal": goal, "accept": accept, "persona": persona}
    if path:
        spec["paths"] = path
    if not plan:
        spec["with"] = {"plan": False}
    made = folder.create(
        workspace.root, json.dumps(spec, indent=2) + "\n", _taken(workspace), folder.EPHEMERAL
    )
    _valid(workspace, made)
    line(f"{made.stem}: {goal}", "head")
    return _follow(workspace, made.stem)


def _usual(workspace: Workspace) -> list[str]:
    """The check that is taken where none is named."""
    from orchestrator import config

    if "standard" in config.load(workspace).checks and workspace.checks.is_file():
        return ["standard"]
    for gate, marks in (("go", "go.mod"), ("python", "*.py"), ("java", "*.java"), ("web-smoke", "*.html")):
        if any(workspace.root.glob(marks)) or any(workspace.root.glob(f"*/{marks}")):
            return [gate]
    raise Wrong('say how it is accepted: --check "CMD", a command that exits 0 when it is done')


def _taken(workspace: Workspace) -> list[str]:
    """Ids of the journal: a number whose file is gone still names its history."""
    from state.errors import JournalError
    from state.journal import Journal

    try:
        journal = Journal.read(workspace.journal)
    except JournalError:
        return []
    try:
        return list(journal.views.files())
    finally:
        journal.close()


def _valid(workspace: Workspace, made: Path) -> None:
    """A ticket that does not load is told at once, and leaves nothing."""
    from orchestrator.cli.begin import faults
    from tickets.problems import TicketError

    _, problems = faults(workspace, [made])
    if problems:
        made.unlink()
        raise TicketError(problems)


def _follow(workspace: Workspace, ticket: str) -> int:
    """Run it, or watch the engine that does, and ask whatever it asks, until it rests."""
    while True:
        _work(workspace, ticket)
        card, asks = _state(workspace, ticket)
        if card is None or not asks or card.state in ("landed", "failed", "cancelled"):
            break
        if not output.can_ask():
            for found in asks:
                complain(f"waits for you: {found.summary} (`jetbox inbox`)")
            return Exit.PERSON
        for found in asks:
            if not _asked(workspace, found):
                return Exit.PERSON
    if card is None:
        raise Failed(f"{ticket} is not known: `jetbox status` shows what is")
    if card.state == "landed":
        line(f"{ticket} landed", "landed")
        return Exit.DONE
    complain(f"{ticket} {card.state}: {card.note}")
    return Exit.FAILED if card.state in ("failed", "cancelled") else Exit.PERSON


def _state(workspace: Workspace, ticket: str) -> tuple[Card | None, list[Proposal]]:
    from orchestrator.cli.reading import reading

    with reading(workspace) as journal:
        found = journal.views.ticket(ticket)
        return (found.card if found else None), [p for p in journal.views.inbox() if p.ticket == ticket]


def _work(workspace: Workspace, ticket: str) -> None:
    """Until the ticket ends or waits: in this process where no engine runs, else beside the one that does."""
    from contextlib import suppress

    from orchestrator.service import EngineRunning, serve

    teller, ended = _Teller(workspace, ticket), threading.Event()
    watcher = threading.Thread(target=teller.watch, args=(ended,), daemon=True)
    watcher.start()
    rests = False
    try:
        while not rests:
            with suppress(EngineRunning):
                serve(workspace, only=frozenset((ticket,)), until_idle=True, follow=teller.hear)
                return
            rests = _beside(workspace, ticket, teller.hear)
    finally:
        ended.set()
        watcher.join()


def _beside(workspace: Workspace, ticket: str, follow: Callable[[Event], None]) -> bool:
    """Another process works: tell what it writes, until the ticket rests; False where that process ends."""
    from state.journal import Journal
    from state.lock import holder

    journal = Journal.read(workspace.journal)
    try:
        seen = journal.head()[0]
        while True:
            works = holder(workspace.lock) is not None
            for event in journal.events(after=seen):
                seen = event.seq
                follow(event)
            found = journal.views.ticket(ticket)
            if found is not None and found.card.state not in ("backlog", "ready", "running"):
                return True
            if not works:
                return False
            time.sleep(_POLL)
    finally:
        journal.close()


class _Teller:
    """Tells a ticket's events, and on a terminal what its model says while it says it."""

    def __init__(self, workspace: Workspace, ticket: str) -> None:
        self._workspace, self._ticket = workspace, ticket
        self._lock = threading.Lock()
        self._reader: Reader | None = None
        self._told = 0  # characters of the present call's reply
        self._within = False  # a line has been begun
        self._open = False  # a call is shown whose end has not been heard of
        self._next: list[Piece] | None = None  # of the call after it, kept back until then

    def watch(self, ended: threading.Event) -> None:
        """Tell what comes of the stream, until the end."""
        while output.is_terminal() and not ended.wait(_POLL):
            with self._lock:
                self._stream()

    def hear(self, event: Event) -> None:
        """Tell an event."""
        from orchestrator.cli.telling import telling, told
        from state.stream import Reader

        if event.ticket != self._ticket:
            return
        with self._lock:
            if event.attempt and output.is_terminal():
                path = self._workspace.stream(self._ticket, event.attempt)
                if self._reader is None or self._reader.path != path:
                    self._reader = Reader(path)
                if event.type == "action.outcome" and str(event.body["key"]).startswith("call:"):
                    self._rest(str(event.body["result"].get("reply") or ""))
            if telling(event):
                self._break()
                print(told(event), flush=True)

    def _stream(self) -> None:
        anew, pieces = self._reader.more() if self._reader else (False, [])
        if anew and self._open:
            self._next = []
        if self._next is not None:
            self._next += pieces
        else:
            self._show(pieces)

    def _show(self, pieces: Sequence[Piece]) -> None:
        for sort, text in pieces:
            if sort in ("call", "note"):
                self._break()
                line(text, "head" if sort == "call" else "waiting")
            else:
                self._print(text, "faint" if sort == "think" else "")
                self._told += len(text) if sort == "text" else 0
            self._open = True

    def _rest(self, reply: str) -> None:
        """A reply has ended: what the stream has not shown of it comes from its record."""
        from state.blobs import Blobs

        self._stream()
        if reply:
            whole = Blobs(self._workspace.blobs).get(reply).decode("utf-8", "replace")
            self._print(whole[self._told :], "")
        self._break()
        kept, self._next, self._open, self._told = self._next, None, False, 0
        self._show(kept or ())

    def _print(self, text: str, role: str) -> None:
        from state.safe_text import safe_lines

        if text:
            end = "\n" if text.endswith("\n") else ""
            sys.stdout.write(output.paint("\n".join(safe_lines(text)), role) + end)
            sys.stdout.flush()
            self._within = not end

    def _break(self) -> None:
        if self._within:
            print()
            self._within = False


def _asked(workspace: Workspace, found: Proposal) -> bool:
    """Put one question to the person; False when they leave it open."""
    from orchestrator import seals
    from orchestrator.cli import words as spoken
    from orchestrator.cli.reading import speaking
    from state import words

    print()
    if found.subject.get("options"):
        text = spoken.chosen(found)
        if text:
            with speaking(workspace) as journal:
                words.answer(journal, found.id, found.digest, text, sealer=seals.yours())
        return bool(text)
    spoken.render(workspace, found)
    typed = spoken.confirmed(found)
    if not typed:
        line(f"Nothing was approved. `jetbox approve {found.id}` or `jetbox deny {found.id} --reason R`")
        return False
    with speaking(workspace) as journal:
        signoff = f"jetbox do: {typed}, {found.ticket}"
        words.approve(journal, found.id, found.digest, sealer=seals.yours(), signoff=signoff)
    return True


# Replay ---------------------------------------------------------------------------------------------


def replay(
    id: TicketId,
    attempt: Annotated[int, typer.Option(min=0, help="Which one; the last where it is left out.")] = 0,
    json: Json = False,
) -> int:
    """Go through a recorded attempt again, offline. Exits 1 at the first difference.

    Every request to a model is made again and compared with the recorded one, every edit is made again in a
    scratch folder and its files compared. Replies and what commands said come from the recording.

    Example:
      jetbox replay TICKET-005
    """
    from orchestrator import config
    from orchestrator.agent.replay import replay as again
    from orchestrator.checks import resolve
    from orchestrator.cli.reading import here, reading
    from orchestrator.git import Repo
    from orchestrator.service import author

    workspace = here()
    with reading(workspace) as journal:
        found = journal.views.ticket(id)
        if found is None:
            raise Failed(f"no ticket {id}: `jetbox status` lists them")
        number = attempt or found.card.attempt
        events = journal.events(ticket=id, attempt=number)
    started = next((event for event in events if event.type == "attempt.started"), None)
    if started is None or started.body["spec"]["kind"] != "code":
        raise Failed(f"{id} has no recorded attempt {number or ''} of a model's: there is nothing to replay")
    settings, repo = config.load(workspace), Repo.open(workspace.root)
    checks = resolve(started.body["spec"]["accept"], settings.checks)
    began = time.monotonic()
    steps: list[Step] = []
    for step in again(workspace, repo, events, checks, author(repo), settings.policy.programs):
        steps.append(step)
        if not json:
            said = f"differs: {step.fault}" if step.fault else "the same"
            line(f"  {_short(step.key):<10} {step.title[:50]:<50} {said}", "failed" if step.fault else "")
    took, recorded = time.monotonic() - began, _recorded_seconds(events)
    fault = steps[-1].fault if steps else "nothing is recorded"
    if json:
        output.json_object(
            {
                "ticket": id,
                "attempt": number,
                "identical": not fault,
                "steps": [step.__dict__ for step in steps],
                "seconds": round(took, 3),
                "recorded_seconds": round(recorded, 3),
            }
        )
    elif not fault:
        times = f", {recorded / took:.0f} times as fast" if took and recorded > took else ""
        calls = sum(step.key.startswith("call:") for step in steps)
        line(
            f"Identical: {len(steps)} steps, {calls} of them replies; {seconds(took)} for what took"
            f" {seconds(recorded)}{times}",
            "landed",
        )
    else:
        complain(f"{id} differs at step {len(steps)}, {steps[-1].key if steps else 'the first'}: {fault}")
    return Exit.FAILED if fault else Exit.DONE


def _short(key: str) -> str:
    """A key without its long parts."""
    return ":".join(part[:8] for part in key.split(":")[:2])


def _recorded_seconds(events: Sequence[Event]) -> float:
    """What the agent's own steps took when they were recorded."""
    ends = [event for event in events if event.type == "action.outcome"]
    agents = ("call", "act", "probe", "back", "adopt", "check")
    return sum(
        float(event.body.get("seconds") or 0.0)
        for event in ends
        if str(event.body["key"]).partition(":")[0] in agents
    )
