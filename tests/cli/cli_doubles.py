"""A workspace to speak to by the command line, and events as the engine would have written them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from state.blobs import Blobs
from state.canonical import digest
from state.events import New
from state.journal import Journal
from state.workspace import Workspace

EVIL = "a\x1b]0;owned\x07b\x1b[2Jc\x9b31md\u202ee\u2066f\u200bg\rh\ni\x00j\x7fk"
"""Text that steers a terminal in every way there is."""

SPEC: dict[str, Any] = {"kind": "run", "goal": "Something to be done", "accept": ["standard"]}
REVISION = digest(SPEC)

TICKET = """\
kind: run
goal: Write a greeting into a file
with:
  steps: ["python -c \\"open('greeting.txt', 'w').write('hello')\\""]
accept:
  - file: greeting.txt
    contains: {contains}
"""


def environment(home: Path, **more: str) -> dict[str, str]:
    """No setting of this machine plays a part, and git knows nobody."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "PYTEST", "COV"))}
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "OLLAMA_HOST", "PYTHONPATH"):
        kept.pop(name, None)
    return kept | {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "TERM": "xterm-256color"} | more


def jetbox(*arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a program does: no terminal on any side."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "orchestrator.main", *arguments],
        cwd=cwd,
        env=environment(cwd, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def git(root: Path, *arguments: str) -> str:
    """Run git in a repository."""
    done = subprocess.run(
        ["git", "-C", str(root), *arguments],
        env=environment(root),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@dataclass(frozen=True)
class Place:
    """A repository with one commit, and its journal."""

    workspace: Workspace

    @property
    def root(self) -> Path:
        return self.workspace.root

    def write(self, *events: New) -> None:
        """Have the engine have written these."""
        journal = Journal.open(self.workspace.journal)
        try:
            journal.append(*events)
        finally:
            journal.close()

    def types(self) -> list[str]:
        """The types of all events so far."""
        journal = Journal.read(self.workspace.journal)
        try:
            return [event.type for event in journal.events()]
        finally:
            journal.close()

    def ticket(self, id_: str = "TICKET-001", contains: str = "hello") -> None:
        """A ticket file that a real engine can run; with another `contains` its check is red."""
        self.workspace.tickets.mkdir(exist_ok=True)
        (self.workspace.tickets / f"{id_}.yaml").write_text(TICKET.format(contains=contains))

    def blob(self, data: bytes) -> str:
        """A stored blob's name."""
        return Blobs(self.workspace.blobs).put(data)


def admitted(ticket: str = "TICKET-001", **spec: Any) -> New:
    """A ticket file that loads."""
    body = {"path": f"tickets/{ticket}.yaml", "spec": SPEC | spec, "revision": REVISION, "needs": []}
    return New("ticket.admitted", body, ticket)


def started(ticket: str = "TICKET-001", attempt: int = 1) -> list[New]:
    """Ready, and an attempt begun."""
    body = {"revision": REVISION, "spec": SPEC, "base_ref": "refs/heads/main", "base": "b" * 40}
    body |= {"branch": f"ticket/{ticket}", "comment": ""}
    return [New("ticket.ready", {}, ticket), New("attempt.started", body, ticket, attempt)]


def proposed(
    ticket: str = "TICKET-001", kind: str = "merge", summary: str = "merge 1 file", **more: Any
) -> New:
    """A proposal with all that a merge's subject holds."""
    subject: dict[str, Any] = {
        "ticket": ticket,
        "attempt": 1,
        "base_ref": "refs/heads/main",
        "base": "b" * 40,
        "tree": "c" * 40,
        "changed": ["src/greeting.py"],
        "receipts": [{"check": "unit tests", "side": "branch", "tree": "c" * 40, "exit": 0, "passed": True}],
        "rollback": {"how": "revert", "rehearsed": "gives back tree bbbb"},
        "isolation": "none",
    } | more
    name = digest(subject)
    body = {"id": name[:12], "digest": name, "kind": kind, "summary": summary, "subject": subject}
    type_ = "merge.proposed" if kind == "merge" else "proposal.opened"
    return New(type_, body | {"diff": more.get("diff", "")}, ticket, 1)
