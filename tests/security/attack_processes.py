"""Outliving the action, using up processes, and getting rights from the kernel."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import psutil
from attack import Attack
from attacked_host import Host, Ran

KIND = "processes"


def _alive(host: Host, ran: Ran) -> bool:
    return host.left_running()


def _ran_on(host: Host, ran: Ran) -> bool:
    """It came to its own end, long after its time, before the engine went on; or still runs."""
    return (host.worktree / "came-to-its-end").exists() or host.left_running()


def _watch_grab(host: Host) -> None:
    """The command's own priority is above the usual."""

    def look(pids: list[int]) -> None:
        for pid in pids:
            with contextlib.suppress(psutil.Error):
                host.peak("priority", 20 - psutil.Process(pid).nice())

    host.look(look)


def _watch(word: str, what: str) -> Callable[[Host], None]:
    """Compare something of the command's processes among each other: a namespace, the root, the mounts."""

    def prepare(host: Host) -> None:
        def look(pids: list[int]) -> None:
            links = set()
            for pid in pids:
                with contextlib.suppress(OSError):
                    links.add(str(Path(f"/proc/{pid}/{what}").readlink()))
            host.peak(word, len(links))

        host.look(look)

    return prepare


def _more(word: str, than: float) -> Callable[[Host, Ran], bool]:
    return lambda host, ran: host.seen.get(word, 0) > than


def _watch_mounts(host: Host) -> None:
    def look(pids: list[int]) -> None:
        for pid in pids:
            with contextlib.suppress(OSError):
                if host.token in Path(f"/proc/{pid}/mountinfo").read_text():
                    host.peak("mounts", 1)

    host.look(look)


def _watch_count(host: Host) -> None:
    def look(pids: list[int]) -> None:
        host.peak("processes", len(pids))
        threads = 0
        for pid in pids:
            with contextlib.suppress(OSError):
                threads += len([*Path(f"/proc/{pid}/task").iterdir()])
        host.peak("threads", threads)

    host.look(look)


def _watch_real_time(host: Host) -> None:
    def look(pids: list[int]) -> None:
        for pid in pids:
            with contextlib.suppress(OSError):
                host.peak("real time", os.sched_getscheduler(pid))

    host.look(look)


CHAIN = """
def chain():
    # Each lives for a few milliseconds and starts the next: a scan of /proc finds only the dead.
    until = time.monotonic() + 4
    while time.monotonic() < until:
        if os.fork():
            os._exit(0)
        time.sleep(0.002)
daemon(chain)
"""


HEADLESS = """
def live():
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    if len(sys.argv) < 3:
        os.execve(sys.executable, [sys.executable, "-I", "-S", "attack.py", TOKEN, "again"], {})
    time.sleep(4)
if len(sys.argv) > 2:
    live()
else:
    daemon(live)
"""


STUBBORN = """
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
until = time.monotonic() + 6
while time.monotonic() < until:
    pass
put("came-to-its-end")
"""


HOLDS_OUTPUT = """
if os.fork() == 0:
    os.setsid()
    time.sleep(6)
    put("came-to-its-end")
"""


PATRICIDE = """
def kill():
    # Every process above, but not the engine: a supervisor, an init, a shell.
    for number in (signal.SIGKILL, signal.SIGSTOP):
        for pid in chain:
            attempt(os.kill, pid, number)
    time.sleep(4)
chain = [os.getpid()]
def climb():
    pid = os.getppid()
    while pid and pid != P["engine"]:
        chain.append(pid)
        pid = int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1])
attempt(climb)
if os.fork() == 0:
    os.setsid()
    for fd in (1, 2):
        os.dup2(os.open("/dev/null", os.O_RDWR), fd)
    attempt(kill)
    os._exit(0)
time.sleep(2)
"""


MANY = """
held = []
def more():
    for _ in range(200):
        pid = os.fork()
        if pid == 0:
            time.sleep(0.7)
            os._exit(0)
        held.append(pid)
attempt(more)
time.sleep(0.4)
"""


