"""What an agent does in one attempt, for whoever looks on: folded from the journal's events, nothing else.

The fold takes one event at a time, so that news costs what the news is and not what the attempt was. It
decides nothing: the engine has rules of its own for what a budget allows, and this is their picture.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from state.events import Event
from state.views import Card, Views
from tickets import values
from tickets.lifecycle import LIVE

TURNS = 40
"""Turns of an agent where the ticket's budget says nothing."""
RUNGS = 5
"""The rungs of the stuck ladder; the last one asks the person."""
RUNG = (
    "", "told its error precisely", "another form of edit", "more thinking, or a larger model",
    "back to the best checkpoint", "asks you",
)  # fmt: skip
"""What each rung does, in words."""
LEDGER = 1 << 20  # bytes of a context ledger that are read: one has some dozen lines

_PAGE = 400  # events that are read at once


class Used(NamedTuple):
    """How much of a budget is spent; `allowed` is None where there is no limit."""

    much: float
    allowed: float | None


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model, as far as it has come. `reply`, `thinking` and `ledger` name blobs."""

    seq: int  # of its intent, as the tree's nodes have it
    number: int
    role: str  # who speaks: the persona
    purpose: str  # plan, critique, act
    state: str  # running, done, failed, interrupted
    started: int  # ms of wall clock
    rung: int = 0
    why: str = ""  # of the rung, or of its failure
    model: str = ""
    label: str = ""
    prompt: int = 0
    cached: int = 0
    replied: int = 0
    first: float = 0.0  # seconds until the first piece
    seconds: float = 0.0
    reply: str = ""
    thinking: str = ""
    ledger: str = ""
    says: str = ""  # what came of it: an action, a plan, or why there is none

    @property
    def who(self) -> str:
        """Role and model, with what has to be known of the model."""
        model = f"{self.model} ({self.label})" if self.label else self.model
        return f"{self.role} on {model}" if model else self.role


class AgentView:
    """One attempt of an agent. `apply` takes each event once, in order."""

    def __init__(self, ticket: str, attempt: int) -> None:
        self.ticket, self.attempt = ticket, attempt
        self.seq = 0  # of the last event that was looked at
        self.calls: dict[int, Call] = {}
        self.subtasks: tuple[str, ...] = ()
        self.taken = False
        """A person works in the worktree."""
        self._budget: Mapping[str, Any] = {}
        self._turns: set[str] = set()
        self._tokens = 0
        self._spent = 0.0
        self._running: dict[int, int] = {}
        self._asked: dict[str, str] = {}
        self._granted: dict[str, str] = {}

    # What it comes to ----------------------------------------------------------------------------

    @property
    def there(self) -> bool:
        """Whether an agent has begun here."""
        return bool(self.calls)

    @property
    def last(self) -> Call | None:
        """The call that runs, or the last one."""
        return next(reversed(self.calls.values())) if self.calls else None

    @property
    def running(self) -> Call | None:
        """The call that runs."""
        last = self.last
        return last if last is not None and last.state == "running" else None

    @property
    def model(self) -> tuple[str, str]:
        """The model that answered last, and its label."""
        return next(((c.model, c.label) for c in reversed(self.calls.values()) if c.model), ("", ""))

    @property
    def rung(self) -> int:
        """How far up the stuck ladder it is; 0 while it gets on."""
        return self.last.rung if self.last is not None else 0

    @property
    def why(self) -> str:
        """Why it is held to be stuck."""
        last = self.last
        return last.why if last is not None and last.rung else ""

    @property
    def ledger(self) -> str:
        """The blob of the newest context ledger; '' before the first."""
        return next((call.ledger for call in reversed(self.calls.values()) if call.ledger), "")

    @property
    def turns(self) -> Used:
        """Replies recorded, of those allowed."""
        return Used(len(self._turns), self._allowed("turns", _whole(self._budget.get("turns")) or TURNS))

    @property
    def tokens(self) -> Used:
        """Tokens read and written, of those allowed."""
        return Used(self._tokens, self._allowed("tokens", _whole(self._budget.get("tokens")) or None))

    def time(self, now: int) -> Used:
        """Seconds of work, what runs at `now` (ms) included, of those allowed."""
        going = sum(max(0, now - since) for since in self._running.values()) / 1000
        try:
            allowed: float | None = values.seconds(self._budget.get("time"))
        except ValueError:
            allowed = None
        return Used(self._spent + going, self._allowed("time", allowed))

    def _allowed(self, unit: str, given: float | None) -> float | None:
        granted = sum(each == unit for each in self._granted.values())
        return None if given is None else given * (1 + granted)

    # Folding -------------------------------------------------------------------------------------

    def more(self, views: Views) -> bool:
        """Take what has come since the last time; True when there was something."""
        seqs = views.event_seqs(self.ticket, self.seq)
        for at in range(0, len(seqs), _PAGE):
            for event in views.events_at(seqs[at : at + _PAGE]):
                self.apply(event)
        return bool(seqs)

    def apply(self, event: Event) -> None:
        """Take one event. What is of another ticket or attempt changes nothing."""
        self.seq = max(self.seq, event.seq)
        if (event.ticket, event.attempt) != (self.ticket, self.attempt):
            return
        body = event.body
        match event.type:
            case "attempt.started":
                self._budget = _map(_map(body.get("spec")).get("budget"))
            case "action.intent":
                self._begin(event)
            case "action.outcome":
                self._end(event)
            case "proposal.opened":
                subject = _map(body.get("subject"))
                if "grants" in subject:
                    self._asked[_text(body, "id")] = _text(subject, "budget") or "time"
            case "proposal.approved":
                if unit := self._asked.get(_text(body, "id")):
                    self._granted[_text(body, "id")] = unit
            case "proposal.stale":
                self._granted.pop(_text(body, "id"), None)
            case "asked.take-over" | "asked.hand-back":
                self.taken = event.type == "asked.take-over"

    def _begin(self, event: Event) -> None:
        body = event.body
        self._running[event.seq] = event.at
        kind, _, number = _text(body, "key").partition(":")
        if kind != "call":
            return
        args = {**body, **_map(body.get("args"))}
        self.calls[event.seq] = Call(
            seq=event.seq,
            number=int(number) if number.isdecimal() else len(self.calls) + 1,
            role=_text(args, "persona") or _text(args, "role") or "agent",
            purpose=_text(args, "purpose") or "act",
            state="running",
            started=event.at,
            rung=_whole(args.get("rung")),
            why=_text(args, "why"),
        )

    def _end(self, event: Event) -> None:
        body = event.body
        self._running.pop(_whole(body.get("intent")), None)
        self._spent += _real(body.get("seconds"))
        call = self.calls.get(_whole(body.get("intent")))
        if call is None:
            return
        status, result = _text(body, "status") or "done", _map(body.get("result"))
        usage = _map(result.get("usage"))
        prompt, replied = _whole(usage.get("prompt")), _whole(usage.get("reply"))
        if status == "done":
            self._turns.add(_text(body, "key"))
            self._tokens += prompt + replied
            if call.purpose == "plan" and (titles := _titles(_map(result.get("plan")))):
                self.subtasks = titles
        self.calls[call.seq] = replace(
            call,
            state=status,
            role=_text(result, "persona") or call.role,
            purpose=_text(result, "purpose") or call.purpose,
            rung=_whole(result.get("rung")) or call.rung,
            why=_text(result, "why") or call.why,
            model=_text(result, "model"),
            label=_text(result, "label"),
            prompt=prompt,
            cached=_whole(usage.get("cached")),
            replied=replied,
            first=_real(usage.get("first")),
            seconds=_real(body.get("seconds")),
            reply=_text(result, "reply"),
            thinking=_text(result, "thinking"),
            ledger=_text(result, "ledger"),
            says=_says(status, result),
        )


def agent(events: Iterable[Event], ticket: str, attempt: int) -> AgentView:
    """What these events say of one attempt."""
    view = AgentView(ticket, attempt)
    for event in events:
        view.apply(event)
    return view


def has_agent(card: Card) -> bool:
    """Whether a ticket's kind is worked on by an agent."""
    return card.kind == "code"


