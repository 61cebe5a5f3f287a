"""Writing beyond the worktree. Succeeded when a file of the host's carries the token or was changed."""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Callable
from pathlib import Path

from attack import Attack
from attacked_host import Host, NotHere, Ran, written

KIND = "write outside"
FS_IOC_GETFLAGS = 0x80086601
IMMUTABLE = 0x10


def target(place: str, text: str | None = "as it was\n") -> Callable[[Host], None]:
    """A file of the host's that the attack is after; with None it is not there yet."""

    def prepare(host: Host) -> None:
        path = host.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            host.plant(path, text)
        host.params["target"] = str(path)

    return prepare


def simple(id_: str, tries: str, place: str, payload: str, text: str | None = "as it was\n") -> Attack:
    """The token ends up in a file below the host's folder."""
    return Attack(id_, KIND, tries, payload, written("target"), target(place, text))


APPEND = 'put(P["target"], mode="a")'


def _victim_there(host: Host) -> None:
    target("outside/by-cwd")(host)
    host.victim(cwd=host.outside)


def _victim_writes(host: Host) -> None:
    target("outside/held-open")(host)
    fd = os.open(host.params["target"], os.O_WRONLY | os.O_APPEND)
    host.victim(fds=(fd,))
    os.close(fd)


def _open_folder(host: Host) -> None:
    target("outside/by-folder", None)(host)
    host.fd(os.open(host.outside, os.O_RDONLY | os.O_DIRECTORY))


def _open_file(host: Host) -> None:
    target("outside/by-descriptor")(host)
    host.fd(os.open(host.params["target"], os.O_WRONLY | os.O_APPEND))


def _temporary(host: Host) -> None:
    path = host.plant(Path("/tmp") / host.token, "as it was\n")
    path.chmod(0o666)
    host.undo.callback(path.unlink, missing_ok=True)
    host.params["target"] = str(path)


def _in_etc(host: Host) -> None:
    path = Path("/etc/profile.d") / f"{host.token}.sh"
    if not path.parent.is_dir():
        raise NotHere("no /etc/profile.d")
    host.undo.callback(path.unlink, missing_ok=True)
    host.params["target"] = str(path)


def _changed_mode(host: Host, ran: Ran) -> bool:
    return stat.S_IMODE(Path(host.params["target"]).stat().st_mode) == 0o711


def _changed_owner(host: Host, ran: Ran) -> bool:
    return Path(host.params["target"]).stat().st_uid == 65533


def _own_file(host: Host) -> None:
    target("outside/owned")(host)


def _changed_times(host: Host, ran: Ran) -> bool:
    return Path(host.params["target"]).stat().st_mtime != 1_000_000_000


def _aged(host: Host) -> None:
    target("outside/aged")(host)
    os.utime(host.params["target"], (1_000_000_000, 1_000_000_000))


def _has_attribute(host: Host, ran: Ran) -> bool:
    try:
        return host.token.encode() in os.getxattr(host.params["target"], "user.jetbox")
    except OSError:
        return False


def _attributes_known(host: Host) -> None:
    target("outside/described")(host)
    try:
        os.setxattr(host.params["target"], "user.other", b"")
    except OSError as error:
        raise NotHere("the file system keeps no attributes") from error


def _emptied(host: Host, ran: Ran) -> bool:
    path = Path(host.params["target"])
    return not path.exists() or path.stat().st_size == 0


def _there(host: Host, ran: Ran) -> bool:
    return os.path.lexists(host.params["target"])


def _immutable(host: Host, ran: Ran) -> bool:
    import fcntl

    flags = ctypes.c_int()
    with Path(host.params["target"]).open() as file:
        fcntl.ioctl(file, FS_IOC_GETFLAGS, flags)
        if flags.value & IMMUTABLE:
            host.undo.callback(lambda: None)
            with Path(host.params["target"]).open() as again:
                fcntl.ioctl(again, 0x40086602, ctypes.c_int(flags.value & ~IMMUTABLE))
            return True
    return False


def _swapped(host: Host, ran: Ran) -> bool:
    if not host.worktree.is_symlink() and host.worktree.is_dir():
        return False
    if host.worktree.is_symlink():
        host.worktree.unlink()
    return True


def _core_pattern(host: Host) -> None:
    path = Path("/proc/sys/kernel/core_pattern")
    before = path.read_text()
    if os.geteuid() == 0:
        host.undo.callback(path.write_text, before)
    host.params["target"] = str(path)


