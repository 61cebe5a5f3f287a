"""Filters on the calls into the Linux kernel, as the classic BPF that seccomp takes, for x86_64 and aarch64.

A filter takes away what a build or a test never needs and what break-outs are made of: mounts, namespaces,
kernel keys, tracing of the kernel, modules, and sockets beyond those a sandbox has a wall for. What is denied
answers EPERM, as it does in containers; a call newer than this file, and `clone3` (its flags are behind a
pointer, which a filter cannot read), answers ENOSYS, as an older kernel would, so that programs fall back. A
call of another instruction set kills. A filter cannot be taken off, and children inherit it.

The lists follow the default filters of Docker and systemd. Numbers: the kernel's `syscall_64.tbl` and
`asm-generic/unistd.h`.
"""

from __future__ import annotations

import platform
import struct
from typing import Literal

from orchestrator.sandbox.backend import Unusable

Kind = Literal["bubblewrap", "landlock", "offline"]
"""`bubblewrap`: the network is another namespace's, so ordinary sockets may be made. `landlock`: no socket at
all, as nothing else keeps it from the host's loopback and Unix sockets; nor System V's shared memory, nor
limits of another process, which would end it as a signal does. `offline`: for Jetbox's own runs, nothing but
the network is denied; Unix sockets stay."""

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand: struct sock_filter

_ARCHES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}  # AUDIT_ARCH_*, column in the tables below
_ALIASES = {"amd64": "x86_64", "arm64": "aarch64"}
_NEWEST = 469  # file_setattr, Linux 6.17; the x32 calls (bit 30) lie above as well

# name: number on x86_64, on aarch64; None where the call does not exist
_WITH_RULES: dict[str, tuple[int | None, int | None]] = {
    "chmod": (90, None),
    "clone": (56, 220),
    "clone3": (435, 435),
    "creat": (85, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "ioctl": (16, 29),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "open": (2, None),
    "openat": (257, 56),
    "openat2": (437, 437),
    "personality": (135, 92),
    "prlimit64": (302, 261),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "unshare": (272, 97),
}
_RINGS = {  # they open sockets, and more, past any filter
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}
_DENIED: dict[str, tuple[int | None, int | None]] = {
    # mounts and roots
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    # namespaces
    "setns": (308, 268),
    # files by handle: past every path rule
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    # kernel keys are not in any namespace
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # tracing; ptrace and process_vm_* stay, as both backends bound them (pid namespace, Landlock domain) and
    # leak checkers and debuggers need them
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "fanotify_init": (300, 262),
    "lookup_dcookie": (212, 18),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    # the machine as a whole
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "create_module": (174, None),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "get_kernel_syms": (177, None),
    "query_module": (178, None),
    "acct": (163, 89),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "vhangup": (153, 58),
    "iopl": (172, None),
    "ioperm": (173, None),
    # long obsolete, so seldom looked at
    "uselib": (134, None),
    "ustat": (136, None),
    "sysfs": (139, None),
    "_sysctl": (156, None),
    "nfsservctl": (180, 42),
    "vserver": (236, None),
}

_SHARED_MEMORY: dict[str, tuple[int | None, int | None]] = {  # System V's and message queues
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
}

_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000  # SECCOMP_RET_*
_LOAD, _AND, _JUMP_EQUAL, _JUMP_GREATER, _JUMP_ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x25, 0x45, 0x06
_NUMBER, _ARCH, _ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data; arguments are 8 bytes each

# All CLONE_NEW* that clone takes; unshare takes CLONE_NEWTIME too, a bit that means another thing in clone.
_NAMESPACES, _TIME_NAMESPACE = 0x7E020000, 0x80
_TERMINAL_INPUT, _CONSOLE = 0x5412, 0x541C  # TIOCSTI, TIOCLINUX: type into the terminal of whoever watches
_SET_ID = 0o6000  # S_ISUID, S_ISGID
_MAKES = 0o100 | 0o20000000  # O_CREAT, __O_TMPFILE
_STREAM, _SEQPACKET = 1, 5
_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16


def filter_for(kind: Kind, machine: str = "") -> bytes:
    """The filter as an array of `struct sock_filter` (8 bytes each), for `bwrap --seccomp` or `prctl`.

    Raises:
        Unusable: the machine is neither x86_64 nor aarch64.
    """
    machine = machine or platform.machine()
    machine = _ALIASES.get(machine.lower(), machine.lower())
    if machine not in _ARCHES:
        raise Unusable(f"no system call filter for {machine}: only for {' and '.join(_ARCHES)}")
    arch, column = _ARCHES[machine]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in _program(kind, arch, column))


