"""Using up the machine. The bounds of these commands are small, so what goes beyond them is small too."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable
from pathlib import Path

import psutil
from attack import SMALL, Attack
from attacked_host import Host, NotHere, Ran

from orchestrator.sandbox.box import MIB

KIND = "resources"


def _watch_memory(host: Host) -> None:
    """What all processes of the attack hold: files in memory count too."""

    def look(pids: list[int]) -> None:
        total = 0
        for pid in pids:
            with contextlib.suppress(psutil.Error):
                total += psutil.Process(pid).memory_info().rss
        host.peak("memory", total / MIB)

    host.look(look)


def _held(mib: int) -> Callable[[Host, Ran], bool]:
    return lambda host, ran: host.seen.get("memory", 0) > mib


def _watch_descriptors(host: Host) -> None:
    def look(pids: list[int]) -> None:
        for pid in pids:
            with contextlib.suppress(OSError):
                host.peak("descriptors", len([*Path(f"/proc/{pid}/fd").iterdir()]))

    host.look(look)


def _over(host: Host, ran: Ran) -> bool:
    """More is left than may be, and the engine was not told to take the worktree back."""
    size = entries = 0
    for at, folders, files in os.walk(host.worktree):
        entries += len(folders) + len(files)
        for name in files:
            size += Path(at, name).lstat().st_blocks * 512
    too_much = size > SMALL.growth * 1.2 or entries > SMALL.entries * 1.2
    return too_much and ran.reason != "growth"


def _huge_file(host: Host, ran: Ran) -> bool:
    path = host.worktree / "huge"
    return path.exists() and path.stat().st_size > SMALL.file


def _flooded(host: Host, ran: Ran) -> bool:
    return len(ran.output) > 8 * MIB


def _ran_on(host: Host, ran: Ran) -> bool:
    """It came to its own end, long after its time, before the engine went on."""
    return (host.worktree / "came-to-its-end").exists()


def _core_left(host: Host, ran: Ran) -> bool:
    return any(path.name.startswith("core") for path in host.worktree.iterdir())


def _core_files(host: Host) -> None:
    pattern = Path("/proc/sys/kernel/core_pattern").read_text()
    if pattern.startswith(("|", "/")):
        raise NotHere("this machine keeps no core files in the folder")


def _segments(host: Host, ran: Ran) -> bool:
    """A segment of shared memory with the attack's key is left; it is removed."""
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    left = [int(line.split()[1]) for line in lines if int(line.split()[0]) == host.params["key"]]
    for number in left:
        ctypes.CDLL(None).shmctl(number, 0, None)
    return bool(left)


def _key(host: Host) -> None:
    if not Path("/proc/sysvipc/shm").exists():
        raise NotHere("the kernel has no System V memory")
    host.params["key"] = int(host.token[2:9], 16)


def _queue(host: Host, ran: Ran) -> bool:
    return ctypes.CDLL("librt.so.1").mq_unlink(b"/" + host.token.encode()) == 0


def _watchers(host: Host) -> None:
    """The engine watches folders too: can it still, while the command runs?"""
    if os.geteuid() == 0:
        raise NotHere("root's watches are counted apart from those of commands")
    libc = ctypes.CDLL(None)

    def look(pids: list[int]) -> None:
        fd = libc.inotify_init1(os.O_CLOEXEC)
        if fd < 0:
            host.peak("refused", 1)
        else:
            os.close(fd)

    host.look(look)


def _files_open(host: Host) -> None:
    import resource

    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 6500:
        raise NotHere("the machine itself bounds open files")
    _watch_descriptors(host)


ONE_BLOCK = "held = attempt(lambda: bytearray(b'x') * (420 << 20))\ntime.sleep(0.5)"

MANY_BLOCKS = """
for _ in range(8):
    if os.fork() == 0:
        held = attempt(lambda: bytearray(b"x") * (60 << 20))
        time.sleep(1.6)
        os._exit(0)
time.sleep(1.6)
"""

SHARED = """
def hold():
    held = mmap.mmap(-1, 420 << 20)
    for at in range(0, 420 << 20, 4096):
        held[at] = 1
    time.sleep(0.5)
attempt(hold)
"""

UNNAMED = """
def hold():
    fds = []
    for _ in range(21):
        fd = os.memfd_create("x")
        os.ftruncate(fd, 20 << 20)
        held = mmap.mmap(fd, 20 << 20)
        fds.append(held)
        for at in range(0, 20 << 20, 4096):
            held[at] = 1
    time.sleep(0.5)
attempt(hold)
"""

FILL = """
def fill(folder):
    held = []
    try:
        for number in range(8):
            fd = os.open(f"{folder}/fill-{TOKEN}-{number}", os.O_RDWR | os.O_CREAT, 0o600)
            os.unlink(f"{folder}/fill-{TOKEN}-{number}")
            done = 0
            while done < 12 << 20:
                done += os.write(fd, b"x" * (1 << 20))
            part = mmap.mmap(fd, done)
            held.append(part)
            for at in range(0, done, 4096):
                part[at]
    finally:
        if len(held) > 1:
            time.sleep(0.4)
"""

