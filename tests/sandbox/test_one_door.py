"""Nothing that a ticket or a check says is started but in the sandbox.

Two proofs: every place in the product's source that can start a process is known here with its reason, and an
engine that runs tickets to their end starts nothing but those.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("orchestrator", "state", "tickets", "tui", "datagen", "model")
MODULES = {"subprocess", "multiprocessing", "pty", "concurrent", "asyncio"}
STARTS = {
    ("subprocess", name) for name in ("Popen", "run", "call", "check_call", "check_output", "getoutput")
} | {
    ("os", name)
    for name in (
        "system", "popen", "fork", "forkpty", "posix_spawn", "posix_spawnp", "startfile",
        "execv", "execve", "execvp", "execvpe", "execl", "execle", "execlp", "execlpe",
        "spawnl", "spawnle", "spawnlp", "spawnlpe", "spawnv", "spawnve", "spawnvp", "spawnvpe",
    )
}  # fmt: skip
STARTS |= {("pty", "spawn"), ("pty", "fork")}
STARTS |= {("asyncio", f"create_subprocess_{how}") for how in ("exec", "shell")}

DOORS = {
    "orchestrator/sandbox/bubblewrap.py": "a backend",
    "orchestrator/sandbox/landlock.py": "a backend",
    "orchestrator/sandbox/landlock_launcher.py": "a backend's own stage, which becomes the command",
    "orchestrator/sandbox/seatbelt.py": "a backend",
    "orchestrator/sandbox/bare.py": "runs only after a person's typed word",
    "orchestrator/sandbox/nonet.py": "a copy of itself, which writes the maps of a namespace",
    "orchestrator/sandbox/scratch.py": "the system's own chmod and rm, for a folder that a command left",
    "orchestrator/sandbox/choose.py": "the process that the attempt to break out is to hit",
    "orchestrator/gitcall.py": "git, with everything switched off that could run a program",
    "orchestrator/runs.py": "child runs: the program's own modules",
    "orchestrator/run_checks.py": "the program's own verification of a data set",
    "orchestrator/gates/inside.py": "a compiler, by a gate that runs in the sandbox itself",
    "orchestrator/gates/cdp.py": "the browser, by a gate that runs in the sandbox itself",
    "orchestrator/background.py": "the engine",
    "orchestrator/demo.py": "git, for the sample project",
    "orchestrator/demo_toy.py": "the making of the demo's toy model: the program's own module",
    "orchestrator/cli/data_verbs.py": "the program's own verification and drawing of a data set",
    "orchestrator/cli/findings.py": "git's version",
    "orchestrator/ssh_seal.py": "ssh-keygen, for a person's own key",
    "orchestrator/alerts/voice.py": "the system's voice, where a person turned it on",
    "orchestrator/providers/embedded_link.py": "the program's own child that runs llama.cpp",
    "orchestrator/lab/link.py": "the program's own child that holds the core and answers",
    "orchestrator/web/browser.py": "the program's own cockpit, one for each page of a browser",
    "datagen/column_run.py": "the workers of a data set: the program's own module",
    "model/ddp.py": "the processes of a run on several devices: the program's own module",
    "tui/editor.py": "the person's editor, on their key",
}


def starts(file: Path) -> set[str]:
    """What in this file can start a process."""
    found = set()
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if (node.value.id, node.attr) in STARTS:
                found.add(f"{node.value.id}.{node.attr}")
        elif isinstance(node, ast.ImportFrom) and node.module in (
            "subprocess",
            "os",
            "pty",
            "multiprocessing",
        ):
            found |= {
                f"from {node.module} import {each.name}"
                for each in node.names
                if (node.module, each.name) in STARTS or node.module == "multiprocessing"
            }
        elif isinstance(node, ast.Import):
            found |= {
                f"import {each.name}"
                for each in node.names
                if each.name.startswith(("multiprocessing", "pty"))
            }
    return found


def test_every_place_that_can_start_a_process_is_known_with_its_reason() -> None:
    found = {
        file.relative_to(ROOT).as_posix()
        for room in ROOMS
        for file in (ROOT / room).rglob("*.py")
        if starts(file)
    }
    assert found == DOORS.keys()


def test_the_systems_calls_are_made_in_known_places_only() -> None:
    loads = {
        file.relative_to(ROOT).as_posix()
        for room in ROOMS
        for file in (ROOT / room).rglob("*.py")
        if "ctypes" in file.read_text()
    }
    loads.remove("model/devices.py")  # no system call: glibc is told to keep memory that is freed
    assert all(name.startswith("orchestrator/sandbox/") for name in loads), loads


def test_the_search_for_such_places_finds_each_way(tmp_path: Path) -> None:
    for line in (
        "import subprocess\nsubprocess.Popen(['x'])",
        "from subprocess import run\nrun('x')",
        "import os\nos.system('x')",
        "import os\nos.execvp('x', ['x'])",
        "import multiprocessing",
    ):
        file = tmp_path / "some.py"
        file.write_text(line)
        assert starts(file), line


RECORDER = """
import json, os, sys

def hook(event, args):
    if event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork"):
        with open(os.environ["SEEN"], "a") as file:
            what = [a if isinstance(a, str) else [str(x) for x in a] for a in map(plain, args[:2])]
            file.write(json.dumps([event, *what]) + "\\n")

def plain(value):
    return value if isinstance(value, (list, tuple)) else str(value)

sys.addaudithook(hook)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the backends that run here are Linux's")
def test_an_engine_starts_what_tickets_say_only_through_its_backend(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@localhost"]
    subprocess.run([*git, "init", "-q", "-b", "main"], cwd=root, check=True)
    (root / "file.txt").write_text("first\n")
    subprocess.run([*git, "add", "."], cwd=root, check=True)
    subprocess.run([*git, "commit", "-qm", "first"], cwd=root, check=True)
    (root / "tickets").mkdir()
    ticket = {
        "kind": "run",
        "goal": "change a file",
        "with": {"steps": ["echo SAID-BY-A-STEP >> file.txt"]},
        "accept": [{"run": "grep -q SAID-BY-A-STEP file.txt", "red": True}],
        "rollback": "sh: echo SAID-BY-A-ROLLBACK",
    }
    (root / "tickets" / "TICKET-1.yaml").write_text(json.dumps(ticket))
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(RECORDER)
    seen = tmp_path / "seen.txt"
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "SEEN": str(seen)}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "orchestrator.main", "run", "--until", "idle"],
        cwd=root,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 3, done.stderr  # the merge waits for a person
    lines = [json.loads(line) for line in seen.read_text().splitlines()]
    said = [line for line in lines if "SAID-BY" in json.dumps(line)]
    if "bwrap" in json.dumps(lines):  # other backends do not pass the command as arguments
        named = {
            word for line in said for word in ("STEP", "ROLLBACK") if f"SAID-BY-A-{word}" in json.dumps(line)
        }
        assert named == {"STEP", "ROLLBACK"}
    for line in said:
        checkpoint = line[1].endswith("git")  # a commit's message names the step
        assert "bwrap" in json.dumps(line) or checkpoint, line
    programs = {Path(line[1]).name for line in lines if line[0] == "subprocess.Popen"}
    assert programs <= {"git", "sh", Path(sys.executable).name, "python", "python3"}, programs
