"""The cockpit in a browser: a page with a terminal in it, and a cockpit of its own for each open page.

Guarantees:
- It stands behind the guard like all that is served, its websocket too; nothing is loaded from elsewhere.
- It opens for the browser that came by the link. The token, which programs have, is refused here: in the
  cockpit keys approve, and those are a person's.
- What is started is our own program on this workspace, by no shell; nothing that a browser says is in it.
- A cockpit ends with its page; at most `MOST` are open at once; what goes either way is bounded and held up
  where the other side is slow.
- No file and no address is handed to the browser: of a cockpit's packets only those that draw get through.

The terminal (xterm.js) and the packets are those of textual-serve. Its server is not used: that one answers
any Host and any Origin without a token, and starts its command by a shell.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from orchestrator.web.desk import Desk
from orchestrator.web.guard import Receive, Scope, Send, asked_of
from orchestrator.web.pages import NoPage
from state.safe_text import safe_lines

PATH = "/cockpit/"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
MOST = 4
"""Cockpits that are open at once."""
PACKET = 8 << 20
"""Bytes of one packet of a cockpit; a screen of 300 by 100 cells takes some hundred thousand."""
TYPED = 1 << 16
"""Characters of one message of the browser's: a key takes a few, a paste may take more."""
_SIZE = 20, 500  # columns and rows are held between
_ENDING = 6.0  # seconds for a cockpit to close by itself
_BY_LINK = b'{"error":"the cockpit is for a person: open the link","reason":"link"}'
_NO_PATH = b'{"error":"the cockpit has no such path","reason":"path"}'
_READY = b"__GANGLION__\n"
_FILES = {
    "textual.js": ("js/textual.js", b"text/javascript; charset=utf-8"),
    "xterm.css": ("css/xterm.css", b"text/css; charset=utf-8"),
    "mono.ttf": ("fonts/RobotoMono-VariableFont_wght.ttf", b"font/ttf"),
}
_STYLE = b"""\
@font-face { font-family: "Roboto Mono"; src: url("mono.ttf"); font-weight: 100 700; }
html, body { margin: 0; height: 100%; background: #101418; color: #ddd; }
body { font-family: "Roboto Mono", monospace; }
#terminal { position: absolute; inset: 0; }
.said { position: absolute; inset: 0; padding: 2em; z-index: 10; background: #101418; }
.ended { display: none; }
body.-first-byte .begins { display: none; }
body.-closed .ended { display: block; }
a { color: #56b4e9; }
"""
_SCRIPT = b"""\
const wait = setInterval(() => {
  const keys = document.querySelector(".xterm-helper-textarea");
  if (keys && document.body.classList.contains("-first-byte")) { clearInterval(wait); keys.focus(); }
}, 50);
"""
"""Keys go to the cockpit from the start, without a click."""


def mount(app: Any, desk: Desk) -> Mapping[str, str]:
    """Add the cockpit to an application; its path and its policy.

    Raises:
        NoPage: the installed textual-serve is not one that this is made for.
    """
    root = str(desk.workspace.root)
    command = [sys.executable, "-P", "-m", "orchestrator.web.cockpit", root]
    app.mount(PATH.rstrip("/"), Cockpits(command, desk.workspace.root, files()))
    return {PATH: POLICY}


def files() -> dict[str, tuple[bytes, bytes]]:
    """What the page loads, each with its type. textual-serve is not imported for it."""
    found = find_spec("textual_serve")
    places = list(found.submodule_search_locations or ()) if found else []
    served = {"page.css": (_STYLE, b"text/css; charset=utf-8")}
    served["page.js"] = (_SCRIPT, b"text/javascript; charset=utf-8")
    try:
        for name, (path, kind) in _FILES.items():
            served[name] = (Path(places[0], "static", path).read_bytes(), kind)
    except (OSError, IndexError) as error:
        raise NoPage("the installed textual-serve is not one that this is made for: 1.1 is") from error
    return served


