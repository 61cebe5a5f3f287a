"""The one guard before everything that is served: nobody gets past it but who holds a key of this run.

Guarantees, for requests and for websockets alike:
- The Host is a loopback name with our port, so that a name which is rebound to 127.0.0.1 gets nothing. An
  Origin is that of the Host itself; `null` is not, and neither is another port or a browser's word that
  another site asks.
- The token stands in `Authorization: Bearer`. For pages alone, and for those who came by a one-time link,
  it is a cookie that no script reads and no other site sends. Each is compared in constant time.
- A head is at most 32 KiB, a body at most 1 MiB, and it comes within 10 s; who does not take an answer for
  10 s is let go.
- Every answer forbids to be stored, framed or guessed at. There is no CORS. An error is one line of JSON.

`judge` decides and is pure but for the links that it uses up; `Guard` carries it out for ASGI.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from orchestrator import faults

LARGEST = 1 << 20
"""Bytes of a body."""
LONGEST = 32 << 10
"""Bytes of a path, a query and headers together."""
SLOWEST = 10.0
"""Seconds for a body to come whole, and for a client to take each piece of an answer."""
CLOSED = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The policy of what is no page."""
_LINKS = 8  # one-time links and sessions that are remembered; the oldest is forgotten
_DRAINED = 4 * LARGEST, 2.0  # bytes and seconds of a refused body that are read, so that the answer arrives

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Asked:
    """A request, as far as it is judged by."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]  # names in lower case
    websocket: bool = False

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for each, value in self.headers if each == name]


@dataclass(frozen=True)
class Verdict:
    """What becomes of a request: 200 it is let in, 303 the link's cookie is given, else it is refused."""

    status: int
    reason: str = ""
    line: str = ""
    cookie: str = ""  # the whole Set-Cookie, where the status is 303


@dataclass
class Keys:
    """What opens the door in this run alone: the token, links that serve once, sessions made of them."""

    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    _links: list[str] = field(default_factory=list)
    _sessions: list[str] = field(default_factory=list)

    def link(self) -> str:
        """A new code for `/?token=CODE`, good for one use."""
        self._links = [*self._links, secrets.token_urlsafe(32)][-_LINKS:]
        return self._links[-1]

    def redeem(self, code: str) -> str | None:
        """The session that a code gives, the first time; None for any other code."""
        found = _among(code, self._links)
        if found is None:
            return None
        self._links.remove(found)
        self._sessions = [*self._sessions, secrets.token_urlsafe(32)][-_LINKS:]
        return self._sessions[-1]

    def is_token(self, said: str) -> bool:
        """Whether this is the token."""
        return _among(said, [self.token]) is not None

    def is_session(self, said: str) -> bool:
        """Whether this is a session of a link that was used."""
        return _among(said, self._sessions) is not None


def _among(said: str, known: Iterable[str]) -> str | None:
    """The known secret that this is; all are compared, in constant time."""
    spoken = said.encode("utf-8", "surrogateescape")
    found = [each for each in known if hmac.compare_digest(spoken, each.encode())]
    return found[0] if found else None


def names(port: int) -> frozenset[str]:
    """What a Host may be: a loopback name with the port."""
    every = ("127.0.0.1", "localhost", "[::1]")
    return frozenset(every if port == 80 else (f"{each}:{port}" for each in every))


def is_below(path: str, pages: Iterable[str]) -> bool:
    """Whether a path is one of the pages or lies below one."""
    return any(path == page or path.startswith(page.rstrip("/") + "/") for page in pages)


