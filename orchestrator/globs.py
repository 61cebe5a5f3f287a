"""Paths of a repository held against a ticket's globs. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from fnmatch import fnmatchcase


def outside(changed: Sequence[str], globs: Sequence[str]) -> list[str]:
    """Changed paths that no glob of the ticket allows."""
    return [path for path in changed if globs and not any(matches(path, glob) for glob in globs)]


def matches(path: str, glob: str) -> bool:
    """Whether a repository path fits a glob: `*` stays within a folder, `**` crosses folders."""
    return _match(tuple(path.split(posixpath.sep)), tuple(glob.rstrip("/").split("/")))


def _match(parts: tuple[str, ...], globs: tuple[str, ...]) -> bool:
    if not globs:
        return not parts
    if globs[0] == "**":
        return any(_match(parts[skip:], globs[1:]) for skip in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], globs[0]) and _match(parts[1:], globs[1:])
