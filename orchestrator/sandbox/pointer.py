"""A worktree's `.git` after a command: what it was before, whatever a backend could hold off.

The user's git, and an editor's, execute what a planted `.git` says. Backends that can keep it read-only do;
this is for the others, and for a `.git` that was not there.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path


class Pointer:
    """`.git` of a worktree as it was."""

    def __init__(self, worktree: Path) -> None:
        self._path = worktree / ".git"
        self._content: bytes | None = None
        self._folder = self._path.is_dir() and not self._path.is_symlink()
        with contextlib.suppress(OSError):
            if self._path.is_file() and not self._path.is_symlink():
                self._content = self._path.read_bytes()

    def restore(self) -> None:
        """Put it back. What stands in its place is moved aside under a name that git does not know."""
        if self._folder or not self._path.parent.is_dir() or self._same():
            return
        if os.path.lexists(self._path):
            self._path.rename(self._path.with_name(f".git-planted-{secrets.token_hex(4)}"))
        if self._content is not None:
            self._path.write_bytes(self._content)

    def _same(self) -> bool:
        if self._content is None:
            return not os.path.lexists(self._path)
        try:
            return (
                stat.S_ISREG((found := self._path.lstat()).st_mode)
                and found.st_size == len(self._content)
                and self._path.read_bytes() == self._content
            )
        except OSError:
            return False
