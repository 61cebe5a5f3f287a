"""Bytes to give away: when the disk is full, freeing them leaves room to write down that it is."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

SIZE = 4 * 1024 * 1024
_BLOCK = 65_536


class Ballast:
    """A file of really allocated bytes, kept while there is room."""

    def __init__(self, path: Path, size: int = SIZE) -> None:
        self.path, self.size = path, size

    def ensure(self) -> bool:
        """Have the bytes allocated; False when the disk has no room for them and some to spare."""
        with contextlib.suppress(OSError):
            if self.path.stat().st_size == self.size:
                return True
        try:
            if shutil.disk_usage(self.path.parent).free < 4 * self.size:
                return False
            with self.path.open("wb") as file:
                for start in range(0, self.size, _BLOCK):  # no zeros: some file systems store none
                    file.write(os.urandom(min(_BLOCK, self.size - start)))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Give the bytes back to the disk."""
        with contextlib.suppress(OSError):
            self.path.unlink()
