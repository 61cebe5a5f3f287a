"""How the screens look, as text: a change of layout has to be seen and kept on purpose.

`JETBOX_UPDATE_SNAPSHOTS=1 python -m pytest tests/tui/test_snapshots.py` writes them anew.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import agents
import pytest
import seeds
from keeping import kept

from tui.look import ASCII, DARK, LIGHT, SIXTEEN, UNICODE, Look

DARK_LOOK = Look(DARK, UNICODE)
Seed = Callable[[Path], seeds.Story]

CASES: list[tuple[str, Seed | None, tuple[int, int], Look, str]] = [
    ("missing", None, (100, 30), DARK_LOOK, ""),
    ("empty", seeds.Story, (100, 30), DARK_LOOK, ""),
    ("busy", seeds.busy, (160, 40), DARK_LOOK, ""),
    ("busy-grouped", seeds.busy, (160, 40), DARK_LOOK, "v"),
    ("many", lambda root: seeds.many(root, 10_000), (160, 40), DARK_LOOK, "down down pagedown"),
    ("narrow", seeds.busy, (80, 24), DARK_LOOK, ""),
    ("narrow-running", seeds.busy, (80, 24), DARK_LOOK, "left"),
    ("narrow-inbox", seeds.busy, (80, 24), DARK_LOOK, "4"),
    ("narrow-ticket", seeds.busy, (80, 24), DARK_LOOK, "2"),
    ("light", seeds.busy, (120, 36), Look(LIGHT, UNICODE), ""),
    ("sixteen", seeds.busy, (120, 36), Look(SIXTEEN, UNICODE), ""),
    ("ascii", seeds.busy, (120, 36), Look(SIXTEEN, ASCII), ""),
    ("ticket", seeds.busy, (140, 36), DARK_LOOK, "left enter"),
    ("ticket-checks", seeds.busy, (140, 36), DARK_LOOK, "right enter tab tab tab"),
    ("inbox-merge", seeds.busy, (140, 36), DARK_LOOK, "4 down"),
    ("inbox-confirm", seeds.busy, (140, 36), DARK_LOOK, "4 down tab a 1 0"),
    ("agent-stream", agents.working, (120, 30), DARK_LOOK, "2 tab"),
    ("agent-reply", agents.working, (120, 30), DARK_LOOK, "2 tab up up"),
    ("agent-context", agents.working, (120, 30), DARK_LOOK, "2 shift+tab"),
    ("agent-ascii", agents.working, (120, 30), Look(SIXTEEN, ASCII), "2 tab"),
    ("narrow-agent", agents.working, (80, 24), DARK_LOOK, "2 tab"),
    ("narrow-context", agents.working, (80, 24), DARK_LOOK, "2 shift+tab"),
    ("question", agents.asking, (120, 30), DARK_LOOK, "4"),
    ("narrow-question", agents.asking, (80, 24), DARK_LOOK, "4 tab"),
    ("help", seeds.busy, (100, 40), DARK_LOOK, "?"),
    ("palette", seeds.busy, (100, 30), DARK_LOOK, ": t i"),
    ("hostile", seeds.hostile, (160, 40), DARK_LOOK, ""),
]


@pytest.mark.parametrize(("name", "seed", "size", "look", "keys"), CASES, ids=[case[0] for case in CASES])
async def test_the_screen_looks_as_kept(
    cockpit: Any, tmp_path: Path, name: str, seed: Seed | None, size: tuple[int, int], look: Look, keys: str
) -> None:
    root = tmp_path / "calc"
    if seed is not None:
        seed(root).close()
    async with cockpit(root, size=size) as driver:
        driver.app.context.look = look
        driver.screen.look_changed()
        await driver.press(*keys.split())
        await driver.pilot.pause()
        shown = driver.text() + "\n"
    lines = shown.splitlines()
    assert len(lines) == size[1]
    assert shown == kept(name, shown)


async def test_states_differ_by_shape_and_word_not_by_colour_alone() -> None:
    for glyphs in (UNICODE, ASCII):
        board = (
            "broken",
            "backlog",
            "ready",
            "running",
            "waiting",
            "review",
            "landed",
            "failed",
            "cancelled",
            "asks",
        )
        shapes = [glyphs.states[state] for state in board]
        assert len(set(shapes)) == len(shapes)
    assert "".join([*ASCII.states.values(), ASCII.box, ASCII.rule, ASCII.edge]).isascii()


@pytest.mark.parametrize("palette", [DARK, LIGHT])
async def test_text_can_be_read_on_its_ground(palette: dict[str, str]) -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        r, g, b = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    roles = ("text", "muted", "running", "waiting", "review", "landed", "failed", "ready", "accent")
    for ground in ("bg", "card", "raised", "bar"):
        for role in roles:
            low, high = sorted((luminance(palette[role]), luminance(palette[ground])))
            assert (high + 0.05) / (low + 0.05) >= 4.0, (role, ground)
