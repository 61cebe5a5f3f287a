"""Status events: what happened and how things stand now, as one JSON object for programs.

Each is derived from one event of the journal and the views up to it, by the same fold that makes the
journal's own views, so nothing is told here that the journal does not say. `docs/status-events.md` shows the
fields; `jetbox schema event` prints the schema.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from state import connect, fold
from state.alerts import Alert, alert
from state.events import Event
from state.safe_text import safe
from state.views import Card, Proposal, Views
from tickets.lifecycle import ENDED, LIVE, State

ENGINE = "engine"
"""The run id of what concerns no ticket."""

REMEMBERED = 256
"""Tickets whose views are kept; another one's are read from the journal again when it is next heard of."""

Phase = Literal["P0", "P1", "P2", "P3", "P4"]
Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True, frozen=True)


class QualityMetrics(_Part):
    """The checks of the attempt so far, and what its run measured."""

    green: Count = 0
    red: Count = 0
    unknown: Count = 0
    """Checks without a receipt yet."""
    metrics: dict[str, float] = {}


class ResourceUsage(_Part):
    """What the attempt's actions took so far."""

    actions: Count = 0
    seconds: Annotated[float, Field(ge=0)] = 0.0
    output_bytes: Count = 0
    """Of output that is kept."""


class HumanContract(BaseModel):
    """The record of a person's approval that holds for this attempt, without its nonce and seal."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    contract_version: int
    authorized_by: str
    approved_at: str
    session_id: str
    scope: dict[str, Any]
    rollback_plan: dict[str, Any]
    signoff: str
    digest: str


class Action(_Part):
    """Something that a person can do now."""

    name: Literal["approve", "answer", "deny", "retry", "cancel", "rollback", "restore"]
    command: str


class AlertText(_Part):
    """An alert."""

    severity: Literal["severe", "needs-you", "done", "info"]
    text: str


class StatusEvent(_Part):
    """One line of `.jetbox/status.jsonl`. All text is safe to show on a terminal."""

    schema_version: Literal["1.0"] = "1.0"
    """Within 1.x fields are only added."""
    seq: Count
    """Of the journal's event; 0 where the journal itself cannot say it."""
    run_id: str
    """TICKET/ATTEMPT, TICKET before the first attempt, or `engine`."""
    timestamp: str
    """UTC, ISO 8601, by the wall clock of the event: for show, never for order."""
    event: str
    """The type of the journal's event; `damaged` where there is none."""
    phase: Phase
    """P0 not begun, P1 at work, P2 checked, P3 waits, P4 ended."""
    status: str
    """The ticket's state; of the engine: running, paused, off, damaged."""
    quality_metrics: QualityMetrics = QualityMetrics()
    resource_usage: ResourceUsage = ResourceUsage()
    human_contract: HumanContract | None = None
    actions: list[Action] = []
    alerts: list[AlertText] = []

    def line(self) -> str:
        """Itself as one line of JSON, in ASCII."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), separators=(",", ":")) + "\n"


# Pure: from an event, and how things stand after it --------------------------------------------------


@dataclass
class Rest:
    """What the views do not hold of an attempt."""

    attempt: int = 0
    task: str = ""
    """Of the action begun last."""
    metrics: dict[str, float] = field(default_factory=dict)
    actions: int = 0
    seconds: float = 0.0
    output: int = 0
    contract: HumanContract | None = None


def of_ticket(event: Event, card: Card | None, proposals: Sequence[Proposal], rest: Rest) -> StatusEvent:
    """The status event of an event about a ticket.

    Args:
        event: what happened.
        card: the ticket after it; None where the journal knows no such ticket (yet).
        proposals: of the event's attempt, after it.
        rest: of the ticket's last attempt, after it.
    """
    attempt = event.attempt or rest.attempt
    return StatusEvent(
        seq=event.seq,
        run_id=safe(f"{event.ticket}/{attempt}" if attempt else event.ticket),
        timestamp=moment(event.at),
        event=event.type,
        phase=phase(card.state if card else "", rest.task),
        status=card.state if card else "unknown",
        quality_metrics=QualityMetrics(
            green=card.green if card else 0,
            red=card.red if card else 0,
            unknown=card.unknown if card else 0,
            metrics=rest.metrics,
        ),
        resource_usage=ResourceUsage(
            actions=rest.actions, seconds=round(rest.seconds, 3), output_bytes=rest.output
        ),
        human_contract=rest.contract,
        actions=actions(card, proposals) if card else [],
        alerts=_told(alert(event, proposals)),
    )


_ENGINE: dict[str, tuple[Phase, str]] = {
    "engine.started": ("P0", "running"),
    "engine.paused": ("P3", "paused"),
    "engine.stopped": ("P4", "off"),
}


def of_engine(event: Event) -> StatusEvent:
    """The status event of an event about no ticket."""
    phase_, status = _ENGINE.get(event.type, ("P1", "running"))
    return StatusEvent(
        seq=event.seq,
        run_id=ENGINE,
        timestamp=moment(event.at),
        event=event.type,
        phase=phase_,
        status=status,
        alerts=_told(alert(event)),
    )


def of_alert(found: Alert, at: int) -> StatusEvent:
    """The status event of what the journal cannot say itself, at this wall clock (ms)."""
    return StatusEvent(
        seq=0,
        run_id=ENGINE,
        timestamp=moment(at),
        event="damaged",
        phase="P3",
        status="damaged",
        alerts=_told(found),
    )


def phase(state: str, task: str) -> Phase:
    """Where a ticket stands: by its state and, while it runs, by the task of its last action."""
    if state == State.RUNNING:
        return "P2" if task in _CHECKING else "P1"
    if state in LIVE:
        return "P3"
    return "P4" if state in ENDED else "P0"


_CHECKING = frozenset(("Merge", "Checks"))  # tasks of orchestrator/actions.py


def actions(card: Card, proposals: Sequence[Proposal]) -> list[Action]:
    """What a person can do now. `state/words.py` decides that; a test holds the two together."""
    names: list[tuple[str, str]] = []
    for proposal in proposals:
        if proposal.state == "open":
            names.append(("answer" if proposal.subject.get("options") else "approve", proposal.id))
            names.append(("deny", f"{proposal.id} --reason R"))
    if card.state not in ENDED and card.state != State.BROKEN:
        names.append(("cancel", card.id))
    if card.state in LIVE or card.state in (State.FAILED, State.CANCELLED):
        names.append(("retry", card.id))
    if card.state == State.LANDED:
        names.append(("rollback", card.id))
    if card.attempt and card.state not in LIVE:
        names.append(("restore", card.id))
    return [Action.model_validate({"name": n, "command": safe(f"jetbox {n} {rest}")}) for n, rest in names]


def moment(at: int) -> str:
    """A wall clock in ms as ISO 8601 in UTC; a clock that nobody can have had is the beginning of time."""
    try:
        return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC).isoformat(timespec="milliseconds")


def _told(found: Alert | None) -> list[AlertText]:
    return [AlertText(severity=found.severity.value, text=safe(found.text))] if found else []


# How things stand ------------------------------------------------------------------------------------


class Standing:
    """Folds events in their order and says after each how things stand.

    Args:
        history: every event of a ticket, for one that is not remembered.
        size: bytes of a blob by its name; 0 where it is not there.
    """

    def __init__(
        self, history: Callable[[str], Iterable[Event]], size: Callable[[str], int] = lambda _: 0
    ) -> None:
        self._history, self._size = history, size
        self._db = connect.folded(())
        self._cursor = self._db.cursor()
        self._views = Views(self._db, threading.RLock(), Path("status"))
        self._rest: dict[str, Rest] = {}  # in the order in which they were heard of last

    def after(self, event: Event) -> StatusEvent:
        """The status event of the next event."""
        if not event.ticket:
            return of_engine(event)
        rest = self._rest.pop(event.ticket, None)
        if rest is None:
            rest = Rest()
            for earlier in takewhile(lambda each: each.seq < event.seq, self._history(event.ticket)):
                rest = self._fold(rest, earlier)
        self._rest[event.ticket] = rest = self._fold(rest, event)
        if len(self._rest) > REMEMBERED:
            self._forget(next(iter(self._rest)))
        ticket = self._views.ticket(event.ticket)
        proposals = self._views.proposals(event.ticket, event.attempt or rest.attempt)
        return of_ticket(event, ticket.card if ticket else None, proposals, rest)

    def _fold(self, rest: Rest, event: Event) -> Rest:
        fold.apply(self._cursor, event)
        body = event.body
        if event.type == "attempt.started":
            return Rest(event.attempt)
        if event.attempt != rest.attempt:
            return rest
        if event.type == "action.intent":
            rest.task = str(body.get("task", ""))
        elif event.type == "action.outcome":
            rest.actions += 1
            rest.seconds += _number(body.get("seconds")) or 0.0
            rest.output += self._size(body["output"]) if body.get("output") else 0
            for name, value in ((body.get("result") or {}).get("metrics") or {}).items():
                if (number := _number(value)) is not None:
                    rest.metrics[safe(name)] = number
        elif event.type == "proposal.approved":
            rest.contract = contract(body.get("contract"))
        elif event.type in ("proposal.stale", "proposal.denied"):
            rest.contract = None
        return rest

    def _forget(self, ticket: str) -> None:
        """Its views are made again from the journal when it is next heard of."""
        del self._rest[ticket]
        for table, column in _OF_TICKET:
            self._cursor.execute(f"DELETE FROM {table} WHERE {column}=?", (ticket,))


_OF_TICKET = (
    ("tickets", "id"), ("specs", "id"), ("attempts", "ticket"), ("nodes", "ticket"),
    ("receipts", "ticket"), ("proposals", "ticket"),
)  # fmt: skip


def contract(record: object) -> HumanContract | None:
    """The public part of an approval's record; None where it is none. Whether it holds the engine says."""
    try:
        return HumanContract.model_validate(_safe(record))
    except ValidationError:
        return None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _safe(value: Any) -> Any:
    if isinstance(value, str):
        return safe(value)
    if isinstance(value, dict):
        return {safe(name): _safe(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_safe(inner) for inner in value]
    return value
