"""The tour and the pages about the whole are true: every command runs, and prints what the page says."""

from __future__ import annotations

from pathlib import Path

import pytest
from transcript import Session, steps

pytest.importorskip("torch")

DOCS = Path(__file__).resolve().parents[2] / "docs"
AFTER = ("SYSTEM_OVERVIEW.md", "ARCH_HRM_JEPA.md", "REFLECTION_POLICY.md")


@pytest.mark.timeout(2400)
def test_the_tour_runs_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    author = {
        f"GIT_{who}_{what}": "person@localhost"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    session = Session(tmp_path / "home", tmp_path, **author)
    told = steps(DOCS / "tour.md")
    assert len(told) > 20
    for name in AFTER:  # their commands look at what the tour has made
        assert steps(DOCS / name)
        told += steps(DOCS / name)
    for step in told:
        session.run(step)
