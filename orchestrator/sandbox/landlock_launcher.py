# ruff: noqa: PTH101, PTH103, PTH108, PTH110, PTH112, PTH116, PTH120, PTH123, PTH208
"""Started by `landlock.py` in a bare interpreter, with a spec and a descriptor to report to.

Three processes: this one; where namespaces can be had, the first process of a new pid namespace; the command.
The last one before the command keeps watch: when the command ends, or its own starter dies, it kills all that
is left and waits for it. On Linux 6.12 and later it stands in a Landlock domain around the command's own:
`kill(-1)` then reaches what the command started and nothing else, at once, so that no fork escapes it; and
the command can neither signal nor trace it. In a pid namespace the same call does the same. Without either,
it looks for descendants until none is left.

TERM asks all to end, HUP kills all. The descriptor gets `+` when the command is about to run, then, if
that fails, a marshalled (errno, message, path). Nothing but the interpreter's own modules is imported, and
few of these (not even pathlib): each command waits for this file.
"""

from __future__ import annotations

import ctypes
import marshal
import os
import resource
import sys
import time

TYPE_CHECKING = False  # as in `typing`, which takes 5 ms to import
if TYPE_CHECKING:
    from typing import Any, BinaryIO, NoReturn, TypeAlias

    Spec: TypeAlias = dict[str, Any]

assert sys.platform == "linux"
import _signal as signal  # type: ignore[import-not-found]  # noqa: E402  # `signal` itself takes 8 ms more

_LIBC = ctypes.CDLL(None, use_errno=True)
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF, _MOUNT_SETATTR = 444, 445, 446, 442
_PDEATHSIG, _DUMPABLE, _SECCOMP, _SUBREAPER, _NO_NEW_PRIVS = 1, 4, 22, 36, 38  # prctl
_NEWNS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 0x20000, 0x08000000, 0x10000000, 0x20000000, 0x40000000
_NOSUID, _NODEV, _NOEXEC, _BIND, _REC, _MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18  # mount
_HEARD = {signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD}
_ON_FILES = 0x1 | 0x2 | 0x4 | 1 << 14 | 1 << 15  # Landlock: execute, write, read, truncate, device control
_REFER, _SCOPE_SIGNALS = 1 << 13, 2  # Landlock: move between folders; signals stay within the domain
_NO_WAIT = os.WNOHANG
_PRIVATE = ("/tmp", "/dev/shm")


def main() -> NoReturn:
    """Box and run the command that the spec names."""
    status = int(sys.argv[2])
    told: BinaryIO = globals()["spec"]  # what this code was loaded from; the spec follows it
    spec: Spec = marshal.load(told)
    told.close()
    os.set_inheritable(status, False)
    signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    prctl(_PDEATHSIG, signal.SIGHUP)
    if os.getppid() != spec["parent"]:
        os._exit(1)
    try:
        prctl(_SUBREAPER, 1)
        prctl(_NO_NEW_PRIVS, 1)
        if spec["namespaces"]:
            _in_namespaces(spec, status)
        _supervise(spec, status, alone=False)
    except BaseException as error:  # the boundary: the starter is told
        _tell(status, error)
        os._exit(127)


def _in_namespaces(spec: Spec, status: int) -> NoReturn:
    """Enter namespaces and hand over to their first process; when that ends, so does all that is in them."""
    flags = _NEWNS | _NEWPID | _NEWNET | _NEWIPC
    if spec["namespaces"] == "user":
        uid, gid = os.getuid(), os.getgid()
        check(_LIBC.unshare(flags | _NEWUSER), "unshare")
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{uid} {uid} 1"),
            ("gid_map", f"{gid} {gid} 1"),
        ):
            _write(f"/proc/self/{name}", text)
        prctl(_PDEATHSIG, signal.SIGHUP)  # a change of rights may take it off
    else:
        check(_LIBC.unshare(flags), "unshare")
    alive, held = os.pipe()
    first = os.fork()
    if first == 0:
        os.close(held)
        prctl(_PDEATHSIG, signal.SIGKILL)
        os.set_blocking(alive, False)
        try:
            if os.read(alive, 1) == b"":  # whoever should be waited for has died before the line above
                os._exit(1)
        except BlockingIOError:
            os.close(alive)
        try:
            _furnish(spec)
            _supervise(spec, status, alone=True)
        except BaseException as error:
            _tell(status, error)
            os._exit(127)
    os.close(alive)
    os.close(status)
    prctl(_DUMPABLE, 0)
    while True:
        got = signal.sigwait(_HEARD)
        if got == signal.SIGTERM:
            os.kill(first, got)
        elif got == signal.SIGHUP:
            os.kill(first, signal.SIGKILL)
        pid, ended = os.waitpid(first, _NO_WAIT)
        if pid:
            os._exit(_code(ended))