def judge(asked: Asked, port: int, keys: Keys, pages: Mapping[str, str]) -> Verdict:
    """What becomes of a request.

    Args:
        asked: the request.
        port: that is listened on.
        keys: of this run; a link that is in the request is used up.
        pages: paths that a browser may open, with everything below them, and the policy (CSP) of each.
    """
    said = sum(len(name) + len(value) for name, value in asked.headers)
    if len(asked.path) + len(asked.query) + said > LONGEST:
        return Verdict(413, "size", f"a path and its headers are at most {LONGEST} bytes")
    hosts, origins = asked.all("host"), asked.all("origin")
    if len(hosts) != 1 or hosts[0].casefold() not in names(port):
        return Verdict(403, "host", f"ask for 127.0.0.1:{port}: no other name is answered")
    if len(origins) > 1 or (origins and origins[0].casefold() != f"http://{hosts[0].casefold()}"):
        return Verdict(403, "origin", "another site asks: only its own pages may")
    if any(site not in ("same-origin", "none") for site in asked.all("sec-fetch-site")):
        return Verdict(403, "origin", "another site asks: only its own pages may")
    keyed = asked.all("authorization")
    if keyed:
        scheme, _, token = keyed[0].partition(" ")
        good = len(keyed) == 1 and scheme.casefold() == "bearer" and keys.is_token(token.strip())
        return Verdict(200) if good else _no_token()
    if not pages:
        return _no_token()
    if asked.path == "/" and asked.method == "GET" and not asked.websocket and asked.query:
        return _linked(asked, port, keys)
    if is_below(asked.path, pages) or asked.path == "/":
        if any(keys.is_session(each) for each in _cookies(asked, port)):
            return Verdict(200)
        return Verdict(401, "token", "open the link that `jetbox serve` printed; each works once")
    return _no_token()


def _no_token() -> Verdict:
    return Verdict(401, "token", "the token of this run is needed: `Authorization: Bearer TOKEN`")


def _linked(asked: Asked, port: int, keys: Keys) -> Verdict:
    try:
        codes = parse_qs(asked.query, max_num_fields=4).get("token", [])
    except ValueError:
        codes = []
    session = keys.redeem(codes[0]) if len(codes) == 1 else None
    if session is None:
        return Verdict(401, "token", "this link has been used, or is none: `jetbox serve` prints a new one")
    cookie = f"jetbox-{port}={session}; HttpOnly; SameSite=Strict; Path=/"
    return Verdict(303, cookie=cookie)


def _cookies(asked: Asked, port: int) -> list[str]:
    """Ours among the cookies; others on this machine may have set what they like, on any port."""
    pairs = (each.strip().partition("=") for line in asked.all("cookie") for each in line.split(";"))
    return [value for name, _, value in pairs if name == f"jetbox-{port}"]


class Few:
    """Says at most so many lines in so many seconds; what it kept back is counted in the next one."""

    def __init__(self, say: Callable[[str], None], most: int = 5, seconds: float = 10.0) -> None:
        self._say, self._most, self._seconds = say, most, seconds
        self._since, self._said, self._kept = -seconds, 0, 0
        self._lock = threading.Lock()

    def __call__(self, line: str) -> bool:
        """Say a line, or keep it back; whether it was said."""
        with self._lock:
            return self._one(line)

    def _one(self, line: str) -> bool:
        now = time.monotonic()
        if now - self._since >= self._seconds:
            self._since, self._said = now, 0
        if self._said >= self._most:
            self._kept += 1
            return False
        self._said += 1
        more, self._kept = (f" ({self._kept} more were not shown)" if self._kept else ""), 0
        self._say(line + more)
        return True


def headers(policy: str = CLOSED) -> list[tuple[bytes, bytes]]:
    """What every answer carries."""
    return [
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"cache-control", b"no-store"),
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-resource-policy", b"same-origin"),
        (b"cross-origin-opener-policy", b"same-origin"),
    ]


_OURS = frozenset(name for name, _ in headers()) | {b"server", b"x-powered-by"}


