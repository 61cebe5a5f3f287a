"""The journal: an append-only chain of events in SQLite, with the views folded in the same transaction.

Guarantees:
- What `append` returned is on the disk (WAL, `synchronous=FULL`); a crash loses nothing before it.
- Events and views change together or not at all, so opening is a read and never a replay.
- Each row's hash covers the row and the hash before it: `fault` names the first row that does not fit.
- A file of a newer version is refused untouched; a damaged one is not opened for writing.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from state import chain, connect, fold, schema, waterline
from state.canonical import canonical
from state.errors import DiskFull as DiskFull
from state.errors import JournalDamaged as JournalDamaged
from state.errors import JournalError as JournalError
from state.errors import JournalMissing as JournalMissing
from state.errors import JournalNewer as JournalNewer
from state.errors import damaged, reading, translate
from state.events import TYPES, Event, New
from state.views import Views


class Journal:
    """One connection to the journal. Threads may share it: each call holds the lock."""

    def __init__(self, db: sqlite3.Connection, path: Path, *, writable: bool) -> None:
        self.path = path
        self.writable = writable
        self.views = Views(db, lock := threading.RLock(), path)
        self._db = db
        self._cursor = db.cursor()  # for writing: one for all statements costs less than one for each
        self._lock = lock
        self._last: tuple[int, bytes] | None = None  # what this connection wrote last
        self._waterline = waterline.Waterline(path) if writable else None

    # Opening -------------------------------------------------------------------------------------

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Open for reading and writing; made when it is not there.

        Checked are the last 1,000 events, that none that was acknowledged is missing, and the pages of a
        small file; `fault` checks everything and belongs beside the work.

        Raises:
            JournalNewer, JournalDamaged, DiskFull, JournalError: with a line for the user.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connect.look(path)
            db = connect.for_writing(path)
        except OSError as error:
            raise JournalError(f"{path} cannot be opened: {error}") from error
        except sqlite3.Error as error:
            raise translate(error, path) from error
        journal = cls(db, path, writable=True)
        try:
            with reading(path):
                journal._refold_if_older()
        except BaseException:
            journal.close()
            raise
        return journal

    @classmethod
    def read(cls, path: Path) -> Journal:
        """Open for reading only; works in a folder one may not write to.

        Raises:
            JournalMissing, JournalNewer, JournalDamaged, JournalError: with a line for the user.
        """
        missing = JournalMissing(f"no journal at {path}: `jetbox run` or `jetbox` makes one")
        try:
            if not path.is_file() or not path.stat().st_size:
                raise missing
            with reading(path):
                db = connect.for_reading(path)
        except OSError as error:
            raise JournalError(f"{path} cannot be read: {error}") from error
        try:
            with reading(path):
                if not connect.version(db, path):
                    raise missing
                if not connect.has_current_views(db):
                    raise JournalError(
                        f"{path} was last used by another version of Jetbox: `jetbox run` updates it"
                    )
        except BaseException:
            db.close()
            raise
        return cls(db, path, writable=False)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._db.close()
            if self._waterline:
                self._waterline.close()

    # Writing -------------------------------------------------------------------------------------

    def append(self, *events: New) -> list[Event]:
        """Write events in one transaction and return them as they stand.

        Raises:
            DiskFull: nothing was written.
        """
        return self.transact(lambda _: events)

    def transact(self, decide: Callable[[Views], Iterable[New]]) -> list[Event]:
        """Let `decide` look at the views and write what it returns, with no other writer in between.

        What `decide` raises ends the transaction and is raised again: nothing was written.
        """
        if not self.writable or self._waterline is None:
            raise JournalError(f"{self.path} is open for reading only")
        with self._lock:
            try:
                self._cursor.execute("BEGIN IMMEDIATE")
                try:
                    written, head = self._write(list(decide(self.views)))
                    self._cursor.execute("COMMIT")
                except BaseException:
                    self._last = None
                    with contextlib.suppress(sqlite3.Error):
                        self._db.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise translate(error, self.path) from error
            if written:
                self._last = head
                self._waterline.mark(*head)
            return written

    def _write(self, events: list[New]) -> tuple[list[Event], tuple[int, bytes]]:
        head = self._last or self._head()
        written: list[Event] = []
        for new in events:
            try:
                row = self._insert(*head, new)
            except sqlite3.IntegrityError:
                if written or head is not self._last:
                    raise
                row = self._insert(*self._head(), new)  # the seq is taken: another connection has written
            head = row[0], row[6]
            event = chain.event_of(row)  # as it will be read again: the fold must not see more than that
            fold.apply(self._cursor, event)
            written.append(event)
        return written, head

    def _insert(self, seq: int, before: bytes, new: New) -> chain.Row:
        """Write an event behind the one with this seq and hash."""
        if new.type not in TYPES:
            raise ValueError(f"unknown event type {new.type!r}")
        seq, at, body = seq + 1, int(time.time() * 1000), canonical(new.body)
        hash_ = chain.link(before, seq, at, new.ticket, new.attempt, new.type, body)
        row = (seq, at, new.ticket, new.attempt, new.type, body, hash_)
        self._cursor.execute("INSERT INTO events VALUES (?,?,?,?,?,?,?)", row)
        return row

    # Reading -------------------------------------------------------------------------------------

    def version(self) -> int:
        """A number that changes when another connection has written: cheap to poll."""
        with reading(self.path), self._lock:
            return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def head(self) -> tuple[int, bytes]:
        """Seq and hash of the last event."""
        with reading(self.path), self._lock:
            return self._head()

    def _head(self) -> tuple[int, bytes]:
        row = self._db.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        if row is None:
            return 0, chain.GENESIS
        if not isinstance(row[1], bytes):
            raise damaged(self.path, f"event {row[0]} is not what was written")
        return row[0], row[1]

    def events(
        self,
        after: int = 0,
        ticket: str | None = None,
        attempt: int | None = None,
        limit: int = -1,
        types: Collection[str] = (),
    ) -> list[Event]:
        """Events in order, after a seq, of one ticket, attempt, or of some types where given."""
        where = ["seq > ?"]
        values: list[int | str] = [after, *(value for value in (ticket, attempt) if value is not None)]
        if ticket is not None:
            where.append("ticket = ?")
        if attempt is not None:
            where.append("attempt = ?")
        if ticket:
            where.append("ticket != ''")  # says that the partial index holds all of them
        if types:
            where.append(f"type IN ({','.join('?' * len(types))})")
            values += types
        with reading(self.path):
            with self._lock:
                rows = self._db.execute(
                    "SELECT seq, at, ticket, attempt, type, body, hash FROM events"
                    f" WHERE {' AND '.join(where)} ORDER BY seq LIMIT ?",
                    [*values, limit],
                ).fetchall()
            return [chain.event_of(row) for row in rows]

    # Soundness -----------------------------------------------------------------------------------

    def fault(self, after: int = 0, stop: threading.Event | None = None) -> str | None:
        """The first thing that is wrong with the events behind a seq, in one line, or None.

        From the start on (`after` 0), the file's pages and indexes are checked as well. It reads by a
        connection of its own, so it can run beside the engine; `stop` ends it with None.
        """
        mark = waterline.read(self.path)  # before the events: what is acknowledged meanwhile is no fault

        def stopped() -> bool:
            return stop is not None and stop.is_set()

        try:
            with contextlib.closing(connect.for_reading(self.path)) as db:
                db.set_progress_handler(stopped, 100_000)
                if after == 0 and (fault := connect.page_fault(db, thorough=True)):
                    return None if stopped() else fault
                for _ in chain.sound(db, after):
                    if stopped():
                        return None
                return connect.mark_fault(db, mark)
        except (chain.Broken, sqlite3.Error, OSError, JournalError) as broken:
            return None if stopped() else str(broken)

    def view_fault(self) -> str | None:
        """Fold every event anew and compare: the first view that differs, in one line, or None."""
        try:
            with contextlib.closing(connect.for_reading(self.path)) as db:
                db.execute("BEGIN")  # events and views of one moment
                fresh = connect.folded(map(chain.event_of, chain.sound(db)))
                with contextlib.closing(fresh):
                    for table in schema.VIEW_TABLES:
                        query = f"SELECT * FROM {table}"  # a constant of this program
                        found, wanted = (view.execute(query).fetchall() for view in (db, fresh))
                        if sorted(map(repr, found)) != sorted(map(repr, wanted)):
                            return f"the view {table} is not what the events say"
        except (chain.Broken, sqlite3.Error, OSError, JournalError) as broken:
            return str(broken)
        return None

    def copy_sound(self, target: Path) -> int:
        """Write the events up to the first fault into a new journal; returns how many.

        Raises:
            JournalError: there is a file at `target` already, or it cannot be written.
        """
        if target.exists():
            raise JournalError(f"{target} is there already: name a new file")
        count = 0
        try:
            with (
                contextlib.closing(connect.for_writing(target)) as out,
                contextlib.closing(connect.for_reading(self.path)) as db,
            ):
                cursor = out.cursor()
                cursor.execute("BEGIN")
                with contextlib.suppress(chain.Broken):
                    for row in chain.sound(db):
                        cursor.execute("INSERT INTO events VALUES (?,?,?,?,?,?,?)", row)
                        fold.apply(cursor, chain.event_of(row))
                        count = row[0]
                out.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            for name in (target.name, f"{target.name}-wal", f"{target.name}-shm"):
                target.with_name(name).unlink(missing_ok=True)
            if isinstance(error, sqlite3.Error):
                raise translate(error, target) from error
            raise JournalError(f"{target} cannot be written: {error}") from error
        return count

    def _refold_if_older(self) -> None:
        """Views of another version are folded again: a migration that cannot lose anything."""
        if connect.has_current_views(self._db):
            return
        self._db.execute("BEGIN IMMEDIATE")
        connect.make_views(self._db)
        try:
            for row in chain.sound(self._db):
                fold.apply(self._cursor, chain.event_of(row))
        except chain.Broken as broken:
            raise damaged(self.path, str(broken)) from broken
        self._db.execute("COMMIT")
