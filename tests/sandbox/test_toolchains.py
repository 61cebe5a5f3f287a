"""What people's projects need works inside: a sandbox that annoys is one that is switched off.

Each promise is tried through `Sandbox.run` in a worktree of a real repository, in each backend that holds on
this machine, as this user and, where that is root, as an ordinary user too. What Landlock cannot do by its
nature is held here as well, so that `docs/SECURITY.md` stays true.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("the backends tried here are Linux's", allow_module_level=True)

from toolbox import NotHere, Project, Way, ways


@pytest.fixture(scope="module", params=ways(), ids=str)
def project(request: pytest.FixtureRequest) -> Iterator[Project]:
    way: Way = request.param
    try:
        made = Project.made(way)
        project = made.__enter__()
    except NotHere as error:
        pytest.skip(f"{way}: {error}")
    yield project
    made.__exit__(None, None, None)


def script(project: Project, text: str, python: str = "python3") -> str:
    """What a Python program says that has to succeed, run from a file as people run theirs."""
    file = project.worktree / "program.py"
    file.write_text(text)
    try:
        return project.says([python, "program.py"])
    finally:
        file.unlink()


def sockets(project: Project) -> None:
    if project.way.backend == "landlock":
        pytest.skip("under Landlock no socket can be made: docs/SECURITY.md says so")


# Python ----------------------------------------------------------------------------------------------


def test_the_projects_environment_beside_the_worktree_runs_its_tests(project: Project) -> None:
    said = project.says("python -m pytest -q -p no:cacheprovider")
    assert "23 passed" in said
    assert project.says("command -v python").strip() == f"{project.root}/.venv/bin/python"


def test_an_editable_install_is_the_worktrees_code_not_the_checkouts(project: Project) -> None:
    source = project.worktree / "src/greeting/__init__.py"
    before = source.read_text()
    source.write_text("def greet(name):\n    return 'changed'\n")
    try:
        assert project.says(["python", "-c", "import greeting; print(greeting.greet(''))"]) == "changed\n"
    finally:
        source.write_text(before)


def test_an_environment_made_in_the_worktree_is_used_by_the_next_command(project: Project) -> None:
    project.says("python3 -m venv --without-pip .venv")
    try:
        found = project.says(["python", "-c", "import sys, ssl, sqlite3, ctypes; print(sys.prefix)"])
        assert found == f"{project.worktree}/.venv\n"
    finally:
        shutil.rmtree(project.worktree / ".venv")


def test_the_standard_library_of_the_systems_python_is_whole(project: Project) -> None:
    modules = (
        "ssl sqlite3 ctypes lzma bz2 zlib hashlib decimal zoneinfo unittest asyncio multiprocessing json"
    )
    said = script(
        project, f"import {', '.join(modules.split())}\nprint(hashlib.sha256(b'').hexdigest()[:8])\n"
    )
    assert said == "e3b0c442\n"


PARALLEL = """
import concurrent.futures, multiprocessing, sys, threading
from multiprocessing import shared_memory

def square(x):
    return x * x

def put(queue):
    queue.put(5)