def _program(kind: Kind, arch: int, column: int) -> list[Instruction]:
    program = [_load(_ARCH), (_JUMP_EQUAL, 1, 0, arch), _return(_KILL), _load(_NUMBER)]
    program += [(_JUMP_GREATER, 0, 1, _NEWEST), _fail(_ENOSYS)]
    for name, body in _rules(kind).items():
        if (number := _WITH_RULES[name][column]) is not None:
            program += [(_JUMP_EQUAL, 0, len(body), number), *body]
    denied = _RINGS if kind == "offline" else _RINGS | _DENIED
    if kind == "landlock":
        denied = denied | _SHARED_MEMORY
    numbers = [row[column] for row in denied.values() if row[column] is not None]
    for left, number in zip(range(len(numbers), 0, -1), numbers, strict=True):
        program.append((_JUMP_EQUAL, left, 0, number or 0))  # to the last line
    return [*program, _return(_ALLOW), _fail(_EPERM)]


def _rules(kind: Kind) -> dict[str, list[Instruction]]:
    """What depends on an argument; each body returns. The kernel takes these arguments as 32 bits."""
    pairs = {"socketpair": _only(0, [_UNIX], _EAFNOSUPPORT)}
    if kind == "offline":
        return pairs | {"socket": _only(0, [_UNIX], _EPERM)}
    if kind == "landlock":
        own = {"socket": [_fail(_EPERM)], "prlimit64": _only(0, [0], _EPERM)}  # of itself, not of another
        # One end of a pair of datagram sockets could be connected to any of the machine's by its path.
        family = [_argument(0), (_JUMP_EQUAL, 1, 0, _UNIX), _fail(_EAFNOSUPPORT)]
        pairs = {"socketpair": [*family, *_kinds(1, [_STREAM, _SEQPACKET])]}
    else:
        own = {"socket": _only(0, [_UNIX, _INET, _INET6, _NETLINK], _EAFNOSUPPORT)}
    return {
        **pairs,
        **own,
        "clone": _without(0, _NAMESPACES),
        "clone3": [_fail(_ENOSYS)],
        "unshare": _without(0, _NAMESPACES | _TIME_NAMESPACE),
        "personality": _only(0, [0, 0xFFFFFFFF], _EPERM),  # the second asks and changes nothing
        "ioctl": _except(1, [_TERMINAL_INPUT, _CONSOLE]),
        # A program left behind that runs as its owner, whoever starts it.
        **{name: _without(1, _SET_ID) for name in ("chmod", "creat", "fchmod", "mknod")},
        **{name: _without(2, _SET_ID) for name in ("fchmodat", "fchmodat2", "mknodat")},
        "open": _made_without(1, 2, _SET_ID),
        "openat": _made_without(2, 3, _SET_ID),
        "openat2": [_fail(_ENOSYS)],  # its mode is behind a pointer; callers fall back to openat
    }


def _made_without(flags: int, mode: int, bits: int) -> list[Instruction]:
    """As `_without`, where the mode counts only if the call makes a file."""
    made = [_argument(flags), (_JUMP_ANY_BIT, 1, 0, _MAKES), _return(_ALLOW)]
    return [*made, *_without(mode, bits)]


def _kinds(argument: int, kinds: list[int]) -> list[Instruction]:
    """Only these kinds of sockets; the flags beside the kind do not matter."""
    return [_argument(argument), (_AND, 0, 0, 0xF), *_only(argument, kinds, _EPERM)[1:]]


def _load(offset: int) -> Instruction:
    return (_LOAD, 0, 0, offset)


def _argument(index: int) -> Instruction:
    return _load(_ARGUMENT + 8 * index)  # the low half: both machines are little-endian


def _return(value: int) -> Instruction:
    return (_RETURN, 0, 0, value)


def _fail(errno: int) -> Instruction:
    return _return(_ERRNO | errno)


def _only(argument: int, values: list[int], errno: int) -> list[Instruction]:
    tests = [(_JUMP_EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
    return [_argument(argument), *tests, _fail(errno), _return(_ALLOW)]


def _except(argument: int, values: list[int]) -> list[Instruction]:
    tests = [(_JUMP_EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
    return [_argument(argument), *tests, _return(_ALLOW), _fail(_EPERM)]


def _without(argument: int, bits: int) -> list[Instruction]:
    return [_argument(argument), (_JUMP_ANY_BIT, 0, 1, bits), _fail(_EPERM), _return(_ALLOW)]
