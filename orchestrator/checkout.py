"""What stands in a checkout of the user's, held against two trees: which paths may follow, which are the
user's.

Guarantees:
- nothing is changed here; passing files stand in the git dir, beside the checkout;
- a path may follow only while it holds exactly what the old tree holds there; one that holds the new
  content is done; anything else is the user's, with a reason;
- "holds" is judged as git would: through the user's own line-ending conversion and filters, executable
  bit, links;
- a path whose index entry is neither the old nor the new one is the user's, file and entry.
"""

from __future__ import annotations

import contextlib
import filecmp
import hashlib
import os
import shutil
import stat
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from orchestrator.git import GITLINK, PASSING, SYMLINK, Change, Repo, absent
from orchestrator.snapshot import Staged, quoted, staged


@dataclass(frozen=True)
class Seen:
    """What stands at a path: nothing, a file, a link, a folder, or a parent that is none (`why` names it)."""

    kind: Literal["nothing", "file", "link", "folder", "blocked"]
    mark: tuple[int, ...] = ()  # changes when the file does
    executable: bool = False
    why: str = ""


@dataclass(frozen=True)
class Step:
    """What is to happen with one path; `why` says it for the paths that stay and for submodules."""

    change: Change
    act: Literal["write", "delete", "submodule", "done", "keep"]
    seen: Seen
    why: str = ""
    skip_worktree: bool = False


def plan(repo: Repo, checkout: Path, old_tree: str, new_tree: str) -> list[Step]:
    """What following `checkout` up from one tree to the other would do, path by path."""
    changes = repo.changes(old_tree, new_tree)
    if not changes:
        return []
    looks = _Looks(repo, checkout, changes)
    entries: dict[str, list[Staged]] = {}
    for entry in staged(repo, checkout):
        entries.setdefault(entry.path, []).append(entry)
    with Scratch(repo, checkout) as scratch:
        unlike = looks.neither()
        same_old = scratch.equal(old_tree, [c.path for c in unlike if _is_file(c.old_mode)])
        same_new = scratch.equal(new_tree, [c.path for c in unlike if _is_file(c.new_mode)])
    return [
        _decide(c, looks, entries.get(c.path, []), c.path in same_old, c.path in same_new) for c in changes
    ]


def _decide(change: Change, looks: _Looks, entries: list[Staged], as_old: bool, as_new: bool) -> Step:
    path, seen = change.path, looks.seen[change.path]
    skipped = len(entries) == 1 and entries[0].tag == "S"
    step = Step(change, "keep", seen, skip_worktree=skipped)
    if any(e.stage for e in entries):
        return replace(step, why="it has a conflict that you have not resolved")
    entry = (entries[0].mode, entries[0].oid) if entries else None
    old = None if absent(change.old_oid) else (change.old_mode, change.old_oid)
    new = None if absent(change.new_oid) else (change.new_mode, change.new_oid)
    if entry not in (old, new):
        return replace(step, why="you have staged changes to it")
    if GITLINK in (change.old_mode, change.new_mode):
        if all(side is None or side[0] == GITLINK for side in (old, new)):
            return replace(step, act="submodule", why="it is a submodule: run `git submodule update` for it")
        return replace(step, why="a submodule and a file change places there")
    if skipped and seen.kind == "nothing":
        return replace(step, act="done")
    if looks.holds(change, new, as_new):
        return replace(step, act="done")
    if looks.holds(change, old, as_old):
        return replace(step, act="delete" if new is None else "write")
    if seen.kind == "blocked":
        return replace(step, why=seen.why)
    if seen.kind == "folder":
        return replace(step, why="a folder with files of yours stands there")
    if seen.kind == "nothing":
        return replace(step, why="you have deleted it")
    if old is None:
        return replace(step, why="a file of yours that git does not track stands there")
    return replace(step, why=looks.unreadable.get(path, "it has changes of yours"))


