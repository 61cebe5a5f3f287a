"""The tour is true: every command of it runs, and prints what the page says."""

from __future__ import annotations

from pathlib import Path

import pytest
from transcript import Session, steps

pytest.importorskip("torch")

TOUR = Path(__file__).resolve().parents[2] / "docs" / "tour.md"


@pytest.mark.timeout(2400)
def test_the_tour_runs_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    author = {
        f"GIT_{who}_{what}": "person@localhost"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    session = Session(tmp_path / "home", tmp_path, **author)
    told = steps(TOUR)
    assert len(told) > 20
    for step in told:
        session.run(step)
