"""As root: commands run under an unprivileged user, to whom the worktree is lent for that time.

Root without capabilities still owns every file of root's; a user that owns nothing does not. The uid is
worked out from the worktree, so that two tickets at work cannot reach each other either. Nothing of this
applies to an ordinary user.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

_FIRST, _COUNT = 64_000, 1_000
"""Above what systems give to people and services, below what they give to containers."""


def uid_for(worktree: Path) -> int | None:
    """The uid (and gid) that commands in this worktree run under; None where they run as the caller."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    return _FIRST + zlib.crc32(os.fsencode(worktree)) % _COUNT


@contextlib.contextmanager
def lent(worktree: Path, uid: int | None) -> Iterator[None]:
    """Make the worktree the unprivileged user's for the time of a command, and take it back after it.

    Its `.git` stays as it is. A file with further names (hard links) is not lent: they may lie elsewhere.
    Nothing else may write to the worktree meanwhile; what a crash left lent comes back with the next command.
    """
    if uid is None:
        yield
        return
    folder = _opened(worktree)  # by which it comes back even if somebody moves it away meanwhile
    try:
        owner = os.fstat(folder)
        back, group = (owner.st_uid, owner.st_gid) if not _ours(owner.st_uid) else caller()
        try:
            _change(folder, uid, uid, lambda found: found.st_uid != uid and _lendable(found, back))
            yield
        finally:
            _change(folder, back, group, lambda found: _ours(found.st_uid))
    finally:
        os.close(folder)


def _ours(uid: int) -> bool:
    return _FIRST <= uid < _FIRST + _COUNT


def _lendable(found: os.stat_result, owner: int) -> bool:
    single = stat.S_ISDIR(found.st_mode) or found.st_nlink == 1
    return _ours(found.st_uid) or (found.st_uid == owner and single)


if sys.platform == "win32":

    def caller() -> tuple[int, int]:
        """Uid and gid of this process; systems without them have none to tell."""
        return 0, 0

    def _opened(folder: Path) -> int:
        """Nobody is root there."""
        raise NotImplementedError

    def _change(top: int, uid: int, gid: int, wanted: Callable[[os.stat_result], bool]) -> None:
        """Nobody is root there."""

else:
    _FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    _DEEPEST = 200

    def caller() -> tuple[int, int]:
        """Uid and gid of this process."""
        return os.geteuid(), os.getegid()

    def _opened(folder: Path) -> int:
        return os.open(folder, _FOLDER)

    def _change(top: int, uid: int, gid: int, wanted: Callable[[os.stat_result], bool]) -> None:
        """Change owners of an open folder and below it, by descriptors and without following a link.

        Folders nested deeper than any checkout are left alone: a command can nest them without end.
        """
        if wanted(os.fstat(top)):
            os.chown(top, uid, gid)
        with contextlib.suppress(FileNotFoundError):  # it has been removed
            _below(os.open(".", _FOLDER, dir_fd=top), uid, gid, wanted, 0)

    def _below(folder: int, uid: int, gid: int, wanted: Callable[[os.stat_result], bool], depth: int) -> None:
        try:
            with os.scandir(folder) as entries:
                found = [(e.name, e.is_dir(follow_symlinks=False)) for e in entries]
            for name, is_folder in found:
                if depth == 0 and name == ".git":
                    continue
                with contextlib.suppress(FileNotFoundError):
                    if wanted(os.stat(name, dir_fd=folder, follow_symlinks=False)):
                        os.chown(name, uid, gid, dir_fd=folder, follow_symlinks=False)
                    if is_folder and depth < _DEEPEST:
                        _below(os.open(name, _FOLDER, dir_fd=folder), uid, gid, wanted, depth + 1)
        finally:
            os.close(folder)
