"""What this machine's processors and memory are doing, for the panel of the machine."""

from __future__ import annotations

from typing import NamedTuple


class Own(NamedTuple):
    """Processors and memory, as far as they are known."""

    busy: float | None = None
    """Share of all processors since the last look, 0 to 1."""
    cores: int = 0
    used: int = 0
    total: int = 0
    """Bytes of memory."""


def measure() -> Own:
    """Look now; what cannot be read is left out."""
    import psutil  # not needed for a first paint

    try:
        memory = psutil.virtual_memory()
        busy = round(psutil.cpu_percent(None)) / 100
        used = round((memory.total - memory.available) / 1e8) * 100_000_000
        return Own(busy, psutil.cpu_count() or 0, used, memory.total)
    except (psutil.Error, OSError, NotImplementedError):
        return Own()
