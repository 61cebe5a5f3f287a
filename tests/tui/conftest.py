"""Cockpits to drive: a fixed clock on the wall, a clock that a test moves, and screens as text."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from seeds import NOW

from tui.cockpit import Cockpit
from tui.look import DARK, Look


@pytest.fixture(autouse=True)
def fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are written at one moment, in one time zone."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr("state.journal.time.time", lambda: NOW / 1000)
    for name in ("COLORFGBG", "JETBOX_ASCII", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


class Driver:
    """A running cockpit and the keys pressed in it."""

    def __init__(self, app: Cockpit, pilot: Any, clock: Clock) -> None:
        self.app, self.pilot, self.clock = app, pilot, clock

    async def press(self, *keys: str, quiet: float = 1.0) -> None:
        """Press keys, each after the keyboard was quiet for so long."""
        for key in keys:
            self.clock.at += quiet
            await self.pilot.press(key)
            await self.pilot.pause()

    async def type(self, text: str) -> None:
        """Press a text's characters."""
        await self.press(*("space" if char == " " else char for char in text), quiet=0.05)

    async def settle(self, until: Callable[[], bool] | None = None) -> None:
        """Let the journal's news come to the screen; wait for a condition where one is given."""
        for _ in range(100):
            await asyncio.sleep(0.02)
            self.clock.at += 0.02
            await self.pilot.pause()
            if until is None or until():
                break
        assert until is None or until(), self.text()

    def text(self) -> str:
        """The screen as text."""
        lines = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in lines)

    @property
    def screen(self) -> Any:
        """The screen shown."""
        return self.app.screen


@pytest.fixture
def cockpit() -> Callable[..., contextlib.AbstractAsyncContextManager[Driver]]:
    """Open a cockpit on a workspace."""

    @contextlib.asynccontextmanager
    async def open_cockpit(
        root: Path,
        size: tuple[int, int] = (120, 40),
        start: Callable[[], None] | None = None,
        toasts: bool = False,
        mind: Callable[[], Any] | None = None,
    ) -> AsyncIterator[Driver]:
        clock = Clock()
        app = Cockpit(root, start, open_mind=mind, clock=clock, now=lambda: NOW + 150_000)
        app.context.look = Look(DARK)
        async with app.run_test(size=size, notifications=toasts) as pilot:
            await pilot.pause()
            clock.at += 1
            yield Driver(app, pilot, clock)
        app.feed.close()

    return open_cockpit
