"""Promises of Jetbox's own worktrees: nothing lost, nothing run, repeatable."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from git_project import WHEN, WHO, Project

from orchestrator import landing, worktrees
from orchestrator.git import GitError, Repo
from orchestrator.worktrees import BranchInUse, Checkpoint, NotOurs

REF = "refs/jetbox/J-1/1"
BRANCH = "refs/heads/ticket/J-1-x"


def added(project: Project) -> Path:
    base = project.git("rev-parse", "HEAD")
    return worktrees.add(project.repo, project.root / ".jetbox/worktrees/J-1", base, BRANCH)


def check(project: Project, at: Path, parent: str | None = None, ref: str = REF) -> Checkpoint:
    parent = parent or project.git("rev-parse", "HEAD")
    return worktrees.checkpoint(project.repo, at, ref, "an action", WHO, WHEN, parent)


def held(project: Project, commit: str) -> dict[str, bytes]:
    repo = project.repo
    return {e.path: repo.show_file(commit, e.path) or b"" for e in repo.files(commit) if e.mode != "160000"}


def test_a_worktree_holds_the_commit_on_its_branch_and_the_users_checkout_is_as_it_was(
    project: Project,
) -> None:
    before, index = project.everything(), (project.root / ".git/index").read_bytes()
    at = added(project)
    assert project.repo.head_branch(at) == BRANCH
    assert (at / "dir/c.txt").read_text() == "three\n"
    assert project.git("status", "--porcelain", at=at) == ""
    assert project.everything() == before
    assert (project.root / ".git/index").read_bytes() == index
    assert project.git("branch", "--show-current") == "main"


def test_adding_again_leaves_a_complete_worktree_and_its_work_alone(project: Project) -> None:
    at = added(project)
    (at / "work.txt").write_text("mine")
    assert added(project) == at
    assert (at / "work.txt").read_text() == "mine"


def test_a_half_made_worktree_is_made_again(project: Project) -> None:
    at = added(project)
    git_dir = project.repo.git_dir_of(at)
    assert git_dir is not None
    (git_dir / "jetbox-ready").unlink()
    (at / "a.txt").unlink()
    (git_dir / "index.lock").write_text("")
    added(project)
    assert (at / "a.txt").read_text() == "one\n"
    assert project.repo.refs("refs/jetbox/trash/") == {}
    assert [c.path for c in project.repo.checkouts()] == [project.root, at]


def test_a_folder_in_the_way_goes_to_the_trash_before_the_worktree_takes_its_place(project: Project) -> None:
    at = project.root / ".jetbox/worktrees/J-1"
    project.write({"lost.txt": "worth keeping"}, at=at)
    added(project)
    assert not (at / "lost.txt").exists()
    (ref,) = project.repo.refs("refs/jetbox/trash/")
    assert held(project, ref)["lost.txt"] == b"worth keeping"


def test_commits_of_an_earlier_attempt_go_to_the_trash_before_the_branch_starts_anew(
    project: Project,
) -> None:
    old = project.change({"a.txt": "earlier attempt\n"})
    project.git("update-ref", BRANCH, old)
    added(project)
    assert project.repo.resolve(BRANCH) == project.git("rev-parse", "HEAD")
    assert old in project.repo.refs("refs/jetbox/trash/").values()


def test_a_branch_that_the_user_has_checked_out_is_not_moved(project: Project, tmp_path: Path) -> None:
    old = project.change({"a.txt": "theirs\n"})
    project.git("update-ref", BRANCH, old)
    project.git("worktree", "add", "-q", tmp_path / "theirs", "ticket/J-1-x")
    with pytest.raises(BranchInUse, match="theirs"):
        added(project)
    assert project.repo.resolve(BRANCH) == old


def test_a_branch_removed_by_hand_is_made_again(project: Project) -> None:
    at = added(project)
    project.git("update-ref", "-d", BRANCH)
    added(project)
    assert project.repo.resolve(BRANCH) == project.git("rev-parse", "HEAD")
    assert (at / "a.txt").exists()


def test_a_checkpoint_holds_new_changed_and_deleted_files_and_no_ignored_one(project: Project) -> None:
    at = added(project)
    project.write({"new file.txt": "new", "a.txt": "changed", "debug.log": "ignored"}, at=at)
    (at / "b.txt").unlink()
    made = check(project, at)
    assert made.changed
    tree = held(project, made.commit)
    assert tree["new file.txt"] == b"new"
    assert tree["a.txt"] == b"changed"
    assert "b.txt" not in tree
    assert "debug.log" not in tree
    assert project.repo.resolve(REF) == made.commit
    assert project.git("rev-parse", f"{made.commit}^") == project.git("rev-parse", "HEAD")


def test_the_same_checkpoint_twice_is_one_commit(project: Project) -> None:
    at = added(project)
    (at / "a.txt").write_text("changed")
    first = check(project, at)
    assert check(project, at) == first


def test_a_checkpoint_of_nothing_is_the_parent_and_no_empty_commit(project: Project) -> None:
    at = added(project)
    head = project.git("rev-parse", "HEAD")
    assert check(project, at) == Checkpoint(head, project.repo.tree_of(head), False)
    assert project.repo.resolve(REF) == head


def test_a_file_rewritten_at_once_with_the_same_size_is_seen(project: Project) -> None:
    at = added(project)
    last = None
    for n in range(10):
        (at / "a.txt").write_text(f"{n}ne\n")
        made = check(project, at, last)
        last = made.commit
        assert held(project, last)["a.txt"] == f"{n}ne\n".encode()


def test_a_ref_with_other_commits_is_kept_in_the_trash_before_it_moves(project: Project) -> None:
    at = added(project)
    other = project.change({"z": "z"})
    project.git("update-ref", REF, other)
    (at / "a.txt").write_text("changed")
    made = check(project, at)
    assert project.repo.resolve(REF) == made.commit
    assert other in project.repo.refs("refs/jetbox/trash/").values()


@pytest.mark.skipif(os.name == "nt", reason="names that Windows does not allow")
def test_odd_file_names_survive_a_checkpoint_and_a_return(project: Project) -> None:
    at = added(project)
    names = [
        "two words.txt", "line\nbreak", "-dash", "--force", ":(top)x", "ünïcödé", 'quo"te', "tab\there", "*",
        "back\\slash", os.fsdecode(b"bad-\xff-utf8"), "dir with space/-f", " lead", "trail ",
    ]  # fmt: skip
    project.write({n: f"content of {n!r}" for n in names}, at=at)
    made = check(project, at)
    tree = held(project, made.commit)
    assert {n: tree[n] for n in names} == {n: f"content of {n!r}".encode() for n in names}
    for name in names:
        (at / name).unlink()
    worktrees.restore(project.repo, at, made.commit)
    assert {n: (at / n).read_bytes() for n in names} == {n: tree[n] for n in names}


@pytest.mark.skipif(os.name == "nt", reason="modes and links of POSIX")
def test_executable_bits_and_links_survive_a_checkpoint_and_a_return(project: Project) -> None:
    at = added(project)
    (at / "a.txt").chmod(0o755)
    (at / "link").symlink_to("../outside//x/")
    (at / "dirlink").symlink_to("dir")
    made = check(project, at)
    modes = {e.path: e.mode for e in project.repo.files(made.commit)}
    assert (modes["a.txt"], modes["link"], modes["dirlink"]) == ("100755", "120000", "120000")
    (at / "a.txt").chmod(0o644)
    (at / "link").unlink()
    worktrees.restore(project.repo, at, made.commit)
    assert os.readlink(at / "link") == "../outside//x/"  # noqa: PTH115 - the bytes as they are
    assert (at / "a.txt").stat().st_mode & stat.S_IXUSR


@pytest.mark.skipif(os.name == "nt", reason="links of POSIX")
def test_a_folder_that_became_a_link_or_a_file_and_back(project: Project, tmp_path: Path) -> None:
    at = added(project)
    outside = tmp_path / "outside"
    project.write({"c.txt": "not yours"}, at=outside)
    first = check(project, at)
    (at / "dir/c.txt").unlink()
    (at / "dir").rmdir()
    (at / "dir").symlink_to(outside)
    (at / "a.txt").unlink()
    project.write({"a.txt/inside": "deep"}, at=at)
    second = check(project, at, first.commit, "refs/jetbox/J-1/2")
    tree = held(project, second.commit)
    assert "dir/c.txt" not in tree
    assert tree["a.txt/inside"] == b"deep"
    worktrees.restore(project.repo, at, first.commit)
    assert (at / "dir/c.txt").read_text() == "three\n"
    assert (at / "a.txt").read_text() == "one\n"
    assert (outside / "c.txt").read_text() == "not yours"
    worktrees.restore(project.repo, at, second.commit)
    assert (at / "dir").is_symlink()
    assert (outside / "c.txt").read_text() == "not yours"


def test_a_return_is_exact_and_what_it_removes_is_in_the_trash(project: Project) -> None:
    at = added(project)
    made = check(project, at)
    project.write({"a.txt": "cut off", "half/written": "x", "debug.log": "stays"}, at=at)
    (at / "b.txt").unlink()
    ref = worktrees.restore(project.repo, at, made.commit)
    assert ref is not None
    trash = held(project, ref)
    assert (trash["a.txt"], trash["half/written"]) == (b"cut off", b"x")
    assert (at / "a.txt").read_text() == "one\n"
    assert (at / "b.txt").exists()
    assert not (at / "half").exists()
    assert (at / "debug.log").read_text() == "stays"
    assert worktrees.restore(project.repo, at, made.commit) is None


def test_files_that_a_new_ignore_rule_hid_are_taken_back_too(project: Project) -> None:
    at = added(project)
    made = check(project, at)
    project.write({".gitignore": "*\n", "hidden.txt": "found"}, at=at)
    worktrees.restore(project.repo, at, made.commit)
    assert not (at / "hidden.txt").exists()
    assert any(
        held(project, r).get("hidden.txt") == b"found" for r in project.repo.refs("refs/jetbox/trash/")
    )


def test_a_removed_worktree_is_gone_with_its_entry_and_its_work_is_in_the_trash(project: Project) -> None:
    at = added(project)
    project.write({"deep/work.txt": "mine"}, at=at)
    ref = worktrees.remove(project.repo, at)
    assert ref is not None
    assert held(project, ref)["deep/work.txt"] == b"mine"
    assert list(at.parent.iterdir()) == []
    assert [c.path for c in project.repo.checkouts()] == [project.root]
    assert list((project.root / ".git/worktrees").glob("*")) == []
    assert worktrees.remove(project.repo, at) is None


def test_removing_takes_no_worktree_of_the_users_along(project: Project, tmp_path: Path) -> None:
    at, theirs = added(project), tmp_path / "usb-stick"
    project.git("worktree", "add", "-q", "--detach", theirs)
    theirs.rename(tmp_path / "unplugged")
    worktrees.remove(project.repo, at)
    (tmp_path / "unplugged").rename(theirs)
    assert project.git("status", "--porcelain", at=theirs) == ""


def test_what_a_checkpoint_holds_needs_no_trash(project: Project) -> None:
    at = added(project)
    (at / "work.txt").write_text("mine")
    check(project, at)
    assert worktrees.remove(project.repo, at) is None


def test_a_checkpoint_whose_ref_was_removed_by_hand_is_on_record_again(project: Project) -> None:
    at = added(project)
    (at / "a.txt").write_text("changed")
    made = check(project, at)
    project.git("update-ref", "-d", REF)
    (at / "b.txt").write_text("more")
    later = check(project, at, made.commit)
    assert project.repo.resolve(REF) == later.commit


def test_a_worktree_folder_removed_by_hand_is_said_and_made_again(project: Project) -> None:
    at = added(project)
    shutil.rmtree(at)
    with pytest.raises(NotOurs, match="by hand"):
        check(project, at)
    assert (added(project) / "a.txt").exists()
    shutil.rmtree(at)
    assert worktrees.remove(project.repo, at) is None
    assert [c.path for c in project.repo.checkouts()] == [project.root]


def test_the_users_checkout_is_never_taken_for_a_worktree(project: Project) -> None:
    head = project.git("rev-parse", "HEAD")
    for path in (project.root, project.root.parent, project.root / ".git"):
        with pytest.raises(NotOurs):
            worktrees.remove(project.repo, path)
        with pytest.raises(NotOurs):
            worktrees.restore(project.repo, path, head)
        with pytest.raises(NotOurs):
            worktrees.clean_checkout(project.repo, path, head)
        with pytest.raises(NotOurs):
            worktrees.add(project.repo, path, head, BRANCH)
    assert (project.root / "a.txt").read_text() == "one\n"


@pytest.mark.skipif(os.name == "nt", reason="links of POSIX")
def test_removing_follows_no_link_out(project: Project, tmp_path: Path) -> None:
    at = added(project)
    project.write({"precious": "kept"}, at=tmp_path / "outside")
    (at / "way-out").symlink_to(tmp_path / "outside")
    worktrees.remove(project.repo, at)
    assert (tmp_path / "outside/precious").read_text() == "kept"


def test_trash_holds_everything_and_comes_back_as_a_branch(project: Project) -> None:
    at = added(project)
    project.write({"a.txt": "changed", "untracked/x": "x"}, at=at)
    kept = worktrees.trash(project.repo, at, "refs/jetbox/trash/J-1")
    assert worktrees.trash(project.repo, at, "refs/jetbox/trash/J-1") == kept
    worktrees.remove(project.repo, at)
    back = worktrees.restore_trash(project.repo, "refs/jetbox/trash/J-1", "refs/heads/rescued")
    assert (
        back == kept == worktrees.restore_trash(project.repo, "refs/jetbox/trash/J-1", "refs/heads/rescued")
    )
    assert held(project, "refs/heads/rescued")["untracked/x"] == b"x"
    with pytest.raises(GitError, match="another branch name"):
        worktrees.restore_trash(project.repo, "refs/jetbox/trash/J-1", "refs/heads/main")


def test_files_of_a_nested_repository_are_in_the_checkpoint_and_its_history_in_the_trash(
    project: Project,
) -> None:
    at = added(project)
    before = check(project, at)
    for name in ("with-commit", "without"):
        project.write({f"{name}/file": name, f"{name}/run.log": "ignored"}, at=at)
        project.git("init", "-q", at=at / name)
    project.git("add", "file", at=at / "with-commit")
    project.git("commit", "-q", "-m", "inner", at=at / "with-commit")
    inner = project.git("rev-parse", "HEAD", at=at / "with-commit")
    made = check(project, at, before.commit, "refs/jetbox/J-1/2")
    tree = held(project, made.commit)
    assert (tree["with-commit/file"], tree["without/file"]) == (b"with-commit", b"without")
    assert not [p for p in tree if ".git-kept" in p or p.endswith(".log")]
    (at / "with-commit/file").write_text("later")
    project.write({"with-commit/second": "2"}, at=at)
    assert (
        held(project, check(project, at, made.commit, "refs/jetbox/J-1/3").commit)["with-commit/second"]
        == b"2"
    )
    ref = worktrees.restore(project.repo, at, before.commit)
    assert ref is not None
    assert not (at / "with-commit/.git").exists()
    kept = held(project, ref)
    assert kept["with-commit/.git-kept/HEAD"].startswith(b"ref: ")
    assert f"with-commit/.git-kept/objects/{inner[:2]}/{inner[2:]}" in kept


def test_submodules_stay_on_record_and_what_was_put_in_one_is_in_the_trash(
    project: Project, make_project: Callable[[str], Project]
) -> None:
    inner = make_project("inner")
    inner.commit({"lib.c": "int x;"})
    project.git("submodule", "--quiet", "add", str(inner.root), "sub")
    project.commit(message="with a submodule")
    at = added(project)
    assert not check(project, at).changed
    project.write({"sub/stray": "stray"}, at=at)
    made = check(project, at)
    assert [e.mode for e in project.repo.files(made.commit) if e.path == "sub"] == ["160000"]
    ref = worktrees.restore(project.repo, at, made.commit)
    assert ref is not None
    assert held(project, ref)["sub/stray"] == b"stray"
    assert list((at / "sub").iterdir()) == []
    clean = worktrees.clean_checkout(
        project.repo, project.root / ".jetbox/gate", project.git("rev-parse", "HEAD")
    )
    project.write({"sub/stray": "stray"}, at=clean)
    worktrees.clean_checkout(project.repo, clean, project.git("rev-parse", "HEAD"))
    assert list((clean / "sub").iterdir()) == []
    assert worktrees.remove(project.repo, at) is None
    assert (project.root / "sub/lib.c").read_text() == "int x;"


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 3\n"


def planted(project: Project, marks: Path) -> None:
    """Hooks, filters, fsmonitor, diff and merge drivers that each leave a mark when they run."""
    marks.mkdir()
    hooks = project.root / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    names = ["post-checkout", "pre-commit", "post-commit", "reference-transaction", "post-index-change"]
    for name in [*names, "post-merge", "pre-auto-gc"]:
        (hooks / name).write_text(f"#!/bin/sh\ntouch '{marks}/{name}'\n")
        (hooks / name).chmod(0o755)
    for key, value in {
        "core.fsmonitor": f"touch '{marks}/fsmonitor'; false",
        "filter.lfs.clean": f"touch '{marks}/clean'; cat",
        "filter.lfs.smudge": f"touch '{marks}/smudge'; echo smudged",
        "filter.lfs.process": f"touch '{marks}/process'; false",
        "filter.lfs.required": "true",
        "filter.odd=na.me.smudge": f"touch '{marks}/odd'; echo smudged",
        "diff.x.textconv": f"touch '{marks}/textconv'; cat",
        "diff.x.command": f"touch '{marks}/extdiff'",
        "diff.external": f"touch '{marks}/external'",
        "merge.m.driver": f"touch '{marks}/merge'; true",
        "commit.gpgSign": "true",
        "gpg.program": f"touch '{marks}/gpg'",
        "core.editor": f"touch '{marks}/editor'",
    }.items():
        project.git("config", key, value)


def test_planted_hooks_filters_and_fsmonitor_do_not_run_and_lfs_pointers_stay_pointers(
    project: Project, tmp_path: Path
) -> None:
    project.commit({".gitattributes": "*.bin filter=lfs diff=x merge=m\n*.odd filter=odd=na.me\n"})
    base = project.commit({"big.bin": POINTER, "x.odd": "plain", "m.bin": "1\n"})
    marks = tmp_path / "marks"
    planted(project, marks)
    repo = project.repo
    at = added(project)
    assert (at / "big.bin").read_bytes() == POINTER
    assert (at / "x.odd").read_bytes() == b"plain"
    project.write({"big.bin": POINTER + b"x\n", "new.bin": b"\0raw"}, at=at)
    made = check(project, at)
    assert held(project, made.commit)["new.bin"] == b"\0raw"
    worktrees.restore(repo, at, base)
    worktrees.clean_checkout(repo, project.root / ".jetbox/gate", base)
    worktrees.clean_checkout(repo, project.root / ".jetbox/gate", made.commit)
    repo.diff(base, made.commit)
    other = project.change({"m.bin": "2\n"}, base)
    third = project.change({"m.bin": "3\n"}, base)
    assert landing.merge(repo, other, third).conflicts == ("m.bin",)
    landing.land(repo, project.landing(made.commit))
    worktrees.remove(repo, at)
    assert list(marks.iterdir()) == []


def test_no_git_variable_of_the_caller_reaches_git(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY", "GIT_CONFIG_GLOBAL"):
        monkeypatch.setenv(name, "/nonexistent")
    repo = Repo.open(project.root)
    head = repo.resolve("HEAD")
    assert head is not None
    at = worktrees.add(repo, project.root / ".jetbox/worktrees/J-1", head, BRANCH)
    assert (at / "a.txt").exists()


def test_a_git_pointer_that_a_command_rewrote_leads_nowhere(
    project: Project, make_project: Callable[[str], Project]
) -> None:
    evil = make_project("evil")
    evil.git("config", "core.fsmonitor", f"touch '{evil.root}/ran'; false")
    at = added(project)
    (at / ".git").unlink()
    (at / ".git").write_text(f"gitdir: {evil.root}/.git\n")
    (at / "a.txt").write_text("changed")
    made = check(project, at)
    assert held(project, made.commit)["a.txt"] == b"changed"
    added(project)
    assert project.git("rev-parse", "--git-common-dir", at=at) == str(project.root / ".git")
    assert not (evil.root / "ran").exists()


def test_line_endings_of_the_users_setting_do_not_change_what_is_kept(project: Project) -> None:
    project.commit({".gitattributes": "*.bat text eol=crlf\n*.sh text eol=lf\n", "x.bat": "a\r\nb\r\n"})
    project.git("config", "core.autocrlf", "true")
    project.git("config", "core.safecrlf", "true")
    at = added(project)
    assert not check(project, at).changed
    project.write({"x.bat": "a\r\nc\r\n", "y.sh": "a\r\nmixed\n"}, at=at)
    tree = held(project, check(project, at).commit)
    assert (tree["x.bat"], tree["y.sh"]) == (b"a\nc\n", b"a\nmixed\n")


def test_a_file_that_git_cannot_convert_is_kept_as_its_bytes(project: Project) -> None:
    at = added(project)
    bad = b"\xff\xfe\x00"
    project.write(
        {".gitattributes": "*.u16 working-tree-encoding=UTF-16LE\n", "x.u16": bad, "y": "fine"}, at=at
    )
    tree = held(project, check(project, at).commit)
    assert (tree["x.u16"], tree["y"]) == (bad, b"fine")


def test_a_stale_lock_of_our_own_index_does_not_stop_a_checkpoint(project: Project) -> None:
    at = added(project)
    git_dir = project.repo.git_dir_of(at)
    assert git_dir is not None
    (git_dir / "jetbox-index.lock").write_bytes(b"")
    (git_dir / "jetbox-index").write_bytes(b"DIRC torn")
    (at / "a.txt").write_text("changed")
    assert check(project, at).changed


def test_a_huge_file_is_kept(project: Project) -> None:
    at = added(project)
    with (at / "huge.bin").open("wb") as file:
        file.seek(64 << 20)
        file.write(b"end")
    made = check(project, at)
    assert project.git("cat-file", "-s", f"{made.commit}:huge.bin") == str((64 << 20) + 3)


def test_a_clean_checkout_holds_exactly_the_commit_each_time(project: Project) -> None:
    first = project.git("rev-parse", "HEAD")
    second = project.change({"a.txt": "new\n", "b.txt": None, "extra/x": "x"})
    gate = project.root / ".jetbox/gate"
    for commit in (first, second, first):
        at = worktrees.clean_checkout(project.repo, gate, commit)
        names = {p.relative_to(at).as_posix() for p in at.rglob("*") if p.is_file()} - {".git"}
        assert names == {e.path for e in project.repo.files(commit)}
        assert project.git("status", "--porcelain", "--ignored", at=at) == ""
        assert project.git("rev-parse", "HEAD", at=at) == commit
        stamp = (at / "a.txt").stat()
        text = (at / "a.txt").read_text()
        (at / "a.txt").write_text("x" * len(text))
        os.utime(at / "a.txt", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        project.write({"debug.log": "ignored", "left/over": "x", "dir/n/f": "x"}, at=at)
        project.git("init", "-q", at=at / "left")
        (at / ".git").write_text("gitdir: /nowhere\n")
    assert project.repo.refs("refs/jetbox/trash/") == {}


def test_a_clean_checkout_removed_by_hand_is_made_again(project: Project) -> None:
    head, gate = project.git("rev-parse", "HEAD"), project.root / ".jetbox/gate"
    worktrees.clean_checkout(project.repo, gate, head)
    shutil.rmtree(gate)
    assert (worktrees.clean_checkout(project.repo, gate, head) / "a.txt").exists()


def test_a_worktree_whose_entry_was_pruned_by_hand_loses_nothing(project: Project) -> None:
    at = added(project)
    (at / "work.txt").write_text("mine")
    project.git("worktree", "prune")
    (project.root / ".git/worktrees/J-1/gitdir").unlink()
    project.git("worktree", "prune")
    with pytest.raises(NotOurs, match="by hand"):
        check(project, at)
    added(project)
    assert any(held(project, r).get("work.txt") == b"mine" for r in project.repo.refs("refs/jetbox/trash/"))


def test_commits_made_by_hand_on_a_detached_head_outlive_the_worktree(project: Project) -> None:
    at = added(project)
    project.git("checkout", "-q", "--detach", at=at)
    project.write({"a.txt": "by hand\n"}, at=at)
    project.git("commit", "-q", "-a", "-m", "by hand", at=at)
    made = project.git("rev-parse", "HEAD", at=at)
    worktrees.remove(project.repo, at)
    assert made in project.repo.refs("refs/jetbox/trash/").values()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user whom modes bind")
def test_files_and_folders_without_rights_are_kept_and_removed(project: Project) -> None:
    at = added(project)
    project.write({"shut/inside": "x", "secret": "s", "dir/c.txt": "changed\n"}, at=at)
    (at / "secret").chmod(0)
    (at / "shut").chmod(0)
    (at / "dir").chmod(0)
    tree = held(project, check(project, at).commit)
    assert (tree["shut/inside"], tree["secret"], tree["dir/c.txt"]) == (b"x", b"s", b"changed\n")
    (at / "dir").chmod(0o500)
    worktrees.restore(project.repo, at, project.git("rev-parse", "HEAD"))
    (at / "dir").chmod(0)
    worktrees.remove(project.repo, at)
    assert not at.exists()
