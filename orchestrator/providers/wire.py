"""One HTTP exchange with a model server that may hang, drip, lie or be gone.

The exchange runs in a thread of its own, so that its caller waits for nothing longer than it wants to: it
ends at once when it is stopped, and at its deadline when too little comes. What comes is bounded: plain
bytes only (a compressed answer is refused, which can be a thousand times its size), lines of 4 MB, closed
answers of 32 MB. Proxies, redirects and credentials of the environment are never used.

Importing this loads httpx: providers do it when they are first used.
"""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from orchestrator.providers.answers import failure, parse
from orchestrator.providers.base import Kind, ProviderError
from orchestrator.reach import NotAllowed, Server

LINE = 4 << 20
"""Bytes of one line of a stream: a chunk of a reply is some hundred bytes."""

CLOSED = 32 << 20
"""Bytes of one closed answer: the vectors of some thousand texts, or a list of models."""

_ERROR = 64 << 10  # of an error's text
_CONNECT = 5.0  # seconds for a server on this machine or in this house
_LOOK = 0.05  # seconds between looks at `stop` while nothing comes


class Wire:
    """The exchanges with one server."""

    def __init__(self, server: Server) -> None:
        host = f"[{server.host}]" if ":" in server.host else server.host
        self.url = f"http://{host}:{server.port}"
        self.where = f"{server.host}:{server.port}"

    def lines(
        self, path: str, body: Mapping[str, Any], stop: threading.Event, first: float, gap: float
    ) -> Iterator[bytes]:
        """The lines of a streamed answer as they come; `stop` just ends them.

        Args:
            path: of the URL.
            body: sent as JSON.
            stop: ends the exchange, and so the server's work on it.
            first: seconds until the first line.
            gap: seconds between one line and the next.

        Raises:
            ProviderError: transport, stall, mid-stream, and what the server's error says.
        """
        with contextlib.closing(_Exchange(self, "POST", path, body)) as exchange:
            until = time.monotonic() + first
            status = exchange.status(until, stop)
            if status is None:
                return
            if status != 200:
                raise _refusal(exchange, status, stop)
            rest = b""
            while (data := exchange.take(until, stop)) is not None:
                *complete, rest = (rest + data).split(b"\n") if b"\n" in data else (rest + data,)
                if len(rest) > LINE:
                    raise ProviderError(
                        "mid-stream", f"{self.where} sent a line of more than {LINE >> 20} MB"
                    )
                for line in complete:
                    if stop.is_set():
                        return
                    if line := line.strip():
                        yield line
                if complete:
                    until = time.monotonic() + gap
            if rest.strip() and not stop.is_set():
                yield rest.strip()

    def ask(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        within: float = 10.0,
        stop: threading.Event | None = None,
    ) -> dict[str, Any]:
        """A closed answer: POST with a body, else GET.

        Raises:
            ProviderError: transport, stall, and what the server's error says.
        """
        status, data = self.answer("GET" if body is None else "POST", path, body, within, stop)
        if status != 200:
            raise _said(status, data)
        return parse(data, "transport")

    def answer(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | bytes | None,
        within: float,
        stop: threading.Event | None = None,
    ) -> tuple[int, bytes]:
        """Status and bytes of a closed answer, whole within so many seconds.

        Raises:
            ProviderError: transport; stall, also where it was stopped.
        """
        stop = stop or threading.Event()
        until = time.monotonic() + within
        with contextlib.closing(_Exchange(self, method, path, body)) as exchange:
            try:
                if (status := exchange.status(until, stop)) is not None:
                    return status, exchange.rest(until, stop, CLOSED)
            except ProviderError as error:
                raise (
                    ProviderError("transport", str(error)) if error.kind == "mid-stream" else error
                ) from error
        raise ProviderError("stall", f"the call to {self.where} was stopped")


