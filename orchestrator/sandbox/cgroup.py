"""A control group for one command, where the system lets us make one: memory and processes counted together.

Without one, the limits hold for each process alone and a look now and then for all of them. Both versions of
control groups are known. Nothing here raises: not being allowed is the usual case on a desktop.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from orchestrator.sandbox.box import Limits

_ROOT = Path("/sys/fs/cgroup")
_NAME = "jetbox-"
_LEFT: set[Path] = set()  # groups of ours that could not be removed yet


@dataclass(frozen=True)
class Group:
    """The folders of one control group: one for version 2, one for each controller of version 1."""

    folders: tuple[Path, ...]

    @property
    def entries(self) -> tuple[Path, ...]:
        """Files that a process writes its pid to in order to join."""
        return tuple(folder / "cgroup.procs" for folder in self.folders)

    def remove(self) -> None:
        """Take the group away; what still runs in it is killed where the kernel offers that."""
        for folder in self.folders:
            with contextlib.suppress(OSError):
                (folder / "cgroup.kill").write_text("1")
            try:
                folder.rmdir()
            except OSError:  # what was killed in it is not gone yet: the next command's making tries again
                _LEFT.add(folder)


def make(limits: Limits) -> Group | None:
    """A new group with these limits, or None where none can be made."""
    made = []
    for left in tuple(_LEFT):
        with contextlib.suppress(OSError):
            left.rmdir()
            _LEFT.discard(left)
    for parent, bounds in _parents(limits):
        _sweep(parent)
        folder = parent / f"{_NAME}{os.getpid()}-{secrets.token_hex(4)}"
        try:
            folder.mkdir()
        except OSError:
            continue
        made.append(folder)
        try:
            for name, value in bounds.items():
                (folder / name).write_text(str(value))
        except OSError:
            made.pop()
            with contextlib.suppress(OSError):
                folder.rmdir()
    return Group(tuple(made)) if made else None


def _parents(limits: Limits) -> list[tuple[Path, dict[str, int]]]:
    """Where groups can be made beside our own, and what bounds a group there takes."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found: list[tuple[Path, dict[str, int]]] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        names = controllers.split(",")
        if not controllers:
            parent = (_ROOT / path.lstrip("/")).parent if path != "/" else _ROOT
            with contextlib.suppress(OSError):
                given = (parent / "cgroup.subtree_control").read_text().split()
                bounds = {"memory.max": limits.memory, "memory.swap.max": 0} if "memory" in given else {}
                bounds |= {"pids.max": limits.processes} if "pids" in given else {}
                if bounds:
                    found.append((parent, bounds))
        elif "memory" in names:  # alone: each group joined costs milliseconds, and rlimits count processes
            found.append((_ROOT / "memory" / path.lstrip("/"), {"memory.limit_in_bytes": limits.memory}))
    return [(parent, bounds) for parent, bounds in found if os.access(parent, os.W_OK)]


@functools.cache
def _sweep(parent: Path) -> None:
    """Take away, once, what killed engines left; a group in use cannot be removed."""
    with contextlib.suppress(OSError):
        for left in parent.glob(f"{_NAME}*"):
            pid = left.name.removeprefix(_NAME).partition("-")[0]
            if not Path(f"/proc/{pid}").exists():
                with contextlib.suppress(OSError):
                    left.rmdir()
