"""Events as the engine and the fronts write them, and journals in given states, for these tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from state.canonical import digest
from state.events import New
from state.journal import Journal
from tickets.lifecycle import State

ROOT = Path(__file__).resolve().parents[2]
SPEC: dict[str, Any] = {"kind": "run", "goal": "Something to be done", "accept": ["standard"]}


def admitted(ticket: str = "TICKET-001", **spec: Any) -> New:
    """A ticket file that loads."""
    body = {"path": f"tickets/{ticket}.yaml", "spec": SPEC | spec, "needs": []}
    return New("ticket.admitted", body | {"revision": digest(SPEC | spec)}, ticket)


def broken(ticket: str = "TICKET-001", problem: str = "line 1: no goal") -> New:
    """A ticket file that does not load."""
    return New("ticket.broken", {"path": f"tickets/{ticket}.yaml", "problems": [problem]}, ticket)


def started(ticket: str = "TICKET-001", attempt: int = 1) -> New:
    """An attempt begins."""
    body = {"revision": "r", "spec": SPEC, "base_ref": "refs/heads/main", "base": "b" * 40}
    return New("attempt.started", body | {"branch": f"ticket/{ticket}"}, ticket, attempt)


def intent(ticket: str = "TICKET-001", attempt: int = 1, task: str = "work") -> New:
    """An action is about to be done."""
    body = {"key": f"{task}-key", "task": task, "title": "make it", "action": "Command", "args": {}}
    return New("action.intent", body, ticket, attempt)


def outcome(
    of: int, ticket: str = "TICKET-001", attempt: int = 1, task: str = "work", check: str = "", **body: Any
) -> New:
    """What became of the action whose intent has this seq; with a check, its receipt."""
    said: dict[str, Any] = {
        "key": f"{task}-key",
        "task": task,
        "intent": of,
        "status": "done",
        "seconds": 0.1,
    }
    if check:
        said["receipt"] = {
            "name": check, "side": "branch", "tree": "t", "revision": "r", "passed": True, "summary": "ok",
        }  # fmt: skip
    return New("action.outcome", said | body, ticket, attempt)


def proposed(
    ticket: str = "TICKET-001", attempt: int = 1, kind: str = "merge", about: str = "a", id_: str = ""
) -> New:
    """A proposal whose content is `about`."""
    subject = {"ticket": ticket, "about": about}
    name = digest(subject)
    body = {"id": id_ or name[:12], "digest": name, "kind": kind, "summary": f"{kind} {about}"}
    type_ = "merge.proposed" if kind == "merge" else "proposal.opened"
    return New(type_, body | {"subject": subject, "diff": ""}, ticket, attempt)


def about(type_: str, ticket: str = "TICKET-001", attempt: int = 0, **body: Any) -> New:
    """Any other event."""
    return New(type_, body, ticket, attempt)


def leading_to(state: State, ticket: str = "TICKET-001") -> list[New]:
    """The events that bring a new ticket into a state."""
    to_ready = [admitted(ticket), about("ticket.ready", ticket)]
    to_running = [*to_ready, started(ticket)]
    return {
        State.BROKEN: [broken(ticket)],
        State.BACKLOG: [admitted(ticket)],
        State.READY: to_ready,
        State.RUNNING: to_running,
        State.WAITING: [*to_running, about("attempt.waiting", ticket, 1, why="no model server")],
        State.REVIEW: [*to_running, proposed(ticket)],
        State.LANDED: [*to_running, about("attempt.landed", ticket, 1, commit="c" * 40)],
        State.FAILED: [*to_running, about("attempt.failed", ticket, 1, why="red")],
        State.CANCELLED: [*to_running, about("attempt.cancelled", ticket, 1, why="stopped")],
    }[state]


def filled(path: Path, tickets: int = 3, actions: int = 10) -> Journal:
    """A journal with some of everything; closed by whoever asked for it."""
    journal = Journal.open(path)
    for number in range(1, tickets + 1):
        ticket = f"TICKET-{number:03}"
        journal.append(*leading_to(State.RUNNING, ticket))
        for action in range(actions):
            (begun,) = journal.append(intent(ticket, task=f"task{action % 3}"))
            journal.append(outcome(begun.seq, ticket, task=f"task{action % 3}", check=f"check{action % 4}"))
        journal.append(proposed(ticket, about=ticket))
    return journal


def python(code: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """A process of its own that runs this code with the project importable."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(Path(__file__).parent)))}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def result(process: subprocess.Popen[str]) -> str:
    """What the process printed; its failure is the test's."""
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return out
