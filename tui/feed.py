"""What the cockpit knows: the board, the inbox and the engine, kept up to date with the journal.

One read-only connection; `poll` asks for the journal's version, which costs a few microseconds, and
reads only what changed. A journal that is not there, is damaged or was replaced under us is a state
with a line to show, never an exception: the next poll looks again.
"""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from state.journal import Journal, JournalDamaged, JournalError, JournalMissing, JournalNewer
from state.lock import holder
from state.views import Card, Proposal
from state.workspace import Workspace

_LOOK_AGAIN = 1.0  # seconds between looks at the lock and at which file the journal is
_TRUTH = 0.25  # seconds after which the journal itself is asked, whatever its log looks like
_STARTING = 20.0  # seconds after which an engine that was started and is not there is called missing


class Engine(NamedTuple):
    """What is known of the engine: running, starting, paused or off."""

    state: str
    pid: int | None = None
    why: str = ""
    isolation: str = ""
    """What holds its commands; none: nothing does; '': not known."""
    consent: bool = False
    """A person lets them run all the same, as far as the journal says: the engine checks it."""


@dataclass(frozen=True)
class Change:
    """What a poll found. `everything` says that the tickets named are not all."""

    tickets: frozenset[str] = frozenset()
    inbox: bool = False
    engine: bool = False
    everything: bool = False