THREADS = """
import _thread
def more():
    for _ in range(400):
        _thread.start_new_thread(time.sleep, (0.7,))
attempt(more)
time.sleep(0.4)
"""


NESTED = """
if os.fork() == 0:
    def nest():
        checked(libc.unshare({flags}))
        time.sleep(0.3)
    attempt(nest)
    os._exit(0)
time.sleep(0.3)
"""


CHROOT = """
if os.fork() == 0:
    attempt(lambda: checked(libc.chroot(b".")))
    time.sleep(0.3)
    os._exit(0)
time.sleep(0.3)
"""


CLONED = """
pid = attempt(lambda: checked(libc.syscall(220 if ARM else 56, 0x10000000 | 17, None, None, None, None)))
time.sleep(0.3)
"""


MOUNT = """
def mount():
    attempt(lambda: checked(libc.unshare(0x10000000 | 0x20000)))
    checked(libc.mount(TOKEN.encode(), str(HERE).encode(), b"tmpfs", 0, b"size=4k"))
    time.sleep(0.3)
attempt(mount)
"""


PROCESSES = [
    Attack(
        "daemon",
        KIND,
        "a process that leaves group and session and lives on",
        "daemon(time.sleep, 4)",
        _alive,
    ),
    Attack(
        "headless-daemon", KIND, "the same, ignoring every signal, in an empty environment", HEADLESS, _alive
    ),
    Attack("fork-chain", KIND, "a process that forks and exits faster than anyone can look", CHAIN, _alive),
    Attack(
        "daemon-at-timeout",
        KIND,
        "a daemon, while the command runs into its time limit",
        "daemon(time.sleep, 6)\ntime.sleep(6)",
        _alive,
        timeout=0.6,
    ),
    Attack(
        "stubborn",
        KIND,
        "a command that ignores being asked to end, and computes on",
        STUBBORN,
        _ran_on,
        timeout=0.5,
        slow=True,
    ),
    Attack(
        "holds-output",
        KIND,
        "a child that keeps the output open when its parent has ended",
        HOLDS_OUTPUT,
        _ran_on,
    ),
    Attack(
        "patricide", KIND, "everything between it and the engine killed, then living on", PATRICIDE, _alive
    ),
    Attack(
        "many-processes", KIND, "hundreds of processes at once", MANY, _more("processes", 100), _watch_count
    ),
    Attack("many-threads", KIND, "hundreds of threads at once", THREADS, _more("threads", 150), _watch_count),
    Attack(
        "priority-grab",
        KIND,
        "a higher priority for itself",
        "attempt(os.nice, -10)\ntime.sleep(0.15)",
        _more("priority", 25),
        _watch_grab,
        "root",
    ),
    Attack(
        "real-time",
        KIND,
        "a processor for itself alone",
        "attempt(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1))\ntime.sleep(0.15)",
        _more("real time", 0),
        _watch_real_time,
        "root",
    ),
    Attack(
        "user-namespace",
        KIND,
        "a user namespace in which it is root",
        NESTED.format(flags="0x10000000"),
        _more("user", 1),
        _watch("user", "ns/user"),
    ),
    Attack(
        "user-namespace-by-clone",
        KIND,
        "the same by the clone call",
        CLONED,
        _more("user", 1),
        _watch("user", "ns/user"),
    ),
    Attack(
        "network-namespace",
        KIND,
        "a network of its own, with rights to configure it",
        NESTED.format(flags="0x10000000 | 0x40000000"),
        _more("net", 1),
        _watch("net", "ns/net"),
    ),
    Attack("mount", KIND, "a file system mounted", MOUNT, _more("mounts", 0), _watch_mounts),
    Attack(
        "chroot",
        KIND,
        "another root folder",
        CHROOT,
        _more("root", 1),
        _watch("root", "root"),
        "root",
    ),
]
