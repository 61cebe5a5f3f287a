"""The backends of macOS and Windows on the systems they are made for: not doubles, but the real thing."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from orchestrator.sandbox.backend import Backend
from orchestrator.sandbox.choose import examine
from orchestrator.sandbox.policy import Narrowing, merge
from orchestrator.sandbox.sandbox import Sandbox
from orchestrator.sandbox.seatbelt import Seatbelt
from orchestrator.sandbox.windows import Job
from orchestrator.user import SandboxSettings, shipped
from state.workspace import Workspace

mac = pytest.mark.skipif(sys.platform != "darwin", reason="sandbox-exec is part of macOS")
windows = pytest.mark.skipif(sys.platform != "win32", reason="job objects are part of Windows")


def sandbox(backend: Backend, root: Path) -> Sandbox:
    if why := backend.obstacle():
        pytest.skip(why)
    (root / ".jetbox" / "wt").mkdir(parents=True)
    return Sandbox(backend, merge(shipped(), SandboxSettings(), Narrowing()), Workspace(root))


@mac
def test_the_macs_sandbox_keeps_the_probe_in(tmp_path: Path) -> None:
    tried = examine(sandbox(Seatbelt(), tmp_path))
    assert tried.holds, tried


@mac
@pytest.mark.parametrize(
    "command",
    [
        "echo hello > file && cat file",
        "python3 -c 'import multiprocessing as m, ssl, tempfile; tempfile.TemporaryFile(); m.Lock()'",
        "git --version",
        "node -e 'if (!require(\"os\").cpus().length) process.exit(1)'",
        "head -c 16 /dev/urandom | wc -c",
    ],
)
def test_common_programs_work_in_the_macs_sandbox(tmp_path: Path, command: str) -> None:
    if not shutil.which(command.split()[0]) and command.split()[0] != "echo":
        pytest.skip(f"there is no {command.split()[0]} here")
    held = sandbox(Seatbelt(), tmp_path)
    done = held.run(command, tmp_path / ".jetbox" / "wt", timeout=60)
    assert done.exit == 0, done


@windows
def test_a_windows_job_guards_writes_and_leaves_nothing_running(tmp_path: Path) -> None:
    tried = examine(sandbox(Job(), tmp_path))
    assert not tried.obstacle, tried
    assert set(tried.escaped) <= {"read", "loopback"}, tried
    assert {"write", "signal", "stay"} <= set(tried.held)


@windows
def test_a_windows_command_writes_to_its_worktree_and_its_exit_code_comes_back(tmp_path: Path) -> None:
    held = sandbox(Job(), tmp_path)
    worktree = tmp_path / ".jetbox" / "wt"
    (worktree / ".git").write_text("gitdir: elsewhere\n")
    done = held.run("echo hello> file & del .git & exit 7", worktree, timeout=60)
    assert (done.exit, (worktree / "file").read_text().strip()) == (7, "hello")
    assert (worktree / ".git").read_text() == "gitdir: elsewhere\n"
