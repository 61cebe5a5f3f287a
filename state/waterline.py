"""How far the journal was acknowledged, in a small file beside it.

A write-ahead log that lost its end reads like one that was never longer, and so does a file put back from
a copy: the chain is sound, only short. So each acknowledged transaction overwrites this one line with the
last event's seq and hash. The line is never ahead of the journal, whatever is killed or cut off, because
it is written after the commit reached the disk; being behind it says less, never something false. It is
not fsynced, which costs some microseconds and loses only what a power cut takes with it.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path

_LENGTH = 95  # 20 digits, 64 of the hash, 8 of the checksum, two spaces and a newline


def beside(journal: Path) -> Path:
    """Where the line of this journal stands; it moves, and goes, together with `journal.db*`."""
    return journal.with_name(journal.name + "-head")


def read(journal: Path) -> tuple[int, bytes] | None:
    """The last acknowledged event's seq and hash, None where nothing (readable) says so."""
    try:
        line = beside(journal).read_bytes()
    except OSError:
        return None
    text, _, check = line.removesuffix(b"\n").rpartition(b" ")
    try:
        if len(line) != _LENGTH or int(check, 16) != zlib.crc32(text):
            return None
        seq, _, hash_ = text.partition(b" ")
        return int(seq), bytes.fromhex(hash_.decode())
    except ValueError:
        return None


def _overwrite(fd: int, line: bytes) -> None:
    if hasattr(os, "pwrite"):
        os.pwrite(fd, line, 0)
    else:
        os.lseek(fd, 0, os.SEEK_SET)
        os.write(fd, line)


class Waterline:
    """The line, open for overwriting. It is a help: where it cannot be written, the journal goes on."""

    def __init__(self, journal: Path) -> None:
        self._fd: int | None = None
        try:
            self._fd = os.open(beside(journal), os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        except OSError:
            return

    def mark(self, seq: int, hash_: bytes) -> None:
        """Say that everything up to this event is acknowledged."""
        if self._fd is None:
            return
        text = b"%020d %s" % (seq, hash_.hex().encode())
        try:
            _overwrite(self._fd, b"%s %08x\n" % (text, zlib.crc32(text)))
        except OSError:
            self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
