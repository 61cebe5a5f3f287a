"""Kill the git part at random moments, over and over, and hold what is left against what must be.

A child process does what an engine does, noting each stage that is complete: worktree, work, checkpoint,
undoing a cut-off action, landing, following up the user's checkout, taking the worktree away. It is killed
with SIGKILL, alone or with its git, and started again until it gets through. `python kill_loop.py --kills
1000` runs on its own.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from git_project import WHEN, WHO, Project

from orchestrator import landing, worktrees
from orchestrator.git import RefLocked, Repo
from orchestrator.landing import Landing
from orchestrator.leftovers import SHARED_LOCK_AGE, clear_stale_locks

BRANCH, REF, MAIN = "refs/heads/ticket/J-1-kill", "refs/jetbox/J-1/1", "refs/heads/main"
STAGES = ("add", "work", "checkpoint", "undo", "land", "follow", "remove")
FILES = 30


def child(root: Path, notes: Path, fd: int) -> None:
    """Do all stages that are not noted as done, each as one that may have been begun before."""
    repo = Repo.open(root, inherit_fds=(fd,) if fd >= 0 else ())
    at = root / ".jetbox/worktrees/J-1"
    print("ready", flush=True)
    clear_stale_locks(repo, [MAIN])
    for stage in STAGES:
        if (notes / stage).exists():
            continue
        print(stage, flush=True)
        note = patient(repo, stage, at, notes)
        fresh = notes / f"{stage}.new"
        fresh.write_text(note)
        fresh.replace(notes / stage)


def patient(repo: Repo, stage: str, at: Path, notes: Path) -> str:
    """Do a stage; a fresh lock on a ref may be the user's, so it gets the time until it is left over."""
    until = time.monotonic() + SHARED_LOCK_AGE + 5
    while True:
        try:
            return perform(repo, stage, at, notes)
        except RefLocked:
            if time.monotonic() > until:
                raise
            clear_stale_locks(repo, [MAIN])


def perform(repo: Repo, stage: str, at: Path, notes: Path) -> str:
    """One stage, from the start; gives what is to be noted of it."""
    base = (notes / "base").read_text()
    if stage == "add":
        worktrees.add(repo, at, base, BRANCH)
    elif stage == "work":
        work(at)
    elif stage == "checkpoint":
        return worktrees.checkpoint(repo, at, REF, "work", WHO, WHEN, base).commit
    elif stage == "undo":
        (at / "cut off").write_text("half")
        worktrees.restore(repo, at, (notes / "checkpoint").read_text())
    elif stage in ("land", "follow"):
        plan = planned(repo, base, (notes / "checkpoint").read_text())
        if stage == "land":
            landing.hold(repo, plan)
            assert landing.land(repo, plan) == "landed"
        else:
            result = landing.follow_up(repo, repo.root, repo.tree_of(base), plan.tree, MAIN)
            assert result.waiting is None, result.waiting
            landing.release(repo, plan)
    else:
        if at.exists():
            worktrees.trash(repo, at, "refs/jetbox/trash/J-1")
        worktrees.remove(repo, at)
    return "done"


def work(at: Path) -> None:
    """What a ticket's commands do: change, add, delete, move between file and folder."""
    for n in range(0, FILES, 2):
        (at / f"src/{n}.txt").write_text(f"new {n}\n")
    (at / "src/1.txt").unlink(missing_ok=True)
    (at / "added/deep").mkdir(parents=True, exist_ok=True)
    (at / "added/deep/x y.txt").write_text("x")
    if (at / "turns").is_file():
        (at / "turns").unlink()
    (at / "turns").mkdir(exist_ok=True)
    (at / "turns/inside").write_text("in")


def planned(repo: Repo, base: str, head: str) -> Landing:
    """The landing of the checkpoint."""
    return Landing(MAIN, base, head, repo.tree_of(head), "Land it", WHO, WHEN, "J-1", "1")


def prepare(top: Path) -> tuple[Project, Path]:
    """A project with work of the user's in progress: changed, staged, untracked, and one file in the way."""
    root, notes = top / "project", top / "notes"
    root.mkdir(parents=True)
    notes.mkdir()
    project = Project(root)
    project.git("init", "-q", "-b", "main")
    files: dict[str, str | bytes] = {f"src/{n}.txt": f"old {n}\n" for n in range(FILES)}
    project.commit({**files, "turns": "file", ".gitignore": ".jetbox/\n", "mine": "1\n", "staged": "1\n"})
    (notes / "base").write_text(project.git("rev-parse", "HEAD"))
    project.write({"mine": "2\n", "staged": "2\n", "untracked": "u", "src/4.txt": "the user's own 4\n"})
    project.git("add", "staged")
    return project, notes


