"""Linux without bubblewrap: Landlock for files, seccomp for calls, namespaces where the kernel lends them.

Three strengths, found out once by trying. As root that may make namespaces: own processes, network, /tmp and
/dev/shm, and the uid dropped before the command starts. As an ordinary user on a system that lets users make
namespaces: the same under the user's own uid. Elsewhere: Landlock and seccomp alone; `weaker` says what that
leaves open. In all three no socket can be made, and `landlock_launcher.py` kills what a command leaves.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import marshal
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import CodeType
from typing import Any, Literal

from orchestrator.sandbox import cgroup, gitconfig, scratch
from orchestrator.sandbox.backend import Unusable
from orchestrator.sandbox.box import Box
from orchestrator.sandbox.lend import lent, uid_for
from orchestrator.sandbox.seccomp import filter_for
from orchestrator.sandbox.system import ETC, SYSTEM, people

Namespaces = Literal["root", "user", ""]
"""Whose rights make the namespaces; none where nobody may."""

_SHM = Path("/dev/shm")
_LAUNCHER = Path(__file__).with_name("landlock_launcher.py")
_START = 'import marshal,sys;spec=open(int(sys.argv[1]),"rb");exec(marshal.load(spec))'
_FILES = 4096  # open files of a process
_PATIENCE = 10.0  # seconds that the launcher has to kill what is left; only a stuck kernel takes that long

# Landlock's rights on files, by bit; each is known from an ABI on.
_EXECUTE, _WRITE, _READ, _LIST = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_CHARACTER_DEVICE, _BLOCK_DEVICE, _TRUNCATE, _DEVICE_CONTROL = 1 << 6, 1 << 11, 1 << 14, 1 << 15
_KNOWN_FROM = ((1, (1 << 13) - 1), (2, 1 << 13), (3, _TRUNCATE), (5, _DEVICE_CONTROL))
_TCP, _SCOPES = 1 | 2, 1 | 2  # bind, connect (ABI 4); abstract Unix sockets, signals (ABI 6)

_LOOK = _READ | _LIST
_RUN = _LOOK | _EXECUTE
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_PROCESSES = ("/proc", "/sys/fs/cgroup", "/sys/kernel/mm/transparent_hugepage")

_ALWAYS = (
    "sockets cannot be made inside, so not even a test's own server on the loopback works",
    "names, sizes and dates of files outside can be seen, not what is in them",
)
_ALONE = (
    "the names and arguments of other processes can be seen",
    "the configuration of the repository can be read, and the worktree's `.git` written until it is put back",
    "the size of the private temporary folder has no bound of its own",
)
_AS_USER = (
    "mode and dates of the user's own files can be changed, not what is in them",
    "the user's other processes can be slowed down by their priority",
    "named semaphores cannot be made, so Python's process pools do not work",
)
_UNSCOPED = (
    "other processes of the user can be signalled (Linux 6.12 prevents it)",
    "a process that forks without pause may live on after its command",
)
_ROOT_UNSCOPED = "a process that forks without pause may live on after its command"


class Landlock:
    """Commands in a Landlock domain."""

    name = "landlock"
    weaker: tuple[str, ...] = ()
    """Filled by `obstacle`, which finds out what this kernel offers."""

    def __init__(self, abi: int | None = None, namespaces: Namespaces | None = None) -> None:
        """Take what the machine offers, or, as an older or stricter one would, less of it.

        Args:
            abi: Landlock's ABI, at most the kernel's; 0 for none.
            namespaces: whose rights make namespaces; only what `strongest` found, or none.
        """
        self._abi, self._namespaces = abi, namespaces

    def obstacle(self) -> str | None:
        """Why it cannot be tried here."""
        if sys.platform != "linux":
            return "Landlock is for Linux"
        try:
            filter_for("landlock")
        except Unusable as error:
            return str(error)
        abi, root = self.abi, os.geteuid() == 0
        if abi < 1:
            return "this kernel has no Landlock: Linux 5.13 has, if `lsm=` names it; or install bubblewrap"
        if abi < 3 and not root:
            return "this kernel's Landlock lets files be emptied: Linux 6.2 or bubblewrap is needed"
        self.weaker = weaker(abi, self.namespaces, root)
        return None

    @property
    def abi(self) -> int:
        """Landlock's ABI that is used."""
        return kernel_abi() if self._abi is None else min(self._abi, kernel_abi())

    @property
    def namespaces(self) -> Namespaces:
        """Whose rights make the namespaces."""
        return strongest() if self._namespaces is None else self._namespaces

    def start(self, argv: Sequence[str], box: Box, output: int) -> Launched:
        """Start a program in its box."""
        if why := self.obstacle():
            raise Unusable(why)
        if box.hidden:
            raise Unusable(
                f"{box.hidden[0]} lies among the system's programs, which landlock shows as a whole"
            )
        return _start(argv, box, output, self.abi, self.namespaces)


