"""A project as people have them, with commands run in it by `Sandbox.run`, as this and as an ordinary user.

Run as a program, this file is the process that owns the sandbox: it answers one JSON line with another, so
that an ordinary user's engine can be had where the tests run as root.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ORDINARY = 12345
PACKAGES = ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments", "py")
"""What a project's own environment needs in order to run its tests."""


class NotHere(Exception):
    """The machine lacks what is needed; the message says what."""


@dataclass(frozen=True)
class Way:
    """Who runs Jetbox, and what holds its commands."""

    backend: str
    ordinary: bool

    def __str__(self) -> str:
        return f"{self.backend}-{'user' if self.ordinary else 'root' if _root() else 'self'}"


def ways() -> list[Way]:
    """All that can be tried: as root also as an ordinary user."""
    people = (False, True) if _root() else (False,)
    return [Way(backend, ordinary) for backend in ("bubblewrap", "landlock") for ordinary in people]


def _root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


def interpreter(ordinary: bool) -> str:
    """A Python that the engine's user can start and that finds Jetbox's dependencies.

    Raises:
        NotHere: there is none.
    """
    if not ordinary:
        return sys.executable
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        with contextlib.suppress(OSError):
            check = [python, "-c", "import orchestrator.sandbox.choose, psutil, orchestrator.user"]
            if (
                subprocess.run(
                    check, env=_environment(), user=ORDINARY, capture_output=True, check=False
                ).returncode
                == 0
            ):
                return python
    raise NotHere("an ordinary user can start no Python that finds Jetbox's dependencies")


def _environment() -> dict[str, str]:
    packages = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    return {
        "PYTHONPATH": os.pathsep.join([str(ROOT), *packages]),
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
    }


