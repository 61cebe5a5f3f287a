"""The engine's process reaches model servers, on this machine or listed by the person, and nothing else."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import Lab

from orchestrator import config, service, user
from orchestrator.reach import LOCAL, NotAllowed, Server, guard, reach, server
from state.home import config_home
from tickets.problems import TicketError

ELSEWHERE = "192.0.2.1"  # RFC 5737: nobody's; were it not refused, the tests would wait, not reach anybody


@contextlib.contextmanager
def listening(family: int = socket.AF_INET, host: str = "127.0.0.1") -> Iterator[Server]:
    with socket.socket(family, socket.SOCK_STREAM) as made:
        made.bind((host, 0))
        made.listen(8)
        yield Server(host, made.getsockname()[1])


def connects(to: Server) -> bool:
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(to, timeout=5):
        return True
    return False


# What may be reached -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, host, port",
    [
        ("127.0.0.1:11434", "127.0.0.1", 11434),
        ("gpu-box", "gpu-box", 11434),
        ("http://gpu-box:9000/v1", "gpu-box", 9000),
        ("[::1]:9000", "::1", 9000),
        ("0.0.0.0:9000", "127.0.0.1", 9000),
        ("[::]:9000", "127.0.0.1", 9000),
        (":9000", "127.0.0.1", 9000),
    ],
)
def test_a_server_is_read_as_people_write_it(text: str, host: str, port: int) -> None:
    assert server(text) == (host, port)


@pytest.mark.parametrize("text", ["a:b", "a:99999", "[::1", "http://[x]/"])
def test_what_is_no_server_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a model server"):
        server(text)


def test_by_default_only_this_machines_model_servers_are_reached() -> None:
    assert {f"{host}:{port}" for host, port in reach((), None).servers} == set(LOCAL)


def test_a_variable_widens_to_this_machine_alone() -> None:
    assert Server("127.0.0.1", 9000) in reach((), "localhost:9000").servers
    found = reach((), "gpu-box:9000")
    assert found.servers == reach((), None).servers
    assert "list it under `servers`" in found.refused
    listed = reach(["GPU-Box:9000"], "gpu-box:9000")
    assert (listed.refused, Server("gpu-box", 9000) in listed.servers) == ("", True)
    assert reach(["gpu-box:9001"], "gpu-box:9000").refused
    assert "correct it" in reach((), "a:b").refused


def test_a_server_that_is_none_is_told_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("servers: ['gpu-box:x']\n")
    with pytest.raises(TicketError, match=r"config\.yaml:1:11: servers.*expected a model server"):
        user.load(file)


# The guard -----------------------------------------------------------------------------------------


def test_another_port_of_this_machine_is_refused_and_the_allowed_one_answers() -> None:
    with listening() as model, listening() as other, guard(frozenset((model,))):
        assert connects(model)
        for refused in (other, Server("localhost", other.port)):
            with pytest.raises(NotAllowed, match=f"may not reach .*:{other.port}"):
                connects(refused)


@pytest.mark.parametrize(
    "name", ["localhost", "LocalHost.", "127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"]
)
def test_every_name_of_this_machine_is_the_same_server(name: str) -> None:
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    if family == socket.AF_INET6 and not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with guard(frozenset((Server("127.0.0.1", 9000),))), socket.socket(family, socket.SOCK_STREAM) as made:
        sys.audit("socket.connect", made, (name, 9000))
        with pytest.raises(NotAllowed):
            sys.audit("socket.connect", made, (name, 9001))


@pytest.mark.parametrize("how", ["connect", "connect_ex", "sendto", "sendmsg"])
def test_no_way_of_sending_reaches_elsewhere(how: str) -> None:
    kind = socket.SOCK_DGRAM if how.startswith("send") else socket.SOCK_STREAM
    with guard(reach((), None).servers), socket.socket(socket.AF_INET, kind) as made:
        made.settimeout(0.2)
        to = (ELSEWHERE, 11434)
        calls = {
            "connect": lambda: made.connect(to),
            "connect_ex": lambda: made.connect_ex(to),
            "sendto": lambda: made.sendto(b"x", to),
            "sendmsg": lambda: made.sendmsg([b"x"], [], 0, to),
        }
        if sys.platform == "win32" and how == "sendmsg":
            pytest.skip("Python has no sendmsg on Windows")
        with pytest.raises(NotAllowed):
            calls[how]()


@pytest.mark.parametrize(
    "call", ["getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getfqdn"]
)
def test_no_name_of_another_host_is_looked_up(call: str) -> None:
    with guard(reach((), None).servers):
        arguments = ("tracker.invalid", 80) if call == "getaddrinfo" else ("tracker.invalid",)
        if call == "getfqdn":  # swallows every error: what counts is that it learns nothing
            assert socket.getfqdn(*arguments) == "tracker.invalid"
            return
        with pytest.raises(NotAllowed, match=r"tracker\.invalid"):
            getattr(socket, call)(*arguments)


def test_a_listed_name_is_looked_up_and_reached_at_its_port_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def told(host: str | None, port: int, *rest: int, **more: int) -> object:
        return real("127.0.0.1" if host == "gpu-box.invalid" else host, port, *rest, **more)

    with listening() as model, listening() as other:
        # A name that means an address elsewhere, played by this machine's own: nothing else answers here.
        monkeypatch.setattr(socket, "getaddrinfo", told)
        with guard(frozenset((Server("gpu-box.invalid", model.port),))):
            sys.audit("socket.getaddrinfo", "GPU-Box.invalid", model.port, 0, 0, 0)
            with pytest.raises(NotAllowed):
                sys.audit("socket.getaddrinfo", "gpu-box.invalid.example", model.port, 0, 0, 0)
            assert connects(Server("gpu-box.invalid", model.port))
            with pytest.raises(NotAllowed):
                connects(Server("gpu-box.invalid", other.port))


def test_what_is_no_network_goes_on(tmp_path: Path) -> None:
    with guard(frozenset()):
        one, other = socket.socketpair()
        one.close()
        other.close()
        subprocess.run([sys.executable, "-c", ""], check=True)
        if hasattr(socket, "AF_UNIX"):
            with (
                socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made,
                socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as to,
            ):
                made.bind(str(tmp_path / "s"))
                made.listen(1)
                to.connect(str(tmp_path / "s"))
        socket.getaddrinfo("localhost", 1)
        socket.getaddrinfo("127.0.0.1", 1)


def test_threads_are_held_too_and_nothing_is_left_when_it_ends() -> None:
    said: list[object] = []

    def go(to: Server) -> None:
        try:
            said.append(connects(to))
        except NotAllowed as error:
            said.append(type(error))

    with listening() as other:
        with guard(frozenset()):
            thread = threading.Thread(target=go, args=(other,))
            thread.start()
            thread.join()
        assert said == [NotAllowed]
        assert connects(other)


def test_two_engines_of_one_process_do_not_lift_each_others_guard() -> None:
    with listening() as one, listening() as other:
        first, second = guard(frozenset((one,))), guard(frozenset())
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        with pytest.raises(NotAllowed):
            connects(other)
        second.__exit__(None, None, None)
        assert connects(other)


# In the engine -------------------------------------------------------------------------------------

PROGRAM = """
import socket, sys
from pathlib import Path
from orchestrator.kinds.base import installed
from orchestrator.service import serve
from state.workspace import Workspace