class _Looks:
    """What stands at the changed paths of a checkout, with the content of each file as git would store it."""

    def __init__(self, repo: Repo, checkout: Path, changes: Sequence[Change]) -> None:
        self.repo, self.checkout, self.changes = repo, checkout, changes
        args = ("config", "-z", "--type=bool", "--get-regexp", r"^core\.(filemode|symlinks|ignorecase)$")
        out = repo.call(*args, worktree=checkout, user_filters=True).out
        config = dict(line.partition("\n")[::2] for line in out.decode().split("\0"))
        self.modes = config.get("core.filemode") != "false"
        self.links = config.get("core.symlinks") != "false"
        self.any_case = config.get("core.ignorecase") == "true"
        self.leaving = {c.path for c in changes if absent(c.new_oid)}
        self.unreadable: dict[str, str] = {}
        self.seen = {c.path: self._look(c.path) for c in changes}
        self.oid: dict[str, str] = {}
        self._hash([c for c in changes if GITLINK not in (c.old_mode, c.new_mode)])

    def _look(self, path: str) -> Seen:
        full = self.checkout / path
        for parent in reversed(PurePosixPath(path).parents[:-1]):
            try:
                mode = (self.checkout / parent).lstat().st_mode
            except (FileNotFoundError, NotADirectoryError):
                return Seen("nothing")
            if not stat.S_ISDIR(mode):
                if str(parent) in self.leaving or path in self.leaving:
                    return Seen("nothing")
                return Seen("blocked", why=f"{parent} of yours, no folder, stands in the way")
        try:
            found = full.lstat()
        except FileNotFoundError:
            return Seen("nothing")
        if self.any_case and full.name not in os.listdir(full.parent):  # noqa: PTH208 - names only
            variants = [n for n in os.listdir(full.parent) if n.lower() == full.name.lower()]  # noqa: PTH208
            beside = {str(PurePosixPath(path).with_name(n)) for n in variants}
            if path in self.leaving or beside & self.leaving:
                return Seen("nothing")  # it stands there under its other spelling only
        mark = (found.st_mode, found.st_ino, found.st_size, found.st_mtime_ns)
        if stat.S_ISDIR(found.st_mode):
            return Seen("folder", mark)
        if stat.S_ISLNK(found.st_mode):
            return Seen("link", mark)
        if not stat.S_ISREG(found.st_mode):
            return Seen("blocked", mark, why="something that is neither file nor folder stands there")
        return Seen("file", mark, bool(found.st_mode & stat.S_IXUSR))

    def _hash(self, changes: Sequence[Change]) -> None:
        files = []
        for change in changes:
            path, seen = change.path, self.seen[change.path]
            if seen.kind == "link":
                target = os.fsencode(os.readlink(self.checkout / path))  # noqa: PTH115
                self.oid[path] = _blob_oid(target, len(change.new_oid))
            elif seen.kind == "file":
                files.append(path)
        args = ("hash-object", "--stdin-paths")
        lines = b"".join(quoted(p) + b"\n" for p in files)
        if not files:
            return
        done = self.repo.call(*args, input=lines, worktree=self.checkout, user_filters=True)
        if done.code == 0:
            self.oid |= dict(zip(files, done.out.decode().split(), strict=True))
            return
        for path in files:
            line = quoted(path) + b"\n"
            one = self.repo.call(*args, input=line, worktree=self.checkout, user_filters=True)
            if one.code == 0:
                self.oid[path] = one.out.decode().strip()
            else:
                self.unreadable[path] = f"it cannot be read: {one.said.splitlines()[-1]}"

    def neither(self) -> list[Change]:
        """Files whose stored form is neither side's; conversion may not be reversible, so bytes decide."""
        return [
            c
            for c in self.changes
            if self.seen[c.path].kind == "file"
            and (c.path in self.oid or c.path in self.unreadable)
            and self.oid.get(c.path) not in (c.old_oid, c.new_oid)
        ]

    def holds(self, change: Change, side: tuple[str, str] | None, same_bytes: bool) -> bool:
        """Whether the path holds one side of the change."""
        seen = self.seen[change.path]
        if side is None:
            return seen.kind == "nothing" or (seen.kind == "folder" and self._leaves(change.path))
        mode, oid = side
        if not same_bytes and self.oid.get(change.path) != oid:
            return False
        if mode == SYMLINK:
            return seen.kind == ("link" if self.links else "file")
        return seen.kind == "file" and (not self.modes or seen.executable == (mode == "100755"))

    def _leaves(self, path: str) -> bool:
        """Whether a folder counts as 'no file here': always when a file leaves, else if it will be empty."""
        if path in self.leaving:
            return True
        inside = (
            (Path(top) / name).relative_to(self.checkout).as_posix()
            for top, _, names in os.walk(self.checkout / path)
            for name in names
        )
        links = any((Path(t) / d).is_symlink() for t, ds, _ in os.walk(self.checkout / path) for d in ds)
        return not links and all(p in self.leaving for p in inside)


class Scratch:
    """Files of a tree written as git would write them into the checkout, but beside it."""

    def __init__(self, repo: Repo, checkout: Path) -> None:
        self.repo = repo
        self.top = (repo.git_dir_of(checkout) or repo.common_dir) / f"{PASSING}{uuid.uuid4().hex}"
        self.checkout = checkout
        self.failed: dict[str, str] = {}

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.top, ignore_errors=True)

    def write(self, tree: str, paths: Sequence[str]) -> Path:
        """The folder that holds `paths` of `tree`; those that could not be written are in `failed`."""
        folder, index = self.top / tree, self.top / f"{tree}.index"
        if not paths:
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        # This folder has no attributes on disk, so git takes them from the index: those of this very tree.
        self.repo.run("read-tree", tree, worktree=folder, index=index, user_filters=True)
        args = ("checkout-index", "-z", "-f", "-q", "--stdin")
        data = b"".join(os.fsencode(p) + b"\0" for p in paths)
        if self.repo.call(*args, input=data, worktree=folder, index=index, user_filters=True).code != 0:
            for path in paths:
                data = os.fsencode(path) + b"\0"
                one = self.repo.call(*args, input=data, worktree=folder, index=index, user_filters=True)
                if one.code != 0:
                    self.failed[path] = one.said.splitlines()[-1]
        return folder

    def equal(self, tree: str, paths: Sequence[str]) -> set[str]:
        """Those of `paths` whose file in the checkout is byte by byte what git would write for `tree`."""
        folder = self.write(tree, paths)
        found = set()
        for path in paths:
            with contextlib.suppress(OSError):
                if not (folder / path).is_symlink() and filecmp.cmp(
                    folder / path, self.checkout / path, False
                ):
                    found.add(path)
        return found


def _is_file(mode: str) -> bool:
    return mode.startswith("100")


def _blob_oid(data: bytes, digits: int) -> str:
    head = f"blob {len(data)}\0".encode()
    return (hashlib.sha256 if digits == 64 else hashlib.sha1)(head + data).hexdigest()


def dirty_lines(steps: Iterable[Step]) -> list[str]:
    """One line for each path that following up would leave to the user."""
    return [f"{shown(s.change.path)}: {s.why}" for s in steps if s.act == "keep"]


def shown(path: str) -> str:
    """A path for a line of text: odd characters escaped, so that it stays one line and prints anywhere."""
    return path if path.isprintable() else quoted(path).decode()
