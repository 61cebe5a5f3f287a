"""Landlock: how commands start and end, what bounds them, and that what a project needs works inside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from landlock_lab import (
    ROOT,
    Way,
    called,
    every_way,
    interpreter,
    own,
    place_for,
    running,
    wait_for,
    worktree_for,
)

from orchestrator.sandbox import landlock
from orchestrator.sandbox.backend import Unusable
from orchestrator.sandbox.box import MIB, Box
from orchestrator.sandbox.landlock import Landlock, handled, weaker

# Chains of processes that fork and exit every few milliseconds, each in a session of its own, deaf to TERM.
RESTLESS = """
import os, signal, sys, time
print(os.environ["HOME"], flush=True)
os.makedirs(os.environ["HOME"] + "/kept/closed", exist_ok=True)
os.chmod(os.environ["HOME"] + "/kept", 0)
for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(each, signal.SIG_IGN)
for chain in range(6):
    if os.fork() == 0:
        os.setsid()
        for each in range(3):
            os.dup2(os.open(os.devnull, os.O_RDWR), each)
        while True:
            if os.fork():
                os._exit(0)
            if chain % 2:
                os.setsid()
            time.sleep(0.001 * (chain % 4))
open("ready", "w").close()
if sys.argv[2] == "stay":
    signal.pause()
"""


def gone(word: str) -> bool:
    """Whether nothing with this word is left. One look may fall between a fork and an exit: many do not."""
    return not any(running(word) for _ in range(25))


@every_way
def test_nothing_is_left_of_a_command_that_has_ended(name: str) -> None:
    way, word = called(name), os.urandom(8).hex()
    with worktree_for(way) as worktree:
        assert way.python(RESTLESS, worktree, word, "go").returncode == 0
        assert (worktree / "ready").exists()
        assert gone(word)


@every_way
def test_nothing_is_left_when_the_engine_is_killed(name: str) -> None:
    way, word = called(name), os.urandom(8).hex()
    with worktree_for(way) as worktree:
        argv = [interpreter(), "-I", "-S", "-c", RESTLESS, word, "stay"]
        driver = way.launch(argv, worktree)
        try:
            assert wait_for((worktree / "ready").exists), driver.communicate(timeout=5)
            assert running(word)  # the control: it lives until now
        finally:
            driver.kill()
            home = driver.communicate(timeout=30)[0].strip()  # its pipes close with the last process
        assert wait_for(lambda: gone(word))
        if not way.namespaces:
            assert wait_for(lambda: not Path(home).exists())


@every_way
def test_all_of_a_command_are_asked_to_end(name: str) -> None:
    program = """
import os, signal, sys, time
def asked(*_):
    open(sys.argv[1], "w").close()
    os._exit(3)
signal.signal(signal.SIGTERM, asked)
for name in ("child", "main"):
    if name == "main" or os.fork() == 0:
        sys.argv[1] = "asked-" + name
        if name == "child":
            os.setsid()
            if os.fork():
                os._exit(0)
            open("ready", "w").close()
        while not (name == "main" and os.path.exists("asked-child")):
            time.sleep(0.01)
        while True:
            signal.pause()
"""
    way = called(name)
    with worktree_for(way) as worktree:
        # The one that was started ends last: with it, all the others end.
        program = program.replace("def asked(*_):\n", "def asked(*_):\n    wait()\n").replace(
            "signal.signal(", WAIT + "signal.signal(", 1
        )
        done = way.python(program, worktree, "", ask="ready")
        assert done.returncode == 3, done.stderr
        assert (worktree / "asked-child").exists()
        assert (worktree / "asked-main").exists()


WAIT = """
def wait():
    while sys.argv[1] == "asked-main" and not os.path.exists("asked-child"):
        time.sleep(0.01)
"""


@every_way
@pytest.mark.parametrize(("line", "code"), [("exit 7", 7), ("kill -KILL $$", 137)])
def test_the_exit_code_is_the_commands(line: str, code: int, name: str) -> None:
    with worktree_for(called(name)) as worktree:
        assert called(name).run(["sh", "-c", line], worktree).returncode == code


@every_way
def test_a_program_that_is_not_there_is_the_callers_error(name: str) -> None:
    with worktree_for(called(name)) as worktree:
        done = called(name).run(["no-such-program-here"], worktree)
        assert done.returncode == 250
        assert done.stderr.startswith("FileNotFoundError: [Errno 2] No such file or directory: 'no-such")


@every_way
def test_it_inherits_nothing(name: str) -> None:
    program = """
