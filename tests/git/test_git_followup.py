"""Promises of following up the user's checkout: what is theirs stays byte for byte, the rest follows."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from git_project import WHEN, WHO, Project

from orchestrator import followup, landing, worktrees
from orchestrator.followup import FollowUp
from orchestrator.git import OUR_LOCK
from orchestrator.leftovers import clear_stale_locks

posix = pytest.mark.skipif(os.name == "nt", reason="names, modes and links of POSIX")


def follow(project: Project, head: str, at: Path | None = None) -> FollowUp:
    """Land `head` and follow the checkout up; a second time must change nothing more."""
    plan = project.landing(head)
    repo = project.repo
    assert landing.land(repo, plan) == "landed"
    old, at = repo.tree_of(plan.base), at or project.root
    result = landing.follow_up(repo, at, old, plan.tree, plan.base_ref)
    if result.waiting is None:
        files, status = project.everything(), project.git("status", "--porcelain", at=at)
        again = landing.follow_up(repo, at, old, plan.tree, plan.base_ref)
        assert again.done == result.done
        assert [path for path, _ in again.kept] == [path for path, _ in result.kept]
        assert (project.everything(), project.git("status", "--porcelain", at=at)) == (files, status)
    return result


def test_a_clean_checkout_becomes_the_landed_tree(project: Project) -> None:
    project.commit({"old/deep/gone": "x"})
    (project.root / "dir/c.txt").touch()
    result = follow(project, project.change({"a.txt": "new\n", "old/deep/gone": None, "n/e/w": "w"}))
    assert result == FollowUp(("a.txt", "n/e/w", "old/deep/gone"), (), None)
    assert project.git("status", "--porcelain") == ""
    assert project.everything()["n/e/w"] == b"w"
    assert not (project.root / "old").exists()


def test_each_kind_of_work_of_the_users_stays(project: Project) -> None:
    project.commit({"edited": "x\n", "staged": "x\n", "deleted": "x\n", "free": "x\n", "leaving": "x\n"})
    names = ("edited", "staged", "deleted", "free", "untracked")
    head = project.change({**dict.fromkeys(names, "new\n"), "leaving": None})
    project.write(
        {"edited": "mine\n", "staged": "mine\n", "untracked": "mine\n", "leaving": "mine\n", "else": "e"}
    )
    project.git("add", "staged")
    staged = project.git("rev-parse", ":staged")
    (project.root / "deleted").unlink()
    before = project.everything()
    result = follow(project, head)
    assert result.done == ("free",)
    assert [path for path, _ in result.kept] == ["deleted", "edited", "leaving", "staged", "untracked"]
    assert project.everything() == {**before, "free": b"new\n"}
    assert project.git("rev-parse", ":staged") == staged


def test_unrelated_staged_changes_stay_staged(project: Project) -> None:
    head = project.change({"a.txt": "new\n"})
    project.write({"b.txt": "staged\n", "fresh": "f"})
    project.git("add", "b.txt", "fresh")
    follow(project, head)
    assert project.git("status", "--porcelain").splitlines() == ["M  b.txt", "A  fresh"]


@posix
def test_odd_names_links_and_modes_follow(project: Project) -> None:
    names = [
        "two words",
        "line\nbreak",
        "-dash",
        ":(top)x",
        "ünï",
        'q"uo',
        "*",
        os.fsdecode(b"bad-\xff"),
        "b\\s",
    ]
    project.commit({**dict.fromkeys(names, "old\n"), "tool": "#!/bin/sh\n", "script": "x"})
    (project.root / "link").symlink_to("a.txt")
    (project.root / "script").chmod(0o755)
    project.commit()
    start = project.git("rev-parse", "HEAD")
    for name in names:
        (project.root / name).write_text("new\n")
    (project.root / "link").unlink()
    (project.root / "link").symlink_to("b.txt")
    (project.root / "tool").chmod(0o755)
    (project.root / "script").chmod(0o644)
    (project.root / "fresh").symlink_to("nowhere/")
    head, wanted = project.commit(), project.everything()
    project.git("reset", "-q", "--hard", start)
    result = follow(project, head)
    assert result.kept == ()
    assert set(result.done) == {*names, "link", "tool", "script", "fresh"}
    assert project.everything() == wanted
    assert project.git("status", "--porcelain") == ""
    assert os.access(project.root / "tool", os.X_OK)
    assert not os.access(project.root / "script", os.X_OK)


@posix
def test_a_link_or_mode_that_the_user_changed_stays(project: Project) -> None:
    (project.root / "link").symlink_to("a.txt")
    project.commit()
    start = project.git("rev-parse", "HEAD")
    (project.root / "link").unlink()
    (project.root / "link").symlink_to("b.txt")
    head = project.commit({"a.txt": "new\n"})
    project.git("reset", "-q", "--hard", start)
    (project.root / "link").unlink()
    (project.root / "link").symlink_to("mine")
    (project.root / "a.txt").chmod(0o755)
    result = follow(project, head)
    assert result.done == ()
    assert os.readlink(project.root / "link") == "mine"  # noqa: PTH115 - the bytes as they are
    assert (project.root / "a.txt").read_text() == "one\n"


@posix
def test_nothing_is_written_through_a_link_of_the_users(project: Project, tmp_path: Path) -> None:
    project.write({"c.txt": "three\n"}, at=tmp_path / "outside")
    head = project.change({"dir/c.txt": "new\n", "dir/d": "d"})
    (project.root / "dir/c.txt").unlink()
    (project.root / "dir").rmdir()
    (project.root / "dir").symlink_to(tmp_path / "outside")
    result = follow(project, head)
    assert result.done == ()
    assert sorted(p.name for p in (tmp_path / "outside").iterdir()) == ["c.txt"]
    assert (tmp_path / "outside/c.txt").read_text() == "three\n"


def test_files_and_folders_change_places(project: Project) -> None:
    project.commit({"swap/x": "x", "swap/deep/y": "y", "plain": "p"})
    result = follow(project, project.change(
        {"swap/x": None, "swap/deep/y": None, "swap": "now a file", "plain": None, "plain/z": "now a folder"}
    ))  # fmt: skip
    assert result.kept == ()
    assert (project.root / "swap").read_text() == "now a file"
    assert (project.root / "plain/z").read_text() == "now a folder"
    assert project.git("status", "--porcelain") == ""


def test_a_folder_with_a_file_of_the_users_does_not_become_a_file(project: Project) -> None:
    project.commit({"swap/x": "x"})
    head = project.change({"swap/x": None, "swap": "now a file"})
    project.write({"swap/mine": "mine"})
    assert any("swap" in line for line in landing.obstacles(project.repo, project.landing(head)))
    result = follow(project, head)
    assert [path for path, _ in result.kept] == ["swap"]
    assert (project.root / "swap/mine").read_text() == "mine"


def test_a_file_of_the_users_does_not_become_a_folder(project: Project) -> None:
    head = project.change({"fresh/x": "x"})
    project.write({"fresh": "mine"})
    result = follow(project, head)
    assert [path for path, _ in result.kept] == ["fresh/x"]
    assert (project.root / "fresh").read_text() == "mine"


@pytest.mark.parametrize("how", ["autocrlf", "attributes", "attributes change", "crlf in the repository"])
def test_line_endings_of_the_user_are_honoured(project: Project, how: str) -> None:
    new: dict[str, str | bytes | None] = {"w.txt": "1\n3\n", "fresh.txt": "f\n"}
    base: dict[str, str | bytes] = {"w.txt": "1\n2\n", "keep.txt": "k\n"}
    if how == "attributes":
        base[".gitattributes"] = "*.txt text eol=crlf\n"
    if how == "crlf in the repository":
        base["w.txt"], new = b"1\r\n2\r\n", {"w.txt": b"1\r\n3\r\n", "fresh.txt": "f\n"}
    project.commit(base)
    if how == "attributes change":
        new[".gitattributes"] = "*.txt text eol=crlf\n"
    elif how in ("autocrlf", "crlf in the repository"):
        project.git("config", "core.autocrlf", "true")
    for path in project.root.glob("*.txt"):
        path.unlink()
    project.git("checkout", "-q", "--", ".")
    result = follow(project, project.change(new))
    assert result.kept == ()
    assert (project.root / "w.txt").read_bytes() == b"1\r\n3\r\n"
    assert (project.root / "fresh.txt").read_bytes() == b"f\r\n"
    assert project.git("status", "--porcelain") == ""


@posix
def test_files_that_a_filter_of_the_users_shows_otherwise_follow_through_it(
    project: Project, tmp_path: Path
) -> None:
    store = tmp_path / "store.py"
    store.write_text(
        "import sys\nd = sys.stdin.buffer.read()\n"
        "sys.stdout.buffer.write(d[8:] if sys.argv[1] == 'smudge' else b'pointer ' + d)\n"
    )
    for which in ("clean", "smudge"):
        project.git("config", f"filter.lfs.{which}", f"'{sys.executable}' '{store}' {which}")
    project.git("config", "filter.lfs.required", "true")
    project.commit({".gitattributes": "*.bin filter=lfs\n", "big.bin": "content one", "mine.bin": "one"})
    assert project.git("cat-file", "blob", "HEAD:big.bin") == "pointer content one"
    project.write({"mine.bin": "my own"})
    head = project.change({"big.bin": "pointer content two", "mine.bin": "pointer two"})
    result = follow(project, head)
    assert result.done == ("big.bin",)
    assert (project.root / "big.bin").read_text() == "content two"
    assert (project.root / "mine.bin").read_text() == "my own"
    assert project.git("status", "--porcelain") == "MM mine.bin"


@posix
@pytest.mark.parametrize("clean", ["cat", "false"])
def test_a_filter_that_fails_keeps_its_file_and_stops_no_other(project: Project, clean: str) -> None:
    project.commit({".gitattributes": "*.bin filter=lfs\n", "big.bin": "x"})
    project.git("config", "filter.lfs.clean", clean)
    project.git("config", "filter.lfs.smudge", "false")
    project.git("config", "filter.lfs.required", "true")
    plan = project.landing(project.change({"big.bin": "y", "a.txt": "new\n"}))
    landing.land(project.repo, plan)
    result = landing.follow_up(project.repo, project.root, project.repo.tree_of(plan.base), plan.tree)
    assert result.done == ("a.txt",)
    assert result.waiting is None
    assert [path for path, _ in result.kept] == ["big.bin"]
    assert project.git("rev-parse", ":a.txt") == project.git("rev-parse", "main:a.txt")
    assert (project.root / "big.bin").read_text() == "x"


def test_a_submodule_is_left_alone_and_said(project: Project, make_project: Callable[[str], Project]) -> None:
    inner = make_project("inner")
    first = inner.commit({"lib.c": "1"})
    second = inner.commit({"lib.c": "2"})
    project.git("submodule", "--quiet", "add", str(inner.root), "sub")
    project.git("checkout", "-q", first, at=project.root / "sub")
    project.commit()
    start = project.git("rev-parse", "HEAD")
    project.git("update-index", "--cacheinfo", f"160000,{second},sub")
    project.git("commit", "-q", "-m", "moved")
    head = project.git("rev-parse", "HEAD")
    project.git("reset", "-q", "--hard", start)
    project.write({"sub/mine": "mine"})
    result = follow(project, head)
    assert result.done == ()
    assert result.kept == (("sub", "it is a submodule: run `git submodule update` for it"),)
    assert (project.root / "sub/lib.c").read_text() == "1"
    assert (project.root / "sub/mine").read_text() == "mine"
    project.git("submodule", "--quiet", "update")
    assert (project.root / "sub/lib.c").read_text() == "2"
    assert project.git("status", "--porcelain", "--ignore-submodules=untracked") == ""


def test_another_worktree_of_the_users_follows_too(project: Project, tmp_path: Path) -> None:
    project.git("checkout", "-q", "--detach")
    other = tmp_path / "other"
    project.git("worktree", "add", "-q", other, "main")
    project.write({"b.txt": "dirty\n"}, at=other)
    before = project.everything()
    follow(project, project.change({"a.txt": "new\n"}), at=other)
    assert (other / "a.txt").read_text() == "new\n"
    assert project.git("status", "--porcelain", at=other) == "M b.txt"
    assert project.everything() == before


def test_a_checkout_that_left_the_branch_is_not_touched(project: Project) -> None:
    head = project.change({"a.txt": "new\n"})
    project.git("checkout", "-q", "-b", "elsewhere")
    before = project.everything()
    assert follow(project, head) == FollowUp((), (), None)
    assert project.everything() == before


def test_a_lock_of_the_users_git_is_waited_for_then_said_and_nothing_is_touched(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followup, "LOCK_PATIENCE", 0.1)
    head = project.change({"a.txt": "new\n"})
    lock = project.root / ".git/index.lock"
    lock.write_bytes(b"")
    before = project.everything()
    result = follow(project, head)
    assert result.waiting is not None
    assert "index.lock" in result.waiting
    assert project.everything() == before
    assert clear_stale_locks(project.repo, ["refs/heads/main"]) == []
    lock.unlink()
    plan = project.landing(head)
    old = project.repo.tree_of(f"{plan.base}^")
    assert landing.follow_up(project.repo, project.root, old, plan.tree).done == ("a.txt",)
    assert project.git("status", "--porcelain") == ""


def test_a_lock_that_jetbox_left_behind_is_taken_over(project: Project) -> None:
    (project.root / ".git/index.lock").write_bytes(OUR_LOCK)
    follow(project, project.change({"a.txt": "new\n"}))
    assert project.git("status", "--porcelain") == ""
    assert not (project.root / ".git/index.lock").exists()


def test_files_left_out_by_a_sparse_checkout_stay_out(project: Project) -> None:
    project.commit({"in/x": "x", "out/y": "y"})
    project.git("sparse-checkout", "set", "in")
    assert not (project.root / "out").exists()
    result = follow(project, project.change({"in/x": "new", "out/y": "new"}))
    assert result.kept == ()
    assert not (project.root / "out").exists()
    assert (project.root / "in/x").read_text() == "new"
    assert project.git("status", "--porcelain") == ""


@pytest.mark.parametrize("setting", ["core.splitIndex true", "index.version 4", "core.untrackedCache true"])
def test_the_form_of_the_users_index_is_no_matter(project: Project, setting: str) -> None:
    project.git("config", *setting.split())
    project.commit({"b.txt": "again\n"})
    project.write({"c": "staged"})
    project.git("add", "c")
    follow(project, project.change({"a.txt": "new\n", "dir/c.txt": None}))
    assert project.git("status", "--porcelain") == "A  c"
    project.commit({"d": "d"})
    project.git("fsck", "--strict")


def test_a_repository_with_long_oids_is_served_alike(make_project: Callable[[str], Project]) -> None:
    project = make_project("sha256")
    for file in (project.root / ".git").rglob("*"):
        file.unlink() if file.is_file() else None
    project.git("init", "-q", "--object-format=sha256")
    base = project.commit({"a.txt": "one\n", ".gitignore": ".jetbox/\n"})
    assert len(base) == 64
    at = worktrees.add(project.repo, project.root / ".jetbox/w", base, "refs/heads/ticket/J-1")
    (at / "a.txt").write_text("new\n")
    (at / "link").symlink_to("a.txt")
    made = worktrees.checkpoint(project.repo, at, "refs/jetbox/J-1/1", "m", WHO, WHEN, base)
    worktrees.remove(project.repo, at)
    assert follow(project, made.commit).done == ("a.txt", "link")
    assert project.git("status", "--porcelain") == ""


def test_a_name_in_another_case_of_the_users_stays_where_cases_are_one(project: Project) -> None:
    project.git("config", "core.ignorecase", "true")
    head = project.change({"README": "new"})
    project.write({"readme": "mine"})
    follow(project, head)
    assert (project.root / "readme").read_text() == "mine"


def test_a_file_saved_while_it_is_looked_at_stays(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    head = project.change({"a.txt": "new\n"})
    real = followup.plan

    def slow(*args: object) -> object:
        steps = real(*args)  # type: ignore[arg-type]
        (project.root / "a.txt").write_text("saved just now\n")
        return steps

    monkeypatch.setattr(followup, "plan", slow)
    result = follow(project, head)
    assert [path for path, _ in result.kept] == ["a.txt"]
    assert (project.root / "a.txt").read_text() == "saved just now\n"


def test_nothing_passing_is_left_in_the_git_dir(project: Project) -> None:
    before = {p.name for p in (project.root / ".git").iterdir()}
    head = project.change({"a.txt": "new\n"})
    landing.obstacles(project.repo, project.landing(head))
    follow(project, head)
    assert {p.name for p in (project.root / ".git").iterdir()} <= before