class Launched:
    """A command and the launcher that watches over it."""

    def __init__(self, popen: subprocess.Popen[bytes], undo: contextlib.ExitStack) -> None:
        self.popen, self._undo = popen, undo

    def ask(self) -> None:
        """TERM to everything inside, by way of the launcher."""
        self.popen.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """KILL to everything inside; the launcher ends when nothing of it is left."""
        if sys.platform != "win32":
            self.popen.send_signal(signal.SIGHUP)
        try:
            self.popen.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        self._undo.close()


def weaker(abi: int, namespaces: Namespaces, root: bool) -> tuple[str, ...]:
    """What stays open, for people. Pure."""
    said = list(_ALWAYS)
    if not namespaces:
        said += _ALONE
        said += () if root else _AS_USER
        if abi < 6:
            said += _UNSCOPED if not root else (_ROOT_UNSCOPED,)
    elif not root:
        said.append(_AS_USER[0])
    if abi < 2:
        said.append("files cannot be moved from one folder of the worktree to another (Linux 5.19 can)")
    return tuple(said)


def handled(abi: int) -> tuple[int, int, int]:
    """What a ruleset denies unless granted, at an ABI: rights on files, on TCP ports, scopes. Pure."""
    files = functools.reduce(lambda bits, known: bits | known[1] * (abi >= known[0]), _KNOWN_FROM, 0)
    return files, _TCP * (abi >= 4), _SCOPES * (abi >= 6)


@functools.cache
def kernel_abi() -> int:
    """Landlock's ABI in this kernel; 0 where there is none or it is switched off."""
    if sys.platform != "linux":
        return 0
    version = 1  # LANDLOCK_CREATE_RULESET_VERSION
    return max(0, int(ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), version)))


@functools.cache
def strongest() -> Namespaces:
    """Which namespaces can be made and furnished here, by doing it once (some 30 ms)."""
    if sys.platform == "win32" or kernel_abi() < 1:
        return ""
    kind: Namespaces = "root" if os.geteuid() == 0 else "user"
    with tempfile.TemporaryDirectory(prefix="jetbox-") as place:
        try:
            child = _start(["/bin/sh", "-c", ":"], Box(Path(place)), 2, kernel_abi(), kind)
        except (Unusable, OSError):
            return ""
        child.popen.wait()
        child.end()
        return kind if child.popen.returncode == 0 else ""


def _start(argv: Sequence[str], box: Box, output: int, abi: int, namespaces: Namespaces) -> Launched:
    uid = uid_for(box.worktree)
    if uid is not None and not namespaces:
        _guard_entry(box, uid)
    with contextlib.ExitStack() as undo:
        group = cgroup.make(box.limits)
        if group is not None:
            undo.callback(group.remove)
        undo.enter_context(lent(box.worktree, uid))
        private = Path("/tmp") if namespaces else _private(uid, undo)
        if uid is not None and not namespaces:
            undo.callback(_clear_shared, uid)
        spec = _spec(argv, box, abi, namespaces, uid, private)
        spec["groups"] = [str(entry) for entry in (group.entries if group else ())]
        return Launched(_launch(spec, output), undo.pop_all())


def _spec(
    argv: Sequence[str], box: Box, abi: int, namespaces: Namespaces, uid: int | None, private: Path
) -> dict[str, Any]:
    """What the launcher is told: plain values that `marshal` takes."""
    if sys.platform == "win32":
        return {}
    files = handled(abi)[0]
    own = files & ~(_CHARACTER_DEVICE | _BLOCK_DEVICE | _DEVICE_CONTROL)
    read = [path for path in (*box.readable, box.git_dir) if path is not None and _there(path)]
    written = [box.worktree, private]
    if namespaces or uid is not None:  # elsewhere the user's other programs have theirs there
        written.append(_SHM)
    names = [f"/etc/{name}" for name in people(0)]
    return {
        "parent": os.getpid(),
        "namespaces": namespaces,
        "abi": abi,
        "argv": list(argv),
        "env": {**_git(box), **scratch.environment(box.env, private)},
        "worktree": str(box.worktree),
        "uid": uid,
        "read": _strings(read),
        "write": _strings(written),
        "scratch": "" if namespaces else str(private),
        "scratch_size": box.limits.scratch,
        "frozen": _frozen(box) if namespaces else [],
        "made_up": _made_up(box, os.getuid() if uid is None else uid) if namespaces else {},
        "handled": handled(abi),
        "granted": [
            (_strings(written), own),
            ([*SYSTEM, *_strings(read)], _RUN),
            ([*ETC, *names, *_PROCESSES], _LOOK),
            (list(_DEVICES), _READ | _WRITE | _TRUNCATE),
        ],
        "bounds": _bounds(box, namespaces, uid),
        "filter": filter_for("landlock"),
    }


