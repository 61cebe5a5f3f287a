"""Paths as models write them, brought to the one form that is used: below the worktree, parted by `/`.

Pure. What is here decides what a reply means, not what is safe: the file is opened by
`orchestrator/edits.py`, which trusts nothing.
"""

from __future__ import annotations

import re

MOST = 512
"""Characters of a path."""

_QUOTED = re.compile(r"`([^`]+)`|\"([^\"]+)\"|'([^']+)'")
_LINK = re.compile(r"\[([^\[\]]+)\]\([^()]*\)")
_LABEL = re.compile(r"(?:path|file|filename)[ \t]?[:=][ \t]?", re.IGNORECASE)
_LINES = re.compile(
    r"(?P<path>.*?)(?:[ \t]*[:#(\[,]?[ \t]*\b(?:lines?[ \t]?:?|L)[ \t]?|:)(?P<first>\d{1,7})"
    r"(?P<range>[ \t]?(?:-|–|to|:|,|\.\.)[ \t]?L?(?P<last>\d{1,7})?)?[)\]]?\Z",
    re.IGNORECASE,
)
_ODD = re.compile(r"[\x00-\x1f\x7f<>|*?\"]")


class NoPath(Exception):
    """The text names no path that could be meant. `prose` says that it reads like a sentence."""

    def __init__(self, message: str, prose: bool = False) -> None:
        super().__init__(message)
        self.prose = prose


def path(text: str) -> str:
    """The path that a text names.

    Raises:
        NoPath: with what is wrong, for the model.
    """
    return path_and_lines(text, lines=False)[0]


def path_and_lines(text: str, *, lines: bool = True) -> tuple[str, int, int]:
    """A path, and the lines that stand behind it: first and last, 0 where they are not given.

    Raises:
        NoPath: with what is wrong, for the model.
    """
    if len(text) > MOST:
        raise NoPath(f"the path is longer than {MOST} characters", prose=True)
    text = _LABEL.sub("", text.strip(), count=1) if _LABEL.match(text.strip()) else text.strip()
    text = _LINK.sub(r"\1", text, count=1)
    first = last = 0
    quoted = _QUOTED.search(text)
    tail = text[quoted.end() :] if quoted else text
    if lines and (found := _LINES.match(tail)) and (quoted or found["path"]):
        first = int(found["first"])
        last = int(found["last"] or 0) if found["range"] else first
        text = text[: len(text) - len(tail)] + found["path"]
        if last and last < first:
            first, last = last, first
    if quoted:
        inner = next(group for group in quoted.groups() if group)
        if lines and not first and _LINES.match(inner):
            return path_and_lines(inner)
        return _normal(inner), first, last
    text = re.sub(r"[ \t]\([^()]*\)\Z", "", text.rstrip(" \t:;,*_`"))  # EDIT a.py (new file):
    if re.search(r"\s", text):
        raise NoPath(f"`{text[:80]}` is no path; one with spaces is written in backticks", prose=True)
    return _normal(text.strip("`\"'()[]<>")), first, last


def _normal(text: str) -> str:
    """Without `./`, doubled and turned slashes.

    Raises:
        NoPath: it is empty, absolute, leaves the worktree, or holds what no path here may hold.
    """
    plain = text.strip().replace("\\", "/")
    shown = f"`{text.strip()[:80]}`"
    if not plain:
        raise NoPath("the path is missing")
    if plain.startswith(("/", "~")) or re.match(r"[A-Za-z]:", plain):
        raise NoPath(f"{shown} is absolute; write paths from the root of the repository, like `src/name.py`")
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise NoPath(f"{shown} holds `..`; write paths from the root of the repository, like `src/name.py`")
    if _ODD.search(plain):
        raise NoPath(f"{shown} holds a character that no path here may have", prose=True)
    return "/".join(parts) or "."


def looks(text: str) -> bool:
    """Whether a text that may as well be prose is surely meant as a file: one word with a dot or a slash."""
    try:
        name = path(text)
    except NoPath:
        return False
    return bool(re.search(r"/[\w.]|[\w)\]]\.\w|\A\.\w|\A(?:Makefile|Dockerfile|LICENSE)\Z", name))