def _furnish(spec: Spec) -> None:
    """Mounts: own /proc, private /tmp and /dev/shm, what stays as it is, what is made up."""
    mount(None, "/", None, _REC | _MS_PRIVATE)
    mount("proc", "/proc", "proc", _NOSUID | _NODEV | _NOEXEC)
    size = f"mode=1777,size={spec['scratch_size']}"
    asked = [
        path for path in (*spec["read"], *spec["write"]) if path not in _PRIVATE and os.path.exists(path)
    ]
    needed = list(dict.fromkeys([*asked, *map(os.path.realpath, asked)]))
    for folder in _PRIVATE:
        if os.path.isdir(folder):
            _cover(folder, needed, spec["write"], size)
    while hidden := _hidden(needed, spec["uid"]):
        _cover(hidden, needed, spec["write"], "mode=0755,size=1m")
    for path in spec["frozen"]:
        mount(path, path, None, _BIND | _REC)
        _read_only(path)
    for path, content in spec["made_up"].items():
        source = "/tmp/.made-up"
        with open(source, "wb") as file:
            file.write(content)
        os.chmod(source, 0o444)
        mount(source, path, None, _BIND)
        _read_only(path)
        os.unlink(source)


def _cover(folder: str, needed: list[str], written: list[str], options: str) -> None:
    """An empty folder over this one, with what is needed below it at the same place."""
    below = sorted((path for path in needed if path.startswith(f"{folder}/")), key=len)
    tops = [path for path in below if not any(path.startswith(f"{other}/") for other in below)]
    opened = {path: os.open(path, os.O_PATH) for path in tops}
    mount("tmpfs", folder, "tmpfs", _NOSUID | _NODEV, options)
    for path, fd in opened.items():
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            os.makedirs(path, 0o755, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
        mount(f"/proc/self/fd/{fd}", path, None, _BIND | _REC)
        os.close(fd)
        if not any(each == path or each.startswith(f"{path}/") for each in written):
            _read_only(path)


def _hidden(needed: list[str], uid: int | None) -> str:
    """The topmost folder above something needed that this user cannot enter; empty when there is none."""
    for path in needed:
        parts = path.split("/")
        for depth in range(2, len(parts)):
            folder = "/".join(parts[:depth])
            found = os.stat(folder)
            if uid is not None and not found.st_mode & (0o100 if found.st_uid == uid else 0o001):
                return folder
    return ""


def _supervise(spec: Spec, status: int, *, alone: bool) -> NoReturn:
    """Start the command and, when it has ended or all shall end, kill what is left and wait for it.

    alone: this is the first process of a pid namespace.
    """
    exact = _scoped(spec) or alone
    supervisor = os.getpid()
    command = os.fork()
    if command == 0:
        try:
            _become(spec, supervisor)
            os.write(status, b"+")
            _execute(spec["argv"], spec["env"])
        except BaseException as error:
            _tell(status, error)
        os._exit(127)
    os.close(status)
    prctl(_DUMPABLE, 0)
    ended = None
    while ended is None:
        got = signal.sigwait(_HEARD)
        if got == signal.SIGTERM:
            _signal_all(signal.SIGTERM, exact=exact)
        elif got == signal.SIGHUP:
            ended = signal.SIGKILL
        while reaped := _reaped():
            if reaped[0] == command:
                ended = reaped[1]
    try:
        while True:
            _signal_all(signal.SIGKILL, exact=exact)
            if os.waitpid(-1, 0 if exact else _NO_WAIT)[0] == 0:
                time.sleep(0.001)
    except ChildProcessError:  # nothing is left
        pass
    if spec["scratch"] and os.getppid() != spec["parent"]:  # whoever would have removed it is dead
        clear = 'chmod -R u+rwX -- "$1"; rm -rf -- "$1"'
        os.execve("/bin/sh", ["sh", "-c", clear, "sh", spec["scratch"]], {})
    os._exit(_code(ended))


def _scoped(spec: Spec) -> bool:
    """Enter a Landlock domain from which only its own processes can be signalled; whether that was done."""
    if spec["abi"] < 6:
        return False
    ruleset = _ruleset(_REFER, 0, _SCOPE_SIGNALS)
    _grant(ruleset, "/", _REFER)  # any ruleset denies it that does not grant it
    _restrict(ruleset)
    if spec["namespaces"]:
        return True
    try:
        os.kill(spec["parent"], 0)
    except PermissionError:
        return True  # proven: the starter, of the same user, is out of reach
    return False


def _signal_all(number: int, *, exact: bool) -> None:
    """Signal everything that the command has started and that still runs."""
    try:
        if exact:
            os.kill(
                -1, number
            )  # all that can be reached, save the caller: one pass in the kernel, no fork between
        else:
            for pid in _descendants():
                os.kill(pid, number)
    except ProcessLookupError:
        pass


def _descendants() -> list[int]:
    """Pids below this process. The command's orphans are its children, as it is their reaper."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(name))
    found, at = [], [os.getpid()]
    while at:
        at = [child for parent in at for child in children.get(parent, ())]
        found += at
    return found


def _reaped() -> tuple[int, int] | None:
    try:
        pid, ended = os.waitpid(-1, _NO_WAIT)
    except ChildProcessError:
        return None
    return (pid, ended) if pid else None


def _become(spec: Spec, supervisor: int) -> None:
    """Turn this process into what the command is started from. The order matters: rights go last."""
    os.setsid()
    for entry in spec["groups"]:
        _write(entry, "0")
    _write("/proc/self/oom_score_adj", "1000")
    for which, bound in spec["bounds"]:
        hard = resource.getrlimit(which)[1]
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(which, (bound, bound))
    rules = _rules(spec)
    if spec["uid"] is not None:
        os.setgroups([])
        os.setresgid(spec["uid"], spec["uid"], spec["uid"])
        os.setresuid(spec["uid"], spec["uid"], spec["uid"])
    prctl(_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:
        os._exit(1)
    os.chdir(spec["worktree"])
    os.umask(0o022)
    _restrict(rules)
    for each in (signal.SIGPIPE, getattr(signal, "SIGXFSZ", 0)):  # the interpreter ignores them
        signal.signal(each, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    program = ctypes.create_string_buffer(spec["filter"], len(spec["filter"]))
    header = _Program(len(spec["filter"]) // 8, ctypes.addressof(program))
    check(_LIBC.prctl(_SECCOMP, 2, ctypes.byref(header), 0, 0), "seccomp")


def _execute(argv: list[str], env: dict[str, str]) -> NoReturn:
    """Become the program, looked up on its PATH. Not by `os.execvpe`: it imports, which fails in here."""
    if "/" in argv[0]:
        os.execve(argv[0], argv, env)
    failed = OSError(2, os.strerror(2))
    for folder in env.get("PATH", "/bin:/usr/bin").split(":"):
        try:
            os.execve(f"{folder or '.'}/{argv[0]}", argv, env)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            failed = error
    raise failed


class _Program(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class _Beneath(ctypes.Structure):
    """struct landlock_path_beneath_attr"""

    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def _rules(spec: Spec) -> int:
    """The command's own ruleset: `handled` is denied but for what is granted."""
    handled, network, scope = spec["handled"]
    ruleset = _ruleset(handled, network, scope)
    for paths, granted in spec["granted"]:
        for path in paths:
            _grant(ruleset, path, granted & handled)
    return ruleset


def _grant(ruleset: int, path: str, rights: int) -> None:
    """Grant rights on a path and all below it."""
    try:
        fd = os.open(path, os.O_PATH)
    except OSError:  # not there, or not for this user
        return
    if not os.path.isdir(f"/proc/self/fd/{fd}"):
        rights &= _ON_FILES
    rule = _Beneath(rights, fd)
    check(_LIBC.syscall(_ADD_RULE, ruleset, 1, ctypes.byref(rule), 0), "landlock", path)
    os.close(fd)


def _ruleset(files: int, network: int, scope: int) -> int:
    """Zeros at the end may be more than an older kernel knows: it looks that they are zeros."""
    attributes = (ctypes.c_uint64 * 3)(files, network, scope)
    return check(_LIBC.syscall(_CREATE_RULESET, ctypes.byref(attributes), 24, 0), "landlock")


def _restrict(ruleset: int) -> None:
    check(_LIBC.syscall(_RESTRICT_SELF, ruleset, 0), "landlock")
    os.close(ruleset)


def _read_only(path: str) -> None:
    attributes = (ctypes.c_uint64 * 4)(1, 0, 0, 0)  # MOUNT_ATTR_RDONLY is set, nothing is cleared
    recursive = 0x8000
    call = _LIBC.syscall(_MOUNT_SETATTR, -100, path.encode(), recursive, ctypes.byref(attributes), 32)
    check(call, "mount_setattr", path)


def mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """Mount, or bind, as the call of this name does."""
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind, options)]
    done = _LIBC.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3])
    check(done, "mount", target)


def prctl(option: int, value: int) -> None:
    """Set one value of this process."""
    check(_LIBC.prctl(option, value, 0, 0, 0), "prctl")


def check(result: int, what: str, path: str = "") -> int:
    """The result, or an OSError that names the call."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}", path)
    return result


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _code(ended: int) -> int:
    """An exit code as a shell gives it: 128 and the signal's number for what a signal has ended."""
    code = os.waitstatus_to_exitcode(ended)
    return 128 - code if code < 0 else code


def _tell(status: int, error: BaseException) -> None:
    number = error.errno if isinstance(error, OSError) and error.errno else 0
    text = (error.strerror or "") if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
    path = error.filename if isinstance(error, OSError) and isinstance(error.filename, str) else ""
    os.write(status, marshal.dumps((number, text, path)))


if __name__ == "__main__":
    main()
