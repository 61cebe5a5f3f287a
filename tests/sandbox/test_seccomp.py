"""The system call filters: decided instruction by instruction here, and by the kernel where there is one."""

from __future__ import annotations

import itertools
import platform
import re
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.sandbox import seccomp
from orchestrator.sandbox.backend import Unusable
from orchestrator.sandbox.seccomp import Kind, filter_for

KINDS: tuple[Kind, ...] = ("bubblewrap", "landlock", "offline")
BOXES: tuple[Kind, ...] = ("bubblewrap", "landlock")
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, ENOSYS, EAFNOSUPPORT = ERRNO | 1, ERRNO | 38, ERRNO | 97
TABLE: dict[str, tuple[int | None, int | None]] = {
    **seccomp._WITH_RULES,
    **seccomp._RINGS,
    **seccomp._DENIED,
    **seccomp._SHARED_MEMORY,
}


def verdict(kind: Kind, machine: str, call: int, *arguments: int, arch: int | None = None) -> int:
    """What a filter answers: the kernel's own way through the program, in Python."""
    program = list(struct.iter_unpack("=HBBI", filter_for(kind, machine)))
    data = struct.pack(
        "=IIQ6Q", call, ARCH[machine] if arch is None else arch, 0, *(*arguments, *[0] * 6)[:6]
    )
    accumulator = at = 0
    for _ in range(len(program)):
        code, yes, no, operand = program[at]
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, operand)
        elif code == 0x54:
            accumulator &= operand
        elif code == 0x06:
            return int(operand)
        else:
            held = {
                0x15: accumulator == operand,
                0x25: accumulator > operand,
                0x45: bool(accumulator & operand),
            }[code]
            at += yes if held else no
    raise AssertionError("the filter has no end")


def number(name: str, machine: str) -> int | None:
    return TABLE[name][list(ARCH).index(machine)]


everywhere = pytest.mark.parametrize("machine", list(ARCH))


@everywhere
@pytest.mark.parametrize("kind", BOXES)
def test_every_call_of_the_list_is_denied_and_its_neighbours_are_not(kind: Kind, machine: str) -> None:
    denied = {n for name in {**seccomp._RINGS, **seccomp._DENIED} if (n := number(name, machine)) is not None}
    ruled = {n for name in TABLE if (n := number(name, machine)) is not None} - denied
    for call in denied:
        assert verdict(kind, machine, call) == EPERM, call
    for call in set(range(seccomp._NEWEST + 1)) - denied - ruled:
        assert verdict(kind, machine, call) == ALLOW, call


@everywhere
@pytest.mark.parametrize("kind", KINDS)
def test_another_instruction_set_kills(kind: Kind, machine: str) -> None:
    i386, arm = 0x40000003, 0x40000028
    others = {i386, arm, *ARCH.values()} - {ARCH[machine]}
    assert {verdict(kind, machine, 1, arch=other) for other in others} == {KILL}


@everywhere
@pytest.mark.parametrize("kind", KINDS)
def test_calls_newer_than_the_list_and_x32_are_not_there(kind: Kind, machine: str) -> None:
    x32 = 0x40000000
    for call in (seccomp._NEWEST + 1, 1000, x32, x32 | 41, x32 | 165, 0xFFFFFFFF):
        assert verdict(kind, machine, call) == ENOSYS


@everywhere
@pytest.mark.parametrize("kind", BOXES)
def test_no_flag_makes_a_namespace(kind: Kind, machine: str) -> None:
    clone, unshare = number("clone", machine), number("unshare", machine)
    assert clone is not None
    assert unshare is not None
    new = [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000]
    for flag in new:
        assert verdict(kind, machine, clone, flag | signal.SIGINT) == EPERM
        assert verdict(kind, machine, unshare, flag) == EPERM
        assert verdict(kind, machine, unshare, flag | 1 << 40) == EPERM
    assert verdict(kind, machine, unshare, 0x80) == EPERM  # a time namespace
    assert verdict(kind, machine, unshare, 0x200) == ALLOW  # CLONE_FS
    thread = 0x3D0F00
    assert verdict(kind, machine, clone, thread) == ALLOW
    assert verdict(kind, machine, clone, 17) == ALLOW  # fork
    assert verdict(kind, machine, 435) == ENOSYS  # clone3: glibc falls back to clone


