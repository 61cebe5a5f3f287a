"""Which events a person should hear of, and how many words to make about them.

Both are pure. `alert` looks at one event of the journal, so there is no second truth beside it; `Throttle`
takes a clock's reading from outside. The cockpit, the voice and the status file all use them, so that they
call the same things severe.

Guarantees of the throttle: what is severe comes out at once and one by one; everything else comes out as
one line at most every `EVERY` seconds, in order; the counts of the lines add up to what went in; and what it
remembers does not grow with the number of alerts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from state.events import Event
from state.views import Proposal, Views

EVERY = 30.0
"""Seconds between two digests: often enough to act on, seldom enough not to be switched off."""

_LONGEST = 200  # characters of an alert: two lines of a toast, ten seconds of speech


class Severity(StrEnum):
    """How much an alert matters, worst first."""

    SEVERE = "severe"
    NEEDS_YOU = "needs-you"
    DONE = "done"
    INFO = "info"


RANK = {severity: rank for rank, severity in enumerate(Severity)}

WORDS: dict[str, tuple[str, str]] = {
    "severe": ("is severe", "are severe"),
    "asks": ("waits for you", "wait for you"),
    "landed": ("landed", "landed"),
    "failed": ("failed", "failed"),
    "cancelled": ("cancelled", "cancelled"),
    "waits": ("cannot go on", "cannot go on"),
    "broken": ("does not load", "do not load"),
    "rolled-back": ("rolled back", "rolled back"),
    "not-rolled-back": ("not rolled back", "not rolled back"),
    "restored": ("brought back", "brought back"),
    "engine": ("word of the engine", "words of the engine"),
}
"""What a digest counts, by one and by many, in the order in which it tells them."""

PROPOSED = frozenset({"proposal.opened", "merge.proposed"})
GRAVE = frozenset({"core", "network"})
"""Proposals that reach further than a ticket's branch."""

VIOLATIONS = {
    "attempt.failed": "changed outside its paths",
    "proposal.stale": "approval not accepted",
    "ticket.rollback-refused": "roll back not accepted",
}
"""How the reasons begin that tell of an attempt at what is not allowed. The engine's tests hold this."""

LIMITS = ("it held more memory than it may", "the worktree grew by more than it may")
"""Why the sandbox ended a command that broke a limit, as `action.outcome` has it; held by the same tests."""

TYPES = frozenset(
    (
        "action.outcome", "attempt.cancelled", "attempt.failed", "attempt.landed", "attempt.waiting",
        "engine.isolation", "engine.paused", "engine.resumed", "merge.proposed", "proposal.opened",
        "proposal.stale", "ticket.broken", "ticket.restored", "ticket.rollback-refused", "ticket.rolled-back",
    )
)  # fmt: skip
"""The types of which `alert` may make something: no other event need be read for it."""


class Alert(NamedTuple):
    """One thing that a person should hear of. The text may hold anything: make it safe where it is shown."""

    severity: Severity
    what: str  # a key of WORDS
    text: str
    ticket: str = ""
    seq: int = 0  # of the event; 0 where it is not from the journal


def alert(event: Event, proposals: Sequence[Proposal] = ()) -> Alert | None:
    """What a person should hear of an event, or None.

    Args:
        event: as it stands in the journal.
        proposals: of the event's attempt. Only `attempt.failed` is judged by them: it is severe where a merge
            had been proposed already and nobody denied it.
    """
    found = _told(event, proposals)
    if found is None:
        return None
    severity, what, text = found
    text = f"{event.ticket} {text}" if event.ticket else text
    return Alert(severity, what, shortened(text), event.ticket, event.seq)


def alert_in(event: Event, views: Views) -> Alert | None:
    """The same, with the proposals looked up where they matter."""
    judged = event.type == "attempt.failed"
    return alert(event, views.proposals(event.ticket, event.attempt) if judged else ())


def damaged(problem: str) -> Alert:
    """The journal cannot be used any more, in the words of its error: there can be no event that says so."""
    return Alert(Severity.SEVERE, "severe", shortened(problem))


def paused(why: str) -> Alert:
    """The engine has paused; where the journal has room for the event, `alert` makes the same of it."""
    return Alert(Severity.SEVERE, "severe", shortened(f"engine paused: {why}"))