def _cgroup(host: Host) -> None:
    found = [
        p
        for p in (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
        if p.is_dir()
    ]
    if not found:
        raise NotHere("no control groups here")
    path = found[0] / host.token

    def away() -> None:
        if path.is_dir():
            path.rmdir()

    host.undo.callback(away)
    host.params["target"] = str(path)


def _bound(host: Host, ran: Ran) -> bool:
    path = Path(host.params["target"])
    return path.exists() and path.is_socket()


def _venv(host: Host) -> None:
    place = host.repo / ".venv/lib/python3/site-packages"
    place.mkdir(parents=True)
    host.params["target"] = str(place / "sitecustomize.py")


REMOUNT = """
def remount(path):
    checked(libc.mount(b"none", path.encode(), None, 32 | 4096, None))  # remount, bind, writable
def own_namespace():
    who = (os.getuid(), os.getgid())
    checked(libc.unshare(0x10000000 | 0x20000))
attempt(own_namespace)
for path in ("/", P["git"], "/usr", "/etc", "/proc/sys"):
    attempt(remount, path)
put(P["target"])
"""

OUTSIDE = [
    simple("absolute-path", "a file elsewhere by its path", "outside/absolute", APPEND),
    simple(
        "dot-dot",
        "the same by way of `..`",
        "outside/dotdot",
        'put("../" * 40 + P["target"], mode="a")\nput(os.path.relpath(P["target"]), mode="a")',
    ),
    simple(
        "symbolic-link",
        "the same through a link in the worktree",
        "outside/linked",
        'attempt(os.symlink, P["outside"], "here")\nput("here/linked", mode="a")',
    ),
    simple(
        "proc-self-root",
        "the same through /proc/self/root",
        "outside/by-root",
        'put("/proc/self/root" + P["target"], mode="a")\nput("/proc/1/root" + P["target"], mode="a")',
    ),
    Attack(
        "cwd-of-others",
        KIND,
        "the same through another process's /proc/PID/cwd",
        """
for pid in pids():
    if os.path.exists(f"/proc/{pid}/cwd/by-cwd"):
        put(f"/proc/{pid}/cwd/by-cwd", mode="a")
""",
        written("target"),
        _victim_there,
    ),
    Attack(
        "open-files-of-others",
        KIND,
        "a file that another process has open for writing",
        """
for pid in pids():
    for fd in attempt(os.listdir, f"/proc/{pid}/fd") or []:
        if "held-open" in (attempt(os.readlink, f"/proc/{pid}/fd/{fd}") or ""):
            put(f"/proc/{pid}/fd/{fd}", mode="a")
""",
        written("target"),
        _victim_writes,
    ),
    Attack(
        "hard-link",
        KIND,
        "a second name in the worktree for a file elsewhere, then written",
        'attempt(os.link, P["target"], "same")\nput("same", mode="a")',
        written("target"),
        target("outside/same"),
        "caller",
    ),
    simple(
        "rename-out",
        "a file of the worktree moved elsewhere",
        "outside/moved",
        'put("mine")\nattempt(os.rename, "mine", P["target"])',
        None,
    ),
    simple(
        "link-out",
        "a file of the worktree given a name elsewhere",
        "outside/named",
        'put("mine")\nattempt(os.link, "mine", P["target"])',
        None,
    ),
    simple(
        "unnamed-file",
        "a file without a name, linked elsewhere",
        "outside/unnamed",
        """
def link():
    fd = os.open(P["outside"], os.O_TMPFILE | os.O_RDWR, 0o666)
    os.write(fd, TOKEN.encode())
    checked(libc.linkat(-100, f"/proc/self/fd/{fd}".encode(), -100, P["target"].encode(), 0x400))
attempt(link)
""",
        None,
    ),
    Attack(
        "inherited-folder",
        KIND,
        "a folder that the engine left open for its children",
        """
def write(fd):
    made = os.open("by-folder", os.O_CREAT | os.O_WRONLY, 0o666, dir_fd=fd)
    os.write(made, TOKEN.encode())
for fd in range(3, 256):
    attempt(write, fd)
""",
        written("target"),
        _open_folder,
    ),
    Attack(
        "inherited-file",
        KIND,
        "a file that the engine left open for its children",
        "for fd in range(3, 256):\n    attempt(os.write, fd, TOKEN.encode())",
        written("target"),
        _open_file,
    ),
    simple("shell-start", "~/.bashrc", "home/.bashrc", APPEND),
    simple("authorized-keys", "~/.ssh/authorized_keys", "home/.ssh/authorized_keys", APPEND),
    simple(
        "autostart", "a program started with the desktop", "home/.config/autostart/x.desktop", APPEND, None
    ),
    simple("user-unit", "a service of the user's", "home/.config/systemd/user/x.service", APPEND, None),
    simple("user-crontab", "the user's table of timed commands", "spool/cron/crontabs/user", APPEND),
    simple("git-settings", "~/.gitconfig", "home/.gitconfig", APPEND, "[safe]\n\tdirectory = *\n"),
    simple(
        "user-site",
        "code that the user's Python loads at each start",
        "home/.local/lib/python3/site-packages/usercustomize.py",
        APPEND,
        None,
    ),
    Attack(
        "environment-beside",
        KIND,
        "code in the project's environment, which commands can read",
        'put(P["target"])',
        written("target"),
        _venv,
        readable=lambda host: (host.repo / ".venv",),
    ),
    simple(
        "path-folder",
        "a program put before the system's in the user's PATH",
        "home/.local/bin/git",
        APPEND,
        None,
    ),
    Attack(
        "temporary-files",
        KIND,
        "another program's file in the host's /tmp",
        APPEND,
        written("target"),
        _temporary,
    ),
    Attack(
        "etc",
        KIND,
        "a script in /etc/profile.d",
        'put(P["target"], "# " + TOKEN)',
        written("target"),
        _in_etc,
        "root",
    ),
    Attack(
        "core-pattern",
        KIND,
        "/proc/sys/kernel/core_pattern: what the kernel runs when a program crashes",
        'put(P["target"], "core." + TOKEN)',
        written("target"),
        _core_pattern,
        "root",
    ),
    Attack(
        "cgroup",
        KIND,
        "a control group of its own in the host's tree",
        'attempt(os.mkdir, P["target"])',
        _there,
        _cgroup,
        "root",
    ),
    Attack(
        "mode",
        KIND,
        "the mode of a file elsewhere",
        'attempt(os.chmod, P["target"], 0o711)',
        _changed_mode,
        _own_file,
        "caller",
    ),
    Attack(
        "owner",
        KIND,
        "the owner of a file elsewhere",
        'attempt(os.chown, P["target"], 65533, 65533)',
        _changed_owner,
        _own_file,
        "root",
    ),
    Attack(
        "times",
        KIND,
        "the times of a file elsewhere",
        'attempt(os.utime, P["target"])',
        _changed_times,
        _aged,
    ),
    Attack(
        "attributes",
        KIND,
        "the extended attributes of a file elsewhere",
        'attempt(os.setxattr, P["target"], "user.jetbox", TOKEN.encode())',
        _has_attribute,
        _attributes_known,
    ),
    Attack(
        "immutable",
        KIND,
        "a file elsewhere made unchangeable",
        """
def freeze():
    with open(P["target"]) as file:
        fcntl.ioctl(file, 0x40086602, struct.pack("i", 0x10))
attempt(freeze)
""",
        _immutable,
        target("outside/frozen"),
        "root",
    ),
    Attack(
        "truncate",
        KIND,
        "a file elsewhere emptied",
        'attempt(os.truncate, P["target"], 0)',
        _emptied,
        target("outside/full"),
    ),
    Attack(
        "delete",
        KIND,
        "a file elsewhere deleted",
        'attempt(os.unlink, P["target"])',
        _emptied,
        target("outside/needed"),
    ),
    Attack(
        "fifo-outside",
        KIND,
        "a pipe put elsewhere",
        'attempt(os.mkfifo, P["target"])',
        _there,
        target("outside/pipe", None),
    ),
    Attack(
        "socket-outside",
        KIND,
        "a socket put elsewhere",
        'attempt(lambda: socket.socket(socket.AF_UNIX).bind(P["target"]))',
        _bound,
        target("outside/socket", None),
    ),
    Attack(
        "worktree-swap",
        KIND,
        "the worktree itself moved away, and a link to elsewhere in its place",
        """
attempt(os.rename, P["worktree"], P["worktree"] + ".away")
attempt(os.symlink, P["outside"], P["worktree"])
""",
        _swapped,
    ),
    Attack(
        "remount",
        KIND,
        "what is mounted read-only, mounted again",
        REMOUNT,
        written("target"),
        lambda host: host.params.update(target=str(host.repo / ".git/description")),
    ),
]