def _git(box: Box) -> dict[str, str]:
    """The system's git configuration is closed, and what is there and closed makes git warn, or fail."""
    return {} if "GIT_CONFIG_SYSTEM" in box.env else {"GIT_CONFIG_NOSYSTEM": "1"}


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return False


def _strings(paths: Sequence[Path]) -> list[str]:
    return [str(path) for path in paths]


def _bounds(box: Box, namespaces: Namespaces, uid: int | None) -> list[tuple[int, int]]:
    """Resource limits. Memory is RLIMIT_DATA: address space is reserved by runtimes that never use it."""
    if sys.platform == "win32":
        return []
    import resource

    limits = box.limits
    processes = limits.processes
    if uid is None and not namespaces:  # the kernel counts all that the user runs
        processes += _threads_of(os.getuid())
    return [
        (resource.RLIMIT_DATA, limits.memory),
        (resource.RLIMIT_NPROC, processes),
        (resource.RLIMIT_FSIZE, limits.file),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _FILES),
    ]


def _threads_of(uid: int) -> int:
    """Threads of a user at this moment: a process's `task` folder has a link for each."""
    threads = 0
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    found = Path(f"/proc/{entry.name}/task").stat()
                    threads += (found.st_nlink - 2) * (found.st_uid == uid)
    return threads


def _frozen(box: Box) -> list[str]:
    own = box.worktree / ".git"
    return [str(own)] if own.exists() and not own.is_symlink() else []


def _made_up(box: Box, uid: int) -> dict[str, bytes]:
    """Files that a command reads in place of the machine's and the repository's."""
    found = {Path(f"/etc/{name}"): content for name, content in people(uid).items()}
    for folder in (box.git_dir, box.worktree / ".git"):
        if folder is not None and folder.is_dir() and not folder.is_symlink():
            found |= gitconfig.made_up(folder)
    return {str(path): content for path, content in found.items() if path.is_file()}


def _guard_entry(box: Box, uid: int) -> None:
    """As root without namespaces: refuse what the unprivileged user could not get to."""
    for path in (box.worktree, *box.readable, *((box.git_dir,) if box.git_dir else ())):
        for folder in path.parents if path.exists() else ():
            found = folder.stat()
            if not found.st_mode & (0o100 if found.st_uid == uid else 0o001):
                raise Unusable(
                    f"commands run as the unprivileged user {uid}, who cannot enter {folder}, and no "
                    f"namespace can be made here: `chmod o+x {folder}`, or do not start Jetbox as root"
                )


def _private(uid: int | None, undo: contextlib.ExitStack) -> Path:
    """A folder for temporary files, removed in the end."""
    folder = scratch.make()
    undo.callback(scratch.remove, folder)
    if uid is not None and sys.platform != "win32":
        os.chown(folder, uid, uid)
    return folder


def _clear_shared(uid: int) -> None:
    """Remove what commands of this uid, which is theirs alone, left in the machine's /dev/shm."""
    with contextlib.suppress(OSError), os.scandir(_SHM) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.stat(follow_symlinks=False).st_uid == uid:
                    scratch.remove(Path(entry.path))


def _launch(spec: dict[str, Any], output: int) -> subprocess.Popen[bytes]:
    """Start the launcher and wait until the command's own program runs."""
    if sys.platform != "linux":
        raise Unusable("Landlock is for Linux")
    told, telling = os.pipe()
    try:
        given = os.memfd_create("jetbox")
        try:
            with os.fdopen(os.dup(given), "wb") as file:
                marshal.dump(_code(), file)
                marshal.dump(spec, file)
            os.lseek(given, 0, os.SEEK_SET)
            popen = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _START, str(given), str(telling)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={},
                cwd="/",
                pass_fds=(given, telling),
                start_new_session=True,
            )
        finally:
            os.close(given)
            os.close(telling)
        with os.fdopen(told, "rb", closefd=False) as file:
            said = file.read()
    finally:
        os.close(told)
    if said == b"+":
        return popen
    popen.wait()
    raise _failure(said, str(spec["argv"][0]))


@functools.cache
def _code() -> CodeType:
    """The launcher, compiled once: by itself it would be compiled anew for each command (some 4 ms)."""
    return compile(_LAUNCHER.read_bytes(), str(_LAUNCHER), "exec", dont_inherit=True)


def _failure(said: bytes, program: str) -> Exception:
    """Why no program runs: before the `+` it is the sandbox's fault, after it the program's."""
    if said.startswith(b"+"):
        number, text, _ = marshal.loads(said[1:])
        return OSError(number, text, program) if number else Unusable(text)
    if not said:
        return Unusable("the sandbox's launcher ended before it could start the command")
    number, text, path = marshal.loads(said)
    if number == errno.EPERM and text.startswith("unshare"):
        text = "namespaces cannot be made here"
    return Unusable(f"{text}: {path}" if path else text)
