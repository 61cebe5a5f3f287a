"""Landing: merge without a checkout, commit by content, move the base by compare-and-swap, look at what is.

Guarantees:
- a merge touches no checkout, and runs no driver that is configured;
- the same landing gives the same commit however often it is made;
- the base ref is the old commit or the new one, never another, and "landed" is only said of a commit that
  the base can be seen to contain;
- nothing here writes to the user's checkout: that is `followup.follow_up`, an effect of its own.

`state` is what a restart asks first: it answers from the world alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orchestrator.checkout import dirty_lines, plan, shown
from orchestrator.followup import FollowUp, follow_up
from orchestrator.git import SHELF, GitError, Repo

__all__ = [
    "FollowUp",
    "Landing",
    "Merged",
    "NotLanded",
    "State",
    "checked_out",
    "follow_up",
    "hold",
    "land",
    "merge",
    "obstacles",
    "release",
    "release_all",
    "revert",
    "state",
]

State = Literal["not-landed", "landed", "base-moved"]
HELD = "refs/jetbox/landing/"
# Files in a git dir that say that the user is in the midst of something.
UNDER_WAY = {
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "BISECT_LOG": "a bisect",
}


class NotLanded(GitError):
    """The commit to undo is not part of the branch, or is no merge."""


@dataclass(frozen=True)
class Merged:
    """A merge of `head`: its tree, or None with the paths in conflict. `messages` are git's, for a person."""

    tree: str | None
    conflicts: tuple[str, ...]
    messages: tuple[str, ...]
    head: str


@dataclass(frozen=True)
class Landing:
    """All that a landing's commit is made of; equal landings are the same commit.

    `author` reads "Name <mail>", `date` as from `git.stamp`. `trailers` follow those of ticket and attempt.
    """

    base_ref: str
    base: str
    head: str
    tree: str
    message: str
    author: str
    date: str
    ticket: str
    attempt: str
    trailers: tuple[tuple[str, str], ...] = ()

    def full_message(self) -> str:
        """The message with its trailers."""
        pairs = (("Jetbox-Ticket", self.ticket), ("Jetbox-Attempt", self.attempt), *self.trailers)
        lines = "\n".join(f"{key}: {' '.join(value.split())}" for key, value in pairs)
        return f"{self.message.rstrip()}\n\n{lines}\n"

    def commit(self, repo: Repo) -> str:
        """Make the merge commit, which no ref names yet, and give its oid."""
        parents = (self.base, self.head)
        return repo.commit_tree(self.tree, parents, self.full_message(), self.author, self.date)


def merge(repo: Repo, base: str, head: str) -> Merged:
    """Merge `head` into `base` as objects alone."""
    args = ("merge-tree", "--write-tree", "-z", "--name-only", "--messages", base, head)
    with _attributes(repo, base) as folder:
        done = repo.call(*args, worktree=folder)
    if done.code not in (0, 1):
        if b"refusing to merge unrelated histories" in done.err:
            return Merged(None, (), ("the two branches have no commit in common",), head)
        raise GitError(f"git merge-tree {base} {head}: {done.said}")
    words = [os.fsdecode(w) for w in done.out.split(b"\0")]
    tree, rest = words[0], words[1:]
    end = rest.index("") if "" in rest else len(rest)
    conflicts = tuple(dict.fromkeys(rest[:end]))
    messages, at = [], end + 1
    while at < len(rest) and rest[at].isdigit():  # <number of paths> <path>... <kind> <message>
        at += int(rest[at]) + 2
        messages.append(rest[at].strip())
        at += 1
    return Merged(tree if done.code == 0 else None, conflicts if done.code else (), tuple(messages), head)


@contextlib.contextmanager
def _attributes(repo: Repo, commit: str) -> Iterator[Path | None]:
    """A folder with the `.gitattributes` of a commit: without a checkout git would not see `merge=union`
    and such.
    """
    names = [
        os.fsdecode(n)
        for n in repo.run("ls-tree", "-r", "-z", "--name-only", "--full-tree", commit).split(b"\0")
        if n == b".gitattributes" or n.endswith(b"/.gitattributes")
    ]
    if not names:
        yield None
        return
    folder = repo.common_dir / SHELF / f"attributes-{uuid.uuid4().hex}"
    try:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(repo.show_file(commit, name) or b"")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def hold(repo: Repo, landing: Landing) -> str:
    """Make the commit and keep it by a ref: an approval has no time-out, and git drops what no ref names."""
    commit = landing.commit(repo)
    repo.move_keeping(HELD + commit, commit)
    return commit


