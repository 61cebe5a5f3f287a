"""Can an edit be led out of its worktree by swapping links under it? Counts who wins how many races.

    python benchmarks/races.py [--races 200] [--seconds 60]

A process of its own swaps, as fast as it can, a folder on the way of the edit with a link to a folder
outside (in one system call, so that the way never breaks off), and the file itself with a link to an outside
file. Meanwhile files are written and read: by `orchestrator.edits`, and as a control by the usual check
(resolve the path, look whether it lies inside, open it), which shows that the race is there to be won. A race
is one write and one read. Prints JSON; exit 1 if an edit was led out even once. Linux only: it needs an
exchanging rename.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from orchestrator import edits  # noqa: E402

PATH = "src/deep/file.txt"
SECRET = b"outside"
_AT_FDCWD, _EXCHANGE = -100, 2


@dataclass
class Score:
    """How the races of one way to edit went."""

    races: int = 0
    written_outside: int = 0
    read_outside: int = 0
    refused: int = 0
    """Steps that saw a link and stopped."""
    done: int = 0
    """Steps that went through, inside."""

    @property
    def lost(self) -> int:
        """Races in which an outside file was written or read."""
        return self.written_outside + self.read_outside


class Ground:
    """A worktree, an outside folder of the same shape, and links ready to be swapped in."""

    def __init__(self, root: Path) -> None:
        self.worktree, self.outside = root / "worktree", root / "outside"
        for folder in (self.worktree / "src" / "deep", self.outside / "deep"):
            folder.mkdir(parents=True)
        self.victim = self.outside / "deep" / "file.txt"
        self.victim.write_bytes(SECRET)
        (self.worktree / PATH).write_bytes(b"inside")
        (self.worktree / "swap-folder").symlink_to(self.outside)
        (self.worktree / "swap-file").symlink_to(self.victim)

    def touched(self) -> bool:
        """Whether anything outside has changed, or has come; puts it back."""
        names = sorted(path.name for path in (self.outside / "deep").iterdir())
        same = names == ["file.txt"] and self.victim.read_bytes() == SECRET
        if not same:
            for name in names:
                (self.outside / "deep" / name).unlink()
            self.victim.write_bytes(SECRET)
        return not same


def attack(worktree: Path) -> None:
    """Swap until killed: the folder there and back, then the file there and back."""
    rename = ctypes.CDLL(None, use_errno=True).renameat2
    folders = (bytes(worktree / "src"), bytes(worktree / "swap-folder"))
    files = (bytes(worktree / PATH), bytes(worktree / "swap-file"))
    victim, spare = (worktree / "swap-file").readlink(), worktree / "swap-spare"
    print("ready", flush=True)
    while True:
        for _ in range(2):
            rename(_AT_FDCWD, folders[0], _AT_FDCWD, folders[1], _EXCHANGE)
        for _ in range(2):
            rename(_AT_FDCWD, files[0], _AT_FDCWD, files[1], _EXCHANGE)
        # An edit has replaced the one or the other meanwhile: have a file and a link to swap again.
        if (worktree / PATH).is_symlink():
            spare.write_bytes(b"inside")
            spare.replace(worktree / PATH)
        if not (worktree / "swap-file").is_symlink():
            spare.symlink_to(victim)
            spare.replace(worktree / "swap-file")


@contextlib.contextmanager
def attacked(ground: Ground) -> Iterator[None]:
    """Races are run inside."""
    command = [sys.executable, str(Path(__file__).resolve()), "--attack", str(ground.worktree)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        yield
        if child.poll() is not None:
            raise RuntimeError("the attacker died: nothing was shown")
    finally:
        child.kill()
        child.communicate()


def naive_write(worktree: Path, path: str, data: bytes) -> None:
    """The usual check: where does the path lead, is that inside, then write."""
    _checked(worktree, path).write_bytes(data)


def naive_read(worktree: Path, path: str) -> bytes:
    """The usual check, then read."""
    return _checked(worktree, path).read_bytes()


def _checked(worktree: Path, path: str) -> Path:
    if not (worktree / path).resolve().is_relative_to(worktree.resolve()):
        raise edits.EditRefused(f"{path} leads out")
    return worktree / path


def race(
    root: Path,
    write: Callable[[Path, str, bytes], None],
    read: Callable[[Path, str], bytes],
    races: int,
    seconds: float,
    enough: int | None = None,
) -> Score:
    """Race for so many rounds or seconds; `enough` lost ones end it early."""
    ground, score, until = Ground(root), Score(), time.monotonic() + seconds
    with attacked(ground):
        while score.races < races and time.monotonic() < until:
            if enough is not None and score.lost >= enough:
                break
            score.races += 1
            with _counting(score):
                write(ground.worktree, PATH, b"inside %d" % score.races)
            score.written_outside += ground.touched()
            with _counting(score):
                score.read_outside += read(ground.worktree, PATH) == SECRET
    return score


@contextlib.contextmanager
def _counting(score: Score) -> Iterator[None]:
    try:
        yield
        score.done += 1
    except (edits.EditRefused, OSError):
        score.refused += 1


def main() -> int:
    """Run both ways and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--races", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0, help="at most, for each way")
    parser.add_argument("--attack", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.attack:
        attack(asked.attack)
    if sys.platform != "linux":
        print("races.py needs Linux's exchanging rename", file=sys.stderr)
        return 2
    found = {}
    for name, write, read in (("edits", edits.write, edits.read), ("naive", naive_write, naive_read)):
        with tempfile.TemporaryDirectory() as folder:
            score = race(Path(folder), write, read, asked.races, asked.seconds)
        found[name] = asdict(score) | {"lost": score.lost}
    print(json.dumps({"machine": os.uname().release, "cpus": os.cpu_count(), **found}, indent=2))
    return 1 if found["edits"]["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