@dataclass
class Tally:
    """How often it was killed, and in which stage."""

    kills: int = 0
    stages: Counter[str] = field(default_factory=Counter)


def scenario(top: Path, dice: random.Random, span: float, tally: Tally) -> dict[str, object]:
    """One run to its end through as many kills as it takes; `span` 0 kills never. Gives the end state."""
    project, notes = prepare(top)
    before = project.everything()
    while True:
        reader, writer = os.pipe()
        os.set_inheritable(writer, True)
        started = subprocess.Popen(
            [
                sys.executable,
                __file__,
                "--child",
                project.root,
                notes,
                str(writer if os.name == "posix" else -1),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(writer,) if os.name == "posix" else (),
            start_new_session=True,
        )
        os.close(writer)
        assert started.stdout is not None
        started.stdout.readline()  # it is past its imports
        try:
            out, err = started.communicate(timeout=dice.uniform(0, span) if span else None)
            killed = False
        except subprocess.TimeoutExpired:
            if os.name == "posix" and dice.random() < 0.5:
                os.killpg(started.pid, signal.SIGKILL)
            else:
                started.kill()
            out, err = started.communicate()
            killed = True
        if os.name == "posix":
            os.read(
                reader, 1
            )  # a git that outlived the child holds the other end, as it would the engine's lock
        os.close(reader)
        assert_safe(project, notes, before)
        if not killed:
            assert started.returncode == 0, err.decode()
            return end_state(project)
        tally.kills += 1
        tally.stages[(out.decode().split() or ["start"])[-1]] += 1


def assert_safe(project: Project, notes: Path, before: dict[str, bytes]) -> None:
    """What must hold at each moment: base old or new, each file of the user's as it was, no file torn."""
    base = (notes / "base").read_text()
    tip = project.git("rev-parse", MAIN)
    wanted: dict[str, bytes | None] = {}
    if tip != base:
        assert project.git("rev-parse", f"{tip}^1") == base
        repo = project.repo
        wanted = {c.path: repo.show_file(tip, c.path) for c in repo.changes(base, tip)}
    now = project.everything()
    for path in {*now, *before}:
        allowed = {before.get(path)}
        if path in wanted and path != "src/4.txt":
            allowed.add(wanted[path])
        assert now.get(path) in allowed, f"{path} is {now.get(path)!r}"


def end_state(project: Project) -> dict[str, object]:
    """All that must be the same whether it was killed or not; the trash may hold more after kills."""
    refs = project.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    git_dir = project.root / ".git"
    trash = project.repo.resolve("refs/jetbox/trash/J-1")
    assert trash is not None
    project.git("fsck", "--no-dangling", "--strict")
    for lock in git_dir.rglob("*.lock"):  # as the engine finds them a while later
        os.utime(lock, (0, 0))
    clear_stale_locks(project.repo, [MAIN])
    return {
        "files": project.everything(),
        "status": project.git("status", "--porcelain"),
        "index": project.git("ls-files", "-s"),
        "refs": [ref for ref in refs if not ref.startswith("refs/jetbox/trash/")],
        "trash": project.repo.tree_of(trash),
        "worktrees": project.git("worktree", "list").splitlines()[1:],
        "folders": sorted(p.name for p in (project.root / ".jetbox/worktrees").iterdir()),
        "locks": sorted(p.name for p in git_dir.rglob("*.lock")),
        "passing": sorted(p.name for p in [*git_dir.glob("jetbox-*"), *git_dir.glob("jetbox/*")]),
    }


def loop(top: Path, kills: int, seed: int) -> Tally:
    """Scenarios until there were `kills`; each must end as one that was never killed."""
    dice, tally = random.Random(seed), Tally()
    wanted = scenario(top / "never", dice, 0, tally)
    n = 0
    while tally.kills < kills:
        n += 1
        # Short spans kill early stages over and over, long ones reach the late ones.
        ended = scenario(top / f"round{n}", dice, dice.choice((0.15, 0.4, 1.0)), tally)
        for what, value in wanted.items():
            assert ended[what] == value, f"round {n}: {what} is {ended[what]!r}, not {value!r}"
    return tally


def main() -> None:
    """Run the loop, or be the child that is killed."""
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as top:
        os.environ["HOME"] = top
        Path(top, ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
        tally = loop(Path(top), given.kills, given.seed)
    print(f"{tally.kills} kills: nothing lost, nothing doubled; by stage {dict(tally.stages)}")


if __name__ == "__main__":
    main()
