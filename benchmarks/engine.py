"""How fast the engine is: back at work after a kill, and from a ready ticket to a merge to review.

    python benchmarks/engine.py [--rounds 9]

Two figures, each beside its reference in the same run, in alternation; prints one JSON object.

restart: an engine is killed while a command runs; from starting the next one to the first effect of the
command that it runs again. With a journal of 100,000 events, and with one that holds that ticket alone.

ticket: one trivial command and one check, from the attempt's start to the proposed merge, on a repository
of 200 files. The reference makes the git and process calls that the same evidence needs, by hand and with
the same durability: worktree, command, commit, merge result, a clean checkout of it, the check, the diff.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from orchestrator import config
from orchestrator.process import MARK
from orchestrator.sandbox.choose import choose
from state.events import New
from state.journal import Journal
from state.workspace import Workspace

ENGINE = """
import sys; from pathlib import Path
from orchestrator.service import serve; from state.workspace import Workspace
serve(Workspace(Path(sys.argv[1])))
"""
EVENTS = 100_000
SAFE = ["-c", "core.fsync=committed,reference", "-c", "gc.auto=0", "-c", "core.hooksPath=/dev/null"]


def repository(files: int) -> Path:
    """A repository with that many small files."""
    root = Path(tempfile.mkdtemp(prefix="jetbox-bench-"))
    git(root, "init", "-q", "-b", "main")
    git(root, "config", "user.name", "A User")
    git(root, "config", "user.email", "user@localhost")
    for number in range(files):
        path = root / f"part{number % 10}" / f"file{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{number}\n" * 20)
    (root / "tickets").mkdir()
    (root / ".gitignore").write_text("tickets/\n")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return root


def git(root: Path, *args: str | Path) -> str:
    """One git call of the reference."""
    done = subprocess.run(["git", *SAFE, *args], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


# Restart ------------------------------------------------------------------------------------------


def killed_workspace(events: int) -> tuple[Path, Path]:
    """A workspace whose engine was killed while a command ran; and the worktree where the command tells."""
    root = repository(20)
    told = Workspace(root).worktree("TICKET-001", 1)
    (root / "tickets" / "TICKET-001.yaml").write_text(
        "kind: run\ngoal: tell that the command runs\n"
        "with: {steps: ['touch told-$(date +%s%N); exec sleep 600']}\naccept:\n  - run: 'true'\n"
    )
    engine = start(root)
    wait_for(lambda: _told(told))
    kill(engine, root)
    if events:
        journal = Journal.open(Workspace(root).journal)
        for first in range(0, events, 2000):
            journal.append(*(filler(number) for number in range(first, first + 2000)))
        journal.close()
    return root, told


def filler(number: int) -> New:
    """An event of another ticket, of an ordinary size."""
    body = {"key": "step:0", "fraction": 0.5, "eta": [1.5, 2.5], "text": "x" * 60}
    return New("action.progress", body, f"TICKET-{number % 500 + 1000}", 1)


def start(root: Path) -> subprocess.Popen[bytes]:
    """An engine of its own."""
    command = [sys.executable, "-P", "-c", ENGINE, str(root)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def kill(engine: subprocess.Popen[bytes], root: Path) -> None:
    """SIGKILL, the command too, so that a later one is seen for what it is."""
    engine.send_signal(signal.SIGKILL)
    engine.wait()
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK, "").startswith(f"{root}:"):
                process.kill()
        except (psutil.Error, OSError):
            continue


def wait_for(holds: Any, most: float = 60.0) -> None:
    """Look every millisecond."""
    until = time.monotonic() + most
    while not holds():
        if time.monotonic() > until:
            raise RuntimeError("it did not happen")
        time.sleep(0.001)


def _told(worktree: Path) -> set[str]:
    return {path.name for path in worktree.glob("told-*")}


def restart(root: Path, told: Path) -> float:
    """Seconds from starting an engine to the effect of the command that was cut off."""
    before = _told(told)
    began = time.perf_counter()
    engine = start(root)
    wait_for(lambda: _told(told) - before)
    seconds = time.perf_counter() - began
    kill(engine, root)
    return seconds


def restarts(rounds: int) -> dict[str, Any]:
    """Both journals, in alternation."""
    places = {"empty": killed_workspace(0), "full": killed_workspace(EVENTS)}
    seconds: dict[str, list[float]] = {"empty": [], "full": []}
    for _ in range(rounds):
        for name, (root, told) in places.items():
            seconds[name].append(restart(root, told))
    for root, _ in places.values():
        shutil.rmtree(root)
    empty, full = median(seconds["empty"]), median(seconds["full"])
    return {
        "empty_journal_s": round(empty, 3),
        f"{EVENTS}_events_s": round(full, 3),
        "ratio": round(full / empty, 2),
        "reach": "at most 1.5, and under 1 s",
    }


# One trivial ticket ---------------------------------------------------------------------------------


def plainly(command: str, cwd: Path) -> None:
    """A command as it is."""
    subprocess.run(command, shell=True, cwd=cwd, check=True)


def held(root: Path) -> Callable[[str, Path], None]:
    """A command in the sandbox that the engine uses: what it needs to be run at all."""
    workspace = Workspace(root)
    sandbox = choose(workspace, config.load(workspace).policy).sandbox

    def run(command: str, cwd: Path) -> None:
        assert sandbox.run(command, cwd, git_dir=root / ".git").exit == 0

    return run


def by_hand(root: Path, name: str, run: Callable[[str, Path], None]) -> float:
    """The calls that the same evidence needs."""
    work, gate = root.parent / f"{root.name}-work", root.parent / f"{root.name}-gate"
    began = time.perf_counter()
    base = git(root, "rev-parse", "refs/heads/main")
    git(root, "worktree", "add", "-q", "-b", f"by-hand/{name}", work, base)
    run(f"echo {name} > hand{name}.txt", work)
    git(work, "add", "-A")
    git(work, "commit", "-qm", "step")
    head = git(work, "rev-parse", "HEAD")
    tree = git(root, "merge-tree", "--write-tree", base, head)
    merged = git(root, "commit-tree", tree, "-p", base, "-p", head, "-m", "merge")
    git(root, "worktree", "add", "-q", "--detach", gate, merged)
    run(f"grep -q {name} hand{name}.txt", gate)
    git(root, "diff", base, tree)
    undone = git(root, "commit-tree", f"{base}^{{tree}}", "-p", merged, "-m", "undo")
    git(root, "merge-tree", "--write-tree", merged, undone)
    seconds = time.perf_counter() - began
    git(root, "worktree", "remove", "--force", work)
    git(root, "worktree", "remove", "--force", gate)
    return seconds


def tickets(rounds: int) -> dict[str, Any]:
    """A running engine is given one ticket after the other; between them the reference does its own."""
    root = repository(200)
    workspace = Workspace(root)
    seconds: dict[str, list[float]] = {"engine": [], "file": [], "by hand": [], "held": []}
    sandboxed = held(root)
    engine = start(root)
    wait_for(workspace.journal.exists)
    wait_for(lambda: _proposed(workspace, 0)[1])
    for number in range(1, rounds + 1):
        seconds["by hand"].append(by_hand(root, f"plain{number}", plainly))
        seconds["held"].append(by_hand(root, f"held{number}", sandboxed))
        name = f"TICKET-{number:03}"
        text = (
            f"kind: run\ngoal: write one small file\nwith: {{steps: ['echo {number} > file{number}.txt']}}\n"
            f"accept:\n  - run: grep -q {number} file{number}.txt\n"
        )
        written = time.time()
        (root / "tickets" / f"{name}.yaml").write_text(text)
        wait_for(lambda n=number: _proposed(workspace, n)[0] is not None)
        began, ended = _proposed(workspace, number)[0]
        seconds["engine"].append((ended - began) / 1000)
        seconds["file"].append(ended / 1000 - written)
    engine.send_signal(signal.SIGTERM)
    engine.wait(30)
    shutil.rmtree(root)
    took, hand, inside = (median(seconds[which]) for which in ("engine", "by hand", "held"))
    return {
        "by_hand_s": round(inside, 3),
        "by_hand_without_a_sandbox_s": round(hand, 3),
        "engine_s": round(took, 3),
        "from_saving_the_file_s": round(median(seconds["file"]), 3),
        "ratio": round(took / inside, 2),
        "ratio_to_without_a_sandbox": round(took / hand, 2),
        "reach": "at most 2",
    }


def _proposed(workspace: Workspace, number: int) -> Any:
    """When the ticket was started and its merge proposed, in ms; and whether the journal can be read."""
    try:
        journal = Journal.read(workspace.journal)
    except Exception:
        time.sleep(0.01)
        return None, False
    try:
        events = {event.type: event.at for event in journal.events(ticket=f"TICKET-{number:03}")}
    finally:
        journal.close()
    time.sleep(0.005)
    if "attempt.started" in events and "merge.proposed" in events:
        return (events["attempt.started"], events["merge.proposed"]), True
    return None, True


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    print(
        json.dumps(
            {
                "benchmark": "engine",
                "rounds": rounds,
                "restart": restarts(rounds),
                "ticket": tickets(rounds),
            },
            indent=1,
        )
    )
