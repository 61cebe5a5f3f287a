"""A user's repository to work on, with a home of its own so that no setting of this machine plays a part."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from git_project import Project


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    for name in [n for n in os.environ if n.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Ada\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n"
        '[protocol "file"]\n\tallow = always\n[advice]\n\tdetachedHead = false\n'
    )
    return home


@pytest.fixture
def empty(tmp_path: Path) -> Project:
    """A repository without a commit."""
    root = tmp_path / "project"
    root.mkdir()
    project = Project(root)
    project.git("init", "-q")
    return project


@pytest.fixture
def project(empty: Project) -> Project:
    """A repository with a few files and one commit on `main`."""
    empty.commit(
        {"a.txt": "one\n", "b.txt": "two\n", "dir/c.txt": "three\n", ".gitignore": "*.log\n.jetbox/\n"}
    )
    return empty


@pytest.fixture
def make_project(tmp_path: Path) -> Callable[[str], Project]:
    """Further repositories, by name."""

    def make(name: str) -> Project:
        root = tmp_path / name
        root.mkdir()
        made = Project(root)
        made.git("init", "-q")
        return made

    return make
