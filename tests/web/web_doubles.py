"""A workspace that is served for real, over sockets of this machine, with a mind that is a double."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.lab.mind import Mind
from orchestrator.web import server
from orchestrator.web.desk import Desk
from state.events import New
from state.journal import Journal
from state.workspace import Workspace

DOUBLE = Path(__file__).resolve().parents[1] / "doubles" / "scripted_mind.py"
BOARD = [1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]
SCENE = {"objects": [{"shape": "circle", "colour": "red", "size": "small", "cell": "top left"}], "seed": 7}
GREET = {"part": "scenes", "question": "what colour is the circle?", "scene": SCENE}


def workspace(root: Path) -> Workspace:
    """A repository with a journal that holds one ticket."""
    root.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "init", "-q", "--template=", str(root)], check=True)
    made = Workspace(root.resolve())
    made.home.mkdir()
    spec = {"kind": "run", "goal": "Something to be done", "accept": ["standard"]}
    body = {"path": "tickets/TICKET-001.yaml", "spec": spec, "revision": "r" * 64, "needs": []}
    write(made, New("ticket.admitted", body, "TICKET-001"))
    return made


def write(place: Workspace, *events: New) -> None:
    """Have the engine have written these."""
    journal = Journal.open(place.journal)
    try:
        journal.append(*events)
    finally:
        journal.close()


def of_type(place: Workspace, type_: str) -> list[dict[str, Any]]:
    """The bodies of all events of a type."""
    journal = Journal.read(place.journal)
    try:
        return [each.body for each in journal.events(types=(type_,))]
    finally:
        journal.close()


def scripted(place: Workspace, *fault: str) -> Desk:
    """Services over a mind that is a double."""
    return Desk(place, lambda at: Mind.open(at, [sys.executable, "-P", str(DOUBLE), *fault]))


@dataclass
class Served:
    """What is served, and how to ask it."""

    place: Workspace
    desk: Desk
    serving: server.Serving
    run: server.Server
    said: list[str]

    @property
    def port(self) -> int:
        return int(self.serving.address.rpartition(":")[2])

    def ask(
        self, method: str, path: str, body: Any = None, token: str | None = "", **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        """One request over a connection of its own: status, headers, JSON or bytes."""
        return self.on(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30), method, path, body,
                       token, **headers)  # fmt: skip

    def on(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Any = None,
        token: str | None = "",
        **headers: str,
    ) -> tuple[int, dict[str, str], Any]:
        """One request over this connection; `token` of None: none, '': the one of the run."""
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            said.setdefault("Authorization", f"Bearer {token or self.serving.token}")
        if body is not None:
            said.setdefault("Content-Type", "application/json")
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection.request(method, path, data, said)
        reply = connection.getresponse()
        got = reply.read()
        found = {name.lower(): value for name, value in reply.getheaders()}
        is_json = found.get("content-type") == "application/json"
        return reply.status, found, json.loads(got) if is_json else got

    def head(self, what: str) -> str:
        """The head of a good request so far, to go on with."""
        token = f"Authorization: Bearer {self.serving.token}"
        return f"{what} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{token}\r\n"

    def raw(self, data: bytes, seconds: float = 5.0) -> bytes:
        """Bytes as they are, and all that comes back before it closes."""
        with socket.create_connection(("127.0.0.1", self.port), seconds) as line:
            line.sendall(data)
            line.settimeout(seconds)
            got = b""
            with contextlib.suppress(TimeoutError, ConnectionError):
                while more := line.recv(65536):
                    got += more
            return got


@contextlib.contextmanager
def served(place: Workspace, desk: Desk | None = None, **more: Any) -> Iterator[Served]:
    """Serve a workspace in a thread of this process."""
    said: list[str] = []
    own = desk or scripted(place)
    with server.prepared(place, 0, say=said.append, desk=own, **more) as (serving, run):
        thread = threading.Thread(target=run.run, daemon=True)
        thread.start()
        try:
            until = time.monotonic() + 20
            while not run.started and time.monotonic() < until:
                time.sleep(0.005)
            assert run.started
            yield Served(place, own, serving, run, said)
        finally:
            run.should_exit = True
            thread.join(20)
            assert not thread.is_alive(), "the server has not ended"
