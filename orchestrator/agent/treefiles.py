"""The files of a git tree, read from the object store: no checkout, no filter, nothing outside the tree.

Guarantees: bounded in bytes, larger files are never read, links and submodules are skipped, each with its
reason.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from orchestrator.agent.repomap import HUGE, language_of
from orchestrator.git import GITLINK, SYMLINK, GitError, Repo

ALL = 128 * 1024 * 1024  # bytes of all files together
_AT_ONCE = 16 * 1024 * 1024  # bytes asked of git in one call
_RANK = {"prose": 1, "text": 2, "data": 3}  # what goes first when ALL is not enough: code


class TreeFiles(dict[str, bytes]):
    """Bytes by path, in the order of paths; `left_out` says why others are not there."""

    def __init__(self) -> None:
        super().__init__()
        self.left_out: dict[str, str] = {}


def tree_files(repo: Repo, tree: str, most: int = ALL, largest: int = HUGE) -> TreeFiles:
    """The files of a tree or commit.

    Args:
        repo: the repository.
        tree: an oid.
        most: bytes of all files together; code comes first, then prose, then the rest, small before large.
        largest: bytes of one file.

    Raises:
        GitError: the tree is not there, or an object of it is missing.
    """
    found = TreeFiles()
    wanted: list[tuple[int, int, str, str]] = []
    for mode, oid, size, path in _listed(repo, tree):
        if mode in (SYMLINK, GITLINK):
            found.left_out[path] = "a link" if mode == SYMLINK else "a submodule"
        elif size > largest:
            found.left_out[path] = f"larger than {largest // 1024} KiB"
        else:
            wanted.append((_RANK.get(language_of(path), 0), size, path, oid))
    read, whole = list[tuple[str, str, int]](), 0
    for _, size, path, oid in sorted(wanted):
        if whole + size > most:
            found.left_out[path] = f"the files together are larger than {most // 1024} KiB"
        else:
            whole += size
            read.append((path, oid, size))
    blobs = _blobs(repo, read)
    found.update(sorted(blobs.items()))
    found.left_out = dict(sorted(found.left_out.items()))
    return found


def _listed(repo: Repo, tree: str) -> Iterator[tuple[str, str, int, str]]:
    """Mode, oid, size in bytes and path of each entry; a submodule has no size."""
    for line in repo.run("ls-tree", "-r", "-l", "-z", "--full-tree", tree).split(b"\0")[:-1]:
        head, _, path = line.partition(b"\t")
        mode, _, oid, size = head.decode().split()
        yield mode, oid, int(size) if size.isdigit() else 0, os.fsdecode(path)


def _blobs(repo: Repo, read: list[tuple[str, str, int]]) -> dict[str, bytes]:
    """The bytes of blobs, a limited amount a call: git's whole answer is held in memory."""
    found: dict[str, bytes] = {}
    batch: list[tuple[str, str]] = []
    weight = 0
    for path, oid, size in read:
        if batch and weight + size > _AT_ONCE:
            found.update(_batch(repo, batch))
            batch, weight = [], 0
        batch.append((path, oid))
        weight += size
    found.update(_batch(repo, batch))
    return found


def _batch(repo: Repo, batch: list[tuple[str, str]]) -> Iterator[tuple[str, bytes]]:
    if not batch:
        return
    out = repo.run("cat-file", "--batch", input="".join(f"{oid}\n" for _, oid in batch).encode())
    at = 0
    for path, oid in batch:
        end = out.find(b"\n", at)
        words = out[at : max(end, at)].split()
        if len(words) != 3 or words[0] != oid.encode() or words[1] != b"blob":
            said = out[at : max(end, at)][:100].decode(errors="replace")
            raise GitError(f"git cat-file cannot read {path}: {said or 'nothing came'}")
        size = int(words[2])
        yield path, out[end + 1 : end + 1 + size]
        at = end + 2 + size