def listens(card: Card) -> bool:
    """Whether somebody works on a ticket who can be told something: an agent, in a live attempt."""
    return has_agent(card) and card.state in LIVE


def _says(status: str, result: Mapping[str, Any]) -> str:
    verb = _map(result.get("verb"))
    if verb:
        return f"{_text(verb, 'verb').upper()} {_text(verb, 'what')}".strip()
    if malformed := _text(result, "malformed"):
        return f"no action in it: {malformed}"
    if plan := _titles(_map(result.get("plan"))):
        return f"a plan of {len(plan)} subtask{'s' if len(plan) != 1 else ''}"
    if verdict := _map(result.get("verdict")):
        found = verdict.get("findings")
        count = len(found) if isinstance(found, list) else 0
        return "the plan is good" if verdict.get("ok") is True else f"{count} found wrong with the plan"
    if status in ("interrupted", "failed"):
        why = _text(result, "why") or _text(result, "error") or status
        failure = _text(result, "failure") or _text(result, "failed")
        return f"{why} ({failure})" if failure and failure != why else why
    if failed := _text(result, "failed"):
        return f"no usable reply ({failed}): {_text(result, 'message')}".removesuffix(": ")
    return ""


def _titles(plan: Mapping[str, Any]) -> tuple[str, ...]:
    found = plan.get("subtasks")
    if not isinstance(found, list):
        return ()
    return tuple(_text(each, "title") if isinstance(each, Mapping) else str(each) for each in found)


# The context ledger ----------------------------------------------------------------------------------


class Part(NamedTuple):
    """A part of a prompt, or one that was left out; `why` says why."""

    name: str
    tokens: int
    why: str = ""


@dataclass(frozen=True)
class Ledger:
    """What one call's prompt was made of, in tokens as estimated."""

    model: str = ""
    context: int = 0  # what the model really has
    budget: int = 0  # what the prompt may take of it
    estimated: int = 0
    parts: tuple[Part, ...] = ()
    left_out: tuple[Part, ...] = ()


def ledger(data: bytes) -> Ledger:
    """Read a context ledger.

    Raises:
        ValueError: it is none, or one of another version.
    """
    said = json.loads(data)
    if not isinstance(said, Mapping) or said.get("v") != 1:
        raise ValueError("this is no context ledger of this version")
    parts, left_out = _parts(said.get("parts")), _parts(said.get("left_out"))
    context, budget = _whole(said.get("context")), _whole(said.get("budget"))
    estimated = _whole(said.get("estimated")) or sum(part.tokens for part in parts)
    return Ledger(_text(said, "model"), context, budget, estimated, parts, left_out)


def _parts(found: Any) -> tuple[Part, ...]:
    if not isinstance(found, list):
        return ()
    maps = [each for each in found if isinstance(each, Mapping)]
    return tuple(Part(_text(each, "name"), _whole(each.get("tokens")), _text(each, "why")) for each in maps)


# Bodies that somebody else wrote ---------------------------------------------------------------------


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(found: Mapping[str, Any], key: str) -> str:
    value = found.get(key)
    return value if isinstance(value, str) else ""


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _real(value: Any) -> float:
    fine = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e12
    return float(value) if fine else 0.0
