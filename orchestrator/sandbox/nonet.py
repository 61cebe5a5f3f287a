"""Takes the network from this very process, for a run (training, data) that Jetbox itself starts.

The kernel does it where it can: an own network namespace, whose loopback works, so that a distributed run on
one machine does too; else a filter that lets no socket be made but Unix ones. An audit hook says in plain
words what was refused, and is all there is on other systems. On Linux this holds back whatever phones home,
native code included. It is no wall against hostile code: that is what a sandbox is for.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

Denial = Literal["namespace", "seccomp", ""]
"""What holds: a network namespace, a filter, or nothing but the audit hook."""

_TO_ADDRESS = {f"socket.{name}" for name in ("bind", "connect", "sendmsg", "sendto")}  # (socket, address)
_TO_NAME = {f"socket.{name}" for name in ("getaddrinfo", "gethostbyaddr", "gethostbyname", "getnameinfo")}
_NEWUSER, _NEWNET = 0x10000000, 0x40000000
_SET_FLAGS, _UP_AND_RUNNING = 0x8914, 0x41  # SIOCSIFFLAGS; IFF_UP, IFF_RUNNING
_NO_NEW_PRIVS, _SECCOMP, _FILTER = 38, 22, 2  # prctl


REFUSED: list[str] = []
"""What this process was refused so far, the first of it: which call, for whoever tells of it."""
_MOST_REFUSED = 100


class NetworkRefused(PermissionError):
    """A run tried to reach the network."""


def deny_network() -> Denial:
    """Take the network from this process and all it starts from now on; it cannot be had back.

    To be called early: with a second thread there is no namespace, and a filter holds only its caller.
    """
    held = _by_kernel()
    sys.addaudithook(lambda event, arguments: _refuse(held, event, arguments))
    return held


def _refuse(held: Denial, event: str, arguments: tuple[Any, ...]) -> None:
    """The audit hook. In a namespace the loopback is the run's own; under a filter, making a socket fails."""
    if event in _TO_ADDRESS:
        refused = _internet(arguments[0].family) and not (held == "namespace" and _own(event, arguments[1]))
    elif event in _TO_NAME:
        refused = not (held == "namespace" and _own_name(arguments[0]))
    else:
        refused = event == "socket.__new__" and held == "seccomp" and _internet(arguments[1])
    if refused:
        if len(REFUSED) < _MOST_REFUSED:
            REFUSED.append(event)
        raise NetworkRefused(f"a run may not use the network ({event})")


def _own(event: str, address: Any) -> bool:
    """Whether an address is within the namespace. Any can be listened on; None is one connected before."""
    if event == "socket.bind" or address is None:
        return True
    return isinstance(address, tuple) and _own_name(address[0])


def _own_name(name: Any) -> bool:
    """Whether a name or an address is this machine's; nobody is asked."""
    import ipaddress
    import socket

    if isinstance(name, tuple):  # of `getnameinfo`
        name = name[0]
    plain = (
        bytes(name).decode("ascii", "replace") if isinstance(name, (bytes, bytearray)) else str(name or "")
    )
    if plain.rstrip(".").casefold() in ("", "localhost", socket.gethostname().casefold()):
        return True
    try:
        return ipaddress.ip_address(plain.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _internet(family: int) -> bool:
    import socket

    return family in (socket.AF_INET, socket.AF_INET6)


if sys.platform == "linux":

    def _by_kernel() -> Denial:
        with contextlib.suppress(OSError):
            _enter_namespace()
            return "namespace"
        with contextlib.suppress(OSError):
            if _filter_sockets():
                return "seccomp"
        return ""

    def _enter_namespace() -> None:
        """Leave the machine's network for an own one, with nothing in it but a loopback."""
        if os.geteuid() != 0:  # root needs no user namespace, and would lose rights that a run may use
            if not _rehearsed(_enter_user_namespace):
                raise OSError("no user namespace can be made")
            _enter_user_namespace()
        _unshare(_NEWNET)
        with contextlib.suppress(OSError):
            _raise_loopback()

    def _enter_user_namespace() -> None:
        uid, gid = os.geteuid(), os.getegid()
        _unshare(_NEWUSER)
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{uid} {uid} 1"),
            ("gid_map", f"{gid} {gid} 1"),
        ):
            Path(f"/proc/self/{name}").write_text(text)

    def _unshare(what: int) -> None:
        import ctypes

        if ctypes.CDLL(None, use_errno=True).unshare(what) != 0:
            raise OSError(ctypes.get_errno(), "unshare")

    def _raise_loopback() -> None:
        import fcntl
        import socket
        import struct

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH22x", b"lo", _UP_AND_RUNNING))

    def _rehearsed(step: Callable[[], None]) -> bool:
        """Whether a step works, tried in a child: a process that has done half of it can make no file."""
        child = os.fork()
        if child == 0:
            try:
                os.closerange(
                    3, 1024
                )  # were its parent killed now, it would hold the run's lock in its stead
                step()
                os._exit(0)
            except BaseException:
                os._exit(1)
        return os.waitpid(child, 0)[1] == 0

    def _filter_sockets() -> bool:
        import ctypes

        from orchestrator.sandbox.backend import Unusable
        from orchestrator.sandbox.seccomp import filter_for

        class Program(ctypes.Structure):
            _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

        try:
            code = filter_for("offline")
        except Unusable:
            return False
        held = ctypes.create_string_buffer(code, len(code))
        program = Program(len(code) // 8, ctypes.addressof(held))
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        if prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            return False
        return int(prctl(_SECCOMP, _FILTER, ctypes.byref(program), 0, 0)) == 0

else:

    def _by_kernel() -> Denial:
        return ""
