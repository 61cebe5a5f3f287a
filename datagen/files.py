"""Files that are whole or not there, and a log whose last line may tear and is mended.

Every byte of a run goes to disk through `write`, so that a test can fail each write in turn.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import BinaryIO


def write(file: FileIO | BinaryIO, data: bytes | memoryview) -> None:
    """Write all of `data`: an unbuffered file may take only a part of it before it says why."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file written aside that takes the place of `path` at the end of the block, fsynced.

    After an error nothing of it remains, so that a full disk has room again for the error itself.
    """
    aside = path.with_name(f".{path.name}.tmp")
    try:
        with aside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def replace(path: Path, data: bytes) -> None:
    """Put `data` at `path` in one durable step."""
    with replacing(path) as file:
        write(file, data)


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` durable, where the system lets a folder be opened (Windows does not)."""
    try:
        fd = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading that somebody else may have put there.

    Raises:
        OSError: there is none, or it is a link, a pipe that would block, a folder or a device.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    fd = os.open(path, flags | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(f"{path} is not a regular file")
    return os.fdopen(fd, "rb")
