"""What can be wrong with a journal: one type for each thing a user can do about it."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

_SHM_FULL = 4874  # SQLITE_IOERR_SHMSIZE: no room for the index of the WAL


class JournalError(Exception):
    """The journal cannot be used; the message says why and what to do."""


class JournalMissing(JournalError):
    """There is no journal here yet."""


class JournalNewer(JournalError):
    """The file was written by a newer Jetbox."""


class JournalDamaged(JournalError):
    """The file is not what was written."""


class DiskFull(JournalError):
    """The disk has no room for the event; nothing of it was written."""


def damaged(path: Path, fault: str) -> JournalDamaged:
    """The error for a journal with this fault."""
    return JournalDamaged(
        f"{path} is damaged: {fault}. It is left as it is; "
        "`jetbox verify --copy FILE` saves the sound part into a new file"
    )


def translate(error: sqlite3.Error, path: Path) -> JournalError:
    """What an error of SQLite means for a user."""
    text, code = str(error).lower(), getattr(error, "sqlite_errorcode", 0)
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_FULL or (primary == sqlite3.SQLITE_IOERR and _out_of_room(code, path)):
        return DiskFull(f"the disk is full: {path} could not be written; nothing was changed")
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "could not decode" in text:
        return damaged(path, str(error))
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return JournalError(f"{path} cannot be used here ({error}): check the rights of it and of its folder")
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return JournalError(f"{path} is being written by another process for long: try again ({error})")
    return JournalError(f"{path}: {error}")


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what reading a damaged file can raise into a `JournalError`."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error, path) from error
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        # a body that is no JSON or of another shape, a number where a text was written
        raise damaged(path, f"a row cannot be read ({error})") from error


def _out_of_room(code: int, path: Path) -> bool:
    """Whether an I/O error means a limit: SQLite knows only ENOSPC as full, not a quota or a size limit."""
    if code in (sqlite3.SQLITE_IOERR_WRITE, _SHM_FULL):
        return True
    try:
        return shutil.disk_usage(path.parent).free < 1 << 20
    except OSError:
        return False
