"""The chain: each row's hash covers the row and the hash before it, so the first changed row shows."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator

from state.canonical import loads
from state.events import Event

Row = tuple[int, int, str, int, str, str, bytes]
"""A row of `events` as it is stored: seq, at, ticket, attempt, type, body, hash."""

GENESIS = hashlib.sha256(b"jetbox").digest()
_PORTION = 2_000


class Broken(Exception):
    """The chain ends here: the message names the first row that does not fit."""


def link(before: bytes, seq: int, at: int, ticket: str, attempt: int, type_: str, body: str) -> bytes:
    """The hash of a row behind the row with the hash `before`."""
    row = f"{seq}\n{at}\n{ticket}\n{attempt}\n{type_}\n{body}"
    return hashlib.sha256(before + row.encode()).digest()


def hash_at(db: sqlite3.Connection, seq: int) -> bytes | None:
    """The hash of the row with this seq, None when there is none."""
    if seq == 0:
        return GENESIS
    row = db.execute("SELECT hash FROM events WHERE seq=?", (seq,)).fetchone()
    return row[0] if row and isinstance(row[0], bytes) else None


def sound(db: sqlite3.Connection, after: int = 0) -> Iterator[Row]:
    """Rows behind `after` as long as they fit, read in portions, between which others can write.

    Raises:
        Broken: at the first row that is missing, changed or cannot be read.
    """
    last, seq = hash_at(db, after) or b"", after
    while True:
        rows, trouble = _portion(db, seq)
        for row in rows:
            if row[0] != seq + 1:
                raise Broken(f"event {seq + 1} is missing")
            last, seq = link(last, *row[:6]), seq + 1
            if last != row[6]:
                raise Broken(f"event {seq} ({row[4]!s:.40}) is not what was written")
            yield row
        if trouble:
            raise Broken(f"event {seq + 1} cannot be read: {trouble}")
        if len(rows) < _PORTION:
            return


def _portion(db: sqlite3.Connection, after: int) -> tuple[list[Row], sqlite3.Error | None]:
    """The next rows up to one that cannot be read, and why it cannot."""
    rows: list[Row] = []
    query = "SELECT seq, at, ticket, attempt, type, body, hash FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
    try:
        rows.extend(db.execute(query, (after, _PORTION)))
    except sqlite3.DatabaseError as error:
        return rows, error
    return rows, None


def event_of(row: Row) -> Event:
    """A row as an event."""
    return Event(row[0], row[1], row[2], row[3], row[4], loads(row[5]))
