"""The life of Jetbox's own worktrees: made, checkpointed, taken back to a checkpoint, removed; and the trash.

Guarantees:
- each function may be cut by a kill at any point and repeated, and then ends as if it had never been cut;
- nothing that is not ignored is deleted before a ref under `refs/jetbox/` or a branch holds it;
- only Jetbox's own folders are written: never the user's checkout, its index or its HEAD;
- nothing that a file in the worktree says (`.git`, attributes, links) makes git run something or write
  elsewhere.

Ignored files (what the ignore rules name) are not kept, and folders that hold no file are not recorded:
git cannot.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from orchestrator import snapshot
from orchestrator.git import GITLINK, READY, SHELF, TRASH, GitError, Repo, absent, same_path, stamp
from orchestrator.sandbox import scratch

INDEX = "jetbox-index"  # the private index, in the worktree's git dir: it lives and goes with the worktree
US = "Jetbox <jetbox@localhost>"
ROUNDS = 5  # taking back a `.gitignore` can bring files to light, which are then taken back too


class BranchInUse(GitError):
    """The branch is checked out in another worktree, so it may not be moved."""


class NotOurs(GitError):
    """The folder is the user's checkout, or is no worktree of this repository."""


@dataclass(frozen=True)
class Checkpoint:
    """What an action left: `changed` says whether it differs from the checkpoint before."""

    commit: str
    tree: str
    changed: bool


def add(repo: Repo, path: Path, commit: str, branch_ref: str | None = None) -> Path:
    """Make a worktree at `path` on a branch that starts at `commit`, or detached there.

    A worktree that is complete stays as it is. A half-made one is made again. If the branch exists with
    commits that `commit` lacks, those go to the trash first.
    """
    path = path.absolute()
    git_dir = repo.git_dir_of(path)
    complete = git_dir is not None and (git_dir / READY).exists() and path.is_dir()
    if git_dir is not None and complete and repo.head_branch(path) == branch_ref:
        _point(path, git_dir)
        if branch_ref is None:
            whole = repo.resolve_in(path) == commit
        else:
            whole = repo.resolve(branch_ref) is not None or repo.compare_and_swap(branch_ref, commit, None)
        if whole:
            return path
    _refuse_the_users(repo, path)
    if branch_ref is not None:
        for other in repo.checkouts():
            if other.branch == branch_ref and not same_path(other.path, path):
                short = branch_ref.removeprefix("refs/heads/")
                raise BranchInUse(
                    f"branch {short} is checked out in {other.path}: switch it to another branch"
                )
    remove(repo, path, base=commit)
    if branch_ref is not None:
        repo.move_keeping(branch_ref, commit)
    _make(repo, path, commit, branch_ref, "work")
    return path


