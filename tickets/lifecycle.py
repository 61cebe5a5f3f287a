"""The life of a ticket: nine states, and one table of what moves a ticket from one to another.

The journal's fold, the documentation and a test all read `TABLE`; nothing else decides a state.
A trigger that the table does not list for a state leaves the ticket where it is: a late word
("cancel" for a ticket that has just landed) is harmless by construction.

A file that is deleted changes no state: the ticket is only marked as gone and not dispatched any more,
so that switching branches in a checkout and back costs nothing. A live attempt goes on under the spec
it was started with. An edited file ends a live attempt, since its result could not be accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """Where a ticket stands. The order is the board's, left to right."""

    BROKEN = "broken"  # the file does not load
    BACKLOG = "backlog"  # it needs tickets that have not landed
    READY = "ready"  # it starts as soon as there is room
    RUNNING = "running"  # an attempt is at work
    WAITING = "waiting"  # it waits for a person, or for something that is not there
    REVIEW = "review"  # a merge is proposed
    LANDED = "landed"  # merged and verified; without a change: its artifact accepted
    FAILED = "failed"  # the attempt ended without success
    CANCELLED = "cancelled"  # stopped by a person, removed, or rolled back


class Trigger(StrEnum):
    """What moves a ticket: the journal's event types that concern its state."""

    ADMITTED = "ticket.admitted"  # its file loads
    BROKEN = "ticket.broken"  # its file does not load
    READY = "ticket.ready"  # all it needs has landed
    BLOCKED = "ticket.blocked"  # something it needs has not landed, or not any more
    STARTED = "attempt.started"
    WAITING = "attempt.waiting"
    RESUMED = "attempt.resumed"
    ASKED = "proposal.opened"  # a start, a question, a network exit: anything but a merge
    PROPOSED = "merge.proposed"
    ANSWERED = "proposal.approved"
    DENIED = "proposal.denied"  # the attempt goes on with the reason, or ends
    STALE = "proposal.stale"
    LANDED = "attempt.landed"
    FAILED = "attempt.failed"
    CANCELLED = "attempt.cancelled"
    ROLLED_BACK = "ticket.rolled-back"
    CANCEL = "asked.cancel"
    RETRY = "asked.retry"


LIVE = frozenset({State.RUNNING, State.WAITING, State.REVIEW})
"""An attempt is open: only the engine ends it."""

ENDED = frozenset({State.LANDED, State.FAILED, State.CANCELLED})


def _table() -> dict[tuple[State, Trigger], State]:
    s, t = State, Trigger
    table: dict[tuple[State, Trigger], State] = {
        (s.BROKEN, t.ADMITTED): s.BACKLOG,
        (s.BACKLOG, t.BROKEN): s.BROKEN,
        (s.READY, t.BROKEN): s.BROKEN,
        (s.BACKLOG, t.READY): s.READY,
        (s.READY, t.BLOCKED): s.BACKLOG,
        (s.READY, t.STARTED): s.RUNNING,
        (s.RUNNING, t.WAITING): s.WAITING,
        (s.RUNNING, t.ASKED): s.WAITING,
        (s.RUNNING, t.PROPOSED): s.REVIEW,
        (s.REVIEW, t.STALE): s.RUNNING,
        (s.REVIEW, t.DENIED): s.RUNNING,
        (s.REVIEW, t.WAITING): s.REVIEW,
        (s.WAITING, t.STALE): s.RUNNING,
        (s.WAITING, t.RESUMED): s.RUNNING,
        (s.WAITING, t.ANSWERED): s.RUNNING,
        (s.LANDED, t.ROLLED_BACK): s.CANCELLED,
        # Words of a person about a ticket at rest take effect at once; about a live one they are
        # wishes that the engine carries out (it ends the attempt first).
        (s.BACKLOG, t.CANCEL): s.CANCELLED,
        (s.READY, t.CANCEL): s.CANCELLED,
        (s.FAILED, t.RETRY): s.BACKLOG,
        (s.CANCELLED, t.RETRY): s.BACKLOG,
    }
    for state in (s.RUNNING, s.WAITING, s.REVIEW):
        table[state, t.LANDED] = s.LANDED
        table[state, t.FAILED] = s.FAILED
        table[state, t.CANCELLED] = s.CANCELLED
    return table


TABLE = _table()


def step(state: State, trigger: Trigger) -> State:
    """The state after `trigger`; the same state where the table has no row."""
    return TABLE.get((state, trigger), state)


def as_markdown() -> str:
    """The table as the documentation shows it; a test holds the two together."""
    return _markdown({(old, str(trigger)): new for (old, trigger), new in TABLE.items()})


class Answer(StrEnum):
    """Where a proposal stands."""

    OPEN = "open"  # it waits for a person
    APPROVED = "approved"  # a person said yes to exactly this content
    DENIED = "denied"  # a person said no, and why
    STALE = "stale"  # what it was about is no more
    USED = "used"  # the approval has been acted on: it serves no second time


_OPENED = ("proposal.opened", "merge.proposed")
_OVER = (Trigger.LANDED, Trigger.FAILED, Trigger.CANCELLED)


def _proposals() -> dict[tuple[Answer, str], Answer]:
    a = Answer
    table: dict[tuple[Answer, str], Answer] = {
        (a.OPEN, "proposal.approved"): a.APPROVED,
        (a.OPEN, "proposal.denied"): a.DENIED,
        (a.OPEN, "proposal.stale"): a.STALE,
        (a.APPROVED, "proposal.stale"): a.STALE,
        (a.APPROVED, "proposal.used"): a.USED,
    }
    # The attempt behind it is over.
    table |= {(a.OPEN, str(trigger)): a.STALE for trigger in _OVER}
    # The same content again, say after a base that moved came back. An approval of it still holds.
    table |= {(state, opened): a.OPEN for state in (a.DENIED, a.STALE) for opened in _OPENED}
    return table


PROPOSALS = _proposals()
"""What moves a proposal. As with tickets, an event without a row here changes nothing."""


def proposals_as_markdown() -> str:
    """The proposals' table as the documentation shows it."""
    return _markdown({(old, event): new for (old, event), new in PROPOSALS.items()})


def _markdown(table: Mapping[tuple[str, str], str]) -> str:
    rows = ["| from | event | to |", "|--|--|--|"]
    rows += [f"| {old} | `{event}` | {new} |" for (old, event), new in table.items()]
    return "\n".join(rows)
