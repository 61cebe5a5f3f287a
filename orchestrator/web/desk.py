"""The services behind what is served: the mind, the journal's views, the core, and what is proposed of it.

Any number of threads may use a desk at once. Whatever can't be done is a `Sorry` with the line for a person,
a word for a program and the status of HTTP. Nothing here approves, denies or reverts: for that there is a
person's key.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from orchestrator.cli import models, reading
from orchestrator.cli.output import Failed
from orchestrator.lab.mind import Mind, MindError
from orchestrator.web.shapes import MindLine
from state import reflections
from state.errors import JournalError, JournalMissing
from state.journal import Journal
from state.workspace import Workspace
from tickets.lifecycle import Answer

if TYPE_CHECKING:
    from state.views import Proposal

AT_ONCE = 16
"""Questions that wait for the mind at once; who comes then is told that it is busy."""
CORRECTING = 300.0
"""Seconds that a correction may take: it may learn many lessons again."""
_STATUS = {"request": 422, "memory": 404}  # of what the mind says; all else is 503


class Sorry(Exception):
    """It can't be done: the status of HTTP, a word for a program, and a line for a person."""

    def __init__(self, status: int, reason: str, line: str) -> None:
        super().__init__(line)
        self.status, self.reason = status, reason


class Desk:
    """The services of one workspace."""

    def __init__(self, workspace: Workspace, opener: Callable[[Workspace], Mind] = Mind.open) -> None:
        """Make a desk; nothing is started yet.

        Args:
            workspace: whose tickets, core and memories these are.
            opener: of a mind.
        """
        self.workspace = workspace
        self.by = "jetbox serve"
        self._opener = opener
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(AT_ONCE)
        self._mind: Mind | None = None
        self._set = 0  # the seq of the last word on the core, as of when the mind was opened
        self._looking = threading.Lock()
        self._journal: Journal | None = None  # looked at for words on the core
        self._seen, self._seen_version, self._last = 0, -1, 0
        self._why = ""
        self._closed = False

    # The mind ----------------------------------------------------------------------------------------

    def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        """One request to the mind, and its reply; Sorry where there is none."""
        if not self._room.acquire(blocking=False):
            raise Sorry(503, "busy", f"{AT_ONCE} questions wait for the mind already: ask again")
        try:
            mind = self._current()
            return mind.ask(do, timeout=CORRECTING, **fields) if do == "correct" else mind.ask(do, **fields)
        except MindError as error:
            if error.reason in ("core", "none", "missing", "gone"):
                self._why = str(error)
            raise Sorry(_STATUS.get(error.reason, 503), error.reason, str(error)) from None
        finally:
            self._room.release()

    def warm(self) -> None:
        """Start the mind in the background, so that the first question does not wait for it."""

        def start() -> None:
            with contextlib.suppress(MindError, Sorry):
                self._current()

        threading.Thread(target=start, name="warm", daemon=True).start()

    def mind(self) -> MindLine:
        """What is known of the mind; nothing is started."""
        mind = self._mind
        if mind is None or mind.pid is None:
            return MindLine(state="off", why=self._why, core="")
        return MindLine(state="ready" if mind.core else "starting", why="", core=mind.core)

    def close(self) -> None:
        """End the mind; who still waits for it is told. Twice is no error."""
        with self._lock:
            self._closed = True
            mind, self._mind = self._mind, None
        if mind is not None:
            mind.close()
        with self._looking:
            journal, self._journal = self._journal, None
            self._seen_version = -1
            if journal is not None:
                journal.close()

    def _current(self) -> Mind:
        """The mind over the core that is current: another word on the core, and it is opened anew."""
        last = self._last_set()
        with self._lock:
            if self._closed:
                raise MindError("closed", "`jetbox serve` is ending")
            if self._mind is not None and last != self._set:
                self._mind.renew()
            self._set = last
            if self._mind is None:
                try:
                    self._mind = self._opener(self.workspace)
                except MindError as error:
                    self._why = str(error)
                    raise
                self._why = ""
            return self._mind

    def _last_set(self) -> int:
        """The seq of the last word on the core; 0 where there is none. Only what is new is looked through."""
        with self._looking:
            try:
                if self._journal is None:
                    self._journal = Journal.read(self.workspace.journal)
                if (now := self._journal.version()) != self._seen_version:
                    head = self._journal.head()[0]
                    for event in self._journal.events(after=self._seen, types=("core.set",)):
                        self._last = event.seq
                    self._seen, self._seen_version = head, now
            except (JournalError, sqlite3.Error):  # whoever needs the journal says what is wrong with it
                self._journal, self._seen_version = None, -1
            return self._last

    # The journal -------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def reading(self) -> Iterator[Journal]:
        """The journal, for reading only; JournalMissing where there is none, Sorry where it is unsound."""
        try:
            with reading.reading(self.workspace) as journal:
                yield journal
        except JournalMissing:
            raise
        except (JournalError, sqlite3.Error) as error:
            raise Sorry(503, "journal", str(error)) from None

    def tickets(self) -> models.Status:
        """The board."""
        try:
            with self.reading() as journal:
                lines = [reading.ticket_line(card) for card in journal.views.board()]
                return models.Status(tickets=lines, engine=reading.engine_line(self.workspace, journal))
        except JournalMissing:
            return models.Status(tickets=[], engine=reading.engine_line(self.workspace, None))

    def ticket(self, id_: str) -> models.Show:
        """One ticket in full."""
        try:
            with self.reading() as journal:
                return reading.show(journal, id_)
        except (Failed, JournalMissing):
            raise Sorry(404, "ticket", f"no ticket {id_}") from None

    def inbox(self) -> list[models.Proposal]:
        """What waits for a person, in full."""
        try:
            with self.reading() as journal:
                return [_in_full(each) for each in journal.views.inbox()]
        except JournalMissing:
            return []

    def reflections(self, limit: int) -> list[dict[str, Any]]:
        """What was written down, newest first."""
        return [asdict(each) for each in reflections.read(self.workspace.home, limit)]

    def head(self) -> int:
        """The seq of the last event; 0 where there is no journal yet."""
        try:
            with self.reading() as journal:
                return journal.head()[0]
        except JournalMissing:
            return 0

    def engine(self) -> models.EngineLine:
        """The engine."""
        return self.tickets().engine

    def version(self) -> str:
        """Of Jetbox."""
        return version("jetbox")


def _in_full(found: Proposal) -> models.Proposal:
    return models.Proposal(
        **reading.inbox([found])[0].model_dump(),
        attempt=found.attempt,
        state=Answer(found.state),
        reason=found.reason,
        by=found.by,
        subject=found.subject,
    )