class Project:
    """A repository with a worktree, environments beside it, and an engine's process that runs commands."""

    def __init__(self, way: Way, folder: Path) -> None:
        self.way, self.folder = way, folder
        self.python = interpreter(way.ordinary)
        self.root, self.home = folder / "project", folder / "home"
        self.worktree = self.root / ".jetbox" / "worktrees" / "T-1" / "1"
        self._engine: subprocess.Popen[str] | None = None

    @classmethod
    @contextlib.contextmanager
    def made(cls, way: Way) -> Iterator[Project]:
        """One with everything in it; nothing of it is left afterwards.

        Raises:
            NotHere: this way cannot be tried on this machine.
        """
        folder = Path(tempfile.mkdtemp(prefix="jetbox-tools-")).resolve()
        try:
            folder.chmod(0o755)
            project = cls(way, folder)
            project._build()
            try:
                yield project
            finally:
                project.close()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def run(
        self, command: list[str] | str, *, env: Mapping[str, str] | None = None, at: Path | None = None
    ) -> tuple[int | None, str]:
        """The exit code and output of a command, run in the worktree."""
        asked = {"command": command, "worktree": str(at or self.worktree), "env": dict(env or {})}
        answer = self._ask(asked)
        return answer["exit"], answer["output"]

    def says(self, command: list[str] | str, **given: Any) -> str:
        """The output of a command that has to succeed."""
        code, output = self.run(command, **given)
        assert code == 0, f"{command!r} gave {code} under {self.way}:\n{output}"
        return output

    def git(self, *words: str, at: Path | None = None) -> str:
        """Git outside, as the engine's user."""
        who = ["-c", "user.name=A", "-c", "user.email=a@localhost"]
        done = subprocess.run(
            ["git", *who, *words], cwd=at or self.root, env={**_environment(), "HOME": str(self.home)},
            capture_output=True, text=True, check=True, **self._as,
        )  # fmt: skip
        return done.stdout.strip()

    def close(self) -> None:
        """End the engine's process."""
        if self._engine is not None and self._engine.stdin is not None:
            self._engine.stdin.close()
            self._engine.wait(20)

    # Made -----------------------------------------------------------------------------------------------

    @property
    def _as(self) -> dict[str, Any]:
        return {"user": ORDINARY, "group": ORDINARY, "extra_groups": []} if self.way.ordinary else {}

    def _build(self) -> None:
        for folder in (self.root, self.home):
            folder.mkdir()
        self._plant("src/greeting/__init__.py", 'def greet(name):\n    return f"hello {name}"\n')
        self._plant("tests/test_greeting.py", TEST)
        self._plant("pyproject.toml", "[project]\nname = 'greeting'\nversion = '1'\n")
        self._plant("täglich/наука.txt", "漢字\n")
        self._plant("run.sh", "#!/bin/sh\necho ran\n").chmod(0o755)
        (self.root / "link.txt").symlink_to("run.sh")
        self._plant(".gitignore", ".jetbox/\n.venv/\nnode_modules/\n__pycache__/\n")
        if self.way.ordinary:
            subprocess.run(["chown", "-R", f"{ORDINARY}:{ORDINARY}", str(self.folder)], check=True)
        self.git("init", "-q", "-b", "main", "--template=")
        self.git("add", ".")
        self.git("commit", "-qm", "first")
        self.git("worktree", "add", "-q", "-b", "T-1", str(self.worktree))
        self._environments()
        self._start()

    def _plant(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def _environments(self) -> None:
        """`.venv` as `python -m venv` makes it, with pytest and an editable install of the project in it."""
        venv = [self.python, "-I", "-m", "venv", "--without-pip", str(self.root / ".venv")]
        subprocess.run(venv, check=True, capture_output=True, **self._as)
        packages = next((self.root / ".venv" / "lib").glob("python3*/site-packages"))
        for name in PACKAGES:
            found = importlib.util.find_spec(name)
            assert found is not None and found.origin is not None
            if found.submodule_search_locations is None:
                shutil.copy(found.origin, packages)
            else:
                leave = shutil.ignore_patterns("__pycache__")
                shutil.copytree(Path(found.origin).parent, packages / name, ignore=leave)
        (packages / "__editable__.greeting-1.pth").write_text(f"{self.root}/src\n")
        self._plant("node_modules/answer/index.js", "module.exports = 42;\n")
        tool = self._plant("node_modules/.bin/answer", "#!/bin/sh\necho 42 from node_modules\n")
        tool.chmod(0o755)
        if self.way.ordinary:
            subprocess.run(["chown", "-R", f"{ORDINARY}:{ORDINARY}", str(packages)], check=True)

    def _start(self) -> None:
        env = {**_environment(), "HOME": str(self.home)}
        if not self.way.ordinary:  # the person's own toolchains
            env["HOME"] = os.path.expanduser("~")  # noqa: PTH111
        self._engine = subprocess.Popen(
            [self.python, __file__, self.way.backend, str(self.root)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True, cwd="/", **self._as,
        )  # fmt: skip
        why = self._ask(None)["obstacle"]
        if why:
            self.close()
            raise NotHere(why)

    def _ask(self, what: object) -> dict[str, Any]:
        engine = self._engine
        assert engine is not None and engine.stdin is not None and engine.stdout is not None
        engine.stdin.write(json.dumps(what) + "\n")
        engine.stdin.flush()
        answer: dict[str, Any] = json.loads(engine.stdout.readline() or '{"error": "the engine is gone"}')
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer


TEST = """
import os, sys, tempfile, threading
import pytest
import greeting

def test_it_is_the_worktree_that_is_tried():
    assert greeting.greet("you") == "hello you"
    assert greeting.__file__.startswith(os.getcwd()), greeting.__file__

def test_temporary_files(tmp_path):
    (tmp_path / "x").write_text("x")
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x")

def test_threads():
    done = []
    threads = [threading.Thread(target=done.append, args=(n,)) for n in range(20)]
    [t.start() for t in threads], [t.join() for t in threads]
    assert len(done) == 20

@pytest.mark.parametrize("n", range(20))
def test_many(n, capfd):
    os.system("echo x")
    assert capfd.readouterr().out == "x\\n"
"""


def serve(backend: str, root: Path) -> None:
    """Answer lines until there are no more."""
    from orchestrator.sandbox.backend import Backend
    from orchestrator.sandbox.bubblewrap import Bubblewrap
    from orchestrator.sandbox.choose import examine
    from orchestrator.sandbox.landlock import Landlock
    from orchestrator.sandbox.policy import Narrowing, merge
    from orchestrator.sandbox.sandbox import Sandbox
    from orchestrator.user import SandboxSettings, shipped
    from state.workspace import Workspace

    held: Backend = Bubblewrap() if backend == "bubblewrap" else Landlock()
    sandbox = Sandbox(held, merge(shipped(), SandboxSettings(), Narrowing()), Workspace(root))
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if asked is None:
                tried = examine(sandbox)
                answer: dict[str, Any] = {"obstacle": "" if tried.holds else tried.why}
            else:
                worktree = Path(asked["worktree"])
                done = sandbox.run(
                    asked["command"], worktree, env=asked["env"], git_dir=root / ".git", timeout=60
                )
                output = done.output.decode(errors="replace")
                answer = {"exit": done.exit, "output": output + (done.reason if done.exit is None else "")}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
