"""Getting at other processes of the user's: their lives, their memory, their share of the machine."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
from attack import Attack
from attacked_host import Host, NotHere, Ran, dead

KIND = "processes"

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


VM_WRITE = """
class Part(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
def write():
    data = ctypes.create_string_buffer(TOKEN.encode())
    here, there = Part(ctypes.addressof(data), len(TOKEN)), Part(P["address"], len(TOKEN))
    checked(libc.process_vm_writev(P["victim"], ctypes.byref(here), 1, ctypes.byref(there), 1, 0))
attempt(write)
"""


OTHERS = [
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
]