def document(host: str) -> bytes:
    """The page; `host` is what the browser calls this server, which the guard has checked."""
    static = f"{PATH}static/"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Jetbox</title>'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f'<link rel="stylesheet" href="{static}xterm.css"><link rel="stylesheet" href="{static}page.css">'
        f'<script src="{static}textual.js"></script><script src="{static}page.js"></script></head><body>'
        '<p class="said begins">The cockpit opens …</p>'
        f'<p class="said ended">The cockpit has ended. <a href="{PATH}">Open it again</a></p>'
        '<div id="terminal" class="textual-terminal" data-font-size="15" '
        f'data-session-websocket-url="ws://{host}{PATH}ws"></div></body></html>'
    ).encode()


async def _answer(send: Send, status: int, kind: bytes, body: bytes) -> None:
    head = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


class Cockpits:
    """ASGI: the page, its files, and the websocket."""

    def __init__(
        self, command: Sequence[str], folder: Path, served: Mapping[str, tuple[bytes, bytes]]
    ) -> None:
        self._command, self._folder, self._served = list(command), folder, served
        self.open = 0
        """How many cockpits are open."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        path = str(scope["path"]).removeprefix(str(scope.get("root_path") or ""))
        if scope["type"] == "websocket":
            await self._opened(path, scope, receive, send)
        elif scope["type"] == "http" and asked_of(scope).all("authorization"):
            await _answer(send, 403, b"application/json", _BY_LINK)
        elif scope["type"] == "http":
            await self._say(path, scope, send)

    async def _say(self, path: str, scope: Scope, send: Send) -> None:
        found = self._served.get(path.removeprefix("/static/")) if path.startswith("/static/") else None
        if scope["method"] == "GET" and path in ("", "/"):
            body = document(asked_of(scope).all("host")[0])
            await _answer(send, 200, b"text/html; charset=utf-8", body)
        elif scope["method"] == "GET" and found is not None:
            await _answer(send, 200, found[1], found[0])
        else:
            await _answer(send, 404, b"application/json", _NO_PATH)

    async def _opened(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        asked = asked_of(scope)
        if path != "/ws" or asked.all("authorization") or not asked.all("origin"):
            await send({"type": "websocket.close", "code": 1008})
            return
        if self.open >= MOST:
            await send({"type": "websocket.close", "code": 1013, "reason": f"{MOST} are open already"})
            return
        self.open += 1
        try:
            await send({"type": "websocket.accept"})
            size = sized(bytes(scope.get("query_string") or b"").decode("latin-1"))
            session = Session(self._command, self._folder)
            await session.run(size, receive, send)
        finally:
            self.open -= 1


def sized(query: str) -> tuple[int, int]:
    """Columns and rows that a page asks for, within bounds."""
    try:
        said = parse_qs(query, max_num_fields=8)
    except ValueError:
        said = {}
    width, height = (said.get(name, [""])[0] for name in ("width", "height"))
    return _held(width, 80), _held(height, 24)


def _held(said: object, usual: int) -> int:
    if isinstance(said, str) and said.isascii() and said.isdigit() and len(said) < 6:
        said = int(said)
    least, most = _SIZE
    return min(max(said, least), most) if type(said) is int else usual


def packet(text: str) -> bytes | str | None:
    """What a message of the browser's comes to: bytes for the cockpit, a reply to the browser, or neither.

    Raises:
        ValueError: it is no message of this page's.
    """
    if len(text) > TYPED:
        raise ValueError("a message is too long")
    try:
        said = json.loads(text)
    except RecursionError as error:
        raise ValueError("a message is no message") from error
    if not isinstance(said, list) or not said or len(said) > 2:
        raise ValueError("a message is a list of one or two")
    match said:
        case ["stdin", str(typed)]:
            return _packed(b"D", typed.encode("utf-8", "replace"))
        case ["resize", {"width": width, "height": height}]:
            size = {"type": "resize", "width": _held(width, 80), "height": _held(height, 24)}
            return _packed(b"M", json.dumps(size).encode())
        case ["blur" | "focus" as kind, *_]:
            return _packed(b"M", json.dumps({"type": kind}).encode())
        case ["ping", int() | float() | str() as sent] if len(str(sent)) < 64:
            return json.dumps(["pong", sent])
    return None


def _packed(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "big") + body


class Session:
    """One cockpit for one page."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._command, self._folder = command, folder

    async def run(self, size: tuple[int, int], receive: Receive, send: Send) -> None:
        """Open it, pass on what is drawn and typed, and end it with the page, or the page with it."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            cwd=self._folder,
            env=environment(size),
            **_APART,
        )
        complaints = asyncio.create_task(_tail(process))
        drawing = asyncio.create_task(_draw(process, send))
        typing = asyncio.create_task(_type(process, receive, send))
        try:
            await asyncio.wait((drawing, typing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (drawing, typing):
                task.cancel()
            await asyncio.gather(drawing, typing, return_exceptions=True)
            left = typing.done() and not typing.cancelled() and typing.exception() is None
            try:
                await _end(process)
                said = await asyncio.wait_for(complaints, 1.0)
            except (asyncio.CancelledError, TimeoutError):
                complaints.cancel()
                said = b""
            if not left:
                await _close(send, said if process.returncode else b"")


async def _draw(process: Process, send: Send) -> None:
    """Pass on what a cockpit draws, until it ends or says what it may not."""
    assert process.stdout is not None
    with contextlib.suppress(asyncio.IncompleteReadError, ValueError):
        if await process.stdout.readuntil(b"\n") != _READY:
            return
        while True:
            head = await process.stdout.readexactly(5)
            length = int.from_bytes(head[1:], "big")
            if length > PACKET:
                return
            body = await process.stdout.readexactly(length)
            if head[:1] == b"D":
                await send({"type": "websocket.send", "bytes": body})


async def _type(process: Process, receive: Receive, send: Send) -> None:
    """Pass on what is typed, until the page is closed. Anything else than its messages ends it too."""
    assert process.stdin is not None
    while True:
        message = await receive()
        if message["type"] != "websocket.receive":
            return
        said = packet(str(message.get("text") or ""))
        if isinstance(said, str):
            await send({"type": "websocket.send", "text": said})
        elif said is not None:
            process.stdin.write(said)
            await process.stdin.drain()


async def _tail(process: Process) -> bytes:
    """The last that a cockpit complained of."""
    assert process.stderr is not None
    kept = b""
    while more := await process.stderr.read(4096):
        kept = (kept + more)[-4096:]
    return kept


async def _end(process: Process) -> None:
    """End a cockpit: it closes with its input, and is ended where it does not."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(_ENDING):
            await _ended(process)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ENDING):
                await _ended(process)
    finally:  # also where this is cut short itself
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


