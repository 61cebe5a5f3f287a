"""Files that are whole or not there: written aside, fsynced, renamed, and the folder fsynced.

After `replace` returned, a power cut leaves the new bytes; before that, the old file or none.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def replace(path: Path, data: bytes) -> None:
    """Put `data` at `path` in one step; an error leaves what was there and no temporary file."""
    aside = path.with_name(f".{path.name[:40]}.{secrets.token_hex(6)}.tmp")
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


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
