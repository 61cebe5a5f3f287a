"""What a killed git or engine leaves lying: lock files and passing files, told from those of live ones.

Guarantees: a lock that the user's git may hold is removed only when it is older than any git call takes.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from orchestrator.git import OUR_LOCK, PASSING, READY, SHELF, Repo

SHARED_LOCK_AGE = 10.0  # seconds after which a lock that the user's git might hold counts as left behind


def clear_stale_locks(repo: Repo, refs: Iterable[str] = ()) -> list[Path]:
    """Remove all leftovers; for the holder of the engine's lock, while no git of ours is alive.

    At once: Jetbox's passing files, locks of its refs, ticket branches and worktrees, and an index.lock that
    Jetbox itself wrote. Besides what `clear_shared_locks` removes. Any other lock is the user's and stays.
    Gives the locks removed.
    """
    common = repo.common_dir
    ours = [
        lock for folder in ("refs/jetbox", "refs/heads/ticket") for lock in (common / folder).rglob("*.lock")
    ]
    shutil.rmtree(common / SHELF, ignore_errors=True)
    for git_dir in [common, *(found for found, _ in repo.linked())]:
        for leftover in git_dir.glob(f"{PASSING}*"):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)
        if (git_dir / READY).exists():
            ours += git_dir.glob("*.lock")
        elif _holds(git_dir / "index.lock", OUR_LOCK):
            ours.append(git_dir / "index.lock")
    gone = []
    for lock in ours:
        with contextlib.suppress(FileNotFoundError):
            lock.unlink()
            gone.append(lock)
    return gone + clear_shared_locks(repo, refs)


def clear_shared_locks(repo: Repo, refs: Iterable[str]) -> list[Path]:
    """Remove locks of these refs (the bases landed on) and of the packed refs once they are old.

    Safe while git is at work, ours or the user's: no call holds such a lock that long.
    """
    common = repo.common_dir
    shared = [common / name for name in ("packed-refs.lock", "packed-refs.new")]
    shared += [common / f"{ref}.lock" for ref in refs]
    old = time.time() - SHARED_LOCK_AGE
    gone = []
    for lock in shared:
        with contextlib.suppress(FileNotFoundError):
            if lock.stat().st_mtime < old:
                lock.unlink()
                gone.append(lock)
    return gone


def clear_locks_of(repo: Repo, ticket: str, branch: str) -> None:
    """Remove the locks of a ticket's own refs and worktrees, while nothing of ours works on that ticket.

    A git that was killed under a living engine leaves them.
    """
    common = repo.common_dir
    locks = [common / f"refs/heads/{branch}.lock"]
    for folder in (f"refs/jetbox/{ticket}", f"refs/jetbox/trash/{ticket}"):
        locks += (common / folder).rglob("*.lock")
    for git_dir, path in repo.linked():
        if (git_dir / READY).exists() and path.name.startswith(f"{ticket}-"):
            locks += git_dir.glob("*.lock")
    for lock in locks:
        lock.unlink(missing_ok=True)


def _holds(file: Path, content: bytes) -> bool:
    try:
        return file.read_bytes() == content
    except OSError:
        return False
