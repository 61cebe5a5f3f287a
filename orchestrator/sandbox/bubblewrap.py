"""Linux, first choice: bubblewrap. Namespaces for everything; nothing is there but what is mounted.

Inside: the system's programs and the box's readable folders read-only, the worktree writable with its `.git`
read-only, private /tmp and /dev/shm of limited size, its own loopback and no other network. As an ordinary
user it maps that user into a user namespace and forbids further ones. As root it needs no user namespace, and
the uid is dropped before the command starts: root inside a user namespace would still own root's files.

The stages: `sh` joins the control group and offers itself to the kernel's memory killer first; `bwrap` builds
the box; as root `setpriv` drops the uid and all rights; `prlimit` sets the bounds; the command.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.sandbox import cgroup
from orchestrator.sandbox.backend import Unusable
from orchestrator.sandbox.box import MIB, Box
from orchestrator.sandbox.gitconfig import made_up
from orchestrator.sandbox.lend import caller, lent, uid_for
from orchestrator.sandbox.system import ETC, SYSTEM, in_system, people, system_tool
from orchestrator.settings import SHIPPED

if TYPE_CHECKING:
    import psutil

_STAGE = (  # no descriptor of its own may be in the way of those that are passed by number
    "{ echo 1000 >/proc/self/oom_score_adj; "
    'while [ "$1" != -- ]; do echo $$ >"$1"; shift; done; } 2>/dev/null; shift; exec "$@"'
)
_DROP = ("--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all")
_FILES = 4096  # open files of a process
_GONE = 5.0  # seconds that the kernel gets to end a namespace
_LITTLE = str(16 * MIB)  # of /var/tmp, which few programs use


class Bubblewrap:
    """Commands in namespaces built by `bwrap`."""

    name = "bubblewrap"
    weaker: tuple[str, ...] = ()

    def obstacle(self) -> str | None:
        """Why it cannot be tried here."""
        if sys.platform != "linux":
            return "bubblewrap is for Linux"
        for tool in ("bwrap", "prlimit", *(("setpriv",) if os.geteuid() == 0 else ())):
            if system_tool(tool) is None:
                package = "bubblewrap" if tool == "bwrap" else "util-linux"
                return f"{tool} was not found: `apt-get install {package}` (or your system's way) brings it"
        return None

    def start(self, argv: Sequence[str], box: Box, output: int) -> Boxed:
        """Start a program in its box."""
        if why := self.obstacle():
            raise Unusable(why)
        uid = uid_for(box.worktree)
        with contextlib.ExitStack() as undo, _Descriptors() as data:
            undo.enter_context(lent(box.worktree, uid))
            group = cgroup.make(box.limits)
            if group is not None:  # removed first: it ends what is left, before the worktree is taken back
                undo.callback(group.remove)
            told, telling = os.pipe()
            undo.callback(os.close, told)
            tell = ["--info-fd", data.take(telling)]
            joined = map(str, group.entries if group else ())
            stages = ["/bin/sh", "-c", _STAGE, "sh", *joined, "--"]
            stages += [str(system_tool("bwrap")), *arguments(box, uid, data), *tell, "--"]
            if uid is not None:
                stages += [str(system_tool("setpriv")), f"--reuid={uid}", f"--regid={uid}", *_DROP, "--"]
            limits = box.limits
            stages += [str(system_tool("prlimit")), f"--data={limits.memory}", f"--nproc={limits.processes}"]
            stages += [f"--fsize={limits.file}", "--core=0", f"--nofile={_FILES}", "--", *argv]
            popen = subprocess.Popen(
                stages,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(box.env),
                cwd="/",
                pass_fds=data.all,
                start_new_session=True,
            )
            return Boxed(popen, told, undo.pop_all())


class Boxed:
    """A command inside: the process namespace ends with `bwrap`, and everything in it with the namespace."""

    def __init__(self, popen: subprocess.Popen[bytes], told: int, undo: contextlib.ExitStack) -> None:
        self.popen, self._told, self._undo = popen, told, undo

    def ask(self) -> None:
        """TERM to each process inside, the namespace's own init excepted."""
        import psutil

        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(self.popen.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if process.name() != "bwrap":
                        process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """Kill the namespace. Waiting for `bwrap` alone would not do: it ends with the command, and what the
        command left behind is killed only after that. Its init is the last to go.
        """
        import psutil

        inside: list[psutil.Process] = []
        if self.popen.poll() is None:
            with contextlib.suppress(psutil.Error):
                inside = _still(psutil.Process(self.popen.pid)).children(recursive=True)
            self.popen.kill()
        self.popen.wait()
        inside += self._init()
        for process in inside:  # killed while it builds the box, `bwrap` leaves an init that works on
            with contextlib.suppress(psutil.Error):
                process.kill()
        until = time.monotonic() + _GONE
        while any(_lives(process) for process in inside) and time.monotonic() < until:
            time.sleep(0.001)
        self._undo.close()

    def _init(self) -> list[psutil.Process]:
        """The namespace's init, if `bwrap` got as far as telling of it and it is still there."""
        import psutil

        with contextlib.suppress(psutil.Error, BlockingIOError):
            if sys.platform != "win32":
                os.set_blocking(self._told, False)
            found = re.search(rb'"child-pid": *(\d+)', os.read(self._told, 4096))
            if found and (init := psutil.Process(int(found[1]))).name() == "bwrap":
                return [init]
        return []


def _still(process: psutil.Process) -> psutil.Process:
    """Stopped, so that it starts nothing between a look at its children and its end."""
    import psutil

    process.suspend()
    until = time.monotonic() + 1.0
    while process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE) and time.monotonic() < until:
        time.sleep(0.001)
    return process


