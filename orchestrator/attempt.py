"""One try at a ticket, folded from its events: all that `decide` looks at.

The fold is pure and the only way an attempt's state comes to be, so recovery after a crash is the same
code path as normal running.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from state.events import Event
from tickets.lifecycle import PROPOSALS, Answer


@dataclass(frozen=True)
class Intent:
    """An action that was begun and has no outcome yet."""

    seq: int
    task: str
    title: str
    action: str
    args: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """How an action ended: `done`, `failed` or `interrupted`."""

    seq: int
    status: str
    result: Mapping[str, Any]
    exit: int | None = None
    began: int = 0  # seq of its intent


@dataclass(frozen=True)
class Word:
    """A proposal of this attempt and what became of it."""

    id: str
    kind: str
    digest: str
    subject: Mapping[str, Any]
    state: str  # open, approved, denied, stale, used
    reason: str = ""
    contract: Any = (
        None  # of the approval, as it stands in the journal: checked before anything is done on it
    )
    spent: frozenset[str] = frozenset()  # nonces of the approvals before it: a record counts once
    answered: int = 0  # seq of the word on it
    opened: int = 0  # seq of itself

    @property
    def answer(self) -> str:
        """What a person chose or wrote where the question has options; it is sealed with the contract."""
        return str(self.contract.get("signoff") or "") if isinstance(self.contract, Mapping) else ""


@dataclass(frozen=True)
class Said:
    """A person's comment on the attempt."""

    seq: int
    text: str


@dataclass(frozen=True)
class Attempt:
    """A ticket's attempt. `head` and `tree` are the last checkpoint, at first the base's."""

    ticket: str
    number: int
    spec: Mapping[str, Any]
    revision: str
    base_ref: str
    base: str
    branch: str
    comment: str
    at: int  # ms; the date of the commits it makes, so that repeating one gives the same id
    head: str
    tree: str = ""
    done: Mapping[str, Outcome] = field(default_factory=dict)
    pending: Mapping[str, Intent] = field(default_factory=dict)
    words: tuple[Word, ...] = ()
    spent: float = 0.0  # seconds of work, the engine's own death not counted
    nonces: frozenset[str] = frozenset()  # of every approval so far, whatever became of it
    waiting: str | None = None
    fault: str = ""  # what the last broken action said
    faults: int = 0  # how many broke in a row; an action that was merely cut off does not count
    closing: Mapping[str, Any] | None = None  # how it ends, once its end has begun
    cut: Mapping[str, int] = field(default_factory=dict)  # how often in a row a server failed an action
    comments: tuple[Said, ...] = ()
    taken: bool = False  # a person works in the worktree
    handed: int = 0  # seq of the last time it was handed back
    origin: str = ""  # the commit its worktree began at: the base, or another attempt's checkpoint
    origin_tree: str = ""  # of that checkpoint; '' where it is the base
    stage: int = 0  # how many of its stages another attempt has done, from whose checkpoint this one begins

    def ok(self, key: str) -> Outcome | None:
        """The outcome under this key if it succeeded."""
        found = self.done.get(key)
        return found if found is not None and found.status == "done" else None

    def word(self, kind: str) -> Word | None:
        """The newest proposal of a kind."""
        return next((word for word in reversed(self.words) if word.kind == kind), None)


def fold(events: Iterable[Event]) -> Attempt | None:
    """The attempt that these events tell of, or None when they do not start one."""
    attempt: Attempt | None = None
    for event in events:
        attempt = apply(attempt, event)
    return attempt


def apply(attempt: Attempt | None, event: Event) -> Attempt | None:
    """The attempt after one more event."""
    body = event.body
    if event.type == "attempt.started":
        start = body.get("start") or {}
        return Attempt(
            ticket=event.ticket,
            number=event.attempt,
            spec=body["spec"],
            revision=body["revision"],
            base_ref=body["base_ref"],
            base=body["base"],
            branch=body["branch"],
            comment=body.get("comment", ""),
            at=event.at,
            head=start.get("commit") or body["base"],
            tree=start.get("tree") or "",
            origin=start.get("commit") or body["base"],
            origin_tree=start.get("tree") or "",
            stage=start.get("stage") or 0,
        )
    if attempt is None:
        return None
    match event.type:
        case "action.intent":
            intent = Intent(event.seq, body["task"], body["title"], body["action"], body["args"])
            closing = body["args"] if body["action"] == "Close" else attempt.closing
            return replace(attempt, pending={**attempt.pending, body["key"]: intent}, closing=closing)
        case "action.outcome":
            return _outcome(attempt, event)
        case "proposal.opened" | "merge.proposed":
            word = Word(body["id"], body["kind"], body["digest"], body["subject"], "open", opened=event.seq)
            return replace(attempt, words=(*attempt.words, word))
        case "proposal.approved" | "proposal.denied" | "proposal.stale" | "proposal.used":
            return _answered(attempt, event)
        case "attempt.waiting":
            return replace(attempt, waiting=body["why"])
        case "attempt.resumed":
            return replace(attempt, waiting=None)
        case "said.comment":
            return replace(attempt, comments=(*attempt.comments, Said(event.seq, event.body["text"])))
        case "asked.take-over":
            return replace(attempt, taken=True)
        case "asked.hand-back":
            return replace(attempt, taken=False, handed=event.seq if attempt.taken else attempt.handed)
    return attempt


def _answered(attempt: Attempt, event: Event) -> Attempt:
    """A word on a proposal, where the proposals' table has a row for it."""
    contract = event.body.get("contract")
    words = []
    for word in attempt.words:
        state = PROPOSALS.get((Answer(word.state), event.type)) if word.id == event.body["id"] else None
        if state is not None:
            why = event.body.get("reason") or event.body.get("why") or ""
            word = replace(word, state=str(state), reason=why, answered=event.seq)
        if state is Answer.APPROVED:
            word = replace(word, contract=contract, spent=attempt.nonces)
        words.append(word)
    nonce = contract.get("nonce") if isinstance(contract, Mapping) else None
    nonces = attempt.nonces | {nonce} if isinstance(nonce, str) else attempt.nonces
    return replace(attempt, waiting=None, words=tuple(words), nonces=nonces)


def _outcome(attempt: Attempt, event: Event) -> Attempt:
    body = event.body
    outcome = Outcome(event.seq, body["status"], body.get("result") or {}, body.get("exit"), body["intent"])
    moved = outcome.result.get("checkpoint")
    broke = str(outcome.result.get("broke") or "")
    cut = outcome.status == "interrupted"
    faults = attempt.faults + bool(broke) if cut else 0
    if body["key"].startswith("restore:"):  # going back to try again is no progress
        faults = attempt.faults + bool(broke)
    return replace(
        attempt,
        done={**attempt.done, body["key"]: outcome},
        pending={key: intent for key, intent in attempt.pending.items() if key != body["key"]},
        fault=broke or (attempt.fault if faults else ""),
        faults=faults,
        cut=_tries(attempt.cut, body["key"], cut, bool(outcome.result.get("failure"))),
        spent=attempt.spent + (body.get("seconds") or 0.0),
        head=moved["commit"] if moved else attempt.head,
        tree=moved["tree"] if moved else attempt.tree,
    )


def _tries(before: Mapping[str, int], key: str, cut: bool, failure: bool) -> Mapping[str, int]:
    """How often in a row each action failed for a server's sake; being cut off says nothing of the server."""
    if cut and not failure:
        return before
    return {**before, key: before.get(key, 0) + 1} if cut else {k: n for k, n in before.items() if k != key}