@everywhere
def test_sockets_are_those_that_the_kind_allows(machine: str) -> None:
    call, pair = number("socket", machine), number("socketpair", machine)
    assert call is not None
    assert pair is not None
    allowed: dict[Kind, set[int]] = {"bubblewrap": {1, 2, 10, 16}, "landlock": set(), "offline": {1}}
    for kind, families in allowed.items():
        found = {family for family in range(64) if verdict(kind, machine, call, family) == ALLOW}
        assert found == families
        assert {f for f in range(64) if verdict(kind, machine, pair, f, 1) == ALLOW} == {1}


@everywhere
def test_a_pair_of_sockets_under_landlock_is_one_that_cannot_be_connected_elsewhere(machine: str) -> None:
    pair = number("socketpair", machine)
    assert pair is not None
    flags = 0o2000000 | 0o4000  # SOCK_CLOEXEC, SOCK_NONBLOCK
    found = {kind for kind in range(16) if verdict("landlock", machine, pair, 1, kind | flags) == ALLOW}
    assert found == {1, 5}  # stream and seqpacket, not datagram


@everywhere
@pytest.mark.parametrize("kind", BOXES)
def test_no_file_is_made_or_turned_into_one_that_runs_as_its_owner(kind: Kind, machine: str) -> None:
    made = 0o100  # O_CREAT
    for name, arguments in {
        "chmod": (0, 0o4755), "fchmod": (0, 0o2755), "fchmodat": (0, 0, 0o6755), "fchmodat2": (0, 0, 0o4755),
        "creat": (0, 0o4755), "open": (0, made, 0o4755), "openat": (0, 0, made, 0o2755),
        "mknod": (0, 0o4755), "mknodat": (0, 0, 0o104755),
    }.items():  # fmt: skip
        call = number(name, machine)
        if call is not None:
            assert verdict(kind, machine, call, *arguments) == EPERM, name
            plain = [argument & ~0o6000 for argument in arguments]
            assert verdict(kind, machine, call, *plain) == ALLOW, name
    call = number("openat", machine)
    assert call is not None
    assert verdict(kind, machine, call, 0, 0, 0, 0o4755) == ALLOW  # a mode that does not count


@everywhere
@pytest.mark.parametrize("kind", BOXES)
def test_typing_into_a_terminal_is_denied_whatever_the_upper_half_says(kind: Kind, machine: str) -> None:
    call = number("ioctl", machine)
    assert call is not None
    for request, upper in itertools.product((0x5412, 0x541C), (0, 1 << 32, 0xFFFFFFFF << 32)):
        assert verdict(kind, machine, call, 0, request | upper) == EPERM
    assert verdict(kind, machine, call, 0, 0x5413) == ALLOW  # the window's size


@everywhere
def test_limits_of_another_process_cannot_be_set_under_landlock(machine: str) -> None:
    call = number("prlimit64", machine)
    assert call is not None
    assert verdict("landlock", machine, call, 0, 7) == ALLOW
    assert verdict("landlock", machine, call, 4711, 7) == EPERM


@everywhere
def test_shared_memory_is_closed_where_no_namespace_holds_it(machine: str) -> None:
    for name in seccomp._SHARED_MEMORY:
        call = number(name, machine)
        assert call is not None
        assert verdict("landlock", machine, call) == EPERM
        assert verdict("bubblewrap", machine, call) == ALLOW


@everywhere
def test_the_personality_can_be_asked_for_only(machine: str) -> None:
    call = number("personality", machine)
    assert call is not None
    assert verdict("bubblewrap", machine, call, 0xFFFFFFFF) == ALLOW
    assert verdict("bubblewrap", machine, call, 0x0400000) == EPERM  # READ_IMPLIES_EXEC


@everywhere
def test_offline_denies_nothing_but_the_network(machine: str) -> None:
    network = {number(name, machine) for name in ("socket", "socketpair", *seccomp._RINGS)}
    for call in set(range(seccomp._NEWEST + 1)) - network:
        assert verdict("offline", machine, call) == ALLOW, call


def test_a_machine_without_a_filter_is_named() -> None:
    with pytest.raises(Unusable, match="riscv64"):
        filter_for("landlock", "riscv64")


def test_names_of_machines_are_those_of_any_system() -> None:
    assert filter_for("landlock", "AMD64") == filter_for("landlock", "x86_64")
    assert filter_for("landlock", "arm64") == filter_for("landlock", "aarch64")


