"""Edits by descriptors: from the worktree's own, folder by folder, each opened below the one before.

No step names more than one component, and none follows a link, so whatever is swapped on the way, every
step stays in a folder that was reached from the worktree alone. What is swapped can only make the edit fail,
or land in a folder that another process has moved meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.edit_path import LEFTOVER, EditRefused, aside, assert_file, changed, missing

assert sys.platform != "win32"
import fcntl  # noqa: E402 - there is none on Windows

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_A_FOLDER = (errno.ENOTDIR, errno.ELOOP)  # a link: the first on Linux, the second elsewhere
_TRIES = 8


def write(worktree: Path, names: Sequence[str], data: bytes) -> None:
    """See `edits.write`."""
    with _folder(worktree, names, make=True) as folder:
        _sweep(folder)
        mode = _mode_of(folder, names)
        name, fd = _new(folder, 0o666 if mode is None else 0o600)
        placed = False
        try:
            if mode is not None:
                os.fchmod(fd, mode)
            _write_all(fd, data)
            os.fsync(fd)
            _rename(folder, name, names)
            placed = True
            _assert_placed(folder, fd, names)
        finally:
            if not placed:
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=folder)
            os.close(fd)
        os.fsync(folder)


def read(worktree: Path, names: Sequence[str], most: int) -> bytes:
    """See `edits.read`."""
    with _folder(worktree, names, make=False) as folder:
        if _file(folder, names) is None:  # looked at first: opening a device can have effects
            raise missing("/".join(names))
        try:
            fd = os.open(names[-1], _READ, dir_fd=folder)
        except FileNotFoundError:
            raise missing("/".join(names)) from None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO):  # a link or a socket by now
                raise changed("/".join(names)) from None
            raise
        with os.fdopen(fd, "rb") as file:
            seen = os.fstat(fd)  # of what was opened, whatever has the name by now
            assert_file(seen, "/".join(names))
            data = file.read(most + 1) if seen.st_size <= most else b""
    if seen.st_size > most or len(data) > most:
        raise EditRefused(f"{'/'.join(names)} is longer than {most} bytes")
    return data


def remove(worktree: Path, names: Sequence[str]) -> None:
    """See `edits.remove`."""
    with _folder(worktree, names, make=False) as folder:
        _sweep(folder)
        try:
            seen = os.stat(names[-1], dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(seen.st_mode):  # looked at, since some systems let root unlink a folder
                raise IsADirectoryError
            os.unlink(names[-1], dir_fd=folder)
        except FileNotFoundError:
            raise missing("/".join(names)) from None
        except IsADirectoryError:
            raise EditRefused(f"{'/'.join(names)} is a folder: an edit takes files away one by one") from None
        os.fsync(folder)


@contextlib.contextmanager
def _folder(worktree: Path, names: Sequence[str], *, make: bool) -> Iterator[int]:
    """A descriptor of the folder that holds the last name."""
    try:
        fd = os.open(worktree, _FOLDER)
    except FileNotFoundError:
        raise EditRefused(f"there is no folder {worktree}") from None
    except OSError as error:
        if error.errno in _NOT_A_FOLDER:
            raise EditRefused(f"{worktree} is not a folder, or a link to one") from None
        raise
    try:
        for depth, name in enumerate(names[:-1], 1):
            below = _step(fd, name, "/".join(names[:depth]), make=make)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def _step(fd: int, name: str, path: str, *, make: bool) -> int:
    """A descriptor of the folder of this name in another one."""
    if make:
        try:
            os.mkdir(name, dir_fd=fd)
            os.fsync(fd)
        except FileExistsError:
            pass
        except FileNotFoundError:  # the folder that we stand in was removed
            raise changed(path) from None
    try:
        return os.open(name, _FOLDER, dir_fd=fd)
    except FileNotFoundError:
        raise (changed(path) if make else EditRefused(f"there is no folder {path}")) from None
    except OSError as error:
        if error.errno in _NOT_A_FOLDER:
            raise EditRefused(f"{path} is a link or a file: an edit goes through folders alone") from None
        raise


def _file(folder: int, names: Sequence[str]) -> os.stat_result | None:
    """What the last name is, when it is a file that an edit may touch; None when nothing has it."""
    try:
        seen = os.stat(names[-1], dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    assert_file(seen, "/".join(names))
    return seen


def _mode_of(folder: int, names: Sequence[str]) -> int | None:
    """Who may read, write and execute the file that is replaced; no more than that is carried over."""
    seen = _file(folder, names)
    return None if seen is None else stat.S_IMODE(seen.st_mode) & 0o777


def _new(folder: int, mode: int) -> tuple[str, int]:
    """A new file: its name, and a descriptor that is locked, by which a sweep sees that it is in use."""
    for left in reversed(range(_TRIES)):
        name = aside()
        try:
            fd = os.open(name, _NEW, mode, dir_fd=folder)
        except FileNotFoundError:
            raise EditRefused("the folder was taken away while the edit was made") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # a sweep was faster; whoever holds it for longer shall not stop the edit
            if left:
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=folder)
                os.close(fd)
                continue
        except OSError:  # no locks on this file system: two edits of one folder at once may then fail
            pass
        if os.fstat(fd).st_nlink:
            return name, fd
        os.close(fd)
    raise EditRefused("another process takes away what the edit writes")


def _write_all(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def _rename(folder: int, name: str, names: Sequence[str]) -> None:
    try:
        os.rename(name, names[-1], src_dir_fd=folder, dst_dir_fd=folder)
    except (IsADirectoryError, NotADirectoryError, FileNotFoundError):
        raise changed("/".join(names)) from None


def _assert_placed(folder: int, fd: int, names: Sequence[str]) -> None:
    """The name stands for what was written, not for what another process put in its place."""
    ours = os.fstat(fd)
    try:
        there = os.stat(names[-1], dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        raise changed("/".join(names)) from None
    if (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
        raise changed("/".join(names))


def _sweep(folder: int) -> None:
    """Take away what killed edits left in this folder. One that is being written is locked, and stays."""
    for name in filter(LEFTOVER.fullmatch, os.listdir(folder)):
        with contextlib.suppress(OSError):
            fd = os.open(name, _READ, dir_fd=folder)
            try:
                if stat.S_ISREG(os.fstat(fd).st_mode):
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(name, dir_fd=folder)
            finally:
                os.close(fd)
