"""How the tests of Landlock run commands: in each strength that this machine offers.

Four ways to be run: as root and as an ordinary user, with namespaces and without. A small driver starts the
command, so that an ordinary user's run can be had from root's.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.sandbox import landlock, lend

if sys.platform != "linux":
    pytest.skip("Landlock is for Linux", allow_module_level=True)
if landlock.kernel_abi() < 3:
    pytest.skip("this kernel has no Landlock that could be tested", allow_module_level=True)

REPOSITORY = Path(__file__).resolve().parents[2]
USER = 12345  # an ordinary user, where the tests run as root
ROOT = os.geteuid() == 0
_DRIVER_ENV = {"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}

DRIVER = """
import json, os, sys, time
from pathlib import Path
from orchestrator.sandbox.backend import Unusable
from orchestrator.sandbox.box import Box, Limits
from orchestrator.sandbox.landlock import Landlock, strongest
given = json.loads(sys.argv[1])
if given["argv"] is None:
    print(strongest())
    sys.exit()
box = Box(
    Path(given["worktree"]),
    tuple(map(Path, given["readable"])),
    Path(given["git_dir"]) if given["git_dir"] else None,
    given["env"],
    Limits(**given["limits"]),
)
try:
    child = Landlock(given["abi"], given["namespaces"]).start(given["argv"], box, 1)
except (Unusable, OSError) as error:
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    sys.exit(250)
if given["ask"]:
    while not Path(given["worktree"], given["ask"]).exists():
        time.sleep(0.01)
    child.ask()
code = child.popen.wait()
child.end()
sys.exit(code)
"""


def as_user(uid: int) -> dict[str, Any]:
    """How `subprocess` starts a program as this user."""
    return {} if uid == os.geteuid() else {"user": uid, "group": uid, "extra_groups": []}


@functools.cache
def interpreter() -> str:
    """A Python that every user can start: root's own may lie where nobody else gets."""
    program = "import sys, orchestrator.sandbox.landlock; sys.exit(sys.version_info < (3, 11))"
    user = as_user(USER if ROOT else os.geteuid())
    for python in (os.path.realpath(sys.executable), "/usr/bin/python3", "/usr/local/bin/python3"):
        with contextlib.suppress(OSError):
            done = subprocess.run(
                [python, "-c", program], env=_DRIVER_ENV, capture_output=True, check=False, **user
            )
            if done.returncode == 0:
                return python
    pytest.skip("an ordinary user can start no Python with these sources here")


@dataclass(frozen=True)
class Way:
    """As whom Jetbox is run, and whether it takes the namespaces that it can have."""

    uid: int
    namespaces: bool

    def launch(self, argv: Sequence[str] | None, worktree: Path, **given: Any) -> subprocess.Popen[str]:
        """Start the driver; `given` are fields of the box, and `abi`, and `ask`: a file to wait for."""
        prefix = Path(interpreter()).parent.parent
        told = {
            "argv": argv,
            "worktree": str(worktree),
            "readable": [str(path) for path in (*given.get("readable", ()), prefix)],
            "git_dir": str(given.get("git_dir") or ""),
            "env": {"PATH": "/usr/bin:/bin", **given.get("env", {})},
            "limits": given.get("limits", {}),
            "abi": given.get("abi"),
            "namespaces": None if self.namespaces else "",
            "ask": given.get("ask", ""),
        }
        return subprocess.Popen(
            [interpreter(), "-c", DRIVER, json.dumps(told)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=_DRIVER_ENV,
            cwd="/",
            **as_user(self.uid),
        )

    def run(
        self, argv: Sequence[str] | None, worktree: Path, **given: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run the driver to its end."""
        process = self.launch(argv, worktree, **given)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess([], process.returncode, out, err)

    def python(
        self, program: str, worktree: Path, *words: str, **given: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a Python program inside."""
        return self.run([interpreter(), "-I", "-S", "-c", program, *words], worktree, **given)

    def command_uid(self, worktree: Path) -> int:
        """The uid of commands in a worktree."""
        return (lend.uid_for(worktree) or 0) if self.uid == 0 else self.uid


WAYS = {
    "root": Way(0, True),
    "root alone": Way(0, False),
    "user": Way(USER if ROOT else os.geteuid(), True),
    "user alone": Way(USER if ROOT else os.geteuid(), False),
}


every_way = pytest.mark.parametrize("name", list(WAYS))


@functools.cache
def called(name: str) -> Way:
    """A way to be run, if this machine offers it; else the test is skipped."""
    found = WAYS[name]
    if found.uid == 0 and not ROOT:
        pytest.skip("the tests do not run as root")
    if found.namespaces and not found.run(None, Path("/")).stdout.strip():
        pytest.skip("namespaces cannot be made here")
    return found


@contextlib.contextmanager
def place_for(way: Way) -> Iterator[Path]:
    """A folder that every user can enter, owned by whoever runs Jetbox; gone in the end."""
    folder = Path(tempfile.mkdtemp(prefix="jetbox-landlock-")).resolve()
    try:
        folder.chmod(0o755)
        own(way, folder)
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def worktree_for(way: Way) -> Iterator[Path]:
    """A worktree in such a folder."""
    with place_for(way) as place:
        folder = place / "worktree"
        folder.mkdir()
        own(way, folder)
        yield folder


def own(way: Way, *paths: Path) -> None:
    """Give paths to whoever runs Jetbox."""
    for path in paths:
        os.chown(path, way.uid, way.uid if ROOT else -1)


def running(word: str) -> list[int]:
    """Processes with this word among their arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and word.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def wait_for(what: Callable[[], object], seconds: float = 15.0) -> bool:
    """Wait until something holds; whether it does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.01)
    return bool(what())