@pytest.mark.parametrize(
    ("header", "column"),
    [("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", 0), ("/usr/include/asm-generic/unistd.h", 1)],
)
def test_the_numbers_are_the_kernels(header: str, column: int) -> None:
    if not Path(header).is_file():
        pytest.skip("the kernel's headers are not installed")
    defined = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", Path(header).read_text())
    known = {name: int(value) for name, value in defined}
    found = {name: row[column] for name, row in TABLE.items()}
    assert {name: value for name, value in found.items() if known.get(name, value) != value} == {}
    assert len(known.keys() & found.keys()) > 60


# --- by the kernel ------------------------------------------------------------------------------------------

UNDER_FILTER = """
import ctypes, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
code = bytes.fromhex(sys.argv[1])
class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))
if code:
    held = ctypes.create_string_buffer(code, len(code))
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, ctypes.byref(Program(len(code) // 8, ctypes.addressof(held))), 0, 0) == 0
"""


def under(kind: Kind | None, program: str) -> subprocess.CompletedProcess[str]:
    code = filter_for(kind).hex() if kind else ""
    command = [sys.executable, "-I", "-c", UNDER_FILTER + program, code]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


linux = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ARCH,
    reason="the filters are for Linux on two machines",
)


@linux
@pytest.mark.parametrize(
    ("kind", "program", "alone"),
    [
        ("landlock", "socket.socket(socket.AF_INET)", True),
        ("landlock", "socket.socket(socket.AF_UNIX)", True),
        ("bubblewrap", "socket.socket(socket.AF_INET); socket.socket(socket.AF_UNIX); print('ok')", True),
        ("bubblewrap", "socket.socket(socket.AF_VSOCK)", False),
        ("offline", "socket.socket(socket.AF_INET6)", False),
        ("offline", "socket.socket(socket.AF_UNIX); print('ok')", True),
        ("landlock", "a, b = socket.socketpair(); a.send(b'ok'); print(b.recv(2).decode())", True),
        ("landlock", "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)", True),
    ],
)
def test_the_kernel_denies_sockets_as_the_filter_says(kind: Kind, program: str, alone: bool) -> None:
    if alone:
        assert under(None, program).returncode == 0
    filtered = under(kind, program)
    if "ok" in program:
        assert filtered.stdout == "ok\n", filtered.stderr
    else:
        assert filtered.returncode == 1
        assert "Error: [Errno" in filtered.stderr


@linux
def test_a_name_space_cannot_be_made_under_a_filter() -> None:
    ask = "print(libc.unshare({}), ctypes.get_errno())"
    fresh_user = ask.format("0x10000000")
    assert under("landlock", fresh_user).stdout == "-1 1\n"
    assert under("landlock", ask.format("0x200")).stdout.startswith("0 ")


@linux
@pytest.mark.skipif(platform.machine() != "x86_64", reason="there is no other instruction set to call with")
def test_a_call_of_the_other_instruction_set_ends_the_process() -> None:
    # mov eax, 20 (getpid in the 32-bit table); int 0x80; ret
    program = """
import mmap
page = mmap.mmap(-1, 4096, prot=7)
page.write(bytes.fromhex("b814000000cd80c3"))
call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
print(call())
"""
    if under(None, program).returncode != 0:
        pytest.skip("this kernel has no 32-bit calls")
    assert under("landlock", program).returncode == -signal.SIGSYS


@linux
@pytest.mark.parametrize("kind", KINDS)
def test_threads_processes_and_children_start_under_a_filter(kind: Kind) -> None:
    program = """
import subprocess, threading
threading.Thread(target=print, args=("thread",)).start()
print(subprocess.run(["/bin/sh", "-c", "echo child"], capture_output=True, text=True).stdout, end="")
pid = os.fork()
if pid == 0:
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    assert under(kind, program).stdout.split() == ["thread", "child", "7"]


@linux
def test_a_filter_cannot_be_taken_off_by_children() -> None:
    program = """
import subprocess
again = [sys.executable, "-I", "-c", "import socket; socket.socket(socket.AF_INET)"]
print(subprocess.run(again, stderr=-3).returncode)
"""
    assert under(None, program).stdout == "0\n"
    assert under("landlock", program).stdout == "1\n"


def test_a_filter_fits_what_the_kernel_takes() -> None:
    for kind, machine in itertools.product(KINDS, ARCH):
        size = len(filter_for(kind, machine))
        assert size % 8 == 0
        assert size // 8 <= 4096