EVERYWHERE = (
    FILL
    + """
def folders():
    seen = []
    for line in open("/proc/self/mountinfo"):
        words = line.split()
        if words[words.index("-") + 1] in ("tmpfs", "devtmpfs", "ramfs", "mqueue", "hugetlbfs"):
            seen.append(words[4])
    return [*seen, "/", "/run", "/var", "/etc", "/mnt", "/opt", "/home", "/dev"]
for folder in folders():
    on_disk = attempt(lambda: os.stat(folder).st_dev == HERE.stat().st_dev)
    if folder not in ("/dev/shm", "/tmp", "/var/tmp") and not on_disk:
        attempt(fill, folder)
"""
)

GROW = """
def grow():
    for number in range(24):
        with open(f"part-{number}", "wb") as file:
            for _ in range(8):
                file.write(os.urandom(1 << 20))
attempt(grow)
"""

ENTRIES = """
def fill():
    for folder in range(10):
        os.mkdir(f"d{folder}")
        for number in range(400):
            os.close(os.open(f"d{folder}/{number}", os.O_CREAT | os.O_WRONLY))
attempt(fill)
"""

RESOURCES = [
    Attack(
        "memory-one-block",
        KIND,
        "far more memory than it may, in one allocation",
        ONE_BLOCK,
        _held(350),
        _watch_memory,
    ),
    Attack(
        "memory-many-processes",
        KIND,
        "the same, by processes that each stay below",
        MANY_BLOCKS,
        _held(350),
        _watch_memory,
    ),
    Attack("memory-shared", KIND, "the same, shared", SHARED, _held(350), _watch_memory),
    Attack(
        "memory-unnamed-files", KIND, "the same, in files without a name", UNNAMED, _held(350), _watch_memory
    ),
    Attack("fill-shm", KIND, "/dev/shm filled", FILL + 'attempt(fill, "/dev/shm")', _held(80), _watch_memory),
    Attack("fill-tmp", KIND, "/tmp filled", FILL + 'attempt(fill, "/tmp")', _held(80), _watch_memory),
    Attack(
        "fill-others",
        KIND,
        "every other folder filled that lies in memory",
        EVERYWHERE,
        _held(80),
        _watch_memory,
        "root",
    ),
    Attack("growth", KIND, "the worktree filled", GROW, _over),
    Attack("entries", KIND, "the worktree filled with empty files", ENTRIES, _over),
    Attack(
        "huge-file",
        KIND,
        "one file of a terabyte, with nothing in it",
        'attempt(lambda: open("huge", "wb").truncate(1 << 40))',
        _huge_file,
    ),
    Attack(
        "reserved-file",
        KIND,
        "one file with more room than it may have",
        'attempt(lambda: os.posix_fallocate(os.open("huge", os.O_CREAT | os.O_RDWR), 0, 96 << 20))',
        _huge_file,
    ),
    Attack(
        "output-flood",
        KIND,
        "more output than anyone can keep",
        'for _ in range(64):\n    os.write(1, b"flood " * 170_000)',
        _flooded,
    ),
    Attack(
        "open-files",
        KIND,
        "thousands of open files",
        """
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
attempt(resource.setrlimit, resource.RLIMIT_NOFILE, (most, most))
held = attempt(lambda: [os.dup(1) for _ in range(100)])
def more():
    while len(held) < 6200:
        held.append(os.dup(1))
attempt(more)
time.sleep(0.3)
""",
        lambda host, ran: host.seen.get("descriptors", 0) > 6000,
        _files_open,
    ),
    Attack(
        "sleeps-on",
        KIND,
        "asleep past its time",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(6)\nput('came-to-its-end')",
        _ran_on,
        timeout=0.5,
    ),
    Attack(
        "computes-on",
        KIND,
        "children at work past its time",
        """
if os.fork() == 0:
    os.setsid()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
until = time.monotonic() + 6
while time.monotonic() < until:
    pass
put('came-to-its-end')
""",
        _ran_on,
        timeout=0.5,
        slow=True,
    ),
    Attack(
        "core-file",
        KIND,
        "its memory left in the worktree by a crash",
        """
most = resource.getrlimit(resource.RLIMIT_CORE)[1]
attempt(resource.setrlimit, resource.RLIMIT_CORE, (most, most))
attempt(lambda: libc.prctl(4, 1))
if os.fork() == 0:
    os.kill(os.getpid(), signal.SIGSEGV)
time.sleep(0.5)
""",
        _core_left,
        _core_files,
    ),
    Attack(
        "system-v-memory",
        KIND,
        "shared memory that stays when all processes are gone",
        'attempt(lambda: checked(libc.shmget(P["key"], 4096, 0o1600)))',
        _segments,
        _key,
    ),
    Attack(
        "message-queue",
        KIND,
        "a message queue that stays",
        'attempt(lambda: checked(libc.mq_open(b"/" + TOKEN.encode(), os.O_CREAT | os.O_RDWR, 0o600, None)))',
        _queue,
    ),
    Attack(
        "watches",
        KIND,
        "every file watch that the user may have",
        """
held = []
def take():
    while True:
        held.append(checked(libc.inotify_init()))
attempt(take)
time.sleep(0.3)
""",
        lambda host, ran: bool(host.seen.get("refused")),
        _watchers,
    ),
]
