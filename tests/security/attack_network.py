"""Reaching anything over a network or a socket. Succeeded when a listener of the host's heard the token."""

from __future__ import annotations

import array
import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attack import Attack
from attacked_host import Host, NotHere, Ran, heard

KIND = "network"
MPTCP, UDPLITE = 262, 136
MODEL_SERVER = 11434


def server(
    family: int, kind: int, address: Any, protocol: int = 0, port: bool = True
) -> Callable[[Host], None]:
    """A listener whose address the attack is given."""

    def prepare(host: Host) -> None:
        where = address(host) if callable(address) else address
        made = host.listen(family, kind, where, protocol)
        host.params["address"] = list(made.getsockname()) if port else where

    return prepare


def connecting(make: str, address: str = 'tuple(P["address"])') -> str:
    """A payload that sends the token over a stream."""
    return f"""
def reach():
    peer = socket.socket({make})
    peer.settimeout(3)
    peer.connect({address})
    peer.sendall(TOKEN.encode())
    time.sleep(0.1)
attempt(reach)
"""


def sending(make: str, address: str = 'tuple(P["address"])') -> str:
    """A payload that sends the token as a datagram."""
    return f"attempt(lambda: socket.socket({make}).sendto(TOKEN.encode(), {address}))\ntime.sleep(0.1)"


def own_address() -> str:
    """An address of this machine that is not the loopback's."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: it only asks which way it would go
        address = str(probe.getsockname()[0])
        if not address.startswith("127."):
            return address
    raise NotHere("the machine has no address but the loopback's")


def _abstract(host: Host) -> str:
    return f"\0{host.token}"


def _path(name: str) -> Callable[[Host], str]:
    def make(host: Host) -> str:
        path = host.root / "sockets" / name
        path.parent.mkdir()
        return str(path)

    return make


def _raw(host: Host) -> None:
    if os.geteuid() != 0:
        raise NotHere("only root can listen for that")
    host.listen(socket.AF_INET, socket.SOCK_RAW, ("127.0.0.1", 0), socket.IPPROTO_ICMP)


def _frames(host: Host) -> None:
    if os.geteuid() != 0:
        raise NotHere("only root can listen for that")
    host.listen(socket.AF_PACKET, socket.SOCK_RAW, ("lo", 0x88B5), socket.htons(0x88B5))


def _taken_port(host: Host) -> None:
    """The port is held by nobody for a moment; the attack takes it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    host.params["port"] = port
    over = threading.Event()

    def knock() -> None:
        while not over.wait(0.03):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.3) as peer:
                peer.settimeout(0.5)
                host.heard.append(peer.recv(100))

    thread = threading.Thread(target=knock, daemon=True)
    thread.start()
    host.undo.callback(lambda: (over.set(), thread.join()))


def _named_server(host: Host) -> None:
    """As `_taken_port`, with a socket that other programs know by a name."""
    host.params["name"] = host.token
    over = threading.Event()

    def knock() -> None:
        while not over.wait(0.03):
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as peer:
                peer.settimeout(0.5)
                peer.connect(f"\0{host.token}")
                host.heard.append(peer.recv(100))

    thread = threading.Thread(target=knock, daemon=True)
    thread.start()
    host.undo.callback(lambda: (over.set(), thread.join()))


def _inherited(host: Host) -> None:
    mine, theirs = socket.socketpair()
    host.undo.callback(mine.close)
    host.fd(theirs.detach())
    mine.settimeout(0.05)
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                host.heard.append(mine.recv(100))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    host.undo.callback(lambda: (over.set(), thread.join()))


def _new_address(host: Host) -> None:
    host.params["new"] = f"127.66.{int(host.token[2:4], 16)}.{int(host.token[4:6], 16) or 1}"