async def _ended(process: Process) -> None:
    """Wait for its end. What it still draws is read: asyncio tells of no end while a pipe holds something."""
    while process.stdout is not None and await process.stdout.read(1 << 16):
        pass
    await process.wait()


async def _close(send: Send, complaint: bytes) -> None:
    """Close the page's end, with the reason where the cockpit gave one."""
    with contextlib.suppress(Exception):  # it may be closed already; there is nobody to tell
        lines = safe_lines(complaint.decode("utf-8", "replace"))[-8:]
        if lines:
            await send({"type": "websocket.send", "bytes": "\r\n".join(lines).encode()})
        await send({"type": "websocket.close", "code": 1000})


def environment(size: tuple[int, int]) -> dict[str, str]:
    """Of a cockpit: the person's own, and how it is to be drawn."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TEXTUAL")}
    return {
        **kept,
        "TEXTUAL_DRIVER": "orchestrator.web.cockpit:Driver",
        "TEXTUAL_COLOR_SYSTEM": "truecolor",
        "TERM": "xterm-256color",
        "COLUMNS": str(size[0]),
        "ROWS": str(size[1]),
    }


if sys.platform == "win32":
    import subprocess

    _APART: dict[str, Any] = {"creationflags": subprocess.CREATE_NO_WINDOW}
else:
    _APART: dict[str, Any] = {"start_new_session": True}
"""A ctrl-C in the terminal is for the server, which then ends its cockpits."""
