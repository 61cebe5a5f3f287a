"""What the gates share while they run in the sandbox, in a clean checkout as the current folder.

Standard library alone: it runs in a process of its own, beside nothing of the engine's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from orchestrator.gates.gate import SKIPPED

_MOST_FINDINGS = 50
_NOT_OURS = frozenset((".git", "node_modules", ".venv", "venv", "__pycache__"))


class Skip(Exception):
    """The gate cannot look here; the message is one line that says why."""


def main(check: Callable[[], Iterator[str]]) -> None:
    """Take a gate: print what it finds, and leave with the code that says how it went."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    count = 0
    try:
        for finding in check():
            count += 1
            if count <= _MOST_FINDINGS:
                print(finding, flush=True)
    except Skip as why:
        if not count:
            print(why, flush=True)
            sys.exit(SKIPPED)
    if count > _MOST_FINDINGS:
        print(f"and {count - _MOST_FINDINGS} more")
    sys.exit(1 if count else 0)


def tool(*names: str) -> str | None:
    """The first of these programs that lies outside the worktree: what a change brings judges nothing."""
    here = os.path.realpath(".")
    folders = [part for part in os.environ.get("PATH", "").split(os.pathsep) if Path(part).is_absolute()]
    path = os.pathsep.join(part for part in folders if not within(os.path.realpath(part), here))
    for name in names:
        found = shutil.which(name, path=path)
        if found and not within(os.path.realpath(found), here):
            return found
    return None


def within(path: str, folder: str) -> bool:
    """Whether a real path lies in a real folder, or is it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def files(*suffixes: str) -> list[str]:
    """The regular files of the checkout whose names end so, as relative paths with '/', in order."""
    found = []
    for folder, folders, names in os.walk("."):
        folders[:] = sorted(set(folders) - _NOT_OURS)
        found += [
            (Path(folder) / name).as_posix()
            for name in names
            if name.endswith(suffixes) and not (Path(folder) / name).is_symlink()
        ]
    return sorted(found)


def run(argv: Sequence[str], folder: str = ".", env: Mapping[str, str | None] | None = None) -> list[str]:
    """Run a compiler; what it wrote, as lines, when it found fault, and nothing when it did not.

    `env` is laid over the environment; what is None in it is taken out.
    """
    done = subprocess.run(
        argv,
        cwd=folder,
        env={name: value for name, value in {**os.environ, **(env or {})}.items() if value is not None},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode == 0:
        return []
    lines = [line for line in done.stdout.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines or [f"{Path(argv[0]).name} ended with exit {done.returncode}"]
