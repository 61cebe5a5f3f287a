"""What does the sandbox cost a command? Milliseconds over a bare spawn, for each backend that holds here.

    python benchmarks/sandbox.py [--rounds 200] [--files 5000] [--profile BACKEND]

In each round every way runs once, in turn, so that a slow moment of the machine slows all: a bare spawn
(`subprocess.Popen` with a pipe, read to its end), `Sandbox.run` without a sandbox, and `Sandbox.run` in each
backend. Its whole work counts: the box, the lending of the worktree as root, the watch, the end of everything
that was started. `many_files` is the same for `true` in a worktree of so many files. Prints JSON; exit 1 if a
backend adds more than 25 ms at the median to a small command in a small worktree.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median, quantiles
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from orchestrator.sandbox.bare import Bare  # noqa: E402
from orchestrator.sandbox.choose import candidates, examine  # noqa: E402
from orchestrator.sandbox.policy import Narrowing, merge  # noqa: E402
from orchestrator.sandbox.sandbox import Sandbox  # noqa: E402
from orchestrator.user import SandboxSettings, shipped  # noqa: E402
from state.workspace import Workspace  # noqa: E402

MOST = 25.0  # milliseconds that a backend may add at the median
COMMANDS = {"true": ["/bin/true"], "python": [sys.executable, "-c", "0"]}


def worktree_of(files: int, folder: Path) -> tuple[Workspace, Path]:
    """A repository with so many files, and a worktree of it."""
    root = folder / f"project-{files}"
    for number in range(files):
        path = root / f"part{number % 50}" / f"file{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n")
    who = ["-c", "user.name=A", "-c", "user.email=a@localhost"]
    calls = (["init", "-q", "-b", "main"], ["add", "."], [*who, "commit", "-qm", "first"])
    for words in calls:
        subprocess.run(["git", *words], cwd=root, check=True)
    workspace = Workspace(root)
    worktree = workspace.worktree("T-1", 1)
    subprocess.run(["git", "worktree", "add", "-q", "--detach", str(worktree)], cwd=root, check=True)
    return workspace, worktree


def ways(workspace: Workspace, worktree: Path) -> dict[str, Callable[[list[str]], object]]:
    """How a command can be run, by name; a backend that does not hold here is left out."""
    policy = merge(shipped(), SandboxSettings(), Narrowing())
    sandboxes = [Sandbox(backend, policy, workspace) for backend in (Bare(), *candidates())]
    held = [each for each in sandboxes if each.isolation == "none" or examine(each).holds]
    env = dict(held[0].box(worktree, {}, (), None, "", None).env)

    def spawn(command: list[str]) -> object:
        run = subprocess.run(
            command, cwd=worktree, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=True,
        )  # fmt: skip
        return run.returncode

    def through(sandbox: Sandbox) -> Callable[[list[str]], object]:
        def run(command: list[str]) -> object:
            done = sandbox.run(command, worktree, git_dir=workspace.root / ".git", mark="bench")
            assert done.exit == 0, done
            return done

        return run

    return {"spawn": spawn, **{each.isolation: through(each) for each in held}}


def measure(
    found: Mapping[str, Callable[[list[str]], object]], command: list[str], rounds: int
) -> dict[str, dict[str, float]]:
    """Milliseconds by way: median, 95th percentile, and what is added to the spawn at the median."""
    taken: dict[str, list[float]] = {name: [] for name in found}
    for number in range(rounds + 3):
        for name, run in found.items():
            began = time.perf_counter()
            run(command)
            if number >= 3:  # the first ones load what is loaded once
                taken[name].append((time.perf_counter() - began) * 1000)
    base = median(taken["spawn"])
    return {
        name: {
            "median_ms": round(median(times), 1),
            "p95_ms": round(quantiles(times, n=20)[-1], 1),
            "added_ms": round(median(times) - base, 1),
        }
        for name, times in taken.items()
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--profile", help="where the time of this backend goes, in place of all else")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jetbox-cost-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        small = ways(*worktree_of(20, Path(folder).resolve()))
        if asked.profile:
            profile(small[asked.profile], asked.rounds)
            return 0
        found: dict[str, Any] = {
            "user": "root" if os.geteuid() == 0 else "ordinary",
            "rounds": asked.rounds,
            **{name: measure(small, command, asked.rounds) for name, command in COMMANDS.items()},
        }
        many = ways(*worktree_of(asked.files, Path(folder).resolve()))
        found["many_files"] = {
            "files": asked.files,
            **measure(many, COMMANDS["true"], max(10, asked.rounds // 10)),
        }
    added = [
        way["added_ms"] for command in COMMANDS for name, way in found[command].items()
        if name not in ("spawn", "none")
    ]  # fmt: skip
    found["ok"] = all(each <= MOST for each in added)
    print(json.dumps(found, indent=2))
    return 0 if found["ok"] else 1


def profile(run: Callable[[list[str]], object], rounds: int) -> None:
    """Print the calls that take the time."""
    run(COMMANDS["true"])
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(rounds):
        run(COMMANDS["true"])
    profiler.disable()
    pstats.Stats(profiler).sort_stats("cumtime").print_stats(30)


if __name__ == "__main__":
    sys.exit(main())
