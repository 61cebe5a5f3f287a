"""Outliving the action, and getting at other processes, the terminal and the kernel."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from attack import Attack
from attacked_host import Host, NotHere, Ran, dead, told

KIND = "processes"
OTHER_KIND = "terminal"

VICTIM = """
import ctypes, time
held = ctypes.create_string_buffer(b"as it was" + bytes(55))
os.write(READY, str(ctypes.addressof(held)).encode())
for _ in range(6000):
    time.sleep(0.01)
    if held.value != b"as it was":
        with open({proof!r}, "wb") as file:
            file.write(held.value)
        break
"""


def _victim(host: Host) -> None:
    host.victim()
    found = psutil.Process(host.params["victim"])
    host.planted["nice"] = found.nice()
    host.planted["cpus"] = found.cpu_affinity()


def _remembering(host: Host) -> None:
    scope = Path("/proc/sys/kernel/yama/ptrace_scope")
    if scope.exists() and scope.read_text().strip() != "0":
        raise NotHere("the kernel lets nobody trace others")
    proof = host.root / "victims-memory"
    proof.touch()
    proof.chmod(0o666)
    host.params["target"] = str(proof)
    host.victim(VICTIM.format(proof=str(proof)))
    host.params["address"] = int(host.planted["victim said"])


def _memory_changed(host: Host, ran: Ran) -> bool:
    time.sleep(0.1)
    return host.token.encode() in Path(host.params["target"]).read_bytes()


def _alive(host: Host, ran: Ran) -> bool:
    return host.left_running()


def _ran_on(host: Host, ran: Ran) -> bool:
    """It came to its own end, long after its time, before the engine went on; or still runs."""
    return (host.worktree / "came-to-its-end").exists() or host.left_running()


def _nicer(host: Host, ran: Ran) -> bool:
    return psutil.Process(host.params["victim"]).nice() != host.planted["nice"]


def _pinned(host: Host, ran: Ran) -> bool:
    return psutil.Process(host.params["victim"]).cpu_affinity() != host.planted["cpus"]


def _several_cpus(host: Host) -> None:
    _victim(host)
    if len(host.planted["cpus"]) < 2:
        raise NotHere("one processor")


def _bounded(host: Host, ran: Ran) -> bool:
    lines = Path(f"/proc/{host.params['victim']}/limits").read_text().splitlines()
    return next(line.split()[3] for line in lines if line.startswith("Max open files")) == "7"


def _sacrificed(host: Host, ran: Ran) -> bool:
    return Path(f"/proc/{host.params['victim']}/oom_score_adj").read_text().strip() == "987"


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


def _typed_for_it(host: Host, ran: Ran) -> bool:
    return host.token.encode() in host.shown


def _secret_typed(host: Host) -> None:
    host.typed = f"{host.secret}\n".encode()


def _legacy(host: Host) -> None:
    setting = Path("/proc/sys/dev/tty/legacy_tiocsti")
    if setting.exists() and setting.read_text().strip() == "0":
        raise NotHere("this kernel lets nobody type into a terminal")


VM_WRITE = """
class Part(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
def write():
    data = ctypes.create_string_buffer(TOKEN.encode())
    here, there = Part(ctypes.addressof(data), len(TOKEN)), Part(P["address"], len(TOKEN))
    checked(libc.process_vm_writev(P["victim"], ctypes.byref(here), 1, ctypes.byref(there), 1, 0))
attempt(write)
"""

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
    # Every process above, up to the engine: a supervisor, an init, a shell.
    pid = os.getppid()
    chain = []
    while pid > 1:
        words = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        if P["token"].encode() not in open(f"/proc/{pid}/cmdline", "rb").read():
            break
        chain.append(pid)
        pid = int(words[1])
    for pid in chain:
        attempt(os.kill, pid, signal.SIGKILL)
    time.sleep(4)
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
        "kill-other",
        KIND,
        "another process of the user's killed",
        'attempt(os.kill, P["victim"], 9)',
        dead,
        _victim,
    ),
    Attack(
        "stop-other",
        KIND,
        "another process of the user's stopped",
        'attempt(os.kill, P["victim"], signal.SIGSTOP)',
        dead,
        _victim,
    ),
    Attack(
        "kill-group",
        KIND,
        "another process group killed",
        'attempt(os.killpg, P["victim"], 9)',
        dead,
        _victim,
    ),
    Attack(
        "kill-by-descriptor",
        KIND,
        "another process killed through a descriptor of it",
        'attempt(lambda: signal.pidfd_send_signal(os.pidfd_open(P["victim"]), 9))',
        dead,
        _victim,
    ),
    Attack(
        "kill-by-owner",
        KIND,
        "another process sent a signal as the owner of a pipe",
        """
def own():
    one, other = socket.socketpair()
    fcntl.fcntl(one, 10, signal.SIGKILL)  # F_SETSIG
    fcntl.fcntl(one, fcntl.F_SETOWN, P["victim"])
    fcntl.fcntl(one, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    other.send(b"x")
    time.sleep(0.1)
attempt(own)
""",
        dead,
        _victim,
    ),
    Attack(
        "vm-writev",
        KIND,
        "another process's memory changed by process_vm_writev",
        VM_WRITE,
        _memory_changed,
        _remembering,
    ),
    Attack(
        "memory-file",
        KIND,
        "another process's memory changed through /proc/PID/mem",
        """
def write():
    fd = os.open(f"/proc/{P['victim']}/mem", os.O_RDWR)
    os.pwrite(fd, TOKEN.encode(), P["address"])
attempt(write)
""",
        _memory_changed,
        _remembering,
    ),
    Attack(
        "ptrace-write",
        KIND,
        "another process's memory changed by tracing it",
        """
def write():
    libc.ptrace.argtypes, libc.ptrace.restype = [ctypes.c_long] * 2 + [ctypes.c_void_p] * 2, ctypes.c_long
    checked(libc.ptrace(16, P["victim"], None, None))
    os.waitpid(P["victim"], 0)
    data = TOKEN.encode().ljust(32, b"\\0")
    for at in range(0, 32, 8):
        libc.ptrace(5, P["victim"], P["address"] + at, struct.unpack_from("Q", data, at)[0])
    libc.ptrace(17, P["victim"], None, None)
attempt(write)
""",
        _memory_changed,
        _remembering,
    ),
    Attack(
        "priority-of-others",
        KIND,
        "another process's priority lowered",
        'attempt(os.setpriority, os.PRIO_PROCESS, P["victim"], 15)',
        _nicer,
        _victim,
    ),
    Attack(
        "processors-of-others",
        KIND,
        "another process confined to one processor",
        'attempt(os.sched_setaffinity, P["victim"], {sorted(os.sched_getaffinity(0))[0]})',
        _pinned,
        _several_cpus,
    ),
    Attack(
        "bounds-of-others",
        KIND,
        "another process's bounds lowered",
        'attempt(resource.prlimit, P["victim"], resource.RLIMIT_NOFILE, (7, 4096))',
        _bounded,
        _victim,
    ),
    Attack(
        "sacrifice-others",
        KIND,
        "another process offered to the kernel's memory killer",
        'put(f"/proc/{P[\'victim\']}/oom_score_adj", "987")',
        _sacrificed,
        _victim,
    ),
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
        NESTED.format(flags="0) if libc.chroot(b'.') < 0 else 0 * checked(0"),
        _more("root", 1),
        _watch("root", "root"),
        "root",
    ),
    Attack(
        "terminal-input",
        OTHER_KIND,
        "keys typed into the person's terminal (TIOCSTI)",
        """
def type_in():
    fd = os.open("/dev/tty", os.O_RDWR)
    for letter in TOKEN:
        fcntl.ioctl(fd, 0x5412, letter.encode())
attempt(type_in)
attempt(lambda: [fcntl.ioctl(0, 0x5412, letter.encode()) for letter in TOKEN])
""",
        _typed_for_it,
        _legacy,
        terminal=True,
    ),
    Attack(
        "terminal-output",
        OTHER_KIND,
        "something written on the person's terminal",
        'put("/dev/tty")\nattempt(os.write, 0, TOKEN.encode())',
        _typed_for_it,
        terminal=True,
    ),
    Attack(
        "terminal-listening",
        OTHER_KIND,
        "what the person types at their terminal",
        """
def listen(fd):
    if select.select([fd], [], [], 1.0)[0]:
        print(os.read(fd, 4096))
attempt(lambda: listen(os.open("/dev/tty", os.O_RDONLY | os.O_NONBLOCK)))
""",
        told,
        _secret_typed,
        terminal=True,
    ),
]
