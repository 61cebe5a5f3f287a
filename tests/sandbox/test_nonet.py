"""A run has no network, by each means that this machine has, native code included; its own loopback works."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
USER = 12345
linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is the audit hook alone")

DENY = """
import sys
sys.path.insert(0, sys.argv[1])
from orchestrator.sandbox import nonet
"""
BY = {
    "the kernel's best": "",
    "a filter": "def none():\n    raise OSError\nnonet._enter_namespace = none\n",
    "the hook": "nonet._by_kernel = lambda: ''\n",
}
NATIVE = """
import ctypes, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
def knock(kind, port):
    made = libc.socket(2, kind, 0)
    libc.connect(made, struct.pack("=HH4s8x", 2, socket.htons(port), bytes((127, 0, 0, 1))), 16)
    libc.send(made, b"x", 1, 0)
knock(1, int(sys.argv[2]))
knock(2, int(sys.argv[3]))
"""


def python_for(uid: int) -> str:
    if uid == os.geteuid():
        return sys.executable
    for python in (os.path.realpath(sys.executable), "/usr/bin/python3"):
        with contextlib.suppress(OSError):
            program = DENY + "assert sys.version_info >= (3, 11)"
            if (
                subprocess.run([python, "-c", program, str(REPOSITORY)], user=uid, check=False).returncode
                == 0
            ):
                return python
    pytest.skip("an ordinary user can start no Python here")


@pytest.fixture(params=["ourselves", "an ordinary user"])
def uid(request: pytest.FixtureRequest) -> int:
    if request.param == "ourselves":
        return os.geteuid() if sys.platform != "win32" else 0
    if sys.platform == "win32" or os.geteuid() != 0:
        pytest.skip("the tests are an ordinary user's already")
    return USER


def run(uid: int, by: str, program: str, *words: object) -> subprocess.CompletedProcess[str]:
    whole = DENY + BY[by] + "held = nonet.deny_network()\n" + program
    command = [python_for(uid), "-c", whole, str(REPOSITORY), *map(str, words)]
    as_user = {} if sys.platform == "win32" or uid == os.geteuid() else {"user": uid, "group": uid}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **as_user)  # type: ignore[call-overload,no-any-return]


class Host:
    """A TCP and a UDP server on this machine's loopback."""

    def __init__(self) -> None:
        self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for each in (self.tcp, self.udp):
            each.bind(("127.0.0.1", 0))
            each.setblocking(False)
        self.tcp.listen()
        self.ports = (self.tcp.getsockname()[1], self.udp.getsockname()[1])

    def heard(self) -> tuple[bool, bool]:
        found = [False, False]
        with contextlib.suppress(BlockingIOError):
            self.tcp.accept()[0].close()
            found[0] = True
        with contextlib.suppress(BlockingIOError):
            found[1] = bool(self.udp.recv(10))
        return found[0], found[1]


@pytest.fixture
def host() -> Iterator[Host]:
    found = Host()
    yield found
    found.tcp.close()
    found.udp.close()


@linux
@pytest.mark.parametrize("by", ["the kernel's best", "a filter"])
def test_native_code_reaches_nothing_of_this_machine(by: str, uid: int, host: Host) -> None:
    assert run(uid, "the hook", NATIVE, *host.ports).returncode == 0
    assert host.heard() == (True, True)  # the control: a hook does not see native code
    held = run(uid, by, "print(held)" + NATIVE, *host.ports)
    assert host.heard() == (False, False)
    assert held.stdout.strip() in (("seccomp",) if by == "a filter" else ("namespace", "seccomp")), (
        held.stderr
    )


@linux
@pytest.mark.parametrize("by", ["the kernel's best", "a filter"])
def test_children_have_none_either(by: str, uid: int, host: Host) -> None:
    again = "[sys.executable, '-c', 'import sys' + sys.argv[4], *sys.argv[1:4]]"
    program = f"import subprocess; subprocess.run({again})"
    run(uid, "the hook", program, *host.ports, NATIVE)
    assert host.heard() == (True, True)
    run(uid, by, program, *host.ports, NATIVE)
    assert host.heard() == (False, False)