import json, os, sys
held = os.listdir("/proc/self/fd")
leads = os.getpgid(0) == os.getpid()
print(json.dumps([sorted(held), sys.stdin.read(), dict(os.environ), os.getcwd(), leads]))
"""
    way = called(name)
    with worktree_for(way) as worktree:
        done = way.python(program, worktree, env={"KEPT": "this"})
        held, stdin, env, cwd, leads = json.loads(done.stdout)
        assert [each for each in held if int(each) > 3] == []  # 3 is the look itself
        assert stdin == ""
        private = env["HOME"]
        assert {env[each] for each in ("TMPDIR", "TMP", "TEMP")} == {private}
        made = {"HOME", "TMPDIR", "TMP", "TEMP", "GIT_CONFIG_NOSYSTEM", "PATH", "KEPT", "LC_CTYPE", "PWD"}
        assert set(env) <= made
        assert cwd == str(worktree)
        assert leads


@every_way
def test_temporary_files_are_private_and_gone_in_the_end(name: str) -> None:
    way = called(name)
    with worktree_for(way) as worktree:
        script = (
            'mkdir -m 0 "$HOME/closed" && echo kept > "$TMPDIR/file" && echo "$HOME" && stat -c %a "$HOME"'
        )
        done = way.run(["sh", "-c", script], worktree)
        assert done.returncode == 0, done.stderr
        home, mode = done.stdout.split()
        assert not Path(home, "file").exists()
        if not way.namespaces:
            assert mode == "700"
            assert not Path(home).exists()


@every_way
def test_limits_bind(name: str) -> None:
    program = """
import os, resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def attempt(what):
    try:
        what()
        return "done"
    except (OSError, MemoryError) as error:
        return type(error).__name__
def grow():
    bytearray(300 << 20)
def write():
    with open("large", "wb", buffering=0) as file:
        for _ in range(4):
            file.write(b"x" * (1 << 20))
def fork():
    for _ in range(200):
        if os.fork() == 0:
            signal.pause()
def open_many():
    kept = [open(os.devnull) for _ in range(5000)]
print(*map(attempt, (grow, write, open_many, fork)), resource.getrlimit(resource.RLIMIT_CORE)[1])
try:
    resource.setrlimit(resource.RLIMIT_DATA, (1 << 40, 1 << 40))
except ValueError:
    print("stays")
"""
    way = called(name)
    with worktree_for(way) as worktree:
        limits = {"memory": 200 * MIB, "file": 2 * MIB, "processes": 60}
        done = way.python(program, worktree, limits=limits)
        assert done.stdout.split() == ["MemoryError", "OSError", "OSError", "BlockingIOError", "0", "stays"]
        assert (worktree / "large").stat().st_size == 2 * MIB
        free = way.python(program.replace("range(200)", "range(2)"), worktree, limits={"memory": 4096 * MIB})
        assert free.stdout.split()[:2] == ["done", "done"]  # the control


@every_way
def test_what_a_project_needs_works(name: str) -> None:
    program = """
import asyncio, hashlib, os, shutil, ssl, subprocess, sys, tempfile, threading
from concurrent.futures import ThreadPoolExecutor
os.makedirs("a/b")
open("a/file", "w").write("text")
os.rename("a/file", "a/b/file")
os.link("a/b/file", "a/linked")
os.symlink("b", "a/way")
os.truncate("a/linked", 2)
os.chmod("a/b/file", 0o755)
assert open("a/way/file").read() == "te"
os.mkfifo("fifo")
shutil.rmtree("a")
with tempfile.TemporaryDirectory() as folder:
    open(folder + "/x", "w").close()
assert ThreadPoolExecutor().submit(abs, -3).result() == 3
asyncio.run(asyncio.sleep(0))
async def child():
    started = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    return (await started.communicate(b"piped"))[0]
