"""Following up a checkout of the user's after its branch moved: path by path, and never over the user's work.

Guarantees:
- a file is replaced only where `checkout.plan` says so, by rename of a complete, fsynced file, and only if
  it did not change since it was looked at; what stays is named with a reason;
- the index changes last, for the paths that are done, under git's own lock, and never while another git
  has it;
- cut at any point and repeated, the end is the same.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from orchestrator.checkout import Scratch, Seen, Step, plan
from orchestrator.git import GITLINK, OUR_LOCK, PASSING, Change, GitError, Repo, absent
from orchestrator.snapshot import Staged, staged

LOCK_PATIENCE = 2.0  # seconds to wait for the user's git to let go of the index


@dataclass(frozen=True)
class FollowUp:
    """What became of each path: `kept` ones are the user's, each with its reason.

    `waiting` is a line when the user's git held the index: the same call later completes it.
    """

    done: tuple[str, ...]
    kept: tuple[tuple[str, str], ...]
    waiting: str | None = None


def follow_up(
    repo: Repo, checkout: Path, old_tree: str, new_tree: str, branch: str | None = None
) -> FollowUp:
    """Bring a checkout of the user's from the old tree to the new one, as far as it is not the user's work.

    With `branch`, nothing happens once the checkout has left that branch.
    """
    if branch is not None and repo.head_branch(checkout) != branch:
        return FollowUp((), (), None)
    git_dir = repo.git_dir_of(checkout)
    if git_dir is None:
        raise GitError(f"{checkout} is no checkout of {repo.root}")
    if not _wait_for(git_dir / "index.lock"):
        return FollowUp((), (), _busy(git_dir))
    steps = plan(repo, checkout, old_tree, new_tree)
    settled: list[Step] = []
    with Scratch(repo, checkout) as scratch:
        source = scratch.write(new_tree, [s.change.path for s in steps if s.act == "write"])
        for step in sorted(steps, key=lambda s: s.act != "delete"):  # a file may give way to a folder
            path = step.change.path
            if step.act == "write" and path in scratch.failed:
                settled.append(replace(step, act="keep", why=f"git cannot write it: {scratch.failed[path]}"))
                continue
            try:
                settled.append(_perform(step, checkout, source))
            except OSError as error:
                settled.append(replace(step, act="keep", why=f"it could not be replaced: {error.strerror}"))
    ready = [s for s in settled if s.act != "keep"]
    waiting = _update_index(repo, checkout, git_dir, ready, branch)
    done = sorted(s.change.path for s in ready if s.act != "submodule")
    kept = sorted((s.change.path, s.why) for s in settled if s.why)
    return FollowUp(tuple(done), tuple(kept), waiting)


def _perform(step: Step, checkout: Path, source: Path) -> Step:
    path = step.change.path
    target = checkout / path
    if step.act in ("write", "delete") and not _unchanged(target, step.seen):
        return replace(step, act="keep", why="it changed while it was looked at")
    if step.act == "delete":
        target.unlink()
        _drop_empty(checkout, PurePosixPath(path).parent)
    elif step.act == "write":
        target.parent.mkdir(parents=True, exist_ok=True)
        if step.seen.kind == "folder":
            _drop_empty_below(target)
        _place(source / path, target)
    elif step.act == "submodule" and step.change.new_mode == GITLINK and step.seen.kind == "nothing":
        target.mkdir(parents=True, exist_ok=True)  # as git does: an empty folder, to be filled by the user
    return step


def _unchanged(target: Path, seen: Seen) -> bool:
    try:
        found = target.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return seen.kind in ("nothing", "folder")  # a folder goes with the last file that leaves it
    if seen.kind == "folder":
        return stat.S_ISDIR(found.st_mode)
    return seen.mark == (found.st_mode, found.st_ino, found.st_size, found.st_mtime_ns)


def _place(source: Path, target: Path) -> None:
    if not source.is_symlink():
        with source.open("rb+" if os.access(source, os.W_OK) else "rb") as file:
            os.fsync(file.fileno())
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        near = target.with_name(f".jetbox-{hashlib.sha1(os.fsencode(target)).hexdigest()[:12]}")
        near.unlink(missing_ok=True)
        shutil.copy2(source, near, follow_symlinks=False)
        near.replace(target)


def _drop_empty(checkout: Path, folder: PurePosixPath) -> None:
    for parent in (folder, *folder.parents):
        if str(parent) == ".":
            return
        try:
            (checkout / parent).rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return


def _drop_empty_below(folder: Path) -> None:
    for top, _, _ in os.walk(folder, topdown=False):
        Path(top).rmdir()


def _update_index(
    repo: Repo, checkout: Path, git_dir: Path, steps: Sequence[Step], branch: str | None
) -> str | None:
    """Set the entries of paths that are done; a line when the user's git holds the index or left the
    branch.
    """
    if not steps:
        return None
    index = git_dir / "index"
    with _lock(git_dir) as locked, Scratch(repo, checkout) as scratch:
        if not locked:
            return _busy(git_dir)
        if branch is not None and repo.head_branch(checkout) != branch:
            return None
        scratch.top.mkdir()
        copy = scratch.top / "index"
        if index.exists():
            shutil.copy2(index, copy)  # with its time, on which git's check for racy entries rests
        now = {e.path: e for e in staged(repo, checkout, copy)} if index.exists() else {}
        info = b"".join(_index_line(s.change) for s in steps if _may_stage(s.change, now.get(s.change.path)))
        if not info:
            return None
        args = ("update-index", "-z", "--index-info")
        if repo.call(*args, input=info, worktree=checkout, index=copy, user_filters=True).code != 0:
            # Writing an index, git looks again at files of the same instant, with filters that may fail.
            repo.run(*args, input=info, worktree=checkout, index=copy)
        hidden = b"".join(os.fsencode(s.change.path) + b"\0" for s in steps if s.skip_worktree)
        if hidden:
            repo.call(
                "update-index",
                "-z",
                "--skip-worktree",
                "--stdin",
                input=hidden,
                worktree=checkout,
                index=copy,
            )
        repo.call("update-index", "-q", "--refresh", worktree=checkout, index=copy, user_filters=True)
        with copy.open("rb+") as file:
            os.fsync(file.fileno())
        copy.replace(index)
    return None


def _index_line(change: Change) -> bytes:
    mode = "0" if absent(change.new_oid) else change.new_mode
    return f"{mode} {change.new_oid}\t".encode() + os.fsencode(change.path) + b"\0"


def _may_stage(change: Change, entry: Staged | None) -> bool:
    """Whether the index still has the old entry; the user may have staged something in the meantime."""
    if entry is None:
        return absent(change.old_oid) and not absent(change.new_oid)
    return entry.stage == 0 and (entry.mode, entry.oid) == (change.old_mode, change.old_oid)


def _busy(git_dir: Path) -> str:
    return f"another git command holds {git_dir / 'index.lock'}: if none runs, delete that file"


def _wait_for(lock: Path) -> bool:
    """Wait until nobody but Jetbox itself holds a lock; False when somebody still does."""
    until = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            if lock.read_bytes() == OUR_LOCK:
                return True
        except FileNotFoundError:
            return True
        except OSError:
            pass
        if time.monotonic() > until:
            return False
        time.sleep(0.05)


@contextlib.contextmanager
def _lock(git_dir: Path) -> Iterator[bool]:
    """Hold the user's index as git does, by `index.lock`, with content that tells it from git's own.

    One that Jetbox left when it was killed is taken over: only the engine, of which there is one, gets here.
    """
    lock = git_dir / "index.lock"
    mine = git_dir / f"{PASSING}{uuid.uuid4().hex}"
    mine.write_bytes(OUR_LOCK)
    held = False
    try:
        until = time.monotonic() + LOCK_PATIENCE
        while not held:
            held = _take(mine, lock)
            if not held and (time.monotonic() > until or not _wait_for(lock)):
                break
        yield held
    finally:
        mine.unlink(missing_ok=True)
        if held:
            lock.unlink(missing_ok=True)


def _take(mine: Path, lock: Path) -> bool:
    """Put the complete file at the lock's name in one step that fails when the name is taken."""
    try:
        if os.name == "nt":
            mine.rename(lock)
        else:
            os.link(mine, lock)
        return True
    except OSError:
        try:
            return lock.read_bytes() == OUR_LOCK
        except OSError:
            return False
