"""Leaving something behind that hits the host when it records, shows or removes the work."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from attack import Attack
from attacked_host import Host, NotHere, Ran

KIND = "left for later"


def _reads_all(host: Host) -> None:
    """What a plain script does with what a command left."""
    for at, _, files in os.walk(host.worktree):
        for name in files:
            Path(at, name).read_bytes()


def _hangs(host: Host, ran: Ran) -> bool:
    """Recording the work does not come to an end, or fails."""
    patience, work = (10.0, host.checkpoint) if host.sandboxed else (0.7, lambda: _reads_all(host))
    good = host.within(patience, work)
    for at, _, files in os.walk(host.worktree):
        for name in files:  # whoever waits for the other side of a pipe is let go
            path = Path(at, name)
            if path.is_fifo():
                fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
                host.undo.callback(os.close, fd)
                os.write(fd, b"x")
    return not good


def _stays(host: Host, ran: Ran) -> bool:
    """The worktree cannot be taken away."""
    return not host.within(30, host.take_away) or host.worktree.exists()


def _raw_names(host: Host, ran: Ran) -> bool:
    """A name is shown with its control characters in it, or as two."""
    shown = host.checkpoint()
    return b"\x1b" in shown or b"forged " + host.token.encode() in shown.splitlines()


def _device_left(host: Host, ran: Ran) -> bool:
    path = host.worktree / "disk"
    return path.exists() and stat.S_ISCHR(path.stat().st_mode)


def _planted(place: str) -> Callable[[Host], None]:
    def prepare(host: Host) -> None:
        path = Path(place.format(other=host.other, jetbox=host.jetbox, worktree=host.worktree))
        path.parent.mkdir(parents=True, exist_ok=True)
        host.params["target"] = str(path)

    return prepare


def _carries(host: Host, ran: Ran) -> bool:
    path = Path(host.params["target"])
    return path.is_file() and host.token.encode() in path.read_bytes()


def _there(host: Host, ran: Ran) -> bool:
    path = host.worktree / "helper"
    return path.is_file() and bool(path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID))


def _escapes(host: Host, ran: Ran) -> bool:
    """Shown to a person, the output still steers their terminal."""
    return bool({"\x1b", "\x9b", "\x07"} & set(host.shown_output(ran.output)))


def plants(id_: str, tries: str, place: str) -> Attack:
    """A file that the host would load, outside the worktree."""
    return Attack(id_, KIND, tries, 'put(P["target"], "# " + TOKEN)', _carries, _planted(place))


def _needs_nodes(host: Host) -> None:
    if os.geteuid() != 0:
        raise NotHere("only root makes devices")


def _ordinary(host: Host) -> None:
    if os.geteuid() == 0:
        raise NotHere("nothing is closed to root")


LATER = [
    Attack(
        "fifo",
        KIND,
        "a pipe in the worktree: reading it never ends",
        'attempt(os.mkfifo, "notes.txt")',
        _hangs,
    ),
    Attack(
        "socket-file",
        KIND,
        "a socket among the files: reading it fails",
        'attempt(lambda: socket.socket(socket.AF_UNIX).bind("notes.txt"))',
        _hangs,
    ),
    Attack(
        "endless-link",
        KIND,
        "links that lead to one another",
        'attempt(os.symlink, "b", "a")\nattempt(os.symlink, "a", "b")',
        _hangs,
    ),
    Attack(
        "endless-file",
        KIND,
        "a link to a file of the system's that never ends",
        'attempt(os.symlink, "/dev/tty", "notes.txt")\nattempt(os.symlink, "/proc/kmsg", "more.txt")',
        _hangs,
    ),
    Attack(
        "device",
        KIND,
        "a device in the worktree",
        'attempt(os.mknod, "disk", 0o666 | stat.S_IFCHR, os.makedev(1, 7))',
        _device_left,
        _needs_nodes,
        "root",
    ),
    Attack(
        "control-names",
        KIND,
        "file names that steer the person's terminal",
        'put("a\\x1b]0;" + TOKEN + "\\x07\\x1b[2J.txt", "x\\n")',
        _raw_names,
    ),
    Attack(
        "line-names",
        KIND,
        "a file name that reads as two lines",
        'put("a.txt\\nforged " + TOKEN + "\\nb.txt", "x\\n")',
        _raw_names,
    ),
    Attack(
        "odd-bytes",
        KIND,
        "file names that are no text",
        'attempt(lambda: os.close(os.open(b"\\xff\\xfe\\x9b2J", os.O_CREAT | os.O_WRONLY)))',
        lambda host, ran: (
            not host.within(
                5,
                host.checkpoint
                if host.sandboxed
                else lambda: [n.encode() for _, _, f in os.walk(host.worktree) for n in f],
            )
        ),
    ),
    Attack(
        "deep-folders",
        KIND,
        "folders nested deeper than a path can say: they cannot be removed",
        """
def dig():
    for _ in range(1100):
        os.mkdir("deeper-and-deeper")
        os.chdir("deeper-and-deeper")
attempt(dig)
""",
        _stays,
    ),
    Attack(
        "closed-folders",
        KIND,
        "folders that their owner cannot enter: they cannot be removed",
        """
os.makedirs("a/b/c"), put("a/b/c/d")
for path in ("a/b/c/d", "a/b/c", "a/b", "a"):
    attempt(os.chmod, path, 0)
""",
        _stays,
        _ordinary,
    ),
    Attack(
        "closed-worktree",
        KIND,
        "the worktree itself closed to its owner",
        "attempt(os.chmod, '.', 0)",
        lambda host, ran: (
            not host.within(5, host.checkpoint if host.sandboxed else lambda: [*host.worktree.iterdir()])
        ),
        _ordinary,
    ),
    Attack(
        "set-id",
        KIND,
        "a program with the rights of its owner or group",
        'import shutil\nshutil.copy("/bin/true", "helper")\nattempt(os.chmod, "helper", 0o6755)',
        _there,
        rights="caller",
    ),
    plants("conftest-of-others", "code that another ticket's tests load", "{other}/conftest.py"),
    plants(
        "gate", "code in the clean checkout where this ticket's checks run", "{worktree}-gate/conftest.py"
    ),
    plants("live-log", "another ticket's output, as a person follows it", "{jetbox}/live/T-2-1.log"),
    Attack(
        "terminal-codes",
        KIND,
        "output that steers the person's terminal",
        r"""
os.write(1, b"\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1bP+q\x1b\\ \xc2\x9b31m\x9b5m\x1b]52;c;QQ==\x07 done\n")
""",
        _escapes,
    ),
]
