"""Limits that no call of the system holds: how much a worktree grows, what all processes hold together.

A look costs next to nothing: the file system is asked how full it is, and only when it has filled by more
than the limit is the worktree walked. What a look misses between two of them is bounded by the limits that
the backend sets (the largest file, the memory of one process, the size of /tmp).
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from pathlib import Path

from orchestrator.sandbox.box import Limits
from orchestrator.sandbox.lend import uid_for

_MEMORY_EVERY = 0.5  # seconds: this look walks the process table
_WALK_EVERY = 2.0  # seconds: others may be filling the disk


class Watch:
    """Watches one command; begun before it starts."""

    def __init__(self, worktree: Path, limits: Limits) -> None:
        self._worktree, self._limits = worktree, limits
        self._began = time.time() - 0.1  # file times are coarse
        self._before = (0, 0)
        if uid_for(worktree) is not None:  # lending changes every file: what was there is told by its sum
            self._began = 0.0
            with contextlib.suppress(RecursionError):
                self._before = self._changed([])
        self._used, self._entries = self._filled()
        self._memory_at = time.monotonic() + _MEMORY_EVERY
        self._walk_at = 0.0
        self._pid = 0

    def of(self, pid: int) -> Watch:
        """The process whose descendants are counted, once it has been started."""
        self._pid = pid
        return self

    def over(self, last: bool) -> str:
        """`growth` or `memory` when that limit is broken, else nothing.

        Args:
            last: the command has ended; what is missed now is missed for good.
        """
        used, entries = self._filled()
        grown = used - self._used > self._limits.growth or entries - self._entries > self._limits.entries
        if (grown and (last or time.monotonic() >= self._walk_at)) or (last and not entries):
            self._walk_at = time.monotonic() + _WALK_EVERY
            try:
                over = self._has_grown(grown)
            except RecursionError:  # what nests that deep is for git to refuse, as long as it holds little
                over = grown
            if over:
                return "growth"
        if not last and time.monotonic() >= self._memory_at:
            self._memory_at = time.monotonic() + _MEMORY_EVERY
            if self._held() > self._limits.memory:
                return "memory"
        return ""

    def _filled(self) -> tuple[int, int]:
        """Bytes and entries in use on the worktree's file system; 0 entries where it counts none (btrfs)."""
        if not hasattr(os, "statvfs"):
            return 0, 0
        try:
            found = os.statvfs(self._worktree)
        except OSError:
            return 0, 0
        return (found.f_blocks - found.f_bfree) * found.f_frsize, found.f_files - found.f_ffree

    def _has_grown(self, grown: bool) -> bool:
        """Whether what changed in the worktree since the command began is over a limit.

        Args:
            grown: the disk has filled by more than the limit: a folder that cannot be looked into, closed
                or nested past the longest path, then counts as what fills it.
        """
        shut: list[OSError] = []
        used, entries = self._changed(shut)
        if used - self._before[0] > self._limits.growth or entries - self._before[1] > self._limits.entries:
            return True
        return grown and any(error.errno in (errno.EACCES, errno.ENAMETOOLONG) for error in shut)

    def _changed(self, shut: list[OSError]) -> tuple[int, int]:
        """Bytes and entries of the worktree that were changed since the command began.

        Args:
            shut: takes the errors of folders that cannot be looked into.
        """
        used = entries = 0
        for folder, folders, files in os.walk(self._worktree, onerror=shut.append):
            for name in (*folders, *files):
                with contextlib.suppress(OSError):
                    found = os.lstat(f"{folder}/{name}")  # pathlib costs three times as much
                    if found.st_ctime >= self._began:
                        used += getattr(found, "st_blocks", found.st_size // 512) * 512
                        entries += 1
        return used, entries

    def _held(self) -> int:
        """Bytes that all processes of the command hold; what they share is counted once."""
        import psutil

        own, shared = 0, 0
        with contextlib.suppress(psutil.Error):
            leader = psutil.Process(self._pid)
            for process in (leader, *leader.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    memory = process.memory_info()
                    common = getattr(memory, "shared", 0)
                    own, shared = own + memory.rss - common, max(shared, common)
        return own + shared
