"""What a folder holds, as a tree: tracked and untracked files, without the ignored ones, and no file of it
changed.

Guarantees:
- made by plumbing on a private index, so neither the folder's own index nor HEAD moves, and unchanged
  files are not read again;
- files of nested repositories count as plain files (a link to a commit that nobody has would lose them), and
  submodules stay at the commit they are on record with;
- a file that git cannot convert or read does not stop it: it is made readable and kept as its plain bytes;
- `with_nested` also holds what a tree cannot name: a nested repository's own `.git`, as `.git-kept` beside
  its files.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.git import GITLINK, SYMLINK, GitError, Repo

DEEPEST = 400
"""Folders within folders that are looked into; Linux's longest path has room for five times as many."""


class TooDeep(GitError):
    """The folder cannot become a tree, and trying again would not help."""


KEPT = ".git-kept"


@dataclass(frozen=True)
class Nested:
    """A folder in a worktree that a tree cannot fully hold: with a `.git` of its own, or on record as
    submodule.
    """

    path: str  # posix, relative to the worktree
    submodule: bool


def take(repo: Repo, folder: Path, index: Path, base: str | None = None) -> str:
    """The tree of what `folder` holds now. `index` is kept between calls; a broken one is made anew from
    `base`.

    `base` (a commit) is what a new index starts from: it decides which ignored files count as tracked.
    """
    index.with_name(index.name + ".lock").unlink(missing_ok=True)  # the index is private: only a dead git's
    if index.exists():
        with contextlib.suppress(GitError):
            return _take(repo, folder, index)
        index.unlink()
    repo.run("read-tree", *([base] if base else ["--empty"]), worktree=folder, index=index)
    return _take(repo, folder, index)


def _take(repo: Repo, folder: Path, index: Path) -> str:
    fresh = _untracked(repo, folder, index)  # first, for it opens folders that were shut
    gone, changed = _tracked(repo, folder, index)
    changed += fresh
    if gone:
        repo.run(
            "update-index",
            "-z",
            "--force-remove",
            "--stdin",
            input=_joined(gone),
            worktree=folder,
            index=index,
        )
    _stage(repo, folder, index, changed)
    return repo.run("write-tree", worktree=folder, index=index).decode().strip()


def with_nested(repo: Repo, folder: Path, index: Path, tree: str, nested: Sequence[Nested]) -> str:
    """The tree that `take` gave, with everything in `nested` too, for the trash. The index stays as it is."""
    if not nested:
        return tree
    scratch = index.with_name(index.name + "-all")
    scratch.with_name(scratch.name + ".lock").unlink(missing_ok=True)
    shutil.copy2(index, scratch)  # with its time, on which git's check for racy entries rests
    files = [p for n in nested for p in _files_below(folder, n.path, with_git=True, plain=n.submodule)]
    for path in files:
        name = "/".join(KEPT if part == ".git" else part for part in path.split("/"))
        _stage_raw(repo, folder, scratch, path, name)
    kept = repo.run("write-tree", worktree=folder, index=scratch).decode().strip()
    scratch.unlink()
    return kept


def nested(repo: Repo, folder: Path, index: Path) -> list[Nested]:
    """Folders that need `with_nested`: nested repositories that are not ignored, and submodules that are not
    empty.
    """
    links = submodules(repo, folder, index)
    found = [Nested(p, True) for p in links if (folder / p).is_dir() and any((folder / p).iterdir())]
    others = [p for p in _git_folders(folder, "") if not any(f"{p}/".startswith(f"{m}/") for m in links)]
    skip = _ignored(repo, folder, index, others)
    return found + [Nested(p, False) for p in others if p not in skip]


@dataclass(frozen=True)
class Staged:
    """One entry of an index; `tag` is git's letter (`S`: skip-worktree)."""

    tag: str
    mode: str
    oid: str
    stage: int
    path: str


def staged(repo: Repo, folder: Path, index: Path | None = None) -> list[Staged]:
    """Each entry of an index, by default of the folder's own."""
    found = []
    for line in repo.run("ls-files", "-z", "-s", "-t", worktree=folder, index=index).split(b"\0")[:-1]:
        head, _, path = line.partition(b"\t")
        tag, mode, oid, stage = head.decode().split()
        found.append(Staged(tag, mode, oid, int(stage), os.fsdecode(path)))
    return found


def submodules(repo: Repo, folder: Path, index: Path | None = None) -> list[str]:
    """The paths of an index that are submodules; quick when there are none."""
    if b"160000 " not in repo.run("ls-files", "-z", "-s", worktree=folder, index=index):
        return []
    return [e.path for e in staged(repo, folder, index) if e.mode == GITLINK]


def quoted(path: str) -> bytes:
    """A path in git's C quoting, for the inputs that are read by line."""
    odd = any(b < 32 or b > 126 or b in b'"\\' for b in os.fsencode(path))
    if not odd:
        return os.fsencode(path)
    plain = (chr(b) if 32 <= b <= 126 and b not in b'"\\' else f"\\{b:03o}" for b in os.fsencode(path))
    return b'"' + "".join(plain).encode() + b'"'


def _tracked(repo: Repo, folder: Path, index: Path) -> tuple[list[str], list[str]]:
    """Paths of the index that are gone, and those that may differ."""
    # "dirty" keeps git from running anything inside a submodule, whose configuration is not to be trusted.
    args = ("diff-files", "-z", "--raw", "--no-abbrev", "--ignore-submodules=dirty")
    words = repo.run(*args, worktree=folder, index=index).split(b"\0")
    gone, changed = [], []
    for head, name in zip(words[::2], words[1::2], strict=False):
        old_mode, new_mode, _, _, status = head.decode().lstrip(":").split()
        if status == "D":
            gone.append(os.fsdecode(name))
        elif GITLINK not in (old_mode, new_mode):
            changed.append(os.fsdecode(name))
        elif old_mode != new_mode:  # a submodule gave way to a file, or a file to a nested repository
            gone.append(os.fsdecode(name))
            changed += _files_below(folder, os.fsdecode(name))
    return gone, changed


