"""Screens kept as text beside the tests."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).parent / "snapshots"


def kept(name: str, shown: str) -> str:
    """The text that was kept under this name; with `JETBOX_UPDATE_SNAPSHOTS` it is what is shown now."""
    path = HERE / f"{name}.txt"
    if os.environ.get("JETBOX_UPDATE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown, encoding="utf-8")
    return path.read_text(encoding="utf-8")
