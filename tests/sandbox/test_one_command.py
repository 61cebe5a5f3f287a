"""One command in the sandbox: what it is lent comes back, what it breaks ends it, nothing of it stays."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from orchestrator import config
from orchestrator.sandbox.backend import Backend, Unusable
from orchestrator.sandbox.box import MIB, Limits
from orchestrator.sandbox.bubblewrap import Bubblewrap
from orchestrator.sandbox.choose import examine
from orchestrator.sandbox.landlock import Landlock
from orchestrator.sandbox.lend import lent, uid_for
from orchestrator.sandbox.pointer import Pointer
from orchestrator.sandbox.sandbox import Sandbox
from state.workspace import Workspace

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these backends are Linux's")
FORK = """
import os, time
made = 0
try:
    for _ in range(60):
        if os.fork() == 0:
            time.sleep(60)
        made += 1
except OSError:
    pass
print(made)
"""
HOLD = """
import os, time
for _ in range(5):
    os.fork()
held = bytearray(40_000_000)
for at in range(0, len(held), 4096):
    held[at] = 1
time.sleep(30)
"""
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root lends")


@pytest.fixture(params=[Bubblewrap, Landlock], ids=["bubblewrap", "landlock"])
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> Sandbox:
    workspace = Workspace(tmp_path / "project")
    workspace.root.mkdir()
    backend: Backend = request.param()
    found = Sandbox(backend, config.load(workspace).policy, workspace)
    if not (tried := examine(found)).holds:
        pytest.skip(f"{backend.name} does not hold here: {tried.why}")
    return found


@pytest.fixture
def worktree(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / ".jetbox" / "worktrees" / "T-1"
    folder.mkdir(parents=True)
    return folder


# What is lent ---------------------------------------------------------------------------------------


@root_only
def test_what_is_lent_to_the_unprivileged_user_comes_back_with_what_it_made(
    sandbox: Sandbox, worktree: Path
) -> None:
    (worktree / "sub").mkdir()
    (worktree / "sub" / "mine.txt").write_text("1")
    done = sandbox.run(
        "id -u; echo 2 >> sub/mine.txt; mkdir new; echo 3 > new/made.txt; ln -s / link", worktree
    )
    assert done.exit == 0, done.output
    assert int(done.output) == uid_for(worktree) != 0
    assert (worktree / "sub" / "mine.txt").read_text() == "12\n"
    assert {path.lstat().st_uid for path in [worktree, *worktree.rglob("*")]} == {0}
    assert Path("/").stat().st_uid == 0


@root_only
def test_a_file_with_another_name_elsewhere_is_not_lent(worktree: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    (worktree / "inside.txt").hardlink_to(outside)
    with lent(worktree, 64_001):
        assert outside.stat().st_uid == 0
        assert worktree.stat().st_uid == 64_001
    assert worktree.stat().st_uid == 0


@root_only
def test_what_a_crash_left_lent_comes_back_with_the_next_command(worktree: Path) -> None:
    (worktree / "a").touch()
    for path in (worktree, worktree / "a"):
        os.chown(path, 64_777, 64_777)
    with lent(worktree, 64_001):
        pass
    assert {worktree.stat().st_uid, (worktree / "a").stat().st_uid} == {0}


@root_only
def test_what_was_there_before_is_no_growth_though_lending_touches_it(
    sandbox: Sandbox, worktree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(300):
        (worktree / f"old{number}").touch()
    monkeypatch.setattr("orchestrator.sandbox.watch.Watch._filled", lambda self: (0, 0))  # as on btrfs
    assert sandbox.run("true", worktree, limits=Limits(entries=100)).reason == "exited"
    more = "for i in $(seq 150); do : > new$i; done"
    assert sandbox.run(more, worktree, limits=Limits(entries=100)).reason == "growth"


# What it may not change --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "harm",
    [
        "rm -rf .git; mkdir .git; echo x > .git/config",
        "mv .git gone",
        "echo gitdir: /elsewhere > .git",
        "rm -f .git; ln -s /etc .git",
        "rm -f .git; mkfifo .git",
    ],
)
def test_the_pointer_to_the_repository_is_what_it_was(sandbox: Sandbox, worktree: Path, harm: str) -> None:
    (worktree / ".git").write_text("gitdir: /somewhere\n")
    sandbox.run(harm, worktree)
    assert not (worktree / ".git").is_symlink()
    assert (worktree / ".git").read_text() == "gitdir: /somewhere\n"


def test_a_planted_repository_is_moved_aside(sandbox: Sandbox, worktree: Path) -> None:
    sandbox.run("mkdir .git && echo x > .git/config", worktree)
    assert not os.path.lexists(worktree / ".git")


def test_a_folder_that_was_closed_can_be_entered_again(sandbox: Sandbox, worktree: Path) -> None:
    (worktree / ".git").write_text("gitdir: /somewhere\n")
    sandbox.run("chmod 0 .", worktree)
    assert worktree.stat().st_mode & 0o700 == 0o700


def test_a_pointer_is_not_followed_where_it_leads(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine")
    folder = tmp_path / "w"
    folder.mkdir()
    (folder / ".git").write_text("gitdir: here\n")
    pointer = Pointer(folder)
    (folder / ".git").unlink()
    (folder / ".git").symlink_to(secret)
    pointer.restore()
    assert secret.read_text() == "mine"
    assert (folder / ".git").read_text() == "gitdir: here\n"


# Limits ----------------------------------------------------------------------------------------------


def test_a_command_that_ignores_being_asked_is_killed_with_all_it_started(
    sandbox: Sandbox, worktree: Path
) -> None:
    began = time.monotonic()
    word = f"stays-{os.getpid()}"
    program = "import time, sys; time.sleep(300)"
    done = sandbox.run(f"trap '' TERM; python3 -c '{program}' {word} & wait; wait", worktree, timeout=0.5)
    assert done.reason == "timeout"
    assert done.exit is None
    assert time.monotonic() - began < 60
    assert not [p for p in psutil.process_iter(["cmdline"]) if word in (p.info["cmdline"] or [])]


def test_a_wish_to_stop_ends_it(sandbox: Sandbox, worktree: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    assert sandbox.run("sleep 300", worktree, stop=stop).reason == "stopped"


@pytest.mark.parametrize(
    ("bound", "program"),
    [
        (Limits(memory=300 * MIB), "x = bytearray(2_000_000_000)"),
        (Limits(file=2 * MIB), "open('big', 'wb').write(bytes(8_000_000))"),
    ],
    ids=["memory", "file"],
)
def test_one_thing_that_is_too_large_fails_inside(
    sandbox: Sandbox, worktree: Path, bound: Limits, program: str
) -> None:
    command = ["python3", "-I", "-S", "-c", program]
    assert sandbox.run(command, worktree).exit == 0
    assert sandbox.run(command, worktree, limits=bound).exit != 0


def test_more_processes_than_allowed_cannot_be_started(sandbox: Sandbox, worktree: Path) -> None:
    command = ["python3", "-I", "-S", "-c", FORK]
    assert int(sandbox.run(command, worktree).output) == 60
    if os.geteuid() == 0:  # an ordinary user's other processes may count as well
        assert int(sandbox.run(command, worktree, limits=Limits(processes=20)).output) < 20


@pytest.mark.parametrize(
    ("bound", "command"),
    [
        (Limits(growth=4 * MIB), "head -c 30000000 /dev/urandom > big; sleep 0.3"),
        (Limits(entries=100), "mkdir d; for i in $(seq 400); do : > d/$i; done"),
    ],
    ids=["bytes", "entries"],
)
def test_growth_past_the_limit_is_seen_even_if_the_command_has_ended(
    sandbox: Sandbox, worktree: Path, bound: Limits, command: str
) -> None:
    assert sandbox.run(command, worktree).reason == "exited"
    subprocess.run(["rm", "-rf", "big", "d"], cwd=worktree, check=True)
    assert sandbox.run(command, worktree, limits=bound).reason == "growth"


def test_what_all_hold_together_is_counted(
    sandbox: Sandbox, worktree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.sandbox import cgroup

    no_group: Callable[[Limits], None] = lambda limits: None  # noqa: E731
    monkeypatch.setattr(cgroup, "make", no_group)
    done = sandbox.run(["python3", "-I", "-S", "-c", HOLD], worktree, limits=Limits(memory=400 * MIB))
    assert done.reason == "memory"


# What it sees ------------------------------------------------------------------------------------------


@root_only
def test_a_home_among_the_systems_programs_is_not_shown(
    sandbox: Sandbox, worktree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(prefix="jetbox-test-", dir="/opt") as folder:
        home = Path(folder)
        home.chmod(0o755)
        (home / "key").write_text("a secret of a service")
        look = f"cat {home}/key"
        assert b"a secret" in sandbox.run(look, worktree).output  # as long as it is nobody's home
        monkeypatch.setenv("HOME", str(home))
        if sandbox.isolation == "bubblewrap":
            assert b"a secret" not in sandbox.run(look, worktree).output
        else:
            with pytest.raises(Unusable, match="among the system's programs"):
                sandbox.run(look, worktree)


# What it is given ---------------------------------------------------------------------------------------


def test_nothing_of_the_callers_environment_or_descriptors_goes_along(
    sandbox: Sandbox, worktree: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("A_TOKEN", "secret-value")
    with (tmp_path / "open.txt").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        done = sandbox.run("env; ls -l /proc/self/fd; cat", worktree)
    assert done.exit == 0
    assert b"secret-value" not in done.output
    assert b"open.txt" not in done.output


def test_its_exit_code_and_its_signal_are_told(sandbox: Sandbox, worktree: Path) -> None:
    assert sandbox.run("exit 7", worktree).exit == 7
    assert sandbox.run("kill -9 $$", worktree).exit == 137
    missing = sandbox.run(["no-such-program"], worktree)
    assert missing.exit == 127
    assert b"no-such-program" in missing.output
    assert sandbox.run("true", worktree / "gone").reason == "missing"
