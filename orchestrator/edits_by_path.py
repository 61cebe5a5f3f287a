"""Edits by path, where there are no folder descriptors: each one on the way is looked at, before and after.

What is there and does not belong (a link, a junction, a device, a second name) is refused as surely as by
descriptors. A process that swaps a folder between look and step can win: on Windows keep it from the worktree
while an edit is made. The look after the step finds that it has happened.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from orchestrator.edit_path import LEFTOVER, EditRefused, aside, assert_file, changed, missing

_REPARSE = 0x400  # FILE_ATTRIBUTE_REPARSE_POINT: links, junctions, and placeholders of cloud folders


def write(worktree: Path, names: Sequence[str], data: bytes) -> None:
    """See `edits.write`."""
    folder, path = _folder(worktree, names, make=True), "/".join(names)
    _sweep(folder)
    seen, new = _file(folder / names[-1], path), folder / aside()
    try:
        with new.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            ours = os.fstat(file.fileno())
        if seen is not None:
            new.chmod(stat.S_IMODE(seen.st_mode) & 0o777)
        _folder(worktree, names, make=False)
        new.replace(folder / names[-1])
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
    _folder(worktree, names, make=False)
    there = _file(folder / names[-1], path)
    if there is None or not os.path.samestat(there, ours):
        raise changed(path)


def read(worktree: Path, names: Sequence[str], most: int) -> bytes:
    """See `edits.read`."""
    folder, path = _folder(worktree, names, make=False), "/".join(names)
    seen = _file(folder / names[-1], path)
    if seen is None:
        raise missing(path)
    with (folder / names[-1]).open("rb") as file:
        opened = os.fstat(file.fileno())
        data = file.read(most + 1)
    _folder(worktree, names, make=False)
    if not os.path.samestat(opened, seen):
        raise changed(path)
    if len(data) > most:
        raise EditRefused(f"{path} is longer than {most} bytes")
    return data


def remove(worktree: Path, names: Sequence[str]) -> None:
    """See `edits.remove`."""
    folder, path = _folder(worktree, names, make=False), "/".join(names)
    try:
        if stat.S_ISDIR((folder / names[-1]).lstat().st_mode):
            raise EditRefused(f"{path} is a folder: an edit takes files away one by one")
        (folder / names[-1]).unlink()
    except FileNotFoundError:
        raise missing(path) from None


def _folder(worktree: Path, names: Sequence[str], *, make: bool) -> Path:
    """The folder that holds the last name, no component of it a link at this moment."""
    folder = worktree
    _assert_folder(folder, str(worktree))
    for depth, name in enumerate(names[:-1], 1):
        folder = folder / name
        if make:
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
        _assert_folder(folder, "/".join(names[:depth]))
    return folder


def _assert_folder(folder: Path, path: str) -> None:
    try:
        seen = folder.lstat()
    except FileNotFoundError:
        raise EditRefused(f"there is no folder {path}") from None
    if not stat.S_ISDIR(seen.st_mode) or _elsewhere(seen):
        raise EditRefused(f"{path} is a link or a file: an edit goes through folders alone")


def _file(at: Path, path: str) -> os.stat_result | None:
    """What is there, when it is a file that an edit may touch; None when nothing is."""
    try:
        seen = at.lstat()
    except FileNotFoundError:
        return None
    if _elsewhere(seen):
        raise EditRefused(f"{path} is a link: no edit follows one")
    assert_file(seen, path)
    return seen


def _elsewhere(seen: os.stat_result) -> bool:
    """Whether Windows takes the way on from here to another place."""
    return bool(getattr(seen, "st_file_attributes", 0) & _REPARSE)


def _sweep(folder: Path) -> None:
    """Take away what killed edits left here. Windows lets no file go that is open."""
    for path in folder.iterdir():
        if LEFTOVER.fullmatch(path.name):
            with contextlib.suppress(OSError):
                path.unlink()
