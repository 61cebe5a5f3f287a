"""What a command leaves behind: no process outlives it, nothing it made stops or blinds the engine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from orchestrator import config, process
from orchestrator.sandbox import toolchains
from orchestrator.sandbox.box import MIB, Limits
from orchestrator.sandbox.bubblewrap import Boxed, Bubblewrap
from orchestrator.sandbox.choose import examine
from orchestrator.sandbox.gitconfig import made_up
from orchestrator.sandbox.lend import lent
from orchestrator.sandbox.sandbox import Sandbox
from orchestrator.sandbox.watch import Watch
from state.workspace import Workspace

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pipes, namespaces and uids are Linux's")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root lends")
MANY = """
import os, time
for _ in range(150):
    if os.fork() == 0:
        for fd in (0, 1, 2):
            os.close(fd)
        time.sleep(60)
"""


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    workspace = Workspace(tmp_path / "project")
    workspace.root.mkdir()
    found = Sandbox(Bubblewrap(), config.load(workspace).policy, workspace)
    if not (tried := examine(found)).holds:
        pytest.skip(f"bubblewrap does not hold here: {tried.why}")
    return found


@pytest.fixture
def worktree(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / ".jetbox" / "worktrees" / "T-1"
    folder.mkdir(parents=True)
    return folder


def test_nothing_runs_any_more_when_the_worktree_is_taken_back(
    sandbox: Sandbox, worktree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = f"left-{os.getpid()}"
    left: list[int] = []
    end = Boxed.end

    def watched(self: Boxed) -> None:
        self.popen.wait(30)
        self._undo.callback(lambda: left.append(living(mark)))  # the last one added is the first one called
        end(self)

    monkeypatch.setattr(Boxed, "end", watched)
    for _ in range(3):
        assert sandbox.run(["python3", "-I", "-S", "-c", MANY], worktree, mark=mark).exit == 0
    assert left == [0, 0, 0]


def living(mark: str) -> int:
    found = 0
    for each in psutil.process_iter():
        try:
            found += each.environ().get(process.MARK) == mark and each.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            continue
    return found


def test_an_error_while_a_command_is_watched_leaves_nothing_at_work(
    sandbox: Sandbox, worktree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Watch, last: bool) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(Watch, "over", interrupted)
    mark = f"error-{os.getpid()}"
    for _ in range(8):  # it comes while the box is still being built, each time at another step
        with pytest.raises(KeyboardInterrupt):
            sandbox.run("sleep 300", worktree, mark=mark)
        assert living(mark) == 0
    assert worktree.stat().st_uid == os.geteuid()


@root_only
def test_a_worktree_that_is_moved_away_meanwhile_is_no_error_and_is_not_left_lent(
    sandbox: Sandbox, worktree: Path
) -> None:
    moved = worktree.with_name("moved")

    def move() -> None:
        until = time.monotonic() + 30
        while not (worktree / "begun").exists() and time.monotonic() < until:
            time.sleep(0.01)
        worktree.rename(moved)

    mover = threading.Thread(target=move)
    mover.start()
    done = sandbox.run(
        ": > begun; while [ -e /proc/self ] && [ ! -e end ]; do sleep 0.1; : > end; done", worktree
    )
    mover.join()
    assert done.reason == "exited"
    assert {moved.stat().st_uid, (moved / "begun").stat().st_uid} == {0}


@root_only
def test_a_worktree_that_was_removed_can_be_taken_back(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    folder.mkdir()
    with lent(folder, 64_001):
        folder.rmdir()
    assert not folder.exists()


@pytest.mark.parametrize("name", ["x.pth", "__editable___x_finder.py"])
@pytest.mark.parametrize("trap", ["pipe", "endless", "huge"])
def test_an_environment_made_by_a_command_cannot_hold_the_engine_up(
    tmp_path: Path, name: str, trap: str
) -> None:
    packages = tmp_path / "w" / ".venv" / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    if trap == "pipe":
        os.mkfifo(packages / name)
    elif trap == "endless":
        (packages / name).symlink_to("/dev/zero")
    else:
        with (packages / name).open("wb") as file:
            file.truncate(64 * MIB)
    tried = (
        "import sys, resource; from pathlib import Path; from orchestrator.sandbox import toolchains as t; "
        "resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)); "
        f"print(t.project_path(Path({str(tmp_path / 'w' / '.venv')!r}), Path('/p'), Path('/w')))"
    )
    done = subprocess.run([sys.executable, "-c", tried], capture_output=True, timeout=30, check=False)
    assert done.stdout == b"[]\n", done.stderr
    assert toolchains._LARGEST < 64 * MIB


def test_what_fills_the_disk_is_not_hidden_by_nesting_it_past_the_longest_path(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    folder.mkdir()
    watch = Watch(folder, Limits(growth=8 * MIB))
    nest = "import os\nfor _ in range(20):\n    os.mkdir('a' * 250)\n    os.chdir('a' * 250)\n"
    fill = "open('big', 'wb').write(os.urandom(32 * 1024 * 1024))\n"
    try:
        subprocess.run([sys.executable, "-c", nest], cwd=folder, check=True)
        assert not watch._has_grown(grown=False)  # by itself it is nothing
        subprocess.run(
            [sys.executable, "-c", nest.replace("mkdir", "path.join") + fill], cwd=folder, check=True
        )
        assert watch._has_grown(grown=True)
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="no folder is closed to root")
def test_what_fills_the_disk_is_not_hidden_by_closing_its_folder(tmp_path: Path) -> None:
    watch = Watch(tmp_path, Limits(growth=8 * MIB))
    (tmp_path / "d").mkdir(mode=0)
    assert not watch._has_grown(grown=False)
    assert watch._has_grown(grown=True)


def test_the_settings_of_other_worktrees_are_replaced_too(tmp_path: Path) -> None:
    (tmp_path / "worktrees" / "other").mkdir(parents=True)
    secret = tmp_path / "worktrees" / "other" / "config.worktree"
    secret.write_text('[http "https://example.org"]\n\textraheader = "Authorization: secret"\n')
    assert made_up(tmp_path) == {secret: b""}
