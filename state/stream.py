"""What a model says while it says it: one JSON line a piece, for whoever looks on. Never the truth.

The engine begins the file anew with each call; the reply itself goes into the journal when it is complete. A
reader may find a line that is half written, or the file gone: it shows what it has.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

MOST = 512 * 1024  # bytes of one call that are shown; a reply that is longer is whole in the journal
_HEAD = 400  # bytes by which one call is told from the next: they hold who is asked for what


class Piece(NamedTuple):
    """Some text of one sort: `call` (who is asked, for what), `think`, `text`, `note` (a wait, a retry)."""

    sort: str
    text: str


class Writer:
    """Writes one call. A disk that is full costs the show, never the work."""

    def __init__(self, path: Path) -> None:
        self._path, self._left = path, MOST
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")

    def say(self, sort: str, text: str) -> None:
        """Add a piece."""
        line = json.dumps([sort, text]).encode() + b"\n"
        if len(line) > self._left:
            return
        self._left -= len(line)
        with contextlib.suppress(OSError), self._path.open("ab") as file:
            file.write(line)


def read(path: Path) -> list[Piece]:
    """The pieces so far, neighbours of one sort joined; empty where there is nothing."""
    return Reader(path).more()[1]


class Reader:
    """Follows a file from call to call: news costs what the news is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._head = b""

    def more(self) -> tuple[bool, list[Piece]]:
        """Whether another call has begun since the last time, and the pieces that have come of this one."""
        try:
            with self.path.open("rb") as file:
                head, size = file.read(_HEAD), file.seek(0, os.SEEK_END)
                anew = self._offset > size or (self._offset > 0 and head[: len(self._head)] != self._head)
                if anew:
                    self._offset = 0
                self._head = head
                file.seek(self._offset)
                data = file.read(MOST)
        except OSError:
            return False, []
        whole = data.rfind(b"\n") + 1  # the rest of a line that is half written comes with the next look
        self._offset += whole
        return anew, _joined(data[:whole])


def _joined(data: bytes) -> list[Piece]:
    pieces: list[Piece] = []
    for line in data.splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            sort, text = _piece(json.loads(line))
            if pieces and pieces[-1].sort == sort:
                pieces[-1] = Piece(sort, pieces[-1].text + text)
            else:
                pieces.append(Piece(sort, text))
    return pieces


def _piece(value: Any) -> tuple[str, str]:
    if not isinstance(value, Sequence) or len(value) != 2 or not all(isinstance(each, str) for each in value):
        raise ValueError("no piece")
    return value[0], value[1]