class Guard:
    """ASGI around an application."""

    def __init__(
        self,
        app: App,
        port: int,
        keys: Keys,
        *,
        pages: Mapping[str, str] | None = None,
        refused: Callable[[Asked, Verdict], None] = lambda asked, verdict: None,
    ) -> None:
        """Guard an application.

        Args:
            app: what is guarded.
            port: that is listened on.
            keys: of this run.
            pages: paths that a browser may open, and the policy (CSP) of each. The first is where a link
                leads. None: there are no links and no cookies.
            refused: told of every refusal, in a thread, before it is answered.
        """
        self._app, self._port, self._keys = app, port, keys
        self._pages = dict(pages or {})
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge, then answer or pass on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        asked = asked_of(scope)
        verdict = judge(asked, self._port, self._keys, self._pages)
        if verdict.status != 200:
            if verdict.status != 303:
                await self._tell(asked, verdict)
            if scope["type"] == "websocket":
                await receive()  # websocket.connect
                await send({"type": "websocket.close", "code": 1008, "reason": verdict.line})
                return
            await self._answer(verdict, send, receive)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        await self._http(asked, scope, receive, send)

    async def _http(self, asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
        body, wrong, more = await _body(asked, receive)
        if wrong is not None:
            await self._tell(asked, wrong)
            await self._answer(wrong, send, receive if more else None)
            return
        policy = next((csp for page, csp in self._pages.items() if is_below(asked.path, [page])), CLOSED)
        given, begun = False, False

        async def once() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def out(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                kept = [each for each in message.get("headers", ()) if not _dropped(bytes(each[0]).lower())]
                message["headers"] = [*kept, *headers(policy)]
            async with asyncio.timeout(SLOWEST):
                await send(message)

        try:
            await self._app(scope, once, out)
        except TimeoutError:
            # What was begun can't be ended otherwise than by an error: the server closes the connection.
            line = "an answer was not taken: the connection is closed"
            await self._tell(asked, Verdict(400, "slow", line))
            raise
        except Exception as error:
            faults.tell(error)
            if not begun:
                line = "a fault of Jetbox's: where `jetbox serve` runs it is told"
                await self._answer(Verdict(503, "internal", line), send, None)

    async def _tell(self, asked: Asked, verdict: Verdict) -> None:
        """Tell of a refusal, in a thread: whoever is told may write to a disk."""
        try:
            await asyncio.to_thread(self._refused, asked, verdict)
        except Exception as error:  # it is refused all the same
            faults.tell(error)

    async def _answer(self, verdict: Verdict, send: Send, receive: Receive | None) -> None:
        """Say a verdict. What still comes of the body is read for a while, so that the answer is."""
        if verdict.status == 303:
            body, more = b"", [(b"location", next(iter(self._pages)).encode())]
            more.append((b"set-cookie", verdict.cookie.encode()))
        else:
            body = json.dumps({"error": verdict.line, "reason": verdict.reason}).encode()
            more = [(b"content-type", b"application/json"), (b"connection", b"close")]
        if verdict.status == 401:
            more.append((b"www-authenticate", b"Bearer"))
        more.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": verdict.status, "headers": [*more, *headers()]})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        if receive is not None:
            await _drain(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def asked_of(scope: Scope) -> Asked:
    """What an ASGI scope says of its request."""
    said = tuple(
        (bytes(name).decode("latin-1").lower(), bytes(value).decode("latin-1"))
        for name, value in scope["headers"]
    )
    query = bytes(scope.get("query_string") or b"").decode("latin-1")
    method = str(scope.get("method", "GET"))
    return Asked(method, str(scope["path"]), query, said, scope["type"] == "websocket")


def _dropped(name: bytes) -> bool:
    return name in _OURS or name.startswith(b"access-control-")


async def _body(asked: Asked, receive: Receive) -> tuple[bytes, Verdict | None, bool]:
    """The whole body, or why it is not taken, and whether more of it may come."""
    large = Verdict(413, "size", f"a body is at most {LARGEST} bytes")
    if any(_count(said) > LARGEST for said in asked.all("content-length")):
        return b"", large, True
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(SLOWEST):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return b"", Verdict(400, "slow", "the body has not come whole"), False
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                more = bool(message.get("more_body"))
                if size > LARGEST:
                    return b"", large, more
                if not more:
                    return b"".join(parts), None, False
    except TimeoutError:
        return b"", Verdict(400, "slow", f"the body has not come whole within {SLOWEST:.0f} s"), False


def _count(said: str) -> int:
    """A Content-Length; more than any bound where it is none."""
    return int(said) if said.isascii() and said.isdigit() and len(said) < 12 else LARGEST + 1


async def _drain(receive: Receive) -> None:
    left, seconds = _DRAINED
    try:
        async with asyncio.timeout(seconds):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return
    except TimeoutError:
        return
