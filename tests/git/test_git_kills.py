"""The promise that holds all others: cut anywhere by SIGKILL and repeated, the end is the same."""

from __future__ import annotations

from pathlib import Path

import kill_loop
import pytest


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_any_moment_and_repeated_it_ends_as_if_never_killed(tmp_path: Path, seed: int) -> None:
    tally = kill_loop.loop(tmp_path / "loop", 10, seed)
    assert tally.kills >= 10
