# ruff: noqa: E501  (bodies of events read best in one line)
"""Journals to look at: written through the journal's own door, with the event bodies the engine writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from state.blobs import Blobs
from state.canonical import digest
from state.events import New
from state.journal import Journal
from state.workspace import Workspace

NOW = 1_780_000_000_000
"""Milliseconds at which everything here happens."""
TREE = "5c1d9f0e4b7a83d26e915f84c0a7be3d9124f6a8"
BASE = "a3f8c2e19d4b6075f1e8a92c3d5b7e4f60182c9d"
HEAD = "77d0b4a6e2c95f183a6be0d4719c8f25e3ab6d01"


def diff_text(lines: int = 12) -> bytes:
    """A diff of one file, with so many added lines."""
    added = "".join(f"+    assert parse('{n}') == {n}\n" for n in range(lines))
    return (
        "diff --git a/calc/parse.py b/calc/parse.py\nindex 1f3a..9c2e 100644\n"
        "--- a/calc/parse.py\n+++ b/calc/parse.py\n"
        f"@@ -1,4 +1,{lines + 3} @@ def parse(text):\n"
        " import re\n \n-    return int(text)\n+    return int(text.strip())\n" + added + " # end\n"
    ).encode()


class Story:
    """Writes what happened to tickets."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace(root)
        self.journal = Journal.open(self.workspace.journal)
        self.blobs = Blobs(self.workspace.blobs)

    def close(self) -> None:
        """Done writing."""
        self.journal.close()

    def admit(self, id_: str, goal: str, kind: str = "run", **spec: Any) -> None:
        """A ticket file was read."""
        self.journal.append(self.admitted(id_, goal, kind, **spec))

    @staticmethod
    def admitted(id_: str, goal: str, kind: str = "run", **spec: Any) -> New:
        """The event of a ticket file that was read."""
        accept = spec.pop("accept", [{"run": "pytest -q"}])
        whole = {"kind": kind, "goal": goal, "accept": accept, **spec}
        needs = spec.get("needs", [])
        body = {"path": f"tickets/{id_}.yaml", "spec": whole, "revision": digest(whole), "needs": needs}
        return New("ticket.admitted", body, id_)

    def ready(self, id_: str) -> None:
        """All it needs has landed."""
        self.journal.append(New("ticket.ready", {}, id_))

    def start(self, id_: str, attempt: int = 1) -> None:
        """An attempt began."""
        ticket = self.journal.views.ticket(id_)
        assert ticket is not None
        body = {
            "revision": ticket.revision, "spec": ticket.spec, "base_ref": "refs/heads/main", "base": BASE,
            "branch": f"ticket/{id_}-work", "checks": [], "comment": "",
        }  # fmt: skip
        self.journal.append(New("ticket.ready", {}, id_), New("attempt.started", body, id_, attempt))

    def intend(self, id_: str, task: str, title: str, attempt: int = 1) -> int:
        """An action began; its seq."""
        body = {"key": f"{task}:{title}", "task": task, "title": title}
        return self.journal.append(New("action.intent", body, id_, attempt))[0].seq

    def act(
        self,
        id_: str,
        task: str,
        title: str,
        output: bytes = b"",
        status: str = "done",
        attempt: int = 1,
        **more: Any,
    ) -> None:
        """An action began and ended."""
        seq = self.intend(id_, task, title, attempt)
        body = {
            "key": f"{task}:{title}", "task": task, "intent": seq, "status": status, "exit": 0,
            "seconds": 1.4, "output": self.blobs.put(output) if output else "", "result": {}, **more,
        }  # fmt: skip
        self.journal.append(New("action.outcome", body, id_, attempt))

    def check(self, id_: str, name: str, side: str, passed: bool = True, attempt: int = 1) -> None:
        """A receipt was taken."""
        receipt = {
            "name": name, "side": side, "tree": TREE, "revision": "r1", "passed": passed,
            "summary": "3 passed in 0.12s" if passed else "1 failed, 2 passed",
        }  # fmt: skip
        exit_ = 0 if passed else 1
        output = b"....F\n1 failed\n" if not passed else b"...\n3 passed in 0.12s\n"
        self.act(id_, "check", f"{name} on the {side}", output, attempt=attempt, receipt=receipt, exit=exit_)

    def progress(self, id_: str, fraction: float, eta: Sequence[float] | None, attempt: int = 1) -> None:
        """An action said how far it is."""
        body = {"key": "k", "fraction": fraction, "eta": list(eta) if eta else None, "text": ""}
        self.journal.append(New("action.progress", body, id_, attempt))

    def propose_merge(
        self,
        id_: str,
        attempt: int = 1,
        diff: bytes = b"",
        receipts: Sequence[dict[str, Any]] = (),
        **more: Any,
    ) -> str:
        """A merge waits for a person; the proposal's id."""
        ticket = self.journal.views.ticket(id_)
        assert ticket is not None
        blob = self.blobs.put(diff or diff_text())
        taken = receipts or [
            {"check": "pytest -q", "side": side, "tree": TREE, "exit": 0, "output": "", "passed": True}
            for side in ("branch", "merged")
        ]
        subject = {
            "ticket": id_, "attempt": attempt, "revision": ticket.revision, "base_ref": "refs/heads/main",
            "base": BASE, "head": HEAD, "tree": TREE, "diff": blob, "changed": ["calc/parse.py"],
            "receipts": list(taken), "rollback": {"how": "revert", "rehearsed": "applies cleanly, checks pass"},
            "isolation": "none", **more,
        }  # fmt: skip
        name = digest(subject)
        summary = f"merge 1 file: {ticket.card.goal}"
        body = {
            "id": name[:12], "digest": name, "kind": "merge", "summary": summary, "subject": subject, "diff": blob,
        }  # fmt: skip
        self.journal.append(New("merge.proposed", body, id_, attempt))
        return name[:12]

    def ask(self, id_: str, kind: str, summary: str, attempt: int = 1, **subject: Any) -> str:
        """Something else waits for a person; the proposal's id."""
        whole = {"ticket": id_, "attempt": attempt, **subject}
        name = digest(whole)
        body = {"id": name[:12], "digest": name, "kind": kind, "summary": summary, "subject": whole}
        self.journal.append(New("proposal.opened", body, id_, attempt))
        return name[:12]

    def end(self, id_: str, how: str, why: str = "", attempt: int = 1, **body: Any) -> None:
        """The attempt ended."""
        self.journal.append(New(f"attempt.{how}", {"why": why, **body}, id_, attempt))


