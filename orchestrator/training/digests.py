"""The checksum of a file that another process wrote."""

from __future__ import annotations

import hashlib
from pathlib import Path

from state.run_events import open_regular

_BLOCK = 1 << 20


def sha256_of(path: Path) -> str:
    """SHA-256 in hex; OSError where it is no plain file that can be read."""
    whole = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(_BLOCK):
            whole.update(block)
    return whole.hexdigest()