@linux
def test_in_a_namespace_the_loopback_is_the_runs_own(uid: int, host: Host) -> None:
    program = """
import os, socket
if held != "namespace":
    print("none")
    sys.exit()
server = socket.create_server(("127.0.0.1", int(sys.argv[2])))  # the host's port: it is free in here
other = socket.create_connection(("localhost", server.getsockname()[1]))
server.accept()[0].send(b"hello")
print(other.recv(5).decode(), os.geteuid())
open(sys.argv[4], "w").close()
"""
    file = Path(f"/tmp/jetbox-nonet-{os.urandom(6).hex()}")
    try:
        done = run(uid, "the kernel's best", program, *host.ports, file)
        if done.stdout == "none\n":
            pytest.skip("no network namespace can be made here")
        assert done.stdout.split() == ["hello", str(uid)], done.stderr
        assert file.stat().st_uid == uid  # it makes files as before
    finally:
        file.unlink(missing_ok=True)


CALLS = [
    "socket.create_connection(('192.0.2.1', 80), 1)",
    "socket.create_connection(('example.org', 80), 1)",
    "socket.getaddrinfo('example.org', 80)",
    "socket.gethostbyname('example.org')",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9))",
    "socket.socket(socket.AF_INET6).connect(('2001:db8::1', 80))",
    "__import__('urllib.request').request.urlopen('http://example.org/')",
]
OWN = [
    "socket.create_connection(('127.0.0.1', 9), 1)",
    "socket.socket().bind(('127.0.0.1', 0))",
    "socket.getaddrinfo('localhost', 80)",
]


@pytest.mark.parametrize("by", list(BY))
def test_what_is_refused_is_said_in_plain_words(by: str) -> None:
    if sys.platform != "linux" and by != "the hook":
        pytest.skip("elsewhere there is the audit hook alone")
    uid = os.geteuid() if sys.platform != "win32" else 0
    program = """
import socket
for call in sys.argv[2:]:
    try:
        eval(call)
        print("done")
    except nonet.NetworkRefused as error:
        print("said", error)
    except OSError as error:
        print("failed", error)
print(held)
"""
    *lines, held = run(uid, by, program, *CALLS, *OWN).stdout.splitlines()
    far, own = lines[: len(CALLS)], lines[len(CALLS) :]
    assert all("a run may not use the network" in line for line in far), far
    if held == "namespace":
        assert own[0].startswith("failed")
        assert own[1:] == ["done", "done"]
    else:
        assert all(line.startswith("said") for line in own), own


@pytest.mark.parametrize("by", list(BY))
def test_pipes_and_local_sockets_stay(by: str, tmp_path: Path) -> None:
    if sys.platform != "linux" and by != "the hook":
        pytest.skip("elsewhere there is the audit hook alone")
    if sys.platform == "win32":
        pytest.skip("a pair of sockets is a connection there")
    program = """
import asyncio, multiprocessing, os, socket
a, b = socket.socketpair()
a.send(b"pair")
server = socket.socket(socket.AF_UNIX)
os.chdir(sys.argv[2])
server.bind("local")
server.listen()
client = socket.socket(socket.AF_UNIX)
client.connect("local")
asyncio.run(asyncio.sleep(0))
print(b.recv(4).decode())
"""
    done = run(os.geteuid(), by, program, tmp_path)
    assert done.stdout == "pair\n", done.stderr


@linux
def test_with_a_second_thread_there_is_still_no_network(host: Host) -> None:
    program = """
import threading
waiting = threading.Event()
threading.Thread(target=waiting.wait).start()
print(nonet.deny_network())
"""
    command = [
        sys.executable,
        "-c",
        DENY + program + NATIVE + "waiting.set()",
        str(REPOSITORY),
        *map(str, host.ports),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() in ("namespace", "seccomp"), done.stderr
    assert host.heard() == (False, False)
