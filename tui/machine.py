"""What the engine last saw of the models and the machine, read again when its file changes.

The picture's types are loaded with the first picture and not before: a first paint needs none of them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from state.machine import Machine

STALE = 10_000
"""Milliseconds after which the picture is called old: the engine draws it anew every few seconds."""
_MOST = 4 << 20  # bytes: a picture has some kilobytes


class Cell(NamedTuple):
    """The models in a word, for the status bar: a state for the glyph, the word, the role of its colour."""

    state: str
    text: str
    role: str


class Sight:
    """The latest picture."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.picture: Machine | None = None
        self._stamp: tuple[int, int] | None = None
        self._read: tuple[int, int] | None = None

    def changed(self) -> bool:
        """Whether there is another picture than the one that was read. One look at the file system."""
        try:
            stat = os.stat(self.path)  # noqa: PTH116
            self._stamp = (stat.st_mtime_ns, stat.st_size) if stat.st_size <= _MOST else None
        except OSError:
            self._stamp = None
        return self._stamp != self._read

    def look(self) -> None:
        """Read the picture: some kilobytes."""
        from state import machine

        stamp = self._stamp
        self.picture = machine.read(self.path) if stamp is not None else None
        self._read = stamp

    def age(self, now: int) -> int:
        """Milliseconds since the picture was taken; 0 without one."""
        return max(0, now - self.picture.at) if self.picture is not None else 0

    def stale(self, now: int, engine: str) -> str:
        """Why the picture does not show how things are now, or ''."""
        if self.picture is None:
            return ""
        if engine not in ("running", "paused"):
            return "no engine runs"
        return "the engine has not looked since" if self.age(now) > STALE else ""

    def cell(self, now: int, engine: str) -> Cell | None:
        """The models in a word; None where nothing is known of now."""
        picture = self.picture
        if picture is None or self.stale(now, engine):
            return None
        if picture.paused:
            return Cell("paused", f"models paused: {picture.paused}", "waiting")
        models = [holder.who for holder in picture.holders if holder.what == "model"]
        runs = [holder.who for holder in picture.holders if holder.what != "model"]
        words = []
        if models:
            words.append(models[0] if len(models) == 1 else f"{len(models)} models")
        if runs:
            words.append(f"{runs[0]} holds memory" if len(runs) == 1 else f"{len(runs)} runs hold memory")
        if not words:
            return Cell("stopped", "no model loaded", "muted")
        return Cell("done", ", ".join(words), "landed")
