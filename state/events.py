"""What can be written into the journal: the types, and who may write them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

BLOB = "blob:"
"""A body's text that begins so names a blob by its hex SHA-256; `verify` follows it."""


@dataclass(frozen=True, slots=True)
class New:
    """An event about to be written."""

    type: str
    body: dict[str, Any] = field(default_factory=dict)
    ticket: str = ""
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it stands in the journal. `at` is milliseconds of wall clock, for show only."""

    seq: int
    at: int
    ticket: str
    attempt: int
    type: str
    body: dict[str, Any]


TYPES: dict[str, str] = {
    "engine.started": "the engine took the lock: pid, version",
    "engine.isolation": "what holds the commands of this run: isolation, tried [[name, held], ...]",
    "engine.stopped": "the engine gave the lock back",
    "engine.paused": "nothing new is dispatched: why",
    "engine.resumed": "dispatching again",
    "ticket.admitted": "a ticket file loads: path, spec, revision, needs",
    "ticket.broken": "a ticket file does not load: path, problems",
    "ticket.removed": "a ticket file is gone",
    "ticket.ready": "all it needs has landed",
    "ticket.blocked": "something it needs has not landed: needs",
    "ticket.note": "one line for the board: note",
    "attempt.started": "revision, spec, base_ref, base, branch, comment; start, where not at the base",
    "attempt.waiting": "why",
    "attempt.resumed": "what it waited for is there",
    "attempt.landed": "commit, artifact",
    "attempt.failed": "why",
    "attempt.cancelled": "why",
    "ticket.rolled-back": "commit: the undo that landed",
    "ticket.rollback-refused": "why: it can't be done as things are; the person may ask again",
    "ticket.restored": "branch: what the trash gave back",
    "action.intent": "key, task, title, and what the action needs to be repeated or examined",
    "action.progress": "key, fraction, eta, text",
    "action.outcome": "key, status (done, failed, interrupted), exit, seconds, output, result",
    "proposal.opened": "id, kind, digest, subject, summary",
    "merge.proposed": "id, kind, digest, subject, summary, diff",
    "proposal.stale": "id, why",
    "proposal.used": "id: the approval has been acted on, it serves no second time",
    "proposal.approved": "a person's word: id, digest, by, nonce, contract (see state/contract.py)",
    "proposal.denied": "a person's word: id, digest, by, reason",
    "asked.cancel": "a person's word: by",
    "asked.retry": "a person's word: by, comment; stage, from which it is done again",
    "asked.rollback": "a person's word: by, contract",
    "asked.restore": "a person's word: by, attempt",
    "asked.take-over": "a person's word: by; nothing is done in the worktree until it is handed back",
    "asked.hand-back": "a person's word: by",
    "said.comment": "a person's word to the agent at work: by, text",
    "consent.given": "a person's word: by, phrase, session (seq of engine.started), contract",
    "core.set": "a person's word, or what came of their approval: core, before, why, proposal, by, contract",
    "core.refused": "somebody tried to change the core, and nothing came of it: what, why, by",
    "core.asked": "an update of the core is to be proposed: ticket, memory, digest, core, why, by",
    "lab.keep": "a person's word: on, by; whether questions, answers and corrections are kept as data",
    "run.rolled-back": "a person's word: run, step, kept; by",
}
"""Every event type and what its body holds. An event of another type is refused on writing."""
