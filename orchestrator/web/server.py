"""Serving on this machine alone: the sockets, the token's file, and an end that leaves nothing behind.

Guarantees: only 127.0.0.1 and ::1 are listened on. One server for each workspace. The token is new in each
run, and lies in `.jetbox/serve.token`, which its owner alone may read, as long as the run lasts. Ctrl-C and
SIGTERM end it within a few seconds, whoever still follows or waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from orchestrator.web import updates
from orchestrator.web.app import build
from orchestrator.web.desk import Desk
from orchestrator.web.events import Feed
from orchestrator.web.guard import App, Asked, Few, Guard, Keys, Verdict
from state.lock import Lock, holder
from state.workspace import Workspace

PORT = 8721
CONNECTIONS = 128
"""Open at once; one more is closed as it comes."""
HEADERS = 10.0
"""Seconds for the head of a request, from the connection or from the answer before."""
_QUEUE = 128  # that wait to be taken
_TRIES = 8  # at a free port
_IDLE = 5  # seconds that a connection without a request is kept
_LEAVING = 3  # seconds for requests that are under way when it ends


Mount = Callable[[FastAPI, Desk], Mapping[str, str]]
"""Adds pages to the application; their paths, the first page first, with the policy (CSP) of each."""


class CannotServe(Exception):
    """It can't be served; the message is a line for a person."""


@dataclass(frozen=True)
class Serving:
    """What is being served, for whoever prints it."""

    address: str
    token: str
    token_file: Path
    link: str = ""
    """For a browser, where there are pages; it works once."""


def token_file(workspace: Workspace) -> Path:
    """Where the token of the run lies."""
    return workspace.home / "serve.token"


def serve(
    workspace: Workspace,
    port: int,
    started: Callable[[Serving], None],
    *,
    say: Callable[[str], None],
    mount: Mount | None = None,
) -> None:
    """Serve until ctrl-c or SIGTERM; `started` is told once, when it listens.

    Raises:
        CannotServe: the port is taken, or this workspace is served already.
    """
    with prepared(workspace, port, say=say, mount=mount) as (serving, run):
        started(serving)
        run.run()


@contextlib.contextmanager
def prepared(
    workspace: Workspace,
    port: int,
    *,
    say: Callable[[str], None],
    desk: Desk | None = None,
    mount: Mount | None = None,
) -> Iterator[tuple[Serving, Server]]:
    """All that is needed to serve; it listens already, and answers while the server runs.

    Args:
        workspace: whose.
        port: to listen on; 0: one that is free.
        say: told of refusals, now and then.
        desk: the services; those of the workspace where it is left out.
        mount: adds pages.

    Raises:
        CannotServe: the port is taken, or this workspace is served already.
    """
    lock = Lock(workspace.home / "serve.lock")
    if not lock.acquire():
        pid = holder(lock.path)
        raise CannotServe(f"this workspace is served already{f' (process {pid})' if pid else ''}")
    with contextlib.ExitStack() as stack:
        stack.callback(lock.release)
        sockets = stack.enter_context(listening(port))
        keys, own = Keys(), desk or Desk(workspace)
        stack.callback(own.close)
        feed = Feed(own)
        stack.callback(feed.close)
        port = sockets[0].getsockname()[1]
        app = build(own, feed)
        pages = mount(app, own) if mount else {}
        guarded = Guard(app, port, keys, pages=pages, refused=_teller(own, say))
        stack.enter_context(_written(token_file(workspace), keys.token))
        own.warm()
        address = f"http://127.0.0.1:{port}"
        link = f"{address}/?token={keys.link()}" if pages else ""
        yield Serving(address, keys.token, token_file(workspace), link), server(guarded, feed, own, sockets)


def server(app: App, feed: Feed, desk: Desk, sockets: list[socket.socket]) -> Server:
    """What serves a guarded application."""
    config = uvicorn.Config(
        app,
        http=Bounded,
        loop="asyncio",
        lifespan="on",
        log_config=None,
        log_level="critical",  # what it has to say of a request, the guard says
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws_max_size=1 << 20,
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=_LEAVING,
        backlog=_QUEUE,
    )
    return Server(config, feed, desk, sockets)