if __name__ == "__main__":
    for how in sys.argv[1:] or HOW:
        context = multiprocessing.get_context(how)
        with context.Pool(2) as pool:
            assert pool.map(square, range(5)) == [0, 1, 4, 9, 16]
        queue = context.Queue()
        process = context.Process(target=put, args=(queue,))
        process.start()
        assert queue.get(timeout=20) == 5
        process.join()
        assert process.exitcode == 0
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        assert list(pool.map(square, [1, 2])) == [1, 4]
    memory = shared_memory.SharedMemory(create=True, size=1_000_000)
    memory.buf[0] = 1
    memory.close()
    memory.unlink()
    done = []
    threads = [threading.Thread(target=done.append, args=(n,)) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 50
    if MANAGER:
        with multiprocessing.Manager() as manager:
            assert dict(manager.dict({1: 2})) == {1: 2}
    print("all")
"""


def test_processes_pools_queues_shared_memory_and_threads(project: Project) -> None:
    all_of_it = project.way.backend == "bubblewrap"
    how = ("fork", "forkserver") if all_of_it else ("fork", "spawn")
    said = script(project, PARALLEL.replace("HOW", repr(how)).replace("MANAGER", repr(all_of_it)))
    assert said == "all\n"


ASYNC = """
import asyncio, socket

async def main():
    process = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    out, _ = await process.communicate(b"through")
    one, other = socket.socketpair()
    one.send(b" a pair")
    print((out + other.recv(9)).decode(), process.returncode)

asyncio.run(main())
"""


def test_asyncio_with_a_subprocess_and_a_socket_pair(project: Project) -> None:
    assert script(project, ASYNC) == "through a pair 0\n"


SERVER = """
import http.server, socket, threading, urllib.request

for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET, "localhost")):
    class Server(http.server.ThreadingHTTPServer):
        address_family = family
    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass
    server = Server((host, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    name = f"[{host}]" if ":" in host else host
    with urllib.request.urlopen(f"http://{name}:{server.server_port}/run.sh", timeout=20) as answer:
        print(host, answer.status, answer.read().split()[-1].decode())
    server.shutdown()
unix = socket.socket(socket.AF_UNIX)
unix.bind("here.sock")
"""


def test_a_test_can_have_servers_of_its_own_on_the_loopback(project: Project) -> None:
    sockets(project)
    said = script(project, SERVER)
    assert said.splitlines() == ["127.0.0.1 200 ran", "::1 200 ran", "localhost 200 ran"]
    (project.worktree / "here.sock").unlink()


def test_under_landlock_no_socket_can_be_made_and_that_is_said(project: Project) -> None:
    if project.way.backend != "landlock":
        pytest.skip("it is Landlock's limit")
    code, said = project.run(["python3", "-c", "import socket; socket.socket()"])
    assert code == 1 and "PermissionError" in said


def test_a_pseudo_terminal_can_be_had(project: Project) -> None:
    if project.way.backend == "landlock":
        pytest.skip("under Landlock there is none: docs/SECURITY.md says so")
    look = (
        "import os, pty; a, b = pty.openpty(); os.write(b, b'x'); print(os.read(a, 1).decode(), os.isatty(b))"
    )
    assert project.says(["python3", "-c", look]) == "x True\n"


# Other languages -------------------------------------------------------------------------------------


def needs(project: Project, *programs: str) -> None:
    """Skip where the machine lacks a program, or this user may not start it."""
    for program in programs:
        code, said = project.run(["sh", "-c", f"command -v {program}"])
        if code != 0 or not said.strip():
            pytest.skip(f"{program} is not there for this user")


def once(project: Project) -> None:
    if project.way.ordinary:
        pytest.skip("slow to start, so it is tried as one user only")


def test_node_finds_the_modules_beside_the_worktree(project: Project) -> None:
    needs(project, "node")
    program = (
        "const {Worker} = require('worker_threads'); require('crypto').randomBytes(8);"
        "console.log(require('answer'), require('child_process').execSync('echo child').toString().trim());"
        "new Worker('console.log(7)', {eval: true})"
    )
    assert project.says(["node", "-e", program]).split() == ["42", "child", "7"]
    assert project.says("answer") == "42 from node_modules\n"


JAVA = """
import java.nio.file.*;
import java.security.*;

public class A {
    public static void main(String[] words) throws Exception {
        MessageDigest.getInstance("SHA-256").digest(new byte[8]);
        new SecureRandom().nextInt();
        Path file = Files.createTempFile("a", "b");
        System.out.println(javax.net.ssl.SSLContext.getDefault().getProtocol() + " " + Files.exists(file)
            + " " + java.util.stream.IntStream.range(0, 1000).parallel().sum());
    }
}
"""


def test_java_compiles_and_runs_a_class_with_its_security_settings(project: Project) -> None:
    once(project)
    needs(project, "java", "javac")
    (project.worktree / "A.java").write_text(JAVA)
    assert project.says("javac -d classes A.java && java -cp classes A") == "Default true 499500\n"
    shutil.rmtree(project.worktree / "classes")


def test_cargo_builds_and_runs_a_crate_without_a_network(project: Project) -> None:
    once(project)
    needs(project, "cargo", "cc")
    code, said = project.run("cargo --version")
    assert code == 0, f"a toolchain that rustup manages was not found: {said}"
    build = "cargo init -q --name small --vcs none small && cd small && cargo run -q --offline"
    assert project.says(build) == "Hello, world!\n"
    shutil.rmtree(project.worktree / "small")


def test_go_builds_and_runs_a_module_without_a_network(project: Project) -> None:
    needs(project, "go")
    folder = project.worktree / "go"
    folder.mkdir()
    (folder / "go.mod").write_text("module a\n")
    (folder / "a.go").write_text('package main\n\nfunc main() { println("gone") }\n')
    assert "gone" in project.says("cd go && go run .")
    shutil.rmtree(folder)


def test_a_compiler_and_make_work(project: Project) -> None:
    needs(project, "cc", "make")
    (project.worktree / "a.c").write_text('#include <stdio.h>\nint main(void) { return puts("made") < 0; }\n')
    assert project.says("make -s a CC=cc && ./a") == "made\n"


# Git -------------------------------------------------------------------------------------------------

READING = (
    "log --oneline", "diff HEAD", "status --short", "show --stat", "blame run.sh", "grep -n greet",
    "ls-files", "rev-parse HEAD", "branch -a", "worktree list", "describe --always", "fsck", "stash list",
    "cat-file -p HEAD:run.sh", "archive -o a.tar HEAD", "diff --no-index run.sh pyproject.toml",
    "config --list", "check-ignore .venv/x",
)  # fmt: skip


def test_git_reads_the_repository_and_its_history(project: Project) -> None:
    loop = "\n".join(
        f"git {words} >out 2>err || [ $? = 1 ] || {{ echo {words}; cat err; }}" for words in READING
    )
    assert project.says(loop) == ""
    assert project.says("git log --format=%s && git grep -l 'def greet'").split() == [
        "first",
        "src/greeting/__init__.py",
    ]
    assert "M run.sh" in project.says("echo '# more' >>run.sh && git status --short && git diff --stat")
    project.git("checkout", "-q", "run.sh", at=project.worktree)


def test_git_writes_nothing_to_the_repository_but_makes_ones_of_its_own(project: Project) -> None:
    before = project.git("for-each-ref")
    code, said = project.run("git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x")
    assert code != 0 and "fatal" in said
    assert project.git("for-each-ref") == before
    commit = "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m own"
    assert project.says(f"mkdir r && cd r && git init -q . && {commit} && git log --format=%s") == "own\n"
    shutil.rmtree(project.worktree / "r")


def test_the_repository_can_be_cloned_though_it_is_another_users(project: Project) -> None:
    assert project.says("git clone -q . copy && git -C copy log --format=%s") == "first\n"
    shutil.rmtree(project.worktree / "copy")


# Files -----------------------------------------------------------------------------------------------


def test_names_of_every_script_links_and_modes_are_as_git_left_them(project: Project) -> None:
    assert project.says("cat täglich/наука.txt && ./link.txt && readlink link.txt") == "漢字\nran\nrun.sh\n"
    project.says("printf x >ü漢 && ln -s run.sh l2 && chmod 640 ü漢 && cp run.sh copy && ./copy")
    assert (project.worktree / "ü漢").stat().st_mode & 0o777 == 0o640
    assert (project.worktree / "l2").is_symlink() and (project.worktree / "copy").stat().st_mode & 0o111
    for name in ("ü漢", "l2", "copy"):
        (project.worktree / name).unlink()
    encodings = "import sys, locale; print(sys.getfilesystemencoding(), locale.getpreferredencoding())"
    assert project.says(["python3", "-c", encodings]).lower() == "utf-8 utf-8\n"


def test_what_a_command_makes_belongs_to_the_engines_user_afterwards(project: Project) -> None:
    project.says("mkdir -p made/deep && echo x >made/deep/file")
    made = project.worktree / "made"
    owner = project.worktree.stat().st_uid
    assert {each.stat().st_uid for each in (made, *made.rglob("*"))} == {owner}
    shutil.rmtree(made)


def test_temporary_files_and_a_home_that_can_be_written_and_is_empty_each_time(project: Project) -> None:
    said = project.says(
        'f=$(mktemp) && d=$(mktemp -d) && echo x >"$f" && echo y >"$d/y" && touch ~/left && echo ok'
    )
    assert said == "ok\n"
    assert project.run("test -e ~/left")[0] == 1
    assert list(project.home.iterdir()) == [] or not project.way.ordinary


def test_sqlite_in_its_journal_modes(project: Project) -> None:
    use = (
        "import sqlite3\n"
        "for mode in ('wal', 'delete'):\n"
        "    base = sqlite3.connect('x.db')\n"
        "    base.execute(f'pragma journal_mode={mode}')\n"
        "    base.execute('create table if not exists t(a)')\n"
        "    base.execute('insert into t values (1)')\n"
        "    base.commit()\n"
        "    base.close()\n"
        "print(sqlite3.connect('x.db').execute('select count(*) from t').fetchone()[0])\n"
    )
    assert script(project, use) == "2\n"
    (project.worktree / "x.db").unlink()


def test_caches_of_tools_go_into_the_worktree_or_the_commands_own_home(project: Project) -> None:
    project.says(
        "mkdir -p ~/.cache/pip ~/.config/tool .ruff_cache .mypy_cache && touch ~/.cache/pip/x .ruff_cache/x"
    )
    assert project.says(
        "python -m pytest -q tests/test_greeting.py && test -d .pytest_cache && echo cached"
    ).endswith("cached\n")
    for name in (".ruff_cache", ".mypy_cache", ".pytest_cache"):
        shutil.rmtree(project.worktree / name)


def test_clock_zone_user_and_devices_are_what_programs_expect(project: Project) -> None:
    said = project.says(
        "TZ=Europe/Berlin date +%Z; id -un; head -c 4 /dev/urandom | wc -c; echo x >/dev/null; nproc"
    )
    zone, user, count, processors = said.split()
    assert zone in ("CET", "CEST") and user == "jetbox" and count == "4" and int(processors) >= 1


def test_a_command_can_start_stop_and_outwait_its_own(project: Project) -> None:
    assert project.says(
        "timeout 0.1 sleep 20; echo $?; (sleep 20 & kill $!; wait $!; echo $?) 2>/dev/null"
    ).split() == ["124", "143"]


def test_the_worktree_is_left_as_it_was_by_all_this(project: Project) -> None:
    project.says("rm -rf out err a a.c a.tar A.java src/greeting/__pycache__ tests/__pycache__")
    assert project.git("status", "--short", at=project.worktree) == ""
    assert Path(project.worktree, ".git").is_file()
