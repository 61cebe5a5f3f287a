"""Who is a process? A pid alone is recycled; a pid with its start time names one process for good."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def process_start(pid: int) -> str | None:
    """Return a text that differs between two lives of one pid, or None when no such process lives.

    Linux: the boot id and field 22 of `/proc/<pid>/stat` (clock ticks since boot, so that setting the
    clock changes nothing). Elsewhere: psutil's creation time.
    """
    if pid <= 0:
        return None
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except OSError:
            return None
        fields = stat.rpartition(")")[2].split()
        if fields[0] in ("Z", "X"):  # dead, only not yet waited for
            return None
        return f"{_boot_id()}:{fields[19]}"
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return f"{process.create_time():.2f}"
    except psutil.Error:
        return None


def is_alive(pid: int, start: str) -> bool:
    """Whether the process that had this pid at this start time still lives."""
    return process_start(pid) == start


def own_identity() -> dict[str, int | str]:
    """Pid and start time of this process, as written into lock files."""
    return {"pid": os.getpid(), "start": process_start(os.getpid()) or ""}


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        return "boot"
