"""A workspace with a core to attack; the engine's lab is shared with the engine's own tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "engine"))

import scripted_core
from core_lab import CoreLab


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting and no key of this machine plays a part."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(home))


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CoreLab]:
    """A repository with one commit, no tickets and no core; the model wing's doubles in its place."""
    scripted_core.scripted(monkeypatch.setattr)
    made = CoreLab(tmp_path / "lab")
    yield made
    made.close()