def shortened(text: str) -> str:
    """The beginning of a text, in one line of at most 200 characters."""
    line = " ".join(text[: 4 * _LONGEST].split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _told(event: Event, proposals: Sequence[Proposal]) -> tuple[Severity, str, str] | None:
    body, why = event.body, str(event.body.get("why") or event.body.get("note") or "")
    if (start := VIOLATIONS.get(event.type)) and why.startswith(start):
        return Severity.SEVERE, "severe", why
    match event.type:
        case "engine.paused":
            return Severity.SEVERE, "severe", paused(why).text
        case "engine.isolation":
            if body.get("isolation") == "none":
                return Severity.SEVERE, "severe", "no sandbox holds on this machine: commands wait for you"
            return None
        case "engine.resumed":
            return Severity.INFO, "engine", "the engine goes on"
        case "merge.proposed" | "proposal.opened":
            return _asks(str(body.get("kind")), str(body.get("summary")))
        case "action.outcome":
            limit = _limit(body)
            return (Severity.SEVERE, "severe", f"{body.get('title')}: {limit}") if limit else None
        case "attempt.failed":
            return _failed(why, proposals)
        case "attempt.landed":
            return Severity.DONE, "landed", "landed"
        case "attempt.cancelled":
            return Severity.INFO, "cancelled", f"cancelled: {why}"
        case "attempt.waiting":
            return Severity.INFO, "waits", f"waits: {why}"
        case "ticket.broken":
            return Severity.INFO, "broken", f"does not load: {next(iter(body.get('problems') or ['']))}"
        case "ticket.rolled-back":
            return Severity.INFO, "rolled-back", "rolled back"
        case "ticket.rollback-refused":
            return Severity.INFO, "not-rolled-back", f"not rolled back: {why}"
        case "ticket.restored":
            return Severity.INFO, "restored", f"brought back: {why or body.get('branch') or ''}"
    return None


def _limit(body: dict[str, Any]) -> str:
    """The limit that a command broke, in words, or ''. Of a check, the receipt has it."""
    receipt, result = body.get("receipt"), body.get("result")
    if isinstance(receipt, dict):
        said = receipt.get("summary")
    else:
        said = result.get("why") if isinstance(result, dict) else ""
    limit = str(said).removeprefix("was ended: ")
    return limit if limit in LIMITS else ""


def _asks(kind: str, summary: str) -> tuple[Severity, str, str]:
    if kind in GRAVE:
        return Severity.SEVERE, "severe", f"asks you ({kind}): {summary}"
    return Severity.NEEDS_YOU, "asks", f"asks you ({kind}): {summary}"


def _failed(why: str, proposals: Sequence[Proposal]) -> tuple[Severity, str, str]:
    merges = [proposal.state for proposal in proposals if proposal.kind == "merge"]
    if merges and "denied" not in merges:
        return Severity.SEVERE, "severe", f"failed while it was being landed: {why}"
    return Severity.DONE, "failed", f"failed: {why}"


# How many words to make ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """What is shown or spoken: one alert, or a digest of many."""

    severity: Severity
    text: str
    count: int = 1
    """Alerts that it stands for,"""
    severe: int = 0
    """and how many of them are severe."""
    seq: int = 0
    """Of the last event that it stands for."""


class Throttle:
    """Severe alerts at once; the others in digests."""

    def __init__(self, every: float = EVERY) -> None:
        self._every = every
        self._last = float("-inf")  # when the last digest was told
        self._counts: dict[str, int] = {}  # by the keys of WORDS: no more than those
        self._worst: Alert | None = None  # of those counted, the first of the worst
        self._seq = 0

    def offer(self, alerts: Iterable[Alert], now: float) -> list[Line]:
        """Take alerts in their order, at this reading of a clock; what is to be told now."""
        lines: list[Line] = []
        for each in alerts:
            if each.severity is Severity.SEVERE:
                lines.append(Line(each.severity, each.text, 1, 1, each.seq))
                continue
            self._counts[each.what] = self._counts.get(each.what, 0) + 1
            self._seq = each.seq
            if self._worst is None or RANK[each.severity] < RANK[self._worst.severity]:
                self._worst = each
        return [*lines, *self.due(now)]

    def due(self, now: float) -> list[Line]:
        """The digest, when one is due."""
        if self.wait(now) != 0.0 or self._worst is None:
            return []
        count, worst = sum(self._counts.values()), self._worst
        text = worst.text if count == 1 else digest(self._counts)
        self._last, self._counts, self._worst = now, {}, None
        return [Line(worst.severity, text, count, 0, self._seq)]

    def wait(self, now: float) -> float | None:
        """Seconds until a digest is due, None when there is nothing to tell.

        A clock that jumped back makes nothing wait for longer than `every`.
        """
        if self._worst is None:
            return None
        self._last = min(self._last, now)
        return max(0.0, self._every - (now - self._last))


def digest(counts: dict[str, int]) -> str:
    """How many of what, in one line: "3 landed, 1 waits for you"."""
    parts = [f"{counts[what]} {words[counts[what] > 1]}" for what, words in WORDS.items() if what in counts]
    return ", ".join(parts)


def at_most(lines: Sequence[Line], most: int) -> list[Line]:
    """The same lines, severe ones first, at most so many (one at least): the last then stands for the rest.

    For whoever tells slower than things happen. No count is lost.
    """
    ordered = sorted(lines, key=lambda line: line.severity is not Severity.SEVERE)
    if len(ordered) <= most:
        return ordered
    kept, rest = ordered[: most - 1], ordered[most - 1 :]
    count, severe = sum(line.count for line in rest), sum(line.severe for line in rest)
    also = f", {severe:,} of them severe" if severe else ""
    worst = min((line.severity for line in rest), key=RANK.__getitem__)
    text = f"{count:,} more{also}: `jetbox log` has them"
    return [*kept, Line(worst, text, count, severe, max(line.seq for line in rest))]
