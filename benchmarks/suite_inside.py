"""Does a public project's own test suite come out the same inside the sandbox as outside?

    python benchmarks/suite_inside.py [--package networkx] [--backend bubblewrap ...] [--timeout 900]

A repository is made with an environment beside it (`.venv`): pip installs the package, which has to carry
its tests, and pytest into it, the only moment that needs a network. The suite then runs in a worktree by
`Sandbox.run`: once without a sandbox, and once in each backend that holds here. Every test's outcome is
compared, by name, from pytest's own report. Prints JSON; exit 1 if one outcome differs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from orchestrator.sandbox.backend import Backend  # noqa: E402
from orchestrator.sandbox.bare import Bare  # noqa: E402
from orchestrator.sandbox.choose import candidates, examine  # noqa: E402
from orchestrator.sandbox.policy import Narrowing, merge  # noqa: E402
from orchestrator.sandbox.sandbox import Sandbox  # noqa: E402
from orchestrator.user import SandboxSettings, shipped  # noqa: E402
from state.workspace import Workspace  # noqa: E402

BAD = ("failure", "error", "skipped")


def project(folder: Path, package: str) -> tuple[Workspace, Path]:
    """A repository with its environment, and a worktree of it."""
    root = folder / "project"
    root.mkdir(parents=True)
    (root / ".gitignore").write_text(".venv/\n.jetbox/\n")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", ".")
    git(root, "-c", "user.name=A", "-c", "user.email=a@localhost", "commit", "-qm", "first")
    workspace = Workspace(root)
    worktree = workspace.worktree("SUITE", 1)
    git(root, "worktree", "add", "-q", "--detach", str(worktree))
    subprocess.run([sys.executable, "-m", "venv", str(root / ".venv")], check=True)
    pip = [str(root / ".venv/bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, package, "pytest"], check=True, stdout=sys.stderr)
    return workspace, worktree


def git(root: Path, *words: str) -> None:
    """One call of git."""
    subprocess.run(["git", *words], cwd=root, check=True)


def run(sandbox: Sandbox, worktree: Path, package: str, timeout: float) -> dict[str, Any]:
    """The suite under one backend: outcome by test, and what it took."""
    report = worktree / "report.xml"
    report.unlink(missing_ok=True)
    command = f"python -m pytest --pyargs {package} -q -p no:cacheprovider --junitxml={report.name}"
    done = sandbox.run(
        f"{command}; code=$?; times; exit $code",
        worktree,
        git_dir=sandbox.workspace.root / ".git",
        timeout=timeout,
    )
    spent = re.findall(rb"(\d+)m([\d.]+)s", done.output)[-2:]  # the shell's children: user, system
    if not report.exists():
        sys.exit(f"{sandbox.isolation}: no report\n{done.output.decode(errors='replace')[-2000:]}")
    return {
        "outcomes": outcomes(report),
        "exit": done.exit,
        "seconds": round(done.seconds, 1),
        "cpu_seconds": round(sum(int(minutes) * 60 + float(seconds) for minutes, seconds in spent), 1),
    }


def outcomes(report: Path) -> dict[str, str]:
    """By test: `passed`, `failure`, `error` or `skipped`."""
    found: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        while name in found:
            name += "+"
        found[name] = next((each.tag for each in case if each.tag in BAD), "passed")
    return found


def counted(outcomes: dict[str, str]) -> dict[str, int]:
    """How many of each."""
    return {word: sum(1 for each in outcomes.values() if each == word) for word in ("passed", *BAD)}


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--package", default="networkx")
    parser.add_argument("--backend", nargs="*", help="else each that holds here")
    parser.add_argument("--timeout", type=float, default=900)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jetbox-suite-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        workspace, worktree = project(Path(folder).resolve(), asked.package)
        policy = merge(shipped(), SandboxSettings(), Narrowing())
        found: dict[str, Any] = {
            "package": asked.package,
            "user": "root" if os.geteuid() == 0 else "ordinary",
        }
        backends: list[Backend] = [Bare(), *candidates()]
        outside: dict[str, str] = {}
        different = 0
        for backend in backends:
            sandbox = Sandbox(backend, policy, workspace)
            if backend.name != "none":
                if asked.backend and backend.name not in asked.backend:
                    continue
                tried = examine(sandbox)
                if not tried.holds:
                    found[backend.name] = {"not_run": tried.why}
                    continue
            result = run(sandbox, worktree, asked.package, asked.timeout)
            inside = result.pop("outcomes")
            outside = outside or inside
            names = sorted({*outside, *inside})
            other = [
                f"{n}: {outside.get(n)} -> {inside.get(n)}" for n in names if outside.get(n) != inside.get(n)
            ]
            different += len(other)
            found[backend.name] = {"tests": len(inside), **counted(inside), **result, "different": other[:20]}
        found["ok"] = different == 0
    print(json.dumps(found, indent=2))
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
