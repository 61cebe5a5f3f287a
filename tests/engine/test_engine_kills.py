"""SIGKILL at random moments of everything at once: no effect is lost or doubled."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.kills import torture


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [20, 21])
def test_twenty_kills_break_no_promise(seed: int, tmp_path: Path) -> None:
    result = torture(kills=20, seed=seed, folder=tmp_path)
    assert result["broken"] == []
    assert sum(result["kills"].values()) >= 20