class Feed:
    """The cockpit's memory of the journal."""

    def __init__(self, workspace: Workspace, clock: Callable[[], float]) -> None:
        self.workspace = workspace
        self.cards: dict[str, Card] = {}
        self.counts: Counter[str] = Counter()
        self.inbox: list[Proposal] = []
        self.asking: dict[str, str] = {}
        """Tickets with an open proposal, and its id."""
        self.engine = Engine("off")
        self.problem = ""
        """Why there is nothing to show, in one line; '' where all is well."""
        self.missing = True
        """There is no journal yet, which is no error."""
        self.startable = True
        """Whether an engine may be started on what is there: it makes a journal, and updates an older one."""
        self.journal: Journal | None = None
        self._clock = clock
        self._version = -1
        self._seq = 0
        self._file: tuple[int, int] | None = None
        self._looked = float("-inf")
        self._log = f"{workspace.journal}-wal"
        self._hint: tuple[int, int] | None = None
        self._asked = float("-inf")
        self._started: float | None = None

    @property
    def seq(self) -> int:
        """Of the last event that has been heeded."""
        return self._seq

    # Opening -------------------------------------------------------------------------------------

    def open(self) -> None:
        """Read everything. Whatever goes wrong is kept in `problem` or `missing`."""
        self.close()
        path = self.workspace.journal
        try:
            self.journal = Journal.read(path)
            self._file = self._identity()
            self._version = self.journal.version()
            self._seq = self.journal.head()[0]
            self.cards = {card.id: card for card in self.journal.views.board()}
            self._read_inbox()
            self.problem, self.missing, self.startable = "", False, True
        except JournalMissing:
            self._fail("", missing=True, startable=True)
        except JournalError as error:
            self._fail(str(error), startable=not isinstance(error, (JournalDamaged, JournalNewer)))
        except (sqlite3.Error, OSError, ValueError) as error:
            self._fail(f"{path} cannot be read: {error}")
        self.counts = Counter(card.state for card in self.cards.values())
        self._read_engine()
        self._looked = self._clock()

    def close(self) -> None:
        """Close the connection; what was read stays."""
        if self.journal is not None:
            self.journal.close()
            self.journal = None

    def _fail(self, problem: str, *, missing: bool = False, startable: bool = False) -> None:
        self.close()
        self.problem, self.missing, self.startable = problem, missing, startable
        self.cards, self.inbox, self.asking = {}, [], {}

    # Polling -------------------------------------------------------------------------------------

    def due(self) -> bool:
        """Whether a poll would find something to do: cheap enough to ask twenty times a second."""
        now = self._clock()
        if now - self._looked >= _LOOK_AGAIN:
            return True
        if self.journal is None:
            return False
        hint = self._log_stamp()
        if hint == self._hint and now - self._asked < _TRUTH:
            return False
        self._hint, self._asked = hint, now
        try:
            return self.journal.version() != self._version
        except (sqlite3.Error, JournalError):
            return True

    def _log_stamp(self) -> tuple[int, int] | None:
        """Size and time of the write-ahead log: a hint that somebody wrote, for a twentieth of the price."""
        try:
            stat = os.stat(self._log)  # noqa: PTH116
        except OSError:
            return None
        return stat.st_size, stat.st_mtime_ns

    def poll(self) -> Change | None:
        """Read what has changed since the last poll; None when nothing has."""
        now = self._clock()
        look = now - self._looked >= _LOOK_AGAIN
        if self.journal is None:
            return self._reopen() if look else None
        if look and self._identity() != self._file:
            return self._reopen()
        try:
            if self.journal.version() != self._version:
                return self._read_changes()
            return self._engine_change() if look else None
        except (sqlite3.Error, JournalError, ValueError) as error:
            self._fail(f"{self.workspace.journal} cannot be read any more: {error}")
            self.counts = Counter()
            return Change(inbox=True, engine=True, everything=True)

    def _reopen(self) -> Change | None:
        before = (self.problem, self.missing, self.engine)
        self.open()
        if self.journal is None and before == (self.problem, self.missing, self.engine):
            return None
        return Change(inbox=True, engine=True, everything=True)

    def _read_changes(self) -> Change:
        assert self.journal is not None
        self._version = self.journal.version()
        seq = self.journal.head()[0]
        shown, gone = self.journal.views.changed_since(self._seq)
        self._seq = seq
        touched = set()
        for card in shown:
            before = self.cards.get(card.id)
            if before != card:
                touched.add(card.id)
                if before is not None:
                    self.counts[before.state] -= 1
                self.counts[card.state] += 1
                self.cards[card.id] = card
        for id_ in gone:
            if (card_gone := self.cards.pop(id_, None)) is not None:
                touched.add(id_)
                self.counts[card_gone.state] -= 1
        asked = dict(self.asking)
        inbox = self._read_inbox()
        touched |= {id_ for id_ in asked.keys() ^ self.asking.keys() if id_ in self.cards}
        engine = self._engine_change() is not None
        return Change(frozenset(touched), inbox, engine)

    def _read_inbox(self) -> bool:
        assert self.journal is not None
        found = self.journal.views.inbox()
        if found == self.inbox:
            return False
        self.inbox = found
        self.asking = {proposal.ticket: proposal.id for proposal in found}
        return True

    def _identity(self) -> tuple[int, int] | None:
        try:
            stat = self.workspace.journal.stat()
        except OSError:
            return None
        return stat.st_dev, stat.st_ino

    # The engine ----------------------------------------------------------------------------------

    def starting(self) -> None:
        """Somebody has just asked for an engine."""
        self._started = self._clock()
        self._read_engine()

    def not_starting(self) -> None:
        """The asking failed."""
        self._started = None
        self._read_engine()

    def _engine_change(self) -> Change | None:
        self._looked = self._clock()
        before = self.engine
        self._read_engine()
        return None if before == self.engine else Change(engine=True)

    def _read_engine(self) -> None:
        pid = holder(self.workspace.lock)
        said = self._said()
        if pid is not None:
            self._started = None
            paused = said.get("state") == "paused"
            state, why = ("paused", said.get("why", "")) if paused else ("running", "")
            self.engine = Engine(state, pid, why, *self._held())
        elif self._started is not None and self._clock() - self._started < _STARTING:
            self.engine = Engine("starting")
        else:
            self.engine = Engine("off")

    def _held(self) -> tuple[str, bool]:
        try:
            session = self.journal.views.session() if self.journal else None
        except (sqlite3.Error, JournalError, ValueError):
            return "", False
        return (session.isolation, bool(session.consent)) if session and session.open else ("", False)

    def _said(self) -> dict[str, str]:
        try:
            return self.journal.views.engine() if self.journal else {}
        except (sqlite3.Error, ValueError):
            return {}