def _make(repo: Repo, path: Path, commit: str, branch_ref: str | None, use: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    repo.run("worktree", "add", "--quiet", "--detach", path, commit)
    git_dir = _git_dir(repo, path)
    if branch_ref is not None:
        repo.run("symbolic-ref", "HEAD", branch_ref, worktree=path)
    if use == "work":
        shutil.copy2(git_dir / "index", git_dir / INDEX)  # with its time, on which git's racy check rests
    (git_dir / READY).write_text(use)


def checkpoint(
    repo: Repo, worktree: Path, ref: str, message: str, author: str, date: str, parent: str
) -> Checkpoint:
    """Commit what the worktree holds onto `parent`, on Jetbox's private `ref`; no commit when nothing
    changed.
    """
    git_dir = _git_dir(repo, worktree)
    tree = snapshot.take(repo, worktree, git_dir / INDEX, parent)
    changed = tree != repo.tree_of(parent)
    commit = repo.commit_tree(tree, [parent], message, author, date) if changed else parent
    if not changed or repo.resolve(ref) != parent or not repo.compare_and_swap(ref, commit, parent):
        repo.move_keeping(ref, commit)
    return Checkpoint(commit, tree, changed)


def restore(repo: Repo, worktree: Path, commit: str) -> str | None:
    """Take the worktree back to exactly `commit`; gives the trash ref that holds what was there, if one
    was needed.

    Files that are not in the checkpoint are removed, once the trash holds them; ignored ones stay.
    """
    git_dir = _git_dir(repo, worktree)
    index = git_dir / INDEX
    target = repo.tree_of(commit)
    kept: str | None = None
    for _ in range(ROUNDS):
        tree = snapshot.take(repo, worktree, index, commit)
        inside = snapshot.nested(repo, worktree, index)
        held = {e.path for e in repo.files(target) if e.mode != GITLINK} if inside else set()
        strays = [n for n in inside if n.submodule or not any(p.startswith(f"{n.path}/") for p in held)]
        if tree == target and not strays:
            return kept
        full = snapshot.with_nested(repo, worktree, index, tree, strays)
        kept = _secure(repo, worktree, full, commit) or kept
        _read_tree(repo, worktree, target, index)
        for stray in strays:
            _clear(worktree / stray.path, whole=stray.submodule)
    raise GitError(f"{worktree} could not be taken back to {commit[:12]}: is something still writing in it?")


def trash(repo: Repo, worktree: Path, ref: str) -> str:
    """Hold everything that is not ignored in the worktree, nested repositories with their history, under
    `ref`.
    """
    git_dir = _git_dir(repo, worktree)
    head = repo.resolve_in(worktree)
    tree = _everything(repo, worktree, git_dir / INDEX, head)
    before = repo.resolve(ref)
    if before is not None and repo.tree_of(before) == tree:
        return before
    commit = _hold(repo, tree, head, worktree.name)
    repo.move_keeping(ref, commit)
    return commit


def remove(repo: Repo, worktree: Path, base: str | None = None) -> str | None:
    """Take a worktree away, whole or half-made or without its git dir; what nothing else holds goes to the
    trash.

    Gives the trash ref, if one was needed. Only this worktree's entry goes: `git worktree prune` would
    also drop those of the user's worktrees that lie on a disk not mounted now. `base` is what a folder
    that git does not know is compared with.
    """
    _refuse_the_users(repo, worktree)
    git_dir = repo.git_dir_of(worktree)
    kept: str | None = None
    if worktree.is_dir() and not worktree.is_symlink():
        if any(p.name != ".git" for p in worktree.iterdir()):
            kept = _secure_folder(repo, worktree, git_dir, base)
        worktree.replace(worktree.with_name(f".doomed-{worktree.name}-{uuid.uuid4().hex}"))
    elif worktree.is_symlink() or worktree.exists():
        raise NotOurs(f"{worktree} is no folder: move it away")
    if git_dir is not None:
        _shelf(repo).mkdir(exist_ok=True)
        git_dir.replace(_shelf(repo) / f"doomed-{git_dir.name}-{uuid.uuid4().hex}")
        _sweep(_shelf(repo), f"doomed-{git_dir.name}-")
    _sweep(worktree.parent, f".doomed-{worktree.name}-")
    return kept


def discard(repo: Repo, worktree: Path) -> None:
    """Take the folder of a worktree away, if it is there, and keep nothing of it.

    For what broke the limit of what may be kept, and for clean checkouts. The last checkpoint stays on its
    ref, from which `add` makes the worktree again.
    """
    _refuse_the_users(repo, worktree)
    if worktree.is_dir() and not worktree.is_symlink():
        worktree.replace(worktree.with_name(f".doomed-{worktree.name}-{uuid.uuid4().hex}"))
        _sweep(worktree.parent, f".doomed-{worktree.name}-")


def restore_trash(repo: Repo, ref: str, new_branch_ref: str) -> str:
    """Bring what a trash ref holds back as a new branch; a branch of that name that is another's stays."""
    commit = repo.resolve(ref)
    if commit is None:
        raise GitError(f"{ref} holds nothing")
    if repo.resolve(new_branch_ref) != commit and not repo.compare_and_swap(new_branch_ref, commit, None):
        raise GitError(
            f"{new_branch_ref.removeprefix('refs/heads/')} exists already: choose another branch name"
        )
    return commit


def clean_checkout(repo: Repo, path: Path, commit: str) -> Path:
    """A worktree that holds exactly `commit` and nothing else, ignored files neither; used again when it
    exists.

    What checks leave in it is dropped: it is the one place whose content is made from a commit alone.
    """
    path = path.absolute()
    git_dir = repo.git_dir_of(path)
    if git_dir is not None and _use(git_dir) == "clean":
        with contextlib.suppress(GitError, OSError):
            _reset(repo, path, git_dir, commit)
            return path
        if path.is_dir() and not path.is_symlink():
            _erase(path)
    remove(repo, path, base=commit)
    _make(repo, path, commit, None, "clean")
    return path


def _reset(repo: Repo, path: Path, git_dir: Path, commit: str) -> None:
    (git_dir / "index.lock").unlink(missing_ok=True)
    (git_dir / "HEAD.lock").unlink(missing_ok=True)
    _point(path, git_dir)
    _read_tree(repo, path, commit, None)
    done = repo.call("clean", "-ffdxq", worktree=path)
    if done.code != 0:
        snapshot.open_up(path)
        repo.run("clean", "-ffdxq", worktree=path)
    for submodule in snapshot.submodules(repo, path):
        _clear(path / submodule, whole=True)
    repo.run("update-ref", "--no-deref", "HEAD", commit, worktree=path)


def _read_tree(repo: Repo, worktree: Path, tree: str, index: Path | None) -> None:
    args = ("read-tree", "--reset", "-u", tree)
    if repo.call(*args, worktree=worktree, index=index).code != 0:
        snapshot.open_up(worktree)
        repo.run(*args, worktree=worktree, index=index)


def _git_dir(repo: Repo, worktree: Path) -> Path:
    _refuse_the_users(repo, worktree)
    git_dir = repo.git_dir_of(worktree)
    if git_dir is None or not worktree.is_dir():
        raise NotOurs(f"{worktree} is no worktree of {repo.root}: it may have been removed by hand")
    return git_dir


def _refuse_the_users(repo: Repo, worktree: Path) -> None:
    inside = Path(os.path.realpath(worktree))
    if any(inside == root or inside in root.parents for root in (repo.root, repo.common_dir)):
        raise NotOurs(f"{worktree} is your checkout, not a worktree of Jetbox's")


def _use(git_dir: Path) -> str | None:
    try:
        return (git_dir / READY).read_text()
    except OSError:
        return None


def _point(path: Path, git_dir: Path) -> None:
    """Write the worktree's `.git` again if a command changed it; commands run there find the repository by
    it.
    """
    pointer = path / ".git"
    wanted = b"gitdir: " + os.fsencode(git_dir.as_posix()) + b"\n"
    if pointer.is_symlink() or not pointer.is_file() or pointer.read_bytes() != wanted:
        if pointer.is_dir() and not pointer.is_symlink():
            pointer.replace(path / f".git-moved-{uuid.uuid4().hex}")
        fresh = path / f".git-{uuid.uuid4().hex}"
        fresh.write_bytes(wanted)
        fresh.replace(pointer)


def _everything(repo: Repo, folder: Path, index: Path, base: str | None) -> str:
    tree = snapshot.take(repo, folder, index, base)
    return snapshot.with_nested(repo, folder, index, tree, snapshot.nested(repo, folder, index))


def _secure_folder(repo: Repo, worktree: Path, git_dir: Path | None, base: str | None) -> str | None:
    if git_dir is not None:
        head = repo.resolve_in(worktree) or base
        index = git_dir / INDEX
        if not index.exists() and (git_dir / "index").exists():
            shutil.copy2(git_dir / "index", index)
        if head is not None and repo.run("rev-list", "--max-count=1", head, "--not", "--glob=refs/*"):
            repo.keep(head, f"worktrees/{_ref_word(worktree.name)}/head")  # only this HEAD had those commits
        return _secure(repo, worktree, _everything(repo, worktree, index, head), head)
    passing = _shelf(repo) / f"index-{uuid.uuid4().hex}"
    passing.mkdir(parents=True)
    try:
        return _secure(repo, worktree, _everything(repo, worktree, passing / "index", base), base)
    finally:
        _erase(passing)


def _secure(repo: Repo, worktree: Path, tree: str, base: str | None) -> str | None:
    """Make sure that a ref holds each file of a tree; the name of the trash ref if that took one."""
    found = repo.run("for-each-ref", "--format=%(tree)", "refs/jetbox/", "refs/heads/").decode().split()
    if tree in found:
        return None
    prefix = f"{TRASH}worktrees/{_ref_word(worktree.name)}/"
    ref = f"{prefix}{tree[:16]}"
    if base is not None:  # it may be a part of what is held: a return that was cut, an addition that was
        fresh = _added(repo, base, tree)
        if not fresh or any(fresh <= _added(repo, base, known) for known in repo.refs(prefix)):
            return None
    repo.move_keeping(ref, _hold(repo, tree, base, worktree.name))
    return ref


def _added(repo: Repo, base: str, tree: str) -> set[tuple[str, str, str]]:
    return {(c.path, c.new_mode, c.new_oid) for c in repo.changes(base, tree) if not absent(c.new_oid)}


def _hold(repo: Repo, tree: str, parent: str | None, name: str) -> str:
    message = f"Kept from worktree {name}"
    return repo.commit_tree(tree, [parent] if parent else [], message, US, stamp(time.time()))


def _ref_word(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_") else f"%{ord(c):x}" for c in name)


def _shelf(repo: Repo) -> Path:
    """Where Jetbox keeps its passing things in the common dir, which no sandboxed command can write."""
    return repo.common_dir / SHELF


def _clear(folder: Path, whole: bool) -> None:
    """Empty a folder that stays (a submodule's), or take the `.git` out of one and the folder if nothing
    is left.
    """
    targets: Iterable[Path] = folder.iterdir() if whole else [folder / ".git"]
    for target in list(targets) if folder.is_dir() else []:
        if target.is_dir() and not target.is_symlink():
            _erase(target)
        else:
            target.unlink(missing_ok=True)
    if not whole:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _sweep(folder: Path, prefix: str) -> None:
    for leftover in folder.iterdir() if folder.is_dir() else []:
        if leftover.name.startswith(prefix):
            _erase(leftover)


def _erase(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        shutil.rmtree(folder, ignore_errors=True)
    except (OSError, RecursionError):  # closed, or nested without end, by a command
        scratch.remove(folder)
        if os.path.lexists(folder):
            raise
