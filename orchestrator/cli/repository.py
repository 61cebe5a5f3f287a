"""Short, closed reads of the user's repository, by GitPython."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from state.workspace import Workspace


def branch(workspace: Workspace) -> str | None:
    """The branch that is checked out, also one without a commit; None for a detached HEAD."""
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # without git, say so where git is needed
    from git import Repo

    with Repo(workspace.root) as repo:
        return None if repo.head.is_detached else repo.active_branch.name


def changed_files(workspace: Workspace) -> int:
    """How many files of the checkout differ from its commit, untracked ones too."""
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    from git import Repo

    with Repo(workspace.root) as repo:
        quiet = {"GIT_OPTIONAL_LOCKS": "0"}  # looking must not rewrite the index
        return len(repo.git.status("--porcelain", "-z", "--no-renames", env=quiet).split("\0")) - 1