assert asyncio.run(child()) == b"piped"
assert subprocess.run("echo x > /dev/null; cat /dev/urandom | head -c 3 | wc -c", shell=True).returncode == 0
assert os.cpu_count() and open("/proc/self/status").read() and os.path.realpath("/proc/self/exe")
import pwd
print("all", flush=True)
"""
    way = called(name)
    with worktree_for(way) as worktree:
        done = way.run([interpreter(), "-I", "-c", program], worktree)
        assert done.stdout.split() == ["3", "all"], done.stdout


@every_way
def test_process_pools_work_where_semaphores_can_be_made(name: str) -> None:
    program = "import multiprocessing as m\nwith m.Pool(2) as pool:\n    print(pool.map(abs, [-1, -2]))"
    way = called(name)
    with worktree_for(way) as worktree:
        done = way.run([interpreter(), "-I", "-c", program], worktree)
        if name == "user alone":
            assert "Permission denied" in done.stdout  # as `weaker` says
        else:
            assert done.stdout == "[1, 2]\n", done.stdout
        if way.uid == 0:  # the uid is this command's alone
            uid = way.command_uid(worktree)
            assert [each for each in Path("/dev/shm").iterdir() if _owner(each) == uid] == []


def _owner(path: Path) -> int:
    try:
        return path.lstat().st_uid
    except OSError:
        return -1


@every_way
@pytest.mark.parametrize(
    ("tool", "line", "said"),
    [
        ("git", "git init -q . && git add -A && git status --short && echo fine", "fine"),
        ("node", 'node -e \'setTimeout(() => console.log(require("fs").readdirSync(".").length), 1)\'', "0"),
        ("java", "java -version 2>&1 | grep -c -i version", "1"),
        ("go", "go version | cut -d' ' -f1", "go"),
        ("gcc", "echo 'int main(void){return 0;}' > m.c && gcc m.c -o m && ./m && echo fine", "fine"),
    ],
)
def test_tools_start(tool: str, line: str, said: str, name: str) -> None:
    if shutil.which(tool, path="/usr/bin:/bin") is None:
        pytest.skip(f"{tool} is not installed")
    way = called(name)
    with worktree_for(way) as worktree:
        if tool == "node" and any(worktree.iterdir()):
            raise AssertionError("the worktree should be empty")
        done = way.run(["sh", "-c", line], worktree)
        assert done.stdout.strip() == said, done.stdout


# --- git ----------------------------------------------------------------------------------------------------


def repository(way: Way, place: Path) -> tuple[Path, Path]:
    """A repository with a secret in its configuration, and a worktree of it."""
    env = {"PATH": os.environ["PATH"], "HOME": str(place), "GIT_CONFIG_NOSYSTEM": "1"}
    who = ["-c", "user.name=N", "-c", "user.email=e@x"]
    main, worktree = place / "main", place / "worktree"

    def git(*words: str, at: Path) -> None:
        subprocess.run(["git", *who, *words], cwd=at, env=env, check=True, capture_output=True)

    main.mkdir()
    git("init", "-q", at=main)
    (main / "file").write_text("text\n")
    git("add", "file", at=main)
    git("commit", "-qm", "first", at=main)
    git("config", "http.extraheader", "token-of-the-user", at=main)
    git("worktree", "add", "-q", str(worktree), at=main)
    for path in (main, *main.rglob("*"), worktree, *worktree.rglob("*")):
        own(way, path)
    return main / ".git", worktree


@every_way
def test_git_reads_the_repository_and_changes_nothing_of_it(name: str) -> None:
    way = called(name)
    with place_for(way) as place:
        git_dir, worktree = repository(way, place)
        env = {
            "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
        }  # fmt: skip
        script = (
            "git log --format=%s; git config http.extraheader; "
            f"echo x >> {git_dir}/config; echo x > {git_dir}/hooks/pre-commit; rm -f {git_dir}/HEAD; "
            "echo gitdir: /elsewhere > .git; rm -f .git; mv .git moved; true"
        )
        before = {path: path.read_bytes() for path in git_dir.rglob("*") if path.is_file()}
        pointer = (worktree / ".git").read_bytes()
        done = way.run(["sh", "-c", script], worktree, git_dir=git_dir, env=env)
        assert done.stdout.splitlines()[:1] == ["first"], done.stdout
        assert {path: path.read_bytes() for path in git_dir.rglob("*") if path.is_file()} == before
        if way.namespaces:
            assert "token-of-the-user" not in done.stdout
            assert (worktree / ".git").read_bytes() == pointer
        else:  # as `weaker` says
            assert "token-of-the-user" in done.stdout
            assert not (worktree / ".git").exists()


# --- closed folders -----------------------------------------------------------------------------------------

as_root = pytest.mark.skipif(not ROOT, reason="folders are closed to root's unprivileged user alone")


@as_root
def test_below_a_closed_folder_only_what_is_needed_is_there() -> None:
    way = called("root")
    with place_for(way) as place:
        closed = place / "closed"
        worktree, tools = closed / "deep" / "worktree", closed / "tools"
        for folder in (worktree, tools, closed / "secret"):
            folder.mkdir(parents=True)
        closed.chmod(0o700)
        (tools / "tool").write_text("#!/bin/sh\necho ran\n")
        (tools / "tool").chmod(0o755)
        (closed / "single").write_text("one file\n")
        script = (
            f"echo x > made; {tools}/tool; cat {closed}/single; ls {closed}; touch {tools}/new {closed}/new"
        )
        done = way.run(["sh", "-c", script], worktree, readable=[tools, closed / "single"])
        assert done.stdout.splitlines()[:2] == ["ran", "one file"], done.stdout
        assert "secret" not in done.stdout
        assert (worktree / "made").read_text() == "x\n"
        assert sorted(each.name for each in closed.iterdir()) == ["deep", "secret", "single", "tools"]
        assert list(tools.iterdir()) == [tools / "tool"]


@as_root
def test_without_namespaces_a_closed_folder_is_named_with_its_cure() -> None:
    way = called("root alone")
    with place_for(way) as place:
        worktree = place / "closed" / "worktree"
        worktree.mkdir(parents=True)
        worktree.parent.chmod(0o700)
        done = way.run(["true"], worktree)
        assert done.returncode == 250
        assert f"chmod o+x {worktree.parent}" in done.stderr
        worktree.parent.chmod(0o711)
        assert way.run(["true"], worktree).returncode == 0


@as_root
def test_the_worktree_is_given_back() -> None:
    for name in ("root", "root alone"):
        way = called(name)
        with worktree_for(way) as worktree:
            assert way.run(["sh", "-c", "id -u; echo x > made"], worktree).stdout != "0\n"
            assert (worktree / "made").stat().st_uid == worktree.stat().st_uid == 0


# --- kernels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "abi"),
    [
        ("root alone", 1),
        ("root alone", 2),
        ("root", 1),
        *(("user alone", abi) for abi in range(3, 8)),
        ("user", 5),
    ],
)
def test_it_holds_files_under_each_abi(name: str, abi: int) -> None:
    """As an older kernel would; only what this one knows of can be tried."""
    way = called(name)
    if abi > landlock.kernel_abi():
        pytest.skip("this kernel is older")
    with worktree_for(way) as worktree:
        outside = worktree.parent / "outside"
        outside.mkdir()
        outside.chmod(0o777)
        (outside / "secret").write_text("hidden words")
        (outside / "secret").chmod(0o644)
        script = f"cat {outside}/secret; echo x > {outside}/new; mkdir a b; echo x > a/f; mv a/f b/f; cat b/f"
        done = way.run(["sh", "-c", script], worktree, abi=abi)
        assert done.stdout.endswith("\nx\n"), done.stdout
        assert "hidden words" not in done.stdout
        assert [each.name for each in outside.iterdir()] == ["secret"]


def test_what_is_handled_grows_with_the_abi() -> None:
    assert [handled(abi)[0].bit_count() for abi in range(1, 8)] == [13, 14, 15, 15, 16, 16, 16]
    assert [handled(abi)[1:] for abi in (3, 4, 5, 6)] == [(0, 0), (3, 0), (3, 0), (3, 3)]
    for abi in range(1, 7):
        assert handled(abi)[0] & ~handled(abi + 1)[0] == 0


def test_what_stays_open_is_said() -> None:
    def says(word: str, abi: int, namespaces: landlock.Namespaces, root: bool) -> bool:
        return any(word in line for line in weaker(abi, namespaces, root))

    assert says("sockets", 7, "root", True)
    assert not says("arguments of other processes", 7, "user", False)
    assert says("arguments of other processes", 7, "", False)
    assert says("signalled", 5, "", False)
    assert not says("signalled", 6, "", False)
    assert says("process pools", 7, "", False)
    assert not says("process pools", 7, "", True)
    assert says("`.git`", 7, "", True)
    assert says("mode and dates", 7, "user", False)
    assert not says("mode and dates", 7, "", True)


def test_a_kernel_without_landlock_is_an_obstacle_with_its_cure(tmp_path: Path) -> None:
    why = Landlock(abi=0).obstacle()
    assert why is not None
    assert "bubblewrap" in why
    with pytest.raises(Unusable, match=r"Linux 5\.13"):
        Landlock(abi=0).start(["true"], Box(tmp_path), 1)


@pytest.mark.skipif(ROOT, reason="root's commands run as a user who owns no file outside")
def test_a_kernel_that_lets_files_be_emptied_is_an_obstacle_for_users() -> None:
    assert "emptied" in (Landlock(abi=2).obstacle() or "")


def test_the_caller_gets_no_descriptor_and_no_process_left(tmp_path: Path) -> None:
    before = _descriptors()
    backend = Landlock()
    if backend.obstacle():
        pytest.skip("Landlock cannot be used here")
    with Path(os.devnull).open("wb") as output:
        with pytest.raises(FileNotFoundError):
            backend.start(
                ["no-such-program-here"], Box(tmp_path, env={"PATH": "/usr/bin:/bin"}), output.fileno()
            )
        child = backend.start(["true"], Box(tmp_path, env={"PATH": "/usr/bin:/bin"}), output.fileno())
        assert child.popen.wait() == 0
        child.end()
        child.end()
        assert child.popen.returncode == 0
    assert _descriptors() == before


def _descriptors() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())