def _address_added(host: Host, ran: Ran) -> bool:
    """Whether the loopback has another address; it is taken away again."""
    found = host.params["new"] in Path("/proc/net/fib_trie").read_text() and _labelled(host.params["new"])
    if found and os.geteuid() == 0:
        _address(21, host.params["new"])
    return found


def _labelled(address: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        return address in _addresses(probe)


def _addresses(probe: socket.socket) -> list[str]:
    import fcntl

    room = array.array("B", bytes(40 * 64))
    ask = struct.pack("iL", len(room), room.buffer_info()[0])
    size = struct.unpack("iL", fcntl.ioctl(probe, 0x8912, ask))[0]
    return [socket.inet_ntoa(room[at + 20 : at + 24].tobytes()) for at in range(0, size, 40)]


NETLINK = """
def address(what, ip):
    body = struct.pack("BBBBI", socket.AF_INET, 32, 0, 0, socket.if_nametoindex("lo"))
    raw = socket.inet_aton(ip)
    body += struct.pack("HH4sHH4s", 8, 2, raw, 8, 1, raw) + struct.pack("HH4s", 8, 3, b"lo\\0\\0")
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    link.send(struct.pack("IHHII", 16 + len(body), what, 0x405, 1, 0) + body)
    print(link.recv(4096))
"""


def _address(what: int, ip: str) -> None:
    space: dict[str, Any] = {"socket": socket, "struct": struct, "print": lambda *_: None}
    exec(NETLINK, space)
    space["address"](what, ip)


def _heard_later(host: Host, ran: Ran) -> bool:
    time.sleep(0.15)
    return heard(host, ran)


FAST_OPEN = """
def reach():
    peer = socket.socket(socket.AF_INET)
    peer.sendto(TOKEN.encode(), 0x20000000, tuple(P["address"]))
    time.sleep(0.1)
attempt(reach)
"""

PING = """
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
def ping(kind):
    body = TOKEN.encode() + b"x" * (len(TOKEN) % 2)
    head = struct.pack("!BBHHH", 8, 0, 0, 7, 1)
    head = struct.pack("!BBHHH", 8, 0, checksum(head + body), 7, 1)
    socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP).sendto(head + body, ("127.0.0.1", 0))
attempt(ping, socket.SOCK_DGRAM)
attempt(ping, socket.SOCK_RAW)
time.sleep(0.1)
"""

FRAME = """
def frame():
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    link.bind(("lo", 0x88B5))
    link.send(b"\\0" * 12 + b"\\x88\\xb5" + TOKEN.encode())
attempt(frame)
time.sleep(0.1)
"""

RING = """
def reach():
    # A connection asked of the kernel's request ring, which no filter of system calls sees.
    number = 425
    setup = ctypes.create_string_buffer(120)
    ring = syscall(number, 8, setup)
    words = struct.unpack("30I", setup.raw)
    entries, cq_entries = words[0], words[1]
    sq = dict(zip(("head", "tail", "mask", "entries", "flags", "dropped", "array"), words[10:17]))
    cq = dict(zip(("head", "tail", "mask", "entries", "overflow", "cqes"), words[20:26]))
    size = max(sq["array"] + entries * 4, cq["cqes"] + cq_entries * 16)
    rings = mmap.mmap(ring, size, offset=0)
    jobs = mmap.mmap(ring, entries * 64, offset=0x10000000)
    def run(job):
        tail = struct.unpack_from("I", rings, sq["tail"])[0]
        jobs[(tail & 7) * 64 : (tail & 7) * 64 + 64] = job
        struct.pack_into("I", rings, sq["array"] + 4 * (tail & 7), tail & 7)
        struct.pack_into("I", rings, sq["tail"], tail + 1)
        syscall(426, ring, 1, 1, 1, None, 0)
        head = struct.unpack_from("I", rings, cq["head"])[0]
        got = struct.unpack_from("QiI", rings, cq["cqes"] + 16 * (head % cq_entries))[1]
        struct.pack_into("I", rings, cq["head"], head + 1)
        if got < 0:
            raise OSError(-got, os.strerror(-got))
        return got
    def job(op, fd, off=0, addr=0, length=0):
        return struct.pack("BBHiQQII", op, 0, 0, fd, off, addr, length, 0).ljust(64, b"\\0")
    fd = run(job(45, socket.AF_INET, off=socket.SOCK_STREAM))
    ip, port = P["address"]
    name = struct.pack("=H", 2) + struct.pack("!H", port) + socket.inet_aton(ip) + bytes(8)
    where = ctypes.create_string_buffer(name, 16)
    run(job(16, fd, off=16, addr=ctypes.addressof(where)))
    text = ctypes.create_string_buffer(TOKEN.encode())
    run(job(26, fd, addr=ctypes.addressof(text), length=len(TOKEN)))
    time.sleep(0.1)
attempt(reach)
"""

LISTEN = """
def serve():
    server = socket.socket(socket.AF_INET)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("0.0.0.0", P["port"]))
    server.listen()
    server.settimeout(1.0)
    peer, _ = server.accept()
    peer.sendall(TOKEN.encode())
    time.sleep(0.1)
attempt(serve)
"""

LISTEN_LATER = """
def serve():
    server = socket.socket(socket.AF_INET)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    time.sleep(0.15)  # the engine believes that the command has ended
    server.bind(("0.0.0.0", P["port"]))
    server.listen()
    server.settimeout(1.0)
    peer, _ = server.accept()
    peer.sendall(TOKEN.encode())
    time.sleep(0.5)
daemon(serve)
"""

LISTEN_NAMED = """
def serve():
    server = socket.socket(socket.AF_UNIX)
    server.bind("\\0" + P["name"])
    server.listen()
    server.settimeout(1.0)
    peer, _ = server.accept()
    peer.sendall(TOKEN.encode())
    time.sleep(0.1)
attempt(serve)
"""

INET, INET6, UNIX = socket.AF_INET, socket.AF_INET6, socket.AF_UNIX
STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
LOCAL = ("127.0.0.1", 0)


def _to(id_: str, tries: str, payload: str, prepare: Callable[[Host], None], rights: str = "user") -> Attack:
    return Attack(id_, KIND, tries, payload, heard, prepare, rights)


NETWORK = [
    _to(
        "tcp-loopback",
        "a server of the host's on 127.0.0.1",
        connecting("socket.AF_INET"),
        server(INET, STREAM, LOCAL),
    ),
    _to(
        "tcp-loopback-6", "the same on ::1", connecting("socket.AF_INET6"), server(INET6, STREAM, ("::1", 0))
    ),
    _to(
        "tcp-mapped",
        "the same by an IPv6 socket",
        connecting("socket.AF_INET6", '("::ffff:127.0.0.1", P["address"][1])'),
        server(INET, STREAM, LOCAL),
    ),
    _to(
        "tcp-any-address",
        "the same as 0.0.0.0",
        connecting("socket.AF_INET", '("0.0.0.0", P["address"][1])'),
        server(INET, STREAM, LOCAL),
    ),
    _to(
        "tcp-own-address",
        "the same on the machine's own address",
        connecting("socket.AF_INET"),
        server(INET, STREAM, lambda host: (own_address(), 0)),
    ),
    _to("tcp-fast-open", "the same, data sent with the first packet", FAST_OPEN, server(INET, STREAM, LOCAL)),
    _to(
        "mptcp",
        "the same over several paths",
        connecting(f"socket.AF_INET, socket.SOCK_STREAM, {MPTCP}"),
        server(INET, STREAM, LOCAL, MPTCP),
    ),
    _to("request-ring", "the same through io_uring", RING, server(INET, STREAM, LOCAL)),
    _to(
        "model-server",
        "the model server, on its usual port",
        connecting("socket.AF_INET"),
        server(INET, STREAM, ("127.0.0.1", MODEL_SERVER)),
    ),
    _to(
        "udp-loopback",
        "a datagram to 127.0.0.1",
        sending("socket.AF_INET, socket.SOCK_DGRAM"),
        server(INET, DATAGRAM, LOCAL),
    ),
    _to(
        "udp-loopback-6",
        "a datagram to ::1",
        sending("socket.AF_INET6, socket.SOCK_DGRAM"),
        server(INET6, DATAGRAM, ("::1", 0)),
    ),
    _to(
        "udp-lite",
        "a datagram of another protocol",
        sending(f"socket.AF_INET, socket.SOCK_DGRAM, {UDPLITE}"),
        server(INET, DATAGRAM, LOCAL, UDPLITE),
    ),
    _to(
        "name-query",
        "a secret carried out in the question to a name server",
        """
question = struct.pack("!6H", 0x1234, 0x100, 1, 0, 0, 0) + bytes([len(TOKEN)]) + TOKEN.encode()
question += b"\\x07invalid\\0" + struct.pack("!HH", 1, 1)
attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(question, tuple(P["address"])))
time.sleep(0.1)
""",
        server(INET, DATAGRAM, lambda host: (own_address(), 0)),
    ),
    _to("ping", "an echo request", PING, _raw, "root"),
    _to("frames", "raw frames on the loopback", FRAME, _frames, "root"),
    _to(
        "unix-abstract",
        "a Unix socket without a path",
        connecting("socket.AF_UNIX", 'P["address"]'),
        server(UNIX, STREAM, _abstract, port=False),
    ),
    _to(
        "unix-abstract-datagram",
        "a datagram to one",
        sending("socket.AF_UNIX, socket.SOCK_DGRAM", 'P["address"]'),
        server(UNIX, DATAGRAM, _abstract, port=False),
    ),
    _to(
        "unix-path",
        "a Unix socket by its path",
        connecting("socket.AF_UNIX", 'P["address"]'),
        server(UNIX, STREAM, _path("stream"), port=False),
    ),
    _to(
        "unix-path-datagram",
        "a datagram to one",
        sending("socket.AF_UNIX, socket.SOCK_DGRAM", 'P["address"]'),
        server(UNIX, DATAGRAM, _path("datagram"), port=False),
    ),
    _to(
        "unix-packets",
        "packets to one",
        connecting("socket.AF_UNIX, socket.SOCK_SEQPACKET", 'P["address"]'),
        server(UNIX, socket.SOCK_SEQPACKET, _path("packets"), port=False),
    ),
    _to(
        "unix-pair",
        "a Unix socket reached from one that was made as a pair",
        """
def reach():
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.connect(P["address"])
    one.send(TOKEN.encode())
    time.sleep(0.1)
attempt(reach)
""",
        server(UNIX, DATAGRAM, _path("pair"), port=False),
    ),
    _to(
        "inherited-socket",
        "a socket that the engine left open for its children",
        "for fd in range(3, 256):\n    attempt(os.write, fd, TOKEN.encode())\ntime.sleep(0.1)",
        _inherited,
    ),
    _to(
        "vsock",
        "a server of the host's over vsock",
        connecting("socket.AF_VSOCK, socket.SOCK_STREAM", '(1, P["address"][1])'),
        server(40, STREAM, (1, 0xFFFFFFFF)),
    ),
    _to("listen", "a server of its own that the host can be lured to", LISTEN, _taken_port),
    Attack(
        "listen-later",
        KIND,
        "the same, left behind by a command that has ended",
        LISTEN_LATER,
        _heard_later,
        _taken_port,
    ),
    _to("listen-named", "a server under a name that other programs know", LISTEN_NAMED, _named_server),
    Attack(
        "netlink",
        KIND,
        "an address added to the host's loopback",
        NETLINK + '\nattempt(address, 20, P["new"])',
        _address_added,
        _new_address,
        "root",
    ),
]
