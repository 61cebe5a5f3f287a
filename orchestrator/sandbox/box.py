"""What one command may see and use. Values only: a backend turns them into what its system understands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Bounds of one command and all it starts. Wall time and output are bounded by whoever runs it."""

    memory: int = 4096 * MIB
    """Bytes that a process may allocate, and all together may hold."""
    processes: int = 512
    """Processes and threads at once."""
    file: int = 2048 * MIB
    """Bytes of the largest file that can be written."""
    growth: int = 4096 * MIB
    """Bytes that the worktree may grow by."""
    entries: int = 200_000
    """Files and folders that may be added to the worktree."""
    scratch: int = 1024 * MIB
    """Bytes of the private /tmp, and of the private /dev/shm."""


@dataclass(frozen=True)
class Box:
    """All that a command finds: nothing else of the machine is there, or else it can only be read."""

    worktree: Path
    """Absolute; the command starts here, and this folder alone can be written. Its `.git` cannot."""
    readable: tuple[Path, ...] = ()
    """Absolute paths beside the system's own that can be read, at the same place inside."""
    git_dir: Path | None = None
    """The repository's common git dir: read-only, its configuration replaced by a harmless one."""
    env: Mapping[str, str] = field(default_factory=dict)
    """The whole environment: nothing is inherited."""
    limits: Limits = Limits()
    hidden: tuple[Path, ...] = ()
    """Absolute paths that are not shown although they lie in a folder of the system's."""