def _lives(process: psutil.Process) -> bool:
    """Whether it can still do something: one that is only not waited for yet cannot."""
    import psutil

    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def arguments(box: Box, uid: int | None, data: _Descriptors) -> list[str]:
    """`bwrap`'s arguments for a box. Pure but for the descriptors, which hold small generated files."""
    worktree, scratch = str(box.worktree), str(box.limits.scratch)
    out = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    out += ["--hostname", "jetbox", "--die-with-parent", "--new-session"]
    if uid is None:
        out += ["--unshare-user", "--disable-userns"]
    else:  # only to drop the uid, which drops them all
        out += ["--cap-drop", "ALL"]
        out += [word for cap in ("SETUID", "SETGID", "SETPCAP") for word in ("--cap-add", f"CAP_{cap}")]
    for path in map(Path, SYSTEM):
        if path.is_symlink():
            out += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            out += ["--ro-bind", str(path), str(path)]
    for path in box.hidden:
        out += ["--perms", "0755", "--tmpfs", str(path)]
    made: set[Path] = set()
    out += _settings(data, made)
    generated = people(caller()[0] if uid is None else uid)
    generated["gitconfig"] = (SHIPPED / "gitconfig").read_bytes()  # for what cleans its environment
    for name, text in generated.items():
        out += ["--perms", "0444", "--file", data.hold(text), f"/etc/{name}"]
    out += ["--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys", "--dev", "/dev"]
    out += ["--perms", "1777", "--size", scratch, "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
    for folder, size in (("/tmp", scratch), ("/var/tmp", _LITTLE)):
        out += [*_above(Path(folder), made), "--perms", "1777", "--size", size, "--tmpfs", folder]
    for each in sorted(box.readable, key=lambda path: len(path.parts)):
        if each.exists():
            out += [*_above(each, made), "--ro-bind", str(each), str(each)]
    if box.git_dir is not None:
        out += _git(box.git_dir, data, made)
    out += [*_above(box.worktree, made), "--bind", worktree, worktree]
    own = box.worktree / ".git"
    if own.is_dir() and not own.is_symlink():
        out += _git(own, data, made)
    elif own.exists() or own.is_symlink():
        out += ["--ro-bind", str(own), str(own)]
    for path in box.hidden:  # last: what is shown below it has its place by now
        out += ["--remount-ro", str(path)]
    out += ["--remount-ro", "/", "--chdir", worktree]
    return [*out, "--seccomp", data.hold(_filter())]


def _above(path: Path, made: set[Path]) -> list[str]:
    """The folders above a mount that are not there yet: `bwrap` would make them for its own user alone."""
    new = [folder for folder in reversed(path.parents[:-1]) if folder not in made]
    made.update(new)
    return [word for folder in new for word in ("--dir", str(folder))]


def _settings(data: _Descriptors, made: set[Path]) -> list[str]:
    """The system's settings. A mount costs some 0.3 ms, so files are copied."""
    out: list[str] = []
    for how, target, path in _kinds():
        if how != "--file":
            out += [*_above(path, made), how, target, str(path)]
            continue
        with contextlib.suppress(OSError):
            out += [*_above(path, made), "--perms", "0444", how, data.copy(path), str(path)]
    return out


@functools.cache
def _kinds() -> tuple[tuple[str, str, Path], ...]:
    """How each of the system's settings is shown; looked at once, since it hardly changes."""
    found = []
    for path in map(Path, ETC):
        if path.is_symlink() and in_system(str(path.resolve())):
            found.append(("--symlink", str(path.readlink()), path))
        elif path.is_file():
            found.append(("--file", "", path))
        elif path.is_dir() and any(path.iterdir()):
            found.append(("--ro-bind", str(path.resolve()), path))
    return tuple(found)


def _git(folder: Path, data: _Descriptors, made: set[Path]) -> list[str]:
    """A git directory, read-only, with each configuration replaced: a real one may hold tokens."""
    out = [*_above(folder, made), "--ro-bind", str(folder), str(folder)]
    for config, content in made_up(folder).items():
        out += ["--perms", "0444", "--ro-bind-data", data.hold(content), str(config)]
    return out


def _filter() -> bytes:
    from orchestrator.sandbox.seccomp import filter_for

    return filter_for("bubblewrap")


class _Descriptors:
    """Small files that are passed by descriptor, open until the command has been started."""

    def __init__(self) -> None:
        self._open: list[int] = []

    @property
    def all(self) -> tuple[int, ...]:
        """To be inherited by `bwrap`, which closes each once it is read."""
        return tuple(self._open)

    def hold(self, content: bytes) -> str:
        """A descriptor from which this content is read, as `bwrap` takes it."""
        if sys.platform != "linux":
            raise Unusable("bubblewrap is for Linux")
        fd = os.memfd_create("jetbox", 0)
        self._open.append(fd)
        os.write(fd, content)
        os.lseek(fd, 0, os.SEEK_SET)
        return str(fd)

    def take(self, fd: int) -> str:
        """An open descriptor, closed with the others."""
        self._open.append(fd)
        return str(fd)

    def copy(self, path: Path) -> str:
        """A descriptor from which this file is read."""
        self._open.append(os.open(path, os.O_RDONLY))
        return str(self._open[-1])

    def __enter__(self) -> _Descriptors:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._open:
            os.close(fd)
