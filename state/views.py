"""What fronts read: small frozen records out of the views, each by one indexed query."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any, NamedTuple

from state.canonical import loads
from state.errors import reading
from state.events import Event

_CARD = (
    "id, state, kind, goal, persona, labels, needs, attempt, progress, eta_low, eta_high,"
    " green, red, unknown, note, asked, since, changed"
)
_VISIBLE = "(removed = 0 OR attempt > 0)"


class Card(NamedTuple):
    """One ticket on the board. `labels` and `needs` are JSON lists, parsed only where they are shown."""

    id: str
    state: str
    kind: str
    goal: str
    persona: str
    labels: str
    needs: str
    attempt: int
    progress: float | None  # 0 to 1
    eta_low: float | None  # seconds
    eta_high: float | None
    green: int
    red: int
    unknown: int
    note: str
    asked: str
    since: int  # ms of wall clock
    changed: int  # seq of an event: another one means that there is news


class Ticket(NamedTuple):
    """One ticket in full."""

    card: Card
    path: str
    revision: str
    removed: bool
    comment: str
    spec: dict[str, Any]
    problems: list[str]


class Attempt(NamedTuple):
    """One try at a ticket."""

    ticket: str
    number: int
    state: str
    revision: str
    base_ref: str
    base: str
    branch: str
    commit: str
    artifact: dict[str, Any]
    started: int
    ended: int | None
    why: str


class Node(NamedTuple):
    """A task or an action of the tree below a ticket's goal. `output` names a blob."""

    id: str
    parent: str
    level: str  # task, action
    title: str
    state: str  # running, done, failed, interrupted
    started: int
    ended: int | None
    seconds: float | None
    output: str
    detail: dict[str, Any]
    seq: int


class Receipt(NamedTuple):
    """What one check gave on one tree. `output` names a blob."""

    name: str
    side: str  # base, branch, merged, artifact
    tree: str
    revision: str
    passed: bool
    summary: str
    exit: int | None
    output: str
    seconds: float | None
    at: int
    seq: int
    skipped: str = ""  # why it could not be taken, which is neither green nor red


class Proposal(NamedTuple):
    """Something that needs a person. `diff` names a blob, '' where there is none."""

    id: str
    kind: str  # merge, start, core, network, question
    ticket: str
    attempt: int
    digest: str
    summary: str
    subject: dict[str, Any]
    diff: str
    state: str  # open, approved, denied, stale, used
    reason: str
    by: str
    since: int
    decided: int | None
    changed: int


class Session(NamedTuple):
    """One run of the engine: the latest."""

    seq: int  # of its engine.started
    at: int  # ms of wall clock
    open: bool  # as far as the journal knows: one that was killed has not said so
    isolation: str  # what holds its commands; none: nothing does; '': not chosen yet
    tried: list[list[Any]]  # names of what was tried, and whether it held
    consent: dict[str, Any]  # a person's word that commands may run without a sandbox; {} while there is none


def verdict(passed: bool, side: str, skipped: str = "") -> str:
    """A receipt in words. On the base only `red` checks are run, and there they have to fail."""
    if skipped:
        return f"skipped on the {'merge result' if side == 'merged' else side}"
    if side == "base":
        return "fails on the base, as it has to" if passed else "passes on the base already"
    return f"{'green' if passed else 'red'} on the {'merge result' if side == 'merged' else side}"


SEVERITY = ("core", "network", "merge", "start", "question")
"""The inbox's order, most severe first."""


