"""Connections to the journal's file: made, looked at before anything is written, and opened for reading.

A file that is damaged, of a newer version or not a journal at all is only ever opened read-only, so not a
byte of it changes: even closing a writing connection would fold its write-ahead log into it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from state import chain, fold, schema, waterline
from state.errors import JournalError, JournalNewer, damaged, reading
from state.events import Event

PRAGMAS = (
    "PRAGMA synchronous=FULL",
    "PRAGMA wal_autocheckpoint=4000",  # 16 MB: some thousand events between two folds of the log
    "PRAGMA cache_size=-16000",  # 16 MB: the board of 10,000 tickets, so that an append reads nothing
)
"""What a connection that writes sets; the journal is in WAL mode since it was made."""

_TAIL = 1_000  # rows whose chain is checked on opening; `Journal.fault` checks all, beside the work
_PAGES_CHECKED = 32 << 20  # bytes; a larger file's pages are left to `Journal.fault` too: 0.6 s a GB saved
_RETRIES = 100


def look(path: Path) -> None:
    """Check an existing file without changing it, in a time that does not grow with it.

    Raises:
        JournalNewer, JournalDamaged, JournalError: what keeps it from being opened for writing.
    """
    mark = waterline.read(path)  # before the events: what is acknowledged meanwhile is no fault
    if not path.exists():
        return
    size = path.stat().st_size
    if size == 0:
        log = path.with_name(path.name + "-wal")
        if (mark and mark[0]) or (log.exists() and log.stat().st_size):
            raise damaged(path, "the file is empty")
        return
    with reading(path):
        try:
            db = _read_only(path)
        except sqlite3.OperationalError as error:
            if not _is_about_rights(error):
                raise
            return  # opening it for writing will say what is wrong
        with contextlib.closing(db):
            if not version(db, path):
                return
            if size <= _PAGES_CHECKED and (fault := page_fault(db, thorough=False)):
                raise damaged(path, fault)
            if fault := tail_fault(db, mark):
                raise damaged(path, fault)


def page_fault(db: sqlite3.Connection, *, thorough: bool) -> str | None:
    """What SQLite finds wrong with the pages (and with the indexes, when thorough), in one line, or None."""
    try:
        found = db.execute(f"PRAGMA {'integrity_check' if thorough else 'quick_check'}(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if found == "ok" else " ".join(str(found).split())


def tail_fault(db: sqlite3.Connection, mark: tuple[int, bytes] | None) -> str | None:
    """What is wrong with the last events and with what was acknowledged, in one line, or None."""
    head = db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
    if fault := mark_fault(db, mark):
        return fault
    try:
        for _ in chain.sound(db, max(0, head - _TAIL)):
            pass
    except chain.Broken as broken:
        return str(broken)
    return None


def mark_fault(db: sqlite3.Connection, mark: tuple[int, bytes] | None) -> str | None:
    """Whether the acknowledged event is there."""
    if mark is None:
        return None
    found = chain.hash_at(db, mark[0])
    if found == mark[1]:
        return None
    if found is None:
        return f"event {mark[0]} was written and is gone with what stood before it"
    return f"event {mark[0]} is not what was written"


def for_writing(path: Path) -> sqlite3.Connection:
    """Open for writing; a file that is not there, or empty, becomes a journal."""
    if not path.exists():
        waterline.beside(path).unlink(missing_ok=True)
    elif not os.access(path, os.W_OK):  # SQLite would open it read-only and fail on the first event
        raise JournalError(f"{path} may not be written to: check the rights of it and of its folder")
    db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    try:
        for pragma in PRAGMAS:
            db.execute(pragma)
        if not version(db, path):
            create(db)
    except BaseException:
        db.close()
        raise
    return db


def for_reading(path: Path) -> sqlite3.Connection:
    """Read-only, falling back to what works in a folder that cannot be written to."""
    try:
        return _read_only(path)
    except sqlite3.OperationalError as error:
        if not _is_about_rights(error):
            raise
    log = path.with_name(path.name + "-wal")
    if not log.exists() or not log.stat().st_size:
        return _connect(path, "mode=ro&immutable=1")
    # Immutable would not see what stands in the log alone: read a copy of both.
    folder = Path(tempfile.mkdtemp(prefix="jetbox-read-"))
    try:
        for source in (path, log):
            shutil.copyfile(source, folder / source.name)
        with contextlib.closing(sqlite3.connect(folder / path.name)) as copy:
            memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            copy.backup(memory)
        return memory
    except OSError as error:
        raise JournalError(f"{path} cannot be read in a folder without write access: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def version(db: sqlite3.Connection, path: Path) -> int:
    """The file's format, 0 for an empty one."""
    if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        return 0
    if db.execute("PRAGMA application_id").fetchone()[0] != schema.APPLICATION_ID:
        raise JournalError(f"{path} is not a journal of Jetbox: move it away")
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    if found > schema.FORMAT:
        raise JournalNewer(
            f"{path} was written by a newer Jetbox (format {found}, this one knows {schema.FORMAT}):"
            " update Jetbox; nothing was changed"
        )
    if found < 1:
        raise damaged(path, f"there is no format {found}")
    return found


def create(db: sqlite3.Connection) -> None:
    """Make an empty database a journal; another process may be doing the same."""
    for attempt in range(_RETRIES):
        try:
            db.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:  # SQLite does not wait here for the one who is faster
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or attempt == _RETRIES - 1:
                raise
            time.sleep(0.01)
    db.execute("BEGIN IMMEDIATE")
    if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        _script(db, schema.EVENTS)
        make_views(db)
        db.execute(f"PRAGMA application_id={schema.APPLICATION_ID}")
        db.execute(f"PRAGMA user_version={schema.FORMAT}")
    db.execute("COMMIT")


def make_views(db: sqlite3.Connection) -> None:
    """The empty tables of the views, replacing what is there."""
    for table in schema.VIEW_TABLES:
        db.execute(f"DROP TABLE IF EXISTS {table}")
    _script(db, schema.VIEW_DDL)
    db.execute("INSERT INTO meta VALUES ('views', ?)", (str(schema.VIEWS),))


def has_current_views(db: sqlite3.Connection) -> bool:
    """Whether the views are of the version that this program reads and writes."""
    row = db.execute("SELECT value FROM meta WHERE key='views'").fetchone()
    return bool(row and row[0] == str(schema.VIEWS))


def folded(events: Iterable[Event]) -> sqlite3.Connection:
    """The views of these events, in memory."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    make_views(db)
    cursor = db.execute("BEGIN")
    for event in events:
        fold.apply(cursor, event)
    db.execute("COMMIT")
    return db


def _read_only(path: Path) -> sqlite3.Connection:
    db = _connect(path, "mode=ro")
    try:
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        db.close()
        raise
    return db


def _connect(path: Path, options: str) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?{options}"
    return sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None, check_same_thread=False)


def _is_about_rights(error: sqlite3.OperationalError) -> bool:
    return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


def _script(db: sqlite3.Connection, statements: str) -> None:
    """Run statements inside the open transaction (`executescript` would commit it)."""
    plain = "\n".join(line.partition("--")[0] for line in statements.splitlines())
    for statement in plain.split(";"):
        if statement.strip():
            db.execute(statement)
