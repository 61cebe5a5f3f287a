"""A repository to stand in."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_doubles import Place, git

from state.workspace import Workspace


@pytest.fixture
def place(tmp_path: Path) -> Place:
    root = (tmp_path / "project").resolve()
    root.mkdir()
    git(root, "init", "-q", "-b", "main", "--template=")
    git(root, "config", "user.name", "Ada")
    git(root, "config", "user.email", "ada@example.org")
    (root / "README").write_text("hello\n")
    git(root, "add", "README")
    git(root, "commit", "-q", "-m", "begin")
    return Place(Workspace(root))