def busy(root: Path) -> Story:
    """A board on which something of everything happens."""
    story = Story(root)
    story.journal.append(New("engine.started", {"pid": 4711, "version": "0.1.0"}))
    story.admit("TICKET-101", "Reject duplicate keys when loading ticket YAML", "code", labels=["M0"],
                persona="coder", accept=[{"run": "pytest -q tests/loader", "red": True}, "standard"])  # fmt: skip
    story.admit("TICKET-102", "Number words up to a million, as a data set of worked steps", "datagen",
                labels=["M1"], accept=["schema", "deterministic", {"metric": "rows", "min": 20000}])  # fmt: skip
    story.admit("TICKET-103", "Fit a small model on the worked steps", "train", labels=["M1"],
                needs=["TICKET-102", "TICKET-101"], accept=["resumes", {"metric": "loss", "max": 0.4}])  # fmt: skip
    story.admit("TICKET-104", "Parse numbers with spaces around them", labels=["M0"],
                accept=[{"run": "pytest -q"}])  # fmt: skip
    story.admit("TICKET-105", "Sort the imports of every module", labels=["chore"], accept=["standard"])
    story.admit("TICKET-106", "Say in the README how to run the tests", labels=["docs"])
    story.admit("TICKET-107", "Speed up the tokenizer with a table", "code", labels=["M1"], persona="coder")
    story.admit("TICKET-108", "Drop support for Python 3.9", labels=["chore"])
    story.admit("TICKET-109", "Publish the wheel to the internal index", labels=["chore"])
    story.admit("TICKET-110", "Keep the order of keys when writing", "code", labels=["M0"], persona="coder")
    story.journal.append(
        New("ticket.blocked", {"needs": ["TICKET-102", "TICKET-101"]}, "TICKET-103"),
        New("ticket.broken", {"path": "tickets/TICKET-111.yaml", "problems": [
            "tickets/TICKET-111.yaml:4:3: acept: unknown key, did you mean `accept`?"]}, "TICKET-111"),
        New("ticket.ready", {}, "TICKET-106"), New("ticket.ready", {}, "TICKET-108"),
    )  # fmt: skip
    story.start("TICKET-101")
    story.act(
        "TICKET-101", "work", "pytest -q tests/loader", b"collected 14 items\n..............\n14 passed\n"
    )
    story.check("TICKET-101", "pytest -q tests/loader", "base")
    story.check("TICKET-101", "pytest -q tests/loader", "branch")
    story.intend("TICKET-101", "check", "standard on the branch")
    story.progress("TICKET-101", 0.62, (110, 260))
    story.start("TICKET-102")
    story.intend("TICKET-102", "run", "generate 20,000 rows")
    story.progress("TICKET-102", 0.18, None)
    story.start("TICKET-104")
    story.act("TICKET-104", "work", "sed -i s/int(text)/int(text.strip())/ calc/parse.py", b"")
    story.act("TICKET-104", "work", "black calc", b"reformatted calc/parse.py\n1 file reformatted.\n")
    story.check("TICKET-104", "pytest -q", "branch")
    story.check("TICKET-104", "pytest -q", "merged")
    story.act("TICKET-104", "land", "rehearse the rollback", b"")
    story.propose_merge("TICKET-104")
    story.start("TICKET-105")
    story.act("TICKET-105", "work", "ruff check --select I --fix", b"Found 12 errors (12 fixed).\n")
    story.end("TICKET-105", "landed", commit=HEAD)
    story.start("TICKET-107")
    story.journal.append(
        New("attempt.waiting", {"why": "no model server answers at 127.0.0.1:11434"}, "TICKET-107", 1)
    )
    story.start("TICKET-109")
    story.ask("TICKET-109", "network", "names pypi.internal: commands run without a network whatever you say",
              hosts=["pypi.internal"], commands=["twine upload --repository-url https://pypi.internal dist/*"],
              purpose="release 1.2", bytes=None, inside="none")  # fmt: skip
    story.start("TICKET-110")
    story.check("TICKET-110", "pytest -q", "branch", passed=False)
    story.end("TICKET-110", "failed", "pytest -q: 1 failed, 2 passed on the branch")
    return story


