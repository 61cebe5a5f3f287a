"""The list of runs: what the folders say and what the journal knows of their attempts, in one line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from state.run_list import Glance
from state.views import Card, Proposal
from tickets.lifecycle import LIVE
from tui.amounts import count
from tui.draw import Piece
from tui.lines import Line
from tui.look import Look
from tui.safe_text import fit
from tui.times import age, eta

KINDS = frozenset(("train", "eval", "datagen"))
"""Kinds of tickets whose work is a run."""
_ID, _KIND, _WORD, _BAR = 14, 8, 12, 10
_ROLES = {
    "running": "running", "done": "landed", "failed": "failed", "interrupted": "waiting",
    "waiting": "waiting", "asks": "waiting", "cancelled": "cancelled", "left": "cancelled",
}  # fmt: skip
_GLYPHS = {"left": "cancelled"}


class Row(NamedTuple):
    """A run as it is listed."""

    ticket: str
    attempt: int
    kind: str
    state: str
    """running, asks, waiting, interrupted, done, failed, cancelled, left."""
    word: str
    """The state as a person reads it."""
    why: str
    glance: Glance | None
    """None where there is no folder yet."""

    @property
    def role(self) -> str:
        """The role of its colour."""
        return _ROLES[self.state]

    @property
    def lives(self) -> bool:
        """Whether a process works in its folder."""
        return self.state == "running"


def rows(
    glances: Sequence[Glance], cards: Mapping[str, Card], inbox: Sequence[Proposal], engine: str
) -> list[Row]:
    """All runs: those at work, those that wait for a person or the engine, then the rest as given."""
    starts = {(each.ticket, each.attempt): each.summary for each in inbox if each.kind == "start"}
    found = [_row(glance, cards.get(glance.place.ticket), starts, engine) for glance in glances]
    known = {(row.ticket, row.attempt) for row in found}
    for card in cards.values():
        if card.kind in KINDS and card.state in LIVE and (card.id, card.attempt) not in known:
            summary = starts.get((card.id, card.attempt))
            state = "waiting" if summary is None else "asks"
            word = "waits" if summary is None else "asks you"
            why = summary or card.note or f"the engine is {engine}"
            found.append(Row(card.id, card.attempt, card.kind, state, word, why, None))
    order = ("running", "asks", "waiting")
    return sorted(found, key=lambda row: order.index(row.state) if row.state in order else len(order))


def _row(glance: Glance, card: Card | None, starts: Mapping[tuple[str, int], str], engine: str) -> Row:
    place = glance.place
    here = card if card is not None and card.attempt == place.attempt else None
    kind = here.kind if here is not None else glance.kind
    state, word, why = glance.state, glance.state, glance.error
    if state == "running":
        word = glance.phase or "running"
        if engine not in ("running", "paused"):
            why = "no engine runs: it works on alone"
    elif (place.ticket, place.attempt) in starts:
        state, word, why = "asks", "asks you", starts[place.ticket, place.attempt]
    elif state == "interrupted":
        state, word, why = _interrupted(here, engine)
    elif here is not None and here.state in ("failed", "cancelled"):
        state, word, why = here.state, here.state, why or here.note
    elif state == "done" and here is not None and here.state in LIVE:
        why = "its checks run" if here.state == "running" else here.note
    return Row(place.ticket, place.attempt, kind, state, word, why, glance)


def _interrupted(card: Card | None, engine: str) -> tuple[str, str, str]:
    if card is None:
        return "left", "left", "another attempt took its place"
    if card.state not in LIVE:
        return ("failed" if card.state == "failed" else "left"), card.state, card.note
    if engine == "running":
        return "interrupted", "resuming", "the engine takes it up again"
    return "interrupted", "interrupted", "it goes on when the engine runs: s starts it"


class RowsDoc:
    """Draws the list."""

    def __init__(self, found: Sequence[Row], look: Look, now: int) -> None:
        self._rows, self._look, self._now = found, look, now
        self._cells = 80

    def lay(self, cells: int) -> int:
        """One line each."""
        self._cells = cells
        return len(self._rows)

    def line(self, at: int, selected: bool) -> tuple[Line, Line, str]:
        """A run."""
        row, look = self._rows[at], self._look
        back = "raised" if selected else "bg"
        muted = look("muted", back)
        glyph = look.glyph(_GLYPHS.get(row.state, row.state))
        id_ = look.text(row.ticket)
        left: list[Piece] = [
            (f" {glyph} ", look(row.role, back)),
            (fit(id_, _ID, look.g.ellipsis), look("text", back, bold=True)),
            (fit(f" {row.attempt}", 4), look("faint", back)),
            (fit(look.text(row.kind), _KIND, look.g.ellipsis), muted),
            (fit(look.text(row.word), _WORD, look.g.ellipsis), look(row.role, back)),
            (" ", muted),
        ]
        right: list[Piece] = []
        if row.lives and row.glance is not None:
            left += self._going(row.glance, back)
            if row.why and self._cells >= 110:
                left.append((f"  {look.text(row.why)}", look("waiting", back)))
        else:
            if row.glance is not None:
                right = [(f" {age(row.glance.place.changed, self._now)} ago ", look("faint", back))]
            left.append(
                (look.text(row.why or _made(row.glance)), look(row.role if row.why else "muted", back))
            )
        return left, right, back

    def _going(self, glance: Glance, back: str) -> list[Piece]:
        look, done = self._look, glance.progress
        if not glance.total:
            return []
        full = round(done.fraction * _BAR)
        left = eta(done.eta_low, done.eta_high, look.g.dash)
        pieces: list[Piece] = [
            (look.g.full * full, look("running", back)),
            (look.g.empty * (_BAR - full), look("line" if back == "bg" else "faint", back)),
            (f" {done.fraction:4.0%}  ", look("text", back)),
            (fit(left, 10), look("muted", back)),
        ]
        if glance.speed is not None and self._cells >= 76:
            pieces.append((f"{speed(glance.speed):>9}", look("muted", back)))
        if glance.loss is not None and self._cells >= 100:
            pieces.append((f"  loss {glance.loss:.4g}", look("muted", back)))
        return pieces


def brief(glance: Glance, look: Look) -> str:
    """A run in one line, for a ticket's page."""
    done = glance.progress
    parts = [glance.phase or glance.state]
    if glance.total:
        parts.append(f"{count(glance.done)} of {count(glance.total)} {glance.unit}".strip())
    if glance.loss is not None:
        parts.append(f"loss {glance.loss:.4g}")
    if glance.state == "running":
        parts.append(f"left {eta(done.eta_low, done.eta_high, look.g.dash)}")
    return ", ".join(parts)


def speed(much: float) -> str:
    """Steps a second, or seconds a step where that is easier to read."""
    if much <= 0:
        return "0/s"
    return f"{much:.3g}/s" if much >= 0.1 else f"{1 / much:.0f} s each"


def _made(glance: Glance | None) -> str:
    if glance is None or not glance.total:
        return ""
    return f"{count(glance.done)} {glance.unit}".strip()


def named(row: Row) -> str:
    """How a run is called in a sentence."""
    return f"{row.ticket}, attempt {row.attempt}"
