"""A file's bytes as lines, and back, so that what an edit does not change stays as it was, byte for byte.

Each line keeps its own ending (LF, CRLF, CR, or none at the end of the file), a byte order mark is put aside,
and bytes that are no UTF-8 are carried as they are. What is put in takes the endings around it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

MOST = 8 * 1024 * 1024
"""Bytes of a file that can be changed by a model's edit."""

_MARK = b"\xef\xbb\xbf"
_ENDING = re.compile(r"\r\n|\n|\r")
_RAW = re.compile("[\ud800-\udfff]")


class NotText(Exception):
    """The file, or what is to stand in it, is no text that lines can be changed in."""


@dataclass(frozen=True)
class Line:
    """One line. `number` is its place in the file as it was, from 1; 0 for one that is put in."""

    text: str
    end: str = ""
    number: int = 0


@dataclass(frozen=True)
class FileText:
    """A file's lines, and what belongs to the file as a whole."""

    lines: tuple[Line, ...]
    mark: bytes = b""
    ending: str = "\n"  # of most lines
    closed: bool = True  # whether the last line has an ending
    utf8: bool = True

    def data(self, lines: Sequence[Line]) -> bytes:
        """The bytes of the file with these lines instead.

        Raises:
            NotText: a line that is put in can't be written in this file.
        """
        for line in lines:
            if not line.number:
                self._fits(line.text)
        ended = [line.end for line in lines]
        for at, end in enumerate(ended):
            if not end:
                ended[at] = ended[at - 1] if at and not lines[at].number else self.ending
        if lines and not self.closed:
            ended[-1] = ""
        text = "".join(line.text + end for line, end in zip(lines, ended, strict=True))
        return self.mark + text.encode("utf-8", "surrogateescape")

    def _fits(self, text: str) -> None:
        if "\0" in text or _RAW.search(text):
            raise NotText("the new text holds characters that no text file may hold")
        if not self.utf8 and not text.isascii():
            raise NotText(
                "the file is not in UTF-8, so that only ASCII can be put in; leave lines with other"
                " characters as they are, and change only lines without"
            )


def read(data: bytes) -> FileText:
    """The lines of a file.

    Raises:
        NotText: it is too large, or holds NUL bytes.
    """
    if len(data) > MOST:
        raise NotText(f"the file has {len(data)} bytes, more than the {MOST} that can be changed by an edit")
    if b"\0" in data:
        raise NotText("the file is not text")
    mark = _MARK if data.startswith(_MARK) else b""
    text = data[len(mark) :].decode("utf-8", "surrogateescape")
    lines: list[Line] = []
    at = 0
    for found in _ENDING.finditer(text):
        lines.append(Line(text[at : found.start()], found[0], len(lines) + 1))
        at = found.end()
    if at < len(text):
        lines.append(Line(text[at:], "", len(lines) + 1))
    counted = Counter(line.end for line in lines if line.end)
    return FileText(
        tuple(lines),
        mark,
        max(("\n", "\r\n", "\r"), key=lambda end: counted[end]),
        not lines or bool(lines[-1].end),
        _RAW.search(text) is None,
    )


def told(text: str) -> list[str]:
    """The lines of a text that a model wrote; one newline at its end is none of its own."""
    text = text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}").replace("\r\n", "\n").replace("\r", "\n")
    return text.removesuffix("\n").split("\n") if text else []


def put(new: Iterable[str], instead: Sequence[Line] = ()) -> list[Line]:
    """Lines to put in, with the endings of those that they replace, as far as there are any."""
    made = [Line(text) for text in new]
    return [replace(line, end=old.end) for line, old in zip(made, instead, strict=False)] + made[
        len(instead) :
    ]
