"""The Mac's backend, as far as another system can tell: its profile is judged by a double of the sandbox
(`sbpl.py`), and its processes run for real, under a double of `sandbox-exec` that only notes its arguments.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sbpl import Profile, parse

from orchestrator.sandbox import scratch, seatbelt
from orchestrator.sandbox.backend import Backend, Unusable
from orchestrator.sandbox.box import Box, Limits
from orchestrator.sandbox.seatbelt import Held, Seatbelt, places
from orchestrator.sandbox.seatbelt_profile import Places, profile

WORKTREE, SCRATCH = Path("/Users/me/repo/.jetbox/worktrees/T-1"), Path("/private/var/folders/x/T/jetbox-1")
TOOLS = Path("/Users/me/.rustup")
HOSTILE = st.text(
    st.one_of(
        st.sampled_from("\"'()\\\n\r\t ;#$`*[]{}|&=%.-^ü\udcff"), st.characters(exclude_characters="/\0")
    ),
    min_size=1,
    max_size=24,
).filter(lambda name: name not in (".", ".."))

posix = pytest.mark.skipif(sys.platform == "win32", reason="sessions and signals are not Windows'")


def of(found: Places) -> Profile:
    return Profile(*profile(found))


@pytest.fixture(scope="module")
def held() -> Profile:
    return of(Places(WORKTREE, SCRATCH, (TOOLS,), tuple(Path(WORKTREE).parents)))


def plain(worktree: Path) -> Places:
    return Places(worktree, SCRATCH, (TOOLS,), (Path("/Users"), Path("/Users/me")))


# What the profile says


def test_the_worktree_and_the_private_folder_can_be_written_and_nothing_else(held: Profile) -> None:
    for path in (WORKTREE / "a" / "b.py", SCRATCH / "x", WORKTREE / ".github" / "c", WORKTREE / ".gitignore"):
        for operation in ("file-write-create", "file-write-data", "file-write-unlink", "file-read-data"):
            assert held.allows(operation, str(path)), (operation, path)
    outside = (
        WORKTREE.with_name("T-10"), WORKTREE.parent, TOOLS / "x", SCRATCH.parent / "y", Path("/Users/me/.x"),
        Path("/usr/local/bin/git"), Path("/opt/homebrew/bin/git"), Path("/private/tmp/x"), Path("/dev/disk0"),
        Path("/Users/me/Library/LaunchAgents/x.plist"), Path("/dev/ttys001"),
    )  # fmt: skip
    for path in outside:
        for operation in ("file-write-create", "file-write-data", "file-write-unlink", "file-write-mode"):
            assert not held.allows(operation, str(path)), (operation, path)


@pytest.mark.parametrize(
    "secret",
    [
        "/Users/me/.ssh/id_ed25519", "/Users/me/Library/Keychains/login.keychain-db", "/Users/me/.gitconfig",
        "/System/Volumes/Data/Users/me/.ssh/id_ed25519", "/System/Volumes/Data/opt/x", "/Volumes/disk/x",
        "/Users/me/repo/.jetbox/journal.db", "/Users/me/repo/.jetbox/worktrees/T-2/a", "/Users/me/repo/a",
        "/private/etc/master.passwd", "/private/etc/sudoers", "/private/var/root/x",
        "/Library/Keychains/System.keychain",
        "/private/var/db/dslocal/nodes/x", "/private/tmp/other", "/private/var/folders/x/T/other",
        "/opt/homebrew/var/postgres/pg_hba.conf", "/opt/homebrew/etc/my.cnf", "/usr/local/etc/redis.conf",
        "/Library/Application Support/x", "/dev/ttys003", "/dev/rdisk0", "/Users/me/.rustup-secret",
    ],
)  # fmt: skip
def test_what_is_the_users_cannot_be_read_or_run(held: Profile, secret: str) -> None:
    for operation in ("file-read-data", "file-read-xattr", "process-exec", "file-map-executable"):
        assert not held.allows(operation, secret), operation


def test_programs_of_the_system_and_the_tools_that_were_granted_run(held: Profile) -> None:
    programs = (
        "/bin/sh", "/usr/bin/env", "/usr/local/bin/node", "/opt/homebrew/bin/git", f"{TOOLS}/rustc",
        f"{WORKTREE}/build/test", "/Library/Developer/CommandLineTools/usr/bin/cc",
    )  # fmt: skip
    for program in programs:
        for operation in (
            "process-exec",
            "process-exec-interpreter",
            "file-read-data",
            "file-map-executable",
        ):
            assert held.allows(operation, program), (operation, program)


def test_folders_on_the_way_can_be_seen_but_not_listed(held: Profile) -> None:
    for folder in ("/Users", "/Users/me", "/Users/me/repo/.jetbox/worktrees"):
        assert held.allows("file-read-metadata", folder)
        assert not held.allows("file-read-data", folder)
    assert not held.allows("file-read-metadata", "/Users/me/.ssh")


def test_git_is_read_only_in_every_spelling(held: Profile) -> None:
    for letters in itertools.product("gG", "iI", "tT"):
        name = "." + "".join(letters)
        for path in (WORKTREE / name, WORKTREE / name / "config", WORKTREE / name / "hooks" / "pre-commit"):
            assert held.allows("file-read-data", str(path))
            for operation in ("file-write-create", "file-write-data", "file-write-unlink", "file-write-mode"):
                assert not held.allows(operation, str(path)), (operation, path)


def test_neither_top_folder_can_be_moved_away_and_made_anew(held: Profile) -> None:
    for folder in (WORKTREE, SCRATCH):
        assert not held.allows("file-write-unlink", str(folder))
        assert not held.allows("file-write-create", str(folder))


def test_no_file_outside_gets_a_name_inside_and_none_gets_its_owners_rights(held: Profile) -> None:
    for path in ("/Users/me/.ssh/id_ed25519", str(WORKTREE / "a")):
        assert not held.allows("file-link", path)
        assert not held.allows("file-clone", path)
    assert not held.allows("file-write-setugid", str(WORKTREE / "a"))
    assert not held.allows("file-mknod", str(WORKTREE / "a"))


def test_no_network_not_even_a_socket_in_the_worktree(held: Profile) -> None:
    for operation in ("network-outbound", "network-inbound", "network-bind"):
        for what in ("", "127.0.0.1:11434", "/var/run/docker.sock", "/private/var/run/mDNSResponder",
                     str(WORKTREE / "socket"), str(SCRATCH / "socket")):  # fmt: skip
            assert not held.allows(operation, what)
    pair = {"socket-domain": "AF_UNIX"}
    assert parse(profile(plain(WORKTREE))[0])[-1] == ["deny", "network*"], "nothing after it can open it"
    assert held.allows("system-socket", **pair), "a pair of sockets is how programs talk to their children"
    assert not held.allows("system-socket", **{"socket-domain": "AF_SYSTEM"})


@pytest.mark.parametrize(
    "service",
    [
        "com.apple.SecurityServer", "com.apple.securityd.xpc", "com.apple.xpc.launchd.domain.user",
        "com.apple.trustd.agent",
        "com.apple.coreservices.launchservicesd", "com.apple.lsd.open", "com.apple.pasteboard.1",
        "com.apple.tccd", "com.apple.windowserver.active", "com.apple.cfprefsd.agent",
        "com.apple.bsd.dirhelper",
    ],
)  # fmt: skip
def test_no_service_is_reached_that_holds_keys_or_starts_programs(held: Profile, service: str) -> None:
    assert not held.allows("mach-lookup", service)
    assert held.allows("mach-lookup", "com.apple.system.opendirectoryd.libinfo"), "the control"
    for operation in ("mach-register", "job-creation", "lsopen", "appleevent-send", "mach-priv-task-port",
                      "user-preference-read", "iokit-open", "nvram-get"):  # fmt: skip
        assert not held.allows(operation, service)


def test_other_processes_are_neither_signalled_nor_looked_into(held: Profile) -> None:
    for operation in ("signal", "process-info-pidinfo", "process-info-setcontrol"):
        assert held.allows(operation, target="same-sandbox")
        assert not held.allows(operation, target="others")
    assert not held.allows("sysctl-read", "kern.procargs2"), "the environment of other processes"
    assert held.allows("sysctl-read", "hw.ncpu")
    assert not held.allows("sysctl-write", "kern.hostname")
    assert not held.allows("ipc-posix-shm-write-data", "com.apple.AppleDatabaseChanged")
    assert held.allows("ipc-posix-shm-write-data", "/psm_1f2e")


def test_terminals_are_a_commands_own_or_closed(held: Profile) -> None:
    own = {"extension": "com.apple.sandbox.pty"}
    assert held.allows("file-write-data", "/dev/ttys001", **own)
    for operation in ("file-write-data", "file-read-data", "file-ioctl"):
        assert not held.allows(operation, "/dev/ttys001")
        assert not held.allows(operation, "/dev/tty")


@given(names=st.lists(HOSTILE, min_size=1, max_size=3), other=HOSTILE)
def test_a_hostile_name_changes_nothing_of_the_profiles_text(names: list[str], other: str) -> None:
    hostile = plain(Path("/Users/me", *names))
    text, parameters = profile(hostile)
    assert text == profile(plain(WORKTREE))[0]
    assert str(hostile.worktree) in parameters.values()
    judge = Profile(text, parameters)
    assert judge.allows("file-write-create", str(hostile.worktree / "a"))
    for outside in (Path("/Users/me") / other, Path("/Users/me/.ssh/id"), Path("/", other)):
        if not outside.is_relative_to(hostile.worktree):
            assert not judge.allows("file-write-create", str(outside))
        if not outside.is_relative_to(hostile.worktree) and not outside.is_relative_to(TOOLS):
            assert not judge.allows("file-read-data", str(outside)) or outside.parent == Path("/")


def test_every_parameter_is_used_and_every_used_one_is_given() -> None:
    text, parameters = profile(Places(WORKTREE, SCRATCH, (TOOLS, TOOLS), tuple(WORKTREE.parents)))

    def named(form: Any) -> Iterator[str]:
        if isinstance(form, list) and form[:1] == ["param"]:
            yield form[1].value
        elif isinstance(form, list):
            for part in form:
                yield from named(part)

    assert set(named(parse(text))) == set(parameters)


@pytest.mark.parametrize("wide", ["/", "relative", "/Users/me/../..", "//"])
def test_a_path_that_would_open_the_disk_is_refused(wide: str) -> None:
    for found in (
        Places(Path(wide), SCRATCH),
        Places(WORKTREE, Path(wide)),
        Places(WORKTREE, SCRATCH, (Path(wide),)),
    ):
        with pytest.raises(Unusable, match="cannot be built around"):
            profile(found)


@posix
def test_links_are_followed_before_the_profile_is_made_and_can_be_seen(tmp_path: Path) -> None:
    real, link, tools = tmp_path / "real", tmp_path / "link", tmp_path / "tools"
    (real / "wt").mkdir(parents=True)
    link.symlink_to(real)
    tools.symlink_to(real)
    found = places(Box(link / "wt", readable=(tools,), git_dir=real / "git"), SCRATCH)
    assert found.worktree == (real / "wt").resolve()
    assert found.readable == (real.resolve(), (real / "git").resolve())
    judge = of(found)
    assert judge.allows("file-read-metadata", str(link)) and judge.allows("file-read-metadata", str(tools))
    assert judge.allows("file-write-data", str(real.resolve() / "wt" / "a"))
    assert not judge.allows("file-write-data", str(real.resolve() / "git" / "config"))


# What is started


@pytest.fixture
def noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Seatbelt]:
    """The backend over a double of `sandbox-exec`, which notes its arguments and runs the command unheld."""
    if not os.access(seatbelt.SHELL, os.X_OK):
        pytest.skip("there is no dash here")
    double = tmp_path / "sandbox-exec"
    double.write_text(
        "#!/bin/sh\n"
        'for each; do printf "%s\\0" "$each"; done > "$NOTED"\n'
        'while :; do case "$1" in -p) shift 2;; -D*) shift;; *) break;; esac; done\n'
        'exec "$@"\n'
    )
    double.chmod(0o755)
    monkeypatch.setattr(seatbelt, "is_root", lambda: False)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(scratch.tempfile, "tempdir", None)
    (tmp_path / "tmp").mkdir()
    (tmp_path / "wt").mkdir()
    yield Seatbelt(program=str(double))
    subprocess.run(["rm", "-rf", str(tmp_path / "tmp")], check=False)  # what a broken backend would leave


def box(tmp_path: Path, **limits: int) -> Box:
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    return Box(tmp_path / "wt", env={"PATH": path, "NOTED": str(tmp_path / "noted")}, limits=Limits(**limits))


class Running:
    """A command that was started, and what it says."""

    def __init__(self, backend: Seatbelt, argv: list[str], found: Box) -> None:
        self.reading, writing = os.pipe()
        try:
            self.child: Held = backend.start(argv, found, writing)
        finally:
            os.close(writing)
        self._said = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while data := os.read(self.reading, 4096):
            self._said += data

    def until(self, word: bytes) -> None:
        self._wait(lambda: word in self._said)

    def lines(self, count: int) -> None:
        self._wait(lambda: self._said.count(b"\n") >= count)

    def _wait(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not true():
            assert time.monotonic() < end, bytes(self._said)
            time.sleep(0.005)

    def done(self) -> tuple[int | None, str]:
        self.child.popen.wait(30)
        self.child.end()
        self._reader.join(30)
        os.close(self.reading)
        return self.child.popen.returncode, self._said.decode()


def run(backend: Seatbelt, argv: list[str], found: Box) -> tuple[int | None, str]:
    return Running(backend, argv, found).done()


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


@posix
def test_the_command_is_run_by_sandbox_exec_with_its_profile_and_parameters(
    noted: Seatbelt, tmp_path: Path
) -> None:
    argv = ["printf", "%s|", "a b", "$HOME", "`id`", "'", ""]
    code, said = run(noted, argv, box(tmp_path))
    assert (code, said) == (0, "a b|$HOME|`id`|'||")
    given_ = (tmp_path / "noted").read_bytes().split(b"\0")
    text = given_[1].decode()
    parameters = dict(each[2:].decode().split("=", 1) for each in given_ if each.startswith(b"-DP"))
    assert given_[0] == b"-p"
    judge = Profile(text, parameters)
    assert judge.allows("file-write-data", str((tmp_path / "wt").resolve() / "a"))
    assert not judge.allows("file-write-data", str(tmp_path.resolve() / "a"))


@posix
def test_the_exit_code_is_the_commands_own(noted: Seatbelt, tmp_path: Path) -> None:
    assert run(noted, ["sh", "-c", "exit 7"], box(tmp_path))[0] == 7
    assert run(noted, ["sh", "-c", "kill -9 $$"], box(tmp_path))[0] == -signal.SIGKILL
    code, said = run(noted, ["no-such-program"], box(tmp_path))
    assert code == 127 and "no-such-program" in said


@posix
def test_limits_of_the_system_are_set_before_the_command_runs(noted: Seatbelt, tmp_path: Path) -> None:
    code = (
        "import resource as r\n"
        "which = (r.RLIMIT_FSIZE, r.RLIMIT_CORE, r.RLIMIT_NOFILE, r.RLIMIT_NPROC)\n"
        "print(*(r.getrlimit(each)[1] for each in which))"
    )
    before = len(psutil.pids())
    said = run(noted, python(code), box(tmp_path, file=1024 * 1024 + 100, processes=64))[1]
    file, core, descriptors, processes = map(int, said.split())
    assert file == 1024 * 1024 + 512, "whole blocks of 512 bytes, rounded up"
    assert (core, descriptors) == (0, 4096)
    assert 64 < processes < before + 64 + 500


@posix
def test_a_limit_that_is_lower_already_stays(noted: Seatbelt, tmp_path: Path) -> None:
    lower = tmp_path / "lower"
    lower.write_text(f'#!/bin/sh\nulimit -n 100\nexec {tmp_path / "sandbox-exec"} "$@"\n')
    lower.chmod(0o755)
    code = "import resource as r; print(r.getrlimit(r.RLIMIT_NOFILE)[1], r.getrlimit(r.RLIMIT_CORE)[1])"
    backend = Seatbelt(program=_unprivileged(lower) if os.geteuid() == 0 else str(lower))
    assert run(backend, python(code), box(tmp_path)) == (0, "100 0\n")


def _unprivileged(program: Path) -> str:
    """Root may raise its limits again; so the stages run without that right, where there is a way."""
    import shutil

    if not (setpriv := shutil.which("setpriv")):
        pytest.skip("root keeps the right to raise limits")
    wrapper = program.with_name("wrapper")
    wrapper.write_text(
        f'#!/bin/sh\nexec {setpriv} --bounding-set=-sys_resource --inh-caps=-sys_resource {program} "$@"\n'
    )
    wrapper.chmod(0o755)
    return str(wrapper)


@posix
def test_nothing_of_this_process_is_inherited(
    noted: Seatbelt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    os.write(writing, b"typed by the user")
    keyboard = os.dup(0)
    os.dup2(reading, 0)
    try:
        os.close(writing)
        code = (
            "import os, sys\n"
            "def there(fd):\n"
            "    try: os.fstat(fd); return True\n"
            "    except OSError: return False\n"
            f"print('SECRET_TOKEN' in os.environ, there({reading}), sys.stdin.read() == '', os.getcwd())"
        )
        said = run(noted, python(code), box(tmp_path))[1]
    finally:
        os.dup2(keyboard, 0)
        os.close(keyboard)
        os.close(reading)
    assert said.split() == ["False", "False", "True", str((tmp_path / "wt").resolve())]


@posix
def test_home_and_temporary_files_are_private_and_gone_afterwards(noted: Seatbelt, tmp_path: Path) -> None:
    code = (
        "import os, tempfile\n"
        "home = os.environ['HOME']\n"
        "print(home, tempfile.mkdtemp(), oct(os.stat(home).st_mode)[-3:])\n"
        "os.makedirs(os.path.join(home, 'closed', 'within')); os.chmod(os.path.join(home, 'closed'), 0)\n"
        "os.symlink('/', os.path.join(home, 'root'))\n"
        "os.chdir(home)\n"
        "for _ in range(1050): os.mkdir('d'); os.chdir('d')\n"
    )
    (tmp_path / "wt" / "kept").write_text("kept")
    status, said = run(noted, python(code), box(tmp_path))
    home, made, mode = said.split()
    assert (status, mode) == (0, "700")
    assert made.startswith(home + "/") and home.startswith(str(tmp_path.resolve()))
    assert list((tmp_path / "tmp").iterdir()) == []
    assert (tmp_path / "wt" / "kept").read_text() == "kept"


@posix
def test_nothing_runs_on_when_it_has_ended(noted: Seatbelt, tmp_path: Path) -> None:
    stay = (
        "import os, time\n"
        "for leave in (lambda: None, os.setsid, lambda: os.setpgid(0, 0)):\n"
        "    if os.fork() == 0:\n"
        "        leave()\n"
        "        if os.fork() == 0:\n"
        "            print(os.getpid(), flush=True)\n"
        "            time.sleep(60)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
    )
    bystander = subprocess.Popen(python("import time; time.sleep(60)"))
    try:
        started = Running(noted, python(stay + "print('ready', flush=True)"), box(tmp_path))
        started.until(b"ready")
        started.child.popen.wait(30)
        started.lines(4)
        code, said = started.done()
        pids = [int(line) for line in said.split() if line != "ready"]
        assert code == 0 and len(pids) == 3
        assert not [pid for pid in pids if _lives(pid)]
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@posix
def test_a_command_at_work_is_asked_and_then_ended(noted: Seatbelt, tmp_path: Path) -> None:
    ready = "print('ready', flush=True); time.sleep(60)"
    heeds = Running(noted, python(f"import time; {ready}"), box(tmp_path))
    heeds.until(b"ready")
    heeds.child.ask()
    assert heeds.done()[0] == -signal.SIGTERM
    ignores = Running(
        noted, python(f"import signal, time; signal.signal(15, signal.SIG_IGN); {ready}"), box(tmp_path)
    )
    ignores.until(b"ready")
    ignores.child.ask()
    ignores.child.end()
    assert ignores.done()[0] == -signal.SIGKILL


@posix
def test_ending_twice_is_ending_once(
    noted: Seatbelt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = Running(noted, ["true"], box(tmp_path))
    assert started.done()[0] == 0
    signalled: list[int] = []  # by now its number may be another program's
    monkeypatch.setattr(seatbelt, "_signal_group", lambda pid, **_: signalled.append(pid))
    started.child.end()
    started.child.ask()
    assert signalled == []


@posix
def test_a_start_that_fails_leaves_nothing_behind(noted: Seatbelt, tmp_path: Path) -> None:
    with pytest.raises(Unusable):
        noted.start(["true"], Box(Path("/")), 1)
    with pytest.raises(FileNotFoundError):
        noted.start(["true"], Box(tmp_path / "gone"), 1)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_is_in_the_way_is_said_with_its_cure(noted: Seatbelt, monkeypatch: pytest.MonkeyPatch) -> None:
    backend: Backend = noted
    assert backend.obstacle() is None
    assert "part of macOS" in (Seatbelt(program="/no/sandbox-exec").obstacle() or "")
    monkeypatch.setattr(seatbelt, "is_root", lambda: True)
    assert "ordinary user" in (backend.obstacle() or "")
    with pytest.raises(Unusable, match="ordinary user"):
        backend.start(["true"], Box(Path("/tmp")), 1)


def test_what_it_cannot_stop_is_said() -> None:
    said = " ".join(Seatbelt.weaker)
    for word in ("memory", "outlives", "git configuration", "deprecated"):
        assert word in said