def release(repo: Repo, landing: Landing) -> None:
    """Let go of what `hold` keeps."""
    commit = landing.commit(repo)
    repo.compare_and_swap(HELD + commit, None, commit)


def release_all(repo: Repo, ticket: str, attempt: int) -> None:
    """Let go of all that was held for an attempt, also by one that was killed before it could tell."""
    keys = ("Jetbox-Ticket", "Jetbox-Attempt")
    trailers = (f"%(trailers:key={key},valueonly,separator=%x2C)" for key in keys)
    out = repo.run("log", "--no-walk", f"--format=%H%x09{'%x09'.join(trailers)}", f"--glob={HELD}*")
    for line in out.decode(errors="replace").splitlines():
        commit, *whose = line.split("\t")
        if whose == [ticket, str(attempt)]:
            repo.compare_and_swap(HELD + commit, None, commit)


def state(repo: Repo, landing: Landing) -> State:
    """Where a landing stands, seen from the repository alone."""
    tip = repo.resolve(landing.base_ref)
    if tip == landing.base:
        return "not-landed"
    if tip is not None and repo.is_ancestor(landing.commit(repo), tip):
        return "landed"
    return "base-moved"


def land(repo: Repo, landing: Landing) -> State:
    """Move the base to the landing's commit if it still is where it was, and say what then is so."""
    repo.compare_and_swap(landing.base_ref, landing.commit(repo), landing.base)
    return state(repo, landing)


def checked_out(repo: Repo, ref: str) -> list[Path]:
    """The checkouts, the user's main one first, in which a branch is checked out."""
    return [c.path for c in repo.checkouts() if c.branch == ref]


def obstacles(repo: Repo, landing: Landing) -> list[str]:
    """What stands in the way of following up the checkouts of the base, as lines for a person; none when
    free.

    Changes to other files than those that the landing brings are no obstacle.
    """
    lines = []
    old_tree = repo.tree_of(landing.base)
    for checkout in repo.checkouts():
        where = f"In {shown(str(checkout.path))}: "
        if checkout.branch is None:
            if _rebasing(checkout.git_dir) == landing.base_ref:
                lines.append(f"{where}{landing.base_ref.removeprefix('refs/heads/')} is being rebased")
            continue
        if checkout.branch != landing.base_ref:
            continue
        going = {what for name, what in UNDER_WAY.items() if (checkout.git_dir / name).exists()}
        lines += [f"{where}{what} is under way: finish or abort it" for what in sorted(going)]
        try:
            lines += [where + line for line in dirty_lines(plan(repo, checkout.path, old_tree, landing.tree))]
        except (OSError, GitError) as error:
            lines.append(f"{where}it cannot be read: {error}")
    return lines


def _rebasing(git_dir: Path) -> str | None:
    for name in ("rebase-merge", "rebase-apply"):
        with contextlib.suppress(OSError):
            return (git_dir / name / "head-name").read_text(errors="replace").strip()
    return None


def revert(repo: Repo, landed: str, onto: str) -> Merged:
    """Undo a landed merge on top of a newer base: what it brought is taken out, what came later stays.

    The `head` of the result is a commit made for this, the state before the landing as a child of it; a
    Landing of `onto`, that head and the tree lands the undoing.
    """
    if not repo.is_ancestor(landed, onto):
        raise NotLanded(f"{landed[:12]} is not part of {onto[:12]}: there is nothing to undo")
    raw = repo.run("cat-file", "commit", landed).partition(b"\n\n")[0]
    parents = [line[7:].decode() for line in raw.splitlines() if line.startswith(b"parent ")]
    if not parents:
        raise NotLanded(f"{landed[:12]} has no commit before it")
    when = next(line for line in raw.splitlines() if line.startswith(b"committer ")).decode(errors="replace")
    date = " ".join(when.split()[-2:])
    message = f"The state before {landed}"
    before = repo.commit_tree(repo.tree_of(parents[0]), [landed], message, "Jetbox <jetbox@localhost>", date)
    return merge(repo, onto, before)