class Views:
    """Queries over the views of one connection."""

    def __init__(self, db: sqlite3.Connection, lock: threading.RLock, path: Path) -> None:
        self._db = db
        self._lock = lock
        self._path = path

    def _all(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with reading(self._path), self._lock:
            return self._db.execute(query, values).fetchall()

    def _one(self, query: str, values: tuple[Any, ...] = ()) -> tuple[Any, ...] | None:
        with reading(self._path), self._lock:
            row: tuple[Any, ...] | None = self._db.execute(query, values).fetchone()
            return row

    def _json(self, text: str) -> Any:
        with reading(self._path):
            return loads(text)

    def board(self) -> list[Card]:
        """Every visible ticket, by id."""
        return list(map(Card._make, self._all(f"SELECT {_CARD} FROM tickets WHERE {_VISIBLE} ORDER BY id")))

    def changed_since(self, seq: int) -> tuple[list[Card], list[str]]:
        """Cards of the tickets that events after `seq` are about, and ids that are to be shown no more.

        `changed` is the last of these events here, also where it changed nothing on the card itself.
        """
        card = _CARD.removesuffix("changed") + "news.seq"
        rows = self._all(
            f"SELECT {card}, {_VISIBLE} FROM tickets JOIN (SELECT ticket, max(events.seq) AS seq FROM events"
            " WHERE events.seq > ? GROUP BY ticket) AS news ON id = news.ticket",
            (seq,),
        )
        shown = [Card._make(row[:-1]) for row in rows if row[-1]]
        return shown, [row[0] for row in rows if not row[-1]]

    def in_state(self, *states: str) -> list[Card]:
        """Tickets in these states whose files are there, by id."""
        marks = ",".join("?" * len(states))
        query = f"SELECT {_CARD} FROM tickets WHERE state IN ({marks}) AND removed = 0 ORDER BY id"
        return list(map(Card._make, self._all(query, states)))

    def live(self) -> list[Card]:
        """Tickets with an open attempt, whether or not their files are there, by id."""
        query = f"SELECT {_CARD} FROM tickets WHERE state IN ('running','waiting','review') ORDER BY id"
        return list(map(Card._make, self._all(query)))

    def asked(self) -> list[Card]:
        """Tickets about which a person has said something that the engine has yet to carry out."""
        return list(map(Card._make, self._all(f"SELECT {_CARD} FROM tickets WHERE asked != '' ORDER BY id")))

    def states(self, ids: list[str]) -> dict[str, str]:
        """The states of these tickets; unknown ids are left out."""
        found: dict[str, str] = {}
        for start in range(0, len(ids), 500):
            part = tuple(ids[start : start + 500])
            marks = ",".join("?" * len(part))
            found.update(self._all(f"SELECT id, state FROM tickets WHERE id IN ({marks})", part))
        return found

    def counts(self) -> dict[str, int]:
        """How many visible tickets are in each state."""
        return dict(self._all(f"SELECT state, count(*) FROM tickets WHERE {_VISIBLE} GROUP BY state"))

    def ticket(self, id_: str) -> Ticket | None:
        """One ticket in full."""
        row = self._one(
            f"SELECT {_CARD}, path, revision, removed, comment, spec, problems"
            " FROM tickets JOIN specs USING (id) WHERE id = ?",
            (id_,),
        )
        if row is None:
            return None
        path, revision, removed, comment, spec, problems = row[-6:]
        card = Card._make(row[:-6])
        return Ticket(card, path, revision, bool(removed), comment, self._json(spec), self._json(problems))

    def wish(self, id_: str) -> tuple[str, str]:
        """What a person has asked of a ticket, and the revision of its file: what a live attempt heeds."""
        row = self._one("SELECT asked, revision FROM tickets WHERE id = ?", (id_,))
        return (str(row[0]), str(row[1])) if row else ("", "")

    def taken(self, ticket: str, attempt: int) -> bool:
        """Whether a person works in the attempt's worktree now."""
        row = self._one(
            "SELECT type FROM events WHERE ticket = ? AND ticket != '' AND attempt = ?"
            " AND type IN ('asked.take-over', 'asked.hand-back') ORDER BY seq DESC LIMIT 1",
            (ticket, attempt),
        )
        return row is not None and row[0] == "asked.take-over"

    def artifacts(self, ids: list[str]) -> dict[str, dict[str, Any]]:
        """The artifact that each of these tickets landed last; those without one are left out."""
        found: dict[str, dict[str, Any]] = {}
        for id_ in ids:
            row = self._one(
                "SELECT artifact FROM attempts WHERE ticket = ? AND state = 'landed'"
                " ORDER BY number DESC LIMIT 1",
                (id_,),
            )
            if row and row[0] not in ("", "{}"):
                found[id_] = self._json(row[0])
        return found

    def files(self) -> dict[str, tuple[str, str, str, bool]]:
        """Each known ticket's path, spec and problems (canonical JSON), and whether its file is gone."""
        rows = self._all("SELECT id, path, spec, problems, removed FROM tickets JOIN specs USING (id)")
        return {row[0]: (row[1], row[2], row[3], bool(row[4])) for row in rows}

    def attempts(self, ticket: str) -> list[Attempt]:
        """All tries at a ticket, oldest first."""
        rows = self._all(
            "SELECT ticket, number, state, revision, base_ref, base, branch, commit_id, artifact, started,"
            " ended, why FROM attempts WHERE ticket = ? ORDER BY number",
            (ticket,),
        )
        return [Attempt._make((*row[:8], self._json(row[8] or "{}"), *row[9:])) for row in rows]

    def nodes(self, ticket: str, attempt: int) -> list[Node]:
        """The tree below a ticket's goal, in the order things began; a task is what its last action is."""
        rows = self._all(
            "SELECT nodes.seq, task, title, state, started, ended, seconds, coalesce(events.body, '{}')"
            " FROM nodes LEFT JOIN events ON events.seq = nodes.outcome"
            " WHERE nodes.ticket = ? AND nodes.attempt = ? ORDER BY nodes.seq",
            (ticket, attempt),
        )
        last = {row[1]: row for row in rows}
        found: list[Node] = []
        with reading(self._path):
            for seq, task, title, state, started, ended, seconds, body in rows:
                if task in last:
                    _, _, _, now, _, over, _, _ = last.pop(task)
                    found.append(Node(task, "", "task", task, now, started, over, None, "", {}, seq))
                said = loads(body)
                output, result = said.get("output", ""), said.get("result") or {}
                id_, when = f"{task}/{seq}", (started, ended, seconds)
                found.append(Node(id_, task, "action", title, state, *when, output, result, seq))
        return found

    def event_seqs(self, ticket: str, after: int = 0) -> list[int]:
        """The seqs of a ticket's events, in order: from the index alone."""
        query = "SELECT seq FROM events WHERE ticket = ? AND ticket != '' AND seq > ? ORDER BY seq"
        return [row[0] for row in self._all(query, (ticket, after))]

    def events_at(self, seqs: list[int]) -> list[Event]:
        """The events with these seqs (some hundreds at most), in order."""
        marks = ",".join("?" * len(seqs))
        query = f"SELECT seq, at, ticket, attempt, type, body FROM events WHERE seq IN ({marks}) ORDER BY seq"
        rows = self._all(query, tuple(seqs))
        return [Event(row[0], row[1], row[2], row[3], row[4], self._json(row[5])) for row in rows]

    def receipts(self, ticket: str, attempt: int) -> list[Receipt]:
        """The last receipt of each check on each side."""
        rows = self._all(
            "SELECT at, seq, body FROM receipts JOIN events USING (seq)"
            " WHERE receipts.ticket = ? AND receipts.attempt = ? ORDER BY seq",
            (ticket, attempt),
        )
        found: list[Receipt] = []
        with reading(self._path):
            for at, seq, body in rows:
                outcome = loads(body)
                said = outcome["receipt"]
                of_check = (said["name"], said["side"], said["tree"], said["revision"])
                gave = (bool(said["passed"]), said["summary"], outcome.get("exit"), outcome.get("output", ""))
                skipped = str(said.get("skipped") or "")
                found.append(Receipt._make((*of_check, *gave, outcome.get("seconds"), at, seq, skipped)))
        return found

    def inbox(self) -> list[Proposal]:
        """Open proposals, most severe first, then oldest first."""
        return sorted(self._proposals("state = 'open'", ()), key=lambda found: _rank(found.kind))

    def proposal(self, id_: str) -> Proposal | None:
        """The proposal with this id, or the only one whose id begins so."""
        found = self._proposals("id = ?", (id_,))
        if not found and len(id_) >= 4 and id_.isalnum():
            found = self._proposals("id GLOB ?", (id_ + "*",))
        return found[0] if len(found) == 1 else None

    def proposals(self, ticket: str, attempt: int) -> list[Proposal]:
        """Every proposal of one attempt, oldest first."""
        return self._proposals("ticket = ? AND attempt = ?", (ticket, attempt))

    def _proposals(self, where: str, values: tuple[Any, ...]) -> list[Proposal]:
        rows = self._all(
            "SELECT id, kind, ticket, attempt, digest, summary, subject, diff, state, reason, by, since,"
            f" decided, changed FROM proposals WHERE {where} ORDER BY seq",
            values,
        )
        return [Proposal._make((*row[:6], self._json(row[6]), *row[7:])) for row in rows]

    def engine(self) -> dict[str, Any]:
        """What the engine last said of itself: state, at, pid, why."""
        row = self._one("SELECT value FROM meta WHERE key = 'engine'")
        return dict(self._json(row[0])) if row else {}

    def session(self) -> Session | None:
        """The latest run of the engine; None before the first."""
        row = self._one("SELECT value FROM meta WHERE key = 'session'")
        with reading(self._path):
            return Session(**self._json(row[0])) if row else None

    def isolation(self) -> str:
        """What holds the commands of the engine that runs: a sandbox's name, `none`, '' where unknown."""
        session = self.session()
        return session.isolation if session is not None and session.open else ""


def _rank(kind: str) -> int:
    return SEVERITY.index(kind) if kind in SEVERITY else len(SEVERITY)
