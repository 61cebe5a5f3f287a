"""An agent's edits of files, held to its worktree: no link is followed, whatever is swapped meanwhile.

Guarantees, where the system has folder descriptors (Linux, macOS):
- nothing outside the worktree is read, written, made or removed, whatever other processes do to the folders
  and files on the way while the edit is made;
- a file is its old or its new bytes, on a full disk and after a crash too; an error leaves the old ones;
- nothing that is git's own is touched, and no link, pipe, device or folder is taken for a file.

On Windows each step is looked at before and after, by path: that stops what is there, and not a swap in the
very moment between look and step (`edits_by_path.py`).

A file with a second name (a hard link) is neither read nor written. Reading it would show an outside file
that was linked in; writing would replace one name and leave the other as it was, which no edit can mean.
Removing takes one name away and harms no other, so it is the cure, for hard links and symbolic ones alike.
"""

from __future__ import annotations

import sys
from pathlib import Path

from orchestrator.edit_path import EditRefused, parts

if sys.platform == "win32":
    from orchestrator import edits_by_path as _how
else:
    from orchestrator import edits_by_walk as _how

__all__ = ["MOST", "EditRefused", "read", "remove", "write"]

MOST = 64 * 1024 * 1024
"""Bytes of a file that can be read or written by an edit."""


def write(worktree: Path, path: str, data: bytes) -> None:
    """Put a file in place, whole, with the folders that it needs. Keeps the mode of the one it replaces.

    Args:
        worktree: the folder that the edit stays in; it must not be a link itself.
        path: below the worktree, names parted by `/`.
        data: all of the file's new bytes.

    Raises:
        EditRefused: the path, or what is there, is nothing an edit may touch. OSError: the disk is full or
            broken, or access is denied. Either way the old file is as it was, unless it is said that
            another process has changed it meanwhile.
    """
    names = parts(path)
    if len(data) > MOST:
        raise EditRefused(f"{path} would be {len(data)} bytes long, expected at most {MOST}")
    _how.write(worktree, names, data)


def read(worktree: Path, path: str) -> bytes:
    """All bytes of a file.

    Raises:
        EditRefused: as for `write`, or there is no such file, or it is larger than `MOST`. OSError: as for
            `write`.
    """
    return _how.read(worktree, parts(path), MOST)


def remove(worktree: Path, path: str) -> None:
    """Take a file's name away; what it links to is not touched.

    Raises:
        EditRefused: as for `write`, or there is nothing there, or it is a folder. OSError: as for `write`.
    """
    _how.remove(worktree, parts(path))
