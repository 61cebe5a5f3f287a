"""Promises of a single git call: what it finds and refuses, and that a ref is its old or its new value."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from git_project import WHEN, WHO, Project

from orchestrator import gitcall
from orchestrator.git import GitError, GitMissing, GitTooOld, NotARepository, RefLocked, Repo, stamp
from orchestrator.leftovers import clear_stale_locks

MAIN = "refs/heads/main"


def test_a_repository_is_found_from_any_of_its_folders_and_worktrees(
    project: Project, tmp_path: Path
) -> None:
    project.git("worktree", "add", "-q", "--detach", tmp_path / "linked")
    for start in (project.root, project.root / "dir", tmp_path / "linked", tmp_path / "linked/dir"):
        repo = Repo.open(start)
        assert (repo.root, repo.common_dir) == (project.root, project.root / ".git")


def test_a_git_dir_kept_elsewhere_is_found(project: Project, tmp_path: Path) -> None:
    project.git("init", "-q", f"--separate-git-dir={tmp_path / 'elsewhere'}")
    repo = Repo.open(project.root / "dir")
    assert (repo.root, repo.common_dir) == (project.root, tmp_path / "elsewhere")
    assert repo.head_branch() == MAIN


def test_a_worktree_of_a_bare_repository_serves_as_its_checkout(project: Project, tmp_path: Path) -> None:
    project.git("clone", "-q", "--bare", project.root, tmp_path / "bare.git")
    with pytest.raises(NotARepository, match="bare"):
        Repo.open(tmp_path / "bare.git")
    project.git("worktree", "add", "-q", tmp_path / "checkout", "main", at=tmp_path / "bare.git")
    repo = Repo.open(tmp_path / "checkout")
    assert repo.root == tmp_path / "checkout"
    assert repo.head_branch() == MAIN
    assert [c.path for c in repo.checkouts()] == [tmp_path / "checkout"]


def test_a_folder_without_a_repository_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotARepository, match="git init"):
        Repo.open(tmp_path)
    with pytest.raises(NotARepository, match="not a folder"):
        Repo.open(tmp_path / "nowhere")


def fake_git(folder: Path, version: str) -> Path:
    folder.mkdir()
    script = folder / "git"
    script.write_text(f"#!/bin/sh\necho 'git version {version}'\n")
    script.chmod(0o755)
    return folder


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands in for git")
def test_no_git_and_an_old_git_are_said(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gitcall.git_binary.cache_clear()
    try:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(GitMissing, match="install git"):
            Repo.open(project.root)
        monkeypatch.setenv("PATH", str(fake_git(tmp_path / "old", "2.37.9")))
        with pytest.raises(GitTooOld, match=r"2\.37\.9"):
            Repo.open(project.root)
        monkeypatch.setenv("PATH", str(fake_git(tmp_path / "new", "2.100.1 (Apple Git-1)")))
        assert gitcall.git_binary() == str(tmp_path / "new/git")
    finally:
        gitcall.git_binary.cache_clear()


def test_a_repository_without_commits_is_unborn_and_nothing_else_breaks(empty: Project) -> None:
    repo = empty.repo
    assert repo.is_unborn()
    assert repo.head_branch() == MAIN
    assert repo.resolve("HEAD") is repo.resolve(MAIN) is None
    assert repo.refs("refs/") == {}
    assert clear_stale_locks(repo, [MAIN]) == []
    assert [c.branch for c in repo.checkouts()] == [MAIN]
    empty.commit({"a": "a"})
    assert not repo.is_unborn()


def test_a_detached_head_is_on_no_branch(project: Project) -> None:
    project.git("checkout", "-q", "--detach")
    assert project.repo.head_branch() is None
    assert not project.repo.is_unborn()


def test_a_ref_moves_only_from_the_value_that_was_expected(project: Project) -> None:
    repo, base = project.repo, project.git("rev-parse", "HEAD")
    one, two = project.change({"a.txt": "1"}), project.change({"a.txt": "2"})
    assert not repo.compare_and_swap(MAIN, one, two)
    assert not repo.compare_and_swap(MAIN, one, None)
    assert repo.resolve(MAIN) == base
    assert repo.compare_and_swap(MAIN, one, base)
    assert repo.compare_and_swap(MAIN, one, base)
    assert repo.resolve(MAIN) == one
    assert repo.compare_and_swap("refs/jetbox/x", two, None)
    assert not repo.compare_and_swap("refs/jetbox/x", None, one)
    assert repo.compare_and_swap("refs/jetbox/x", None, two)
    assert repo.compare_and_swap("refs/jetbox/x", None, two)
    assert repo.resolve("refs/jetbox/x") is None


def test_a_ref_that_stays_locked_is_said_and_not_moved(project: Project) -> None:
    base = project.git("rev-parse", "HEAD")
    lock = project.root / ".git" / f"{MAIN}.lock"
    lock.write_bytes(b"")
    with pytest.raises(RefLocked, match="main"):
        project.repo.compare_and_swap(MAIN, project.change({"a.txt": "1"}), base)
    assert project.repo.resolve(MAIN) == base


def test_only_locks_that_are_surely_left_over_are_cleared(project: Project, tmp_path: Path) -> None:
    repo, git_dir = project.repo, project.root / ".git"
    project.git("worktree", "add", "-q", "--detach", tmp_path / "theirs")
    repo.compare_and_swap("refs/jetbox/J-1/1", project.git("rev-parse", "HEAD"), None)
    ours = [git_dir / "refs/jetbox/J-1/1.lock"]
    base = git_dir / f"{MAIN}.lock"
    theirs = [git_dir / name for name in ("index.lock", "HEAD.lock", "config.lock", "refs/heads/other.lock")]
    packed = [git_dir / "packed-refs.lock", git_dir / "packed-refs.new"]
    theirs += [git_dir / "worktrees/theirs/index.lock", *packed]
    for lock in (*ours, base, *theirs):
        lock.write_bytes(b"")
    assert clear_stale_locks(repo, [MAIN]) == ours
    assert base.exists()
    long_ago = time.time() - 3600
    for lock in (base, *theirs):
        os.utime(lock, (long_ago, long_ago))
    assert set(clear_stale_locks(repo, [MAIN])) == {base, *packed}
    assert [p for p in theirs if not p.exists()] == packed


def test_a_commit_is_the_same_for_the_same_arguments_whatever_the_machine_is_set_to(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = project.git("rev-parse", "HEAD^{tree}")

    def make() -> str:
        return project.repo.commit_tree(tree, [], "Grüße\n\n", WHO, WHEN)

    first = make()
    project.git("config", "i18n.commitEncoding", "latin1")
    project.git("config", "user.name", "Somebody Else")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Nobody")
    assert make() == first
    assert project.git("cat-file", "commit", first).endswith("\n\nGrüße")


@pytest.mark.parametrize(
    ("author", "date"), [("no mail", WHEN), ("<a@b>", WHEN), (WHO, "yesterday"), (WHO, "1")]
)
def test_an_author_or_a_date_that_git_would_guess_at_is_refused(
    project: Project, author: str, date: str
) -> None:
    with pytest.raises(ValueError, match="reads"):
        project.repo.commit_tree(project.git("rev-parse", "HEAD^{tree}"), [], "m", author, date)
    assert stamp(1700000000.9) == WHEN


def test_changes_and_files_of_trees_name_each_path_exactly(project: Project) -> None:
    name = "a\nb\t-ü"
    head = project.change({"a.txt": None, "b.txt": "new\n", name: b"\0bin"})
    repo = project.repo
    found = {c.path: c.status for c in repo.changes("HEAD", head)}
    assert found == {"a.txt": "D", "b.txt": "M", name: "A"}
    assert {e.path for e in repo.files(head)} == {".gitignore", "b.txt", "dir/c.txt", name}
    assert repo.show_file(head, name) == b"\0bin"
    assert repo.show_file(head, "a.txt") is None
    assert repo.show_file(head, "dir") is None
    with pytest.raises(GitError):
        repo.show_file("0" * 40, "a.txt")
    patch = repo.diff("HEAD", head)
    assert b"-two\n+new\n" in patch
    assert b"Binary files" in patch


def test_ancestors_are_told(project: Project) -> None:
    base, head = project.git("rev-parse", "HEAD"), project.change({"a.txt": "1"})
    assert project.repo.is_ancestor(base, head)
    assert not project.repo.is_ancestor(head, base)
    with pytest.raises(GitError):
        project.repo.is_ancestor("0" * 40, head)


@pytest.mark.skipif(os.name == "nt", reason="descriptors are inherited on POSIX")
def test_a_git_child_holds_the_descriptors_it_is_given(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []
    real = subprocess.run

    def seen(*args: object, **more: object) -> object:
        given.append(more.get("pass_fds"))
        return real(*args, **more)  # type: ignore[call-overload]

    gitcall.git_binary()
    reader, writer = os.pipe()
    monkeypatch.setattr(gitcall.subprocess, "run", seen)
    Repo.open(project.root, inherit_fds=(writer,)).resolve(MAIN)
    os.close(reader)
    os.close(writer)
    assert set(given) == {(writer,)}


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace shows what is synced")
def test_a_commit_and_the_ref_that_names_it_are_synced_before_the_call_returns(
    project: Project, tmp_path: Path
) -> None:
    script = (
        "import sys; from orchestrator.git import Repo; r = Repo.open(sys.argv[1]); t = r.tree_of('HEAD')\n"
        f"c = r.commit_tree(t, [], 'm', {WHO!r}, {WHEN!r})\n"
        "assert r.compare_and_swap('refs/jetbox/x', c, None)"
    )
    log = tmp_path / "trace"
    traced = [
        "strace",
        "-f",
        "-y",
        "-e",
        "trace=fsync",
        "-o",
        log,
        sys.executable,
        "-c",
        script,
        project.root,
    ]
    if subprocess.run(traced, capture_output=True, check=False).returncode != 0:
        pytest.skip("strace may not trace here")
    synced = log.read_text()
    assert "/objects/" in synced
    assert "refs/jetbox/x.lock" in synced
    assert "/refs/jetbox>" in synced