def many(root: Path, count: int) -> Story:
    """A board with many tickets in all columns."""
    story = Story(root)
    words = ("parser", "tokenizer", "loader", "trainer", "sampler", "checkpoint", "probe", "report")
    events: list[New] = []
    for n in range(1, count + 1):
        goal = f"Make the {words[n % 8]} do case {n} without a second pass over the data"
        id_ = f"TICKET-{n}"
        events.append(story.admitted(id_, goal, ("run", "code", "datagen")[n % 3], labels=[f"M{n % 5}"]))
        place = n % 10
        if place >= 3:
            events.append(New("ticket.ready", {}, id_))
        if place >= 5:
            body = {
                "revision": "r", "spec": {"accept": [{"run": "x"}]}, "base_ref": "refs/heads/main", "base": BASE,
                "branch": f"ticket/{id_}", "checks": [], "comment": "",
            }  # fmt: skip
            events.append(New("attempt.started", body, id_, 1))
        if place == 6:
            events.append(New("attempt.waiting", {"why": "no model server answers"}, id_, 1))
        if place >= 7:
            how, why = (("landed", ""), ("failed", "pytest -q: 2 failed"), ("cancelled", "by you"))[place % 3]
            events.append(New(f"attempt.{how}", {"why": why, "commit": HEAD}, id_, 1))
        if len(events) > 2000:
            story.journal.append(*events)
            events = []
    story.journal.append(*events)
    return story


def hostile(root: Path) -> Story:
    """Texts that try to steer the terminal or break the layout, in every place that takes text."""
    evil = (
        "\x1b[2J\x1b[31m\x1b]0;owned\x07\x9b31m\u202eesrever\u2066\u200b\ufeff"
        + "z\u0300" * 3 + "e" + "\u0301" * 200 + "\u5bbd\u5b57\U0001f468\u200d\U0001f469\u200d\U0001f467"
        + "\x00\x08\x7f\u2028\u2029\r\n\t\U000e0041\ue000 שלום עולם مرحبا"
    )  # fmt: skip
    story = Story(root)
    story.admit("TICKET-1", f"goal {evil}", persona=evil, labels=[evil], notes=evil, constraints=[evil])
    story.admit("TICKET-2", f"{evil} {evil}", accept=[{"run": evil}])
    story.start("TICKET-1")
    story.act("TICKET-1", f"task {evil}", f"title {evil}", f"out {evil}\n{evil}".encode("utf-8", "replace"))
    story.journal.append(New("attempt.waiting", {"why": evil}, "TICKET-1", 1))
    story.start("TICKET-2")
    story.check("TICKET-2", evil, "branch")
    data = f"diff --git a/{evil} b/x\n@@ -1 +1,2 @@\n a\n+{evil}\n".encode("utf-8", "replace")
    receipts = [{"check": evil, "side": "merged", "tree": TREE, "exit": 0, "output": "", "passed": True}]
    story.propose_merge("TICKET-2", diff=data, receipts=receipts, landing={"message": evil})
    story.journal.append(
        New("ticket.broken", {"path": f"tickets/{evil}", "problems": [evil]}, "TICKET-3"),
        New("engine.paused", {"why": evil, "pid": 1}),
    )
    return story