class _Exchange:
    """One request and its answer, in a thread; `close` ends both wherever they are."""

    def __init__(self, wire: Wire, method: str, path: str, body: Mapping[str, Any] | bytes | None) -> None:
        self._wire = wire
        self._came: queue.Queue[int | bytes | Exception | None] = queue.Queue(64)
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        threading.Thread(
            target=self._run, args=(method, wire.url + path, body), name=f"call {wire.where}", daemon=True
        ).start()

    def status(self, until: float, stop: threading.Event) -> int | None:
        """The status of HTTP; None when stopped."""
        status = self._next(until, stop)
        assert status is None or isinstance(status, int)
        return status

    def take(self, until: float, stop: threading.Event) -> bytes | None:
        """Some bytes more; None when it is over, or stopped."""
        data = self._next(until, stop)
        assert data is None or isinstance(data, bytes)
        return data

    def rest(self, until: float, stop: threading.Event, most: int) -> bytes:
        """All that is left.

        Raises:
            ProviderError: it is more than `most` bytes, or was stopped.
        """
        data = bytearray()
        while (more := self.take(until, stop)) is not None:
            data += more
            if len(data) > most:
                raise ProviderError(
                    "transport", f"{self._wire.where} answered with more than {most >> 10} KB"
                )
        if stop.is_set():
            raise ProviderError("stall", f"the call to {self._wire.where} was stopped")
        return bytes(data)

    def close(self) -> None:
        """End the exchange; its thread follows at once."""
        self._over.set()
        with self._lock:
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it

    def _next(self, until: float, stop: threading.Event) -> int | bytes | None:
        while not stop.is_set():
            left = until - time.monotonic()
            try:
                came = self._came.get(timeout=max(0.0, min(left, _LOOK)))
            except queue.Empty:
                if left <= 0:
                    raise ProviderError(
                        "stall", f"nothing came from {self._wire.where} for too long"
                    ) from None
                continue
            if isinstance(came, Exception):
                raise self._failure(came) from came
            return came
        return None

    def _failure(self, error: Exception) -> ProviderError:
        where = self._wire.where
        if isinstance(error, ProviderError):
            return error
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, NotAllowed):
                return ProviderError("refused", f"{cause}: list {where} under `servers` in your config.yaml")
            cause = cause.__cause__ or cause.__context__
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return ProviderError("transport", f"no model server answers at {where}: {error}")
        kind: Kind = "transport" if self._socket is None or not self._began else "mid-stream"
        what = str(error) or type(error).__name__
        return ProviderError(kind, f"the connection to {where} broke: {what}")

    # In the thread -----------------------------------------------------------------------------------

    _began = False  # the server has begun to answer

    def _run(self, method: str, url: str, body: Mapping[str, Any] | bytes | None) -> None:
        last: Exception | None = None
        try:
            with (
                httpx.Client(
                    trust_env=False, verify=False, timeout=httpx.Timeout(None, connect=_CONNECT)
                ) as client,
                client.stream(
                    method,
                    url,
                    content=json.dumps(body).encode() if isinstance(body, Mapping) else body,
                    headers={"accept-encoding": "identity", "content-type": "application/json"},
                    extensions={"trace": self._trace},
                ) as response,
            ):
                coding = response.headers.get("content-encoding", "identity")
                if coding.lower() != "identity":
                    raise ProviderError("transport", f"{self._wire.where} answers compressed ({coding[:20]})")
                self._began = True
                self._put(response.status_code)
                for data in response.iter_raw():
                    self._put(data)
        except Exception as error:  # it is told where the answer is awaited
            last = error
        self._put(last)

    def _put(self, came: int | bytes | Exception | None) -> None:
        while not self._over.is_set():
            with contextlib.suppress(queue.Full):
                self._came.put(came, timeout=1.0)
                return
        if not isinstance(came, Exception | None):
            raise ProviderError("stall", "the exchange is over")

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            with self._lock:
                self._socket = info["return_value"].get_extra_info("socket")
            if self._over.is_set():
                self.close()


def _refusal(exchange: _Exchange, status: int, stop: threading.Event) -> ProviderError:
    try:
        return _said(status, exchange.rest(time.monotonic() + 5.0, stop, _ERROR))
    except ProviderError:
        return failure("", status)


def _said(status: int, data: bytes) -> ProviderError:
    try:
        value = parse(data)
    except ProviderError:
        return failure(data[:300].decode("utf-8", "replace"), status)
    return failure(value.get("error", value.get("message", "")), status)
