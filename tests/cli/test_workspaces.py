"""A workspace is found as git would find it, without git; setting one up touches nothing that is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_doubles import Place, git, jetbox

from orchestrator.config import load
from orchestrator.git import Repo
from orchestrator.workspaces import NoWorkspace, find, set_up
from state.workspace import Workspace


def test_it_is_found_from_any_folder_inside(place: Place) -> None:
    deep = place.root / "a" / "b"
    deep.mkdir(parents=True)
    assert find(deep) == find(place.root) == place.workspace


@pytest.mark.parametrize("where", ["../beside", ".jetbox/worktrees/TICKET-001-1"])
def test_a_linked_worktree_leads_to_the_main_checkout(place: Place, where: str) -> None:
    path = place.root / where
    git(place.root, "worktree", "add", "-q", "--detach", str(path))
    (path / "sub").mkdir()
    assert find(path / "sub").root == place.root == Repo.open(path).root


def test_a_submodule_is_a_workspace_of_its_own(place: Place, tmp_path: Path) -> None:
    git(place.root, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(place.root), "inner")
    inner = place.root / "inner"
    assert find(inner).root == inner == Repo.open(inner).root


def test_a_git_folder_that_lies_elsewhere_is_followed(place: Place, tmp_path: Path) -> None:
    root = tmp_path / "apart"
    root.mkdir()
    git(tmp_path, "init", "-q", f"--separate-git-dir={tmp_path / 'elsewhere'}", str(root))
    assert find(root).root == root.resolve() == Repo.open(root).root


def test_a_git_folder_that_is_none_is_passed_by(place: Place) -> None:
    inner = place.root / "inner"
    (inner / ".git").mkdir(parents=True)
    assert find(inner).root == place.root == Repo.open(inner).root


def test_a_bare_repository_and_a_lost_one_are_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "bare")
    with pytest.raises(NoWorkspace, match="no checkout"):
        find(tmp_path / "bare")
    lost = tmp_path / "lost"
    lost.mkdir()
    (lost / ".git").write_text("gitdir: /nowhere/.git/worktrees/lost\n")
    with pytest.raises(NoWorkspace, match="leads to no repository"):
        find(lost)
    with pytest.raises(NoWorkspace, match="no such folder"):
        find(tmp_path / "missing")
    with pytest.raises(NoWorkspace, match="no git repository here"):
        find(tmp_path)


def test_setting_up_leaves_git_nothing_to_see(place: Place) -> None:
    set_up(place.workspace)
    place.workspace.run("TICKET-001", 1).mkdir(parents=True)
    (place.workspace.home / "journal.db").write_bytes(b"x")
    (place.workspace.run("TICKET-001", 1) / "events.jsonl").write_text("{}")
    assert git(place.root, "status", "--porcelain", "--untracked-files=all") == ""


def test_a_folder_of_the_user_s_that_is_called_runs_stays_visible_to_git(place: Place) -> None:
    place.workspace.runs.mkdir()
    (place.workspace.runs / "mine.txt").write_text("mine")
    set_up(place.workspace)
    assert [path.name for path in place.workspace.runs.iterdir()] == ["mine.txt"]


def test_init_makes_what_is_missing_and_nothing_else(place: Place) -> None:
    assert jetbox("init", cwd=place.root).returncode == 0
    assert load(place.workspace).settings.base == "main"
    assert place.workspace.tickets.is_dir()
    place.workspace.config.write_text("parallel: 3\n")
    (place.workspace.home / ".gitignore").write_text("mine\n")
    before = everything(place.root)
    assert jetbox("init", cwd=place.root).returncode == 0
    assert everything(place.root) == before


def test_init_names_no_branch_where_none_is_checked_out(place: Place) -> None:
    git(place.root, "checkout", "-q", "--detach")
    assert jetbox("init", cwd=place.root).returncode == 0
    assert load(place.workspace).settings.base is None


def test_init_takes_a_branch_that_yaml_would_misread(place: Place) -> None:
    git(place.root, "checkout", "-q", "-b", "1.10")
    assert jetbox("init", cwd=place.root).returncode == 0
    assert load(place.workspace).settings.base == "1.10"


def test_init_works_before_the_first_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "trunk")
    assert jetbox("init", cwd=tmp_path).returncode == 0
    assert load(Workspace(tmp_path)).settings.base == "trunk"


def everything(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(root).parts
    }