class Server(uvicorn.Server):
    """Ends whoever follows and whoever waits before it waits for them itself."""

    def __init__(
        self, config: uvicorn.Config, feed: Feed, desk: Desk, listening: list[socket.socket]
    ) -> None:
        super().__init__(config)
        self._feed, self._desk, self._listening = feed, desk, listening

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer until it is told to end."""
        super().run(sockets or self._listening)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Told by a signal: it is the way to end it, so nothing is raised for it afterwards."""
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then the rest."""
        self._feed.close()
        closing = asyncio.create_task(asyncio.to_thread(self._desk.close))
        await super().shutdown(sockets)
        await closing


class Bounded(H11Protocol):
    """HTTP/1.1 with a bound on connections and on the time that a request's head may take."""

    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """One more, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.abort()
            return
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """One less."""
        if self._due is not None:
            self._due.cancel()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """A websocket has no next request: who does not answer its pings is let go."""
        if self._due is not None:
            self._due.cancel()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        """The next request has its time from here on."""
        super().on_response_complete()
        self._wait()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets an error like all others, where one can still be said."""
        body = b'{"error":"this is no HTTP request","reason":"http"}'
        head = [(b"content-type", b"application/json"), (b"connection", b"close")]
        head.append((b"content-length", str(len(body)).encode()))
        with contextlib.suppress(h11.LocalProtocolError):
            said: list[h11.Event] = [h11.Response(status_code=400, headers=head, reason=b"Bad Request")]
            for event in [*said, h11.Data(data=body), h11.EndOfMessage()]:
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _wait(self) -> None:
        if self._due is not None:
            self._due.cancel()
        self._due = self.loop.call_later(HEADERS, self._late)

    def _late(self) -> None:
        if (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing():
            self.transport.abort()


@contextlib.contextmanager
def listening(port: int) -> Iterator[list[socket.socket]]:
    """Sockets on 127.0.0.1 and, where this machine has it, on ::1.

    Raises:
        CannotServe: one of them is taken. The other is not served alone: `localhost` may be either.
    """
    with contextlib.ExitStack() as stack:
        for left in reversed(range(_TRIES if port == 0 else 1)):  # a free one may be taken on ::1
            try:
                made = _bound(port)
            except CannotServe:
                if not left:
                    raise
                continue
            break
        for each in made:
            stack.enter_context(each)
        yield made


def _bound(port: int) -> list[socket.socket]:
    made: list[socket.socket] = []
    with contextlib.ExitStack() as stack:
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            try:
                # Named TCP, or asyncio does not turn Nagle's algorithm off, which costs 40 ms a request.
                each = stack.enter_context(socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP))
                if sys.platform == "win32":
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
                else:
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                each.bind((host, port))
                each.listen(_QUEUE)
            except OSError as error:
                if made and error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    break  # no IPv6 here
                why = "is taken by another program" if error.errno == errno.EADDRINUSE else error.strerror
                raise CannotServe(f"port {port} of {host} {why}: `--port` names another") from None
            each.setblocking(False)
            made.append(each)
            port = each.getsockname()[1]
        stack.pop_all()
    return made


@contextlib.contextmanager
def _written(path: Path, token: str) -> Iterator[None]:
    """The token in a file that its owner alone may read, from its first byte on; gone afterwards."""
    path.unlink(missing_ok=True)  # of a run that was killed
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(token + "\n")
        yield
    finally:
        path.unlink(missing_ok=True)


def _teller(desk: Desk, say: Callable[[str], None]) -> Callable[[Asked, Verdict], None]:
    """Tells of refusals, few at a time; those at the door of the core stand in the journal too."""
    few = Few(say)
    kept = Few(lambda line: updates.on_record(desk, "apply without the token", line))

    def told(asked: Asked, verdict: Verdict) -> None:
        what = f"{asked.method[:10]} {asked.path[:80]}"
        few(f"refused {what}: {verdict.line}")
        if asked.path in ("/apply_update", "/propose_update"):
            kept(f"{what}: {verdict.line}")

    return told
