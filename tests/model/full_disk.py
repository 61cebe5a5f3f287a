"""A double of a full disk, for a real child: each write of the product fails once so many bytes are written.

It comes into the child as its `sitecustomize`, so that the child itself is the real one.
"""

from __future__ import annotations

from pathlib import Path

_CUSTOMIZE = """
import errno, os
from datagen import files

left, write = [{room}], files.write

def full(file, data):
    left[0] -= len(data)
    if left[0] < 0:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    write(file, data)

files.write = full
"""


def fill(packages: Path, room: int) -> None:
    """Children that have `packages` on their path find room for so many bytes."""
    packages.mkdir(parents=True, exist_ok=True)
    (packages / "sitecustomize.py").write_text(_CUSTOMIZE.format(room=room))