allowed, other, out = int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])

def attempt(call):
    try:
        call()
        return "reached"
    except OSError as error:
        return type(error).__name__

def follow(event):  # called in the engine's own loop
    if out.exists():
        return
    said = [
        attempt(lambda: socket.create_connection(("127.0.0.1", allowed), 5).close()),
        attempt(lambda: socket.create_connection(("127.0.0.1", other), 5).close()),
        attempt(lambda: socket.create_connection(("192.0.2.1", 443), 5).close()),
        attempt(lambda: socket.getaddrinfo("tracker.invalid", 443)),
    ]
    out.write_text(" ".join(said))

serve(Workspace(Path(sys.argv[1])), until_idle=True, follow=follow)
"""


def test_an_engine_reaches_its_model_server_and_no_other_port(lab: Lab, tmp_path: Path) -> None:
    lab.ticket("TICKET-1", when="idle", **{"with": {"steps": ["true"]}})
    out = tmp_path / "said"
    with listening() as model, listening() as other:
        file = config_home() / "config.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"servers: ['127.0.0.1:{model.port}']\n")
        ports = [str(model.port), str(other.port)]
        command = [sys.executable, "-P", "-c", PROGRAM, str(lab.root), *ports, str(out)]
        done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    assert out.read_text().split() == ["reached", "NotAllowed", "NotAllowed", "NotAllowed"]


def test_a_code_ticket_waits_with_a_cure_where_the_server_is_not_listed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", f"http://{ELSEWHERE}:11434")
    lab.ticket("TICKET-1", kind="code")
    service.serve(lab.workspace, until_idle=True, sandbox=lab.sandbox(lab.workspace))
    assert lab.state("TICKET-1") == "waiting"
    assert f"{ELSEWHERE}:11434" in lab.note("TICKET-1")
    assert "servers" in lab.note("TICKET-1")


def test_a_repository_can_list_no_server(lab: Lab) -> None:
    lab.write({"jetbox.yaml": "servers: ['gpu-box:1']\n"})
    with pytest.raises(TicketError, match="servers"):
        config.load(lab.workspace)