def _untracked(repo: Repo, folder: Path, index: Path) -> list[str]:
    args = ("ls-files", "-z", "--others", "--exclude-standard")
    done = repo.call(*args, worktree=folder, index=index, check=True)
    if b"could not open directory" in done.err:
        open_up(folder)
        done = repo.call(*args, worktree=folder, index=index, check=True)
    found, inside = [], []
    for name in done.out.split(b"\0")[:-1]:
        path = os.fsdecode(name)
        if path.endswith("/"):  # a nested repository
            inside += _files_below(folder, path.rstrip("/"))
        else:
            found.append(path)
    skip = _ignored(repo, folder, index, inside)
    return found + [p for p in inside if p not in skip]


def _ignored(repo: Repo, folder: Path, index: Path, paths: Sequence[str]) -> set[str]:
    if not paths:
        return set()
    args = ("check-ignore", "-z", "--no-index", "--stdin")
    data = _joined([f"./{p}" for p in paths])  # so that no name reads as pathspec magic,
    env = {"GIT_LITERAL_PATHSPECS": "0"}  # which this command refuses to be without
    done = repo.call(*args, input=data, worktree=folder, index=index, env=env)
    if done.code > 1:
        raise GitError(f"git check-ignore: {done.said}")
    return {os.fsdecode(name).removeprefix("./") for name in done.out.split(b"\0")[:-1]}


def _stage(repo: Repo, folder: Path, index: Path, paths: Sequence[str]) -> None:
    if not paths:
        return
    args = ("update-index", "-z", "--add", "--remove", "--replace", "--stdin")
    done = repo.call(*args, input=_joined(paths), worktree=folder, index=index)
    if done.code == 0:
        return
    if len(paths) > 1:  # find the one that git stumbles over
        half = len(paths) // 2
        _stage(repo, folder, index, paths[:half])
        _stage(repo, folder, index, paths[half:])
    else:
        _stage_raw(repo, folder, index, paths[0], paths[0])


def _stage_raw(repo: Repo, folder: Path, index: Path, path: str, name: str) -> None:
    """Stage the plain bytes of one file under a name, past any conversion."""
    full = folder / path
    try:
        seen = full.lstat()
        if stat.S_ISLNK(seen.st_mode):
            mode = SYMLINK
            link = os.readlink(full)  # noqa: PTH115 - Path would tidy up the bytes
            oid = repo.run("hash-object", "-w", "--stdin", input=os.fsencode(link))
        elif stat.S_ISREG(seen.st_mode):
            if not os.access(full, os.R_OK):
                full.chmod(stat.S_IMODE(seen.st_mode) | stat.S_IRUSR)
            mode = "100755" if seen.st_mode & stat.S_IXUSR else "100644"
            oid = repo.run("hash-object", "-w", "--no-filters", "--", full)
        else:
            return  # a socket, a pipe or a device has nothing to keep
    except FileNotFoundError:
        return
    entry = f"{mode} {oid.decode().strip()}\t".encode() + os.fsencode(name) + b"\0"
    repo.run("update-index", "-z", "--index-info", input=entry, worktree=folder, index=index)


def _files_below(folder: Path, path: str, with_git: bool = False, plain: bool = True) -> list[str]:
    """Files and links below a path, no link followed: the `plain` ones, and with `with_git` those of
    `.git`.
    """
    found: list[str] = []
    for entry in _listed(folder / path):
        below = f"{path}/{entry.name}"
        if entry.name == ".git":
            if with_git and entry.is_dir(follow_symlinks=False):
                found += _everything(folder, below)
            elif with_git:
                found.append(below)
        elif not plain:
            continue
        elif entry.is_dir(follow_symlinks=False):
            found += _files_below(folder, below, with_git)
        else:
            found.append(below)
    return found


def _everything(folder: Path, path: str) -> Iterator[str]:
    for entry in _listed(folder / path):
        if entry.is_dir(follow_symlinks=False):
            yield from _everything(folder, f"{path}/{entry.name}")
        else:
            yield f"{path}/{entry.name}"


def _git_folders(folder: Path, path: str) -> Iterator[str]:
    """Folders below the top one that have a `.git`."""
    for entry in _listed(folder / path):
        if entry.name == ".git":
            if path:
                yield path
        elif entry.is_dir(follow_symlinks=False):
            yield from _git_folders(folder, f"{path}/{entry.name}" if path else entry.name)


def unrecordable(error: Exception) -> bool:
    """Whether an error says that what lies in a folder can never become a tree."""
    too_long = isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG
    return isinstance(error, TooDeep) or too_long or "name too long" in str(error).lower()


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    if len(folder.parts) > DEEPEST:
        raise TooDeep(f"folders are nested more than {DEEPEST} deep")
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda e: e.name)
    except PermissionError:
        folder.chmod(0o700)
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda e: e.name)
    except (FileNotFoundError, NotADirectoryError):
        return []


def open_up(folder: Path) -> None:
    """Let the owner into every folder below, links not followed; on Windows also let files be deleted."""
    folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IRWXU)
    for entry in _listed(folder):
        if entry.is_dir(follow_symlinks=False):
            open_up(Path(entry.path))
        elif os.name == "nt":
            Path(entry.path).chmod(stat.S_IWRITE)


def _joined(paths: Sequence[str]) -> bytes:
    return b"".join(os.fsencode(p) + b"\0" for p in paths)
