"""The cockpit in a browser: who gets one, what passes either way, and that none is left."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("textual_serve")
pytest.importorskip("websockets")

from web_doubles import Served, served, workspace
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from orchestrator.web import browser
from orchestrator.web.browser import Cockpits, packet, sized
from state.lock import Lock

DOUBLE = Path(__file__).resolve().parents[1] / "doubles" / "scripted_cockpit.py"


# What passes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ('["stdin", "a\\u00e9"]', b"D\0\0\0\x03a\xc3\xa9"),
        (
            '["resize", {"width": 100, "height": 30}]',
            {"type": "resize", "width": 100, "height": 30},
        ),
        (
            '["resize", {"width": -1, "height": 1e9}]',
            {"type": "resize", "width": 20, "height": 24},
        ),
        ('["blur"]', {"type": "blur"}),
        ('["ping", 17]', '["pong", 17]'),
        ('["ping", {"a": 1}]', None),
        ('["exit"]', None),
        ('["quit", {}]', None),
        ('["resize", {"width": "x"}]', None),
    ],
)
def test_of_the_browsers_messages_only_the_pages_own_reach_the_cockpit(text: str, becomes: Any) -> None:
    if isinstance(becomes, dict):
        body = json.dumps(becomes).encode()
        becomes = b"M" + len(body).to_bytes(4, "big") + body
    assert packet(text) == becomes


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "[1,2,3]", "x", "[" * 60_000, json.dumps(["stdin", "x" * 70_000])]
)
def test_what_is_no_message_ends_it(text: str) -> None:
    with pytest.raises(ValueError):
        packet(text)


def test_a_size_is_held_within_bounds() -> None:
    assert sized("width=100&height=40") == (100, 40)
    assert sized("width=99999&height=0") == (500, 20)
    assert sized("width=-3&height=1e3&x=" + "&x=" * 50) == (80, 24)
    assert sized("width=\u0663\u0663&height=999999999999") == (80, 24)


# A cockpit that is a double ------------------------------------------------------------------------------


class Page:
    """One page that is open, spoken to as ASGI."""

    def __init__(self, cockpits: Cockpits, **headers: str) -> None:
        said = {"host": "127.0.0.1:1", "origin": "http://127.0.0.1:1", **headers}
        self.scope = {
            "type": "websocket", "path": "/cockpit/ws", "root_path": "/cockpit",
            "query_string": b"width=90&height=30",
            "headers": [(name.encode(), value.encode()) for name, value in said.items() if value],
        }  # fmt: skip
        self.inward: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.outward: asyncio.Queue[dict[str, Any]] = asyncio.Queue(4)
        self.inward.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(cockpits(self.scope, self.inward.get, self.outward.put))

    def type(self, text: str) -> None:
        """Send a message."""
        self.inward.put_nowait({"type": "websocket.receive", "text": text})

    def leave(self) -> None:
        """Close the page."""
        self.inward.put_nowait({"type": "websocket.disconnect", "code": 1001})

    async def next(self) -> dict[str, Any]:
        """What comes next."""
        return await asyncio.wait_for(self.outward.get(), 30)

    async def drawn(self, text: bytes) -> bytes:
        """All that is drawn until this is."""
        got = b""
        while text not in got:
            said = await self.next()
            assert said["type"] in ("websocket.accept", "websocket.send"), said
            got += said.get("bytes") or str(said.get("text") or "").encode()
        return got

    async def ended(self) -> dict[str, Any]:
        """How the server closes it."""
        while (said := await self.next())["type"] != "websocket.close":
            pass
        await asyncio.wait_for(self.task, 30)
        return said


@pytest.fixture
async def nobody_left() -> AsyncIterator[None]:
    yield
    until = time.monotonic() + 10
    while left := [e for e in psutil.Process().children() if str(DOUBLE) in " ".join(_said(e))]:
        assert time.monotonic() < until, left
        await asyncio.sleep(0.02)


def _said(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def cockpits(tmp_path: Path, how: str = "") -> Cockpits:
    return Cockpits([sys.executable, "-P", "-S", str(DOUBLE), how], tmp_path, {})


pytestmark = pytest.mark.usefixtures("nobody_left")


async def test_it_draws_heeds_keys_and_ends_with_its_page(tmp_path: Path) -> None:
    made = cockpits(tmp_path)
    page = Page(made)
    await page.drawn(b"ready 90 x 30")
    page.type('["stdin", "6"]')
    page.type('["ping", 3]')
    got = await page.drawn(b"D:6")
    assert b'["pong", 3]' in got or b'["pong", 3]' in await page.drawn(b"pong")
    assert made.open == 1
    page.leave()
    await asyncio.wait_for(page.task, 30)
    assert made.open == 0


async def test_no_file_and_no_address_is_handed_to_the_browser(tmp_path: Path) -> None:
    page = Page(cockpits(tmp_path, "files"))
    got = await page.drawn(b"ready")
    assert got == b"doneready 90 x 30"
    page.leave()
    await page.task


async def test_one_that_does_not_end_with_its_page_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser, "_ENDING", 0.3)
    page = Page(cockpits(tmp_path, "deaf"))
    await page.drawn(b"ready")
    page.leave()
    await asyncio.wait_for(page.task, 30)


async def test_one_that_draws_without_end_is_held_up_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser, "_ENDING", 0.3)
    page = Page(cockpits(tmp_path, "flood"))
    await page.drawn(b"ready")
    await asyncio.sleep(0.2)
    assert page.outward.qsize() <= 4
    page.leave()
    while not page.task.done():
        await asyncio.sleep(0.01)
        while not page.outward.empty():
            page.outward.get_nowait()


async def test_a_packet_beyond_any_screen_ends_it(tmp_path: Path) -> None:
    page = Page(cockpits(tmp_path, "huge"))
    assert (await page.ended())["code"] == 1000


async def test_why_it_does_not_open_is_told_in_the_page(tmp_path: Path) -> None:
    page = Page(cockpits(tmp_path, "bad"))
    got = await page.drawn(b"no git repository")
    assert b"\x1b" not in got
    await page.ended()


async def test_what_is_no_message_closes_the_page(tmp_path: Path) -> None:
    page = Page(cockpits(tmp_path))
    await page.drawn(b"ready")
    page.type("{}")
    await page.ended()


async def test_so_many_and_no_more_are_open_at_once(tmp_path: Path) -> None:
    made = cockpits(tmp_path)
    pages = [Page(made) for _ in range(browser.MOST)]
    for page in pages:
        await page.drawn(b"ready")
    more = Page(made)
    assert (await more.next())["code"] == 1013
    for page in pages:
        page.leave()
    await asyncio.gather(*(page.task for page in pages))
    again = Page(made)
    await again.drawn(b"ready")
    again.leave()
    await again.task


@pytest.mark.parametrize("headers", [{"authorization": "Bearer x"}, {"origin": ""}])
async def test_it_opens_for_a_browser_by_the_link_alone(tmp_path: Path, headers: dict[str, str]) -> None:
    made = cockpits(tmp_path)
    assert (await Page(made, **headers).next())["code"] == 1008
    assert made.open == 0


# Behind the guard, for real ------------------------------------------------------------------------------


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Served]:
    def mount(app: Any, desk: Any) -> dict[str, str]:
        app.mount("/cockpit", Cockpits([sys.executable, "-P", "-S", str(DOUBLE)], tmp_path, browser.files()))
        return {browser.PATH: browser.POLICY}

    with served(workspace(tmp_path / "project"), mount=mount) as found:
        yield found


def _session(found: Served) -> str:
    """The cookie that the link gives."""
    _, headers, _ = found.ask("GET", found.serving.link.partition(str(found.port))[2], token=None)
    return headers["set-cookie"].partition(";")[0]


def test_a_page_by_the_link_has_a_cockpit_and_nobody_else_has(guarded: Served) -> None:
    cookie, port, token = _session(guarded), guarded.port, guarded.serving.token
    url, own = f"ws://127.0.0.1:{port}/cockpit/ws", f"http://127.0.0.1:{port}"
    with connect(url, origin=own, additional_headers={"Cookie": cookie}) as line:  # type: ignore[arg-type]
        assert line.recv(30) == b"ready 80 x 24"
        line.send('["stdin", "6"]')
        assert line.recv(30) == b"D:6"
    for origin, headers in [
        ("http://evil.example", {"Cookie": cookie}),
        (f"http://127.0.0.1:{port + 1}", {"Cookie": cookie}),
        ("null", {"Cookie": cookie}),
        (own, {}),
        (own, {"Cookie": cookie[:-3] + "xxx"}),
        (own, {"Authorization": f"Bearer {token}"}),
        (None, {"Cookie": cookie}),
        (own, {"Cookie": cookie, "Sec-Fetch-Site": "cross-site"}),
    ]:
        with pytest.raises(InvalidStatus) as refused:
            connect(url, origin=origin, additional_headers=headers)  # type: ignore[arg-type]
        assert refused.value.response.status_code == 403
    upgrade = (
        f"Upgrade: websocket\r\nConnection: Upgrade\r\nCookie: {cookie}\r\nSec-WebSocket-Version: 13\r\n"
    )
    upgrade += f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: {own}\r\n\r\n"
    got = guarded.raw(f"GET /cockpit/ws HTTP/1.1\r\nHost: evil.example:{port}\r\n{upgrade}".encode())
    assert got.startswith(b"HTTP/1.1 403")


def test_the_page_and_its_files_need_the_link_too(guarded: Served) -> None:
    cookie = _session(guarded)
    paths = ["/cockpit/", "/cockpit/static/textual.js", "/cockpit/static/page.js", "/cockpit/static/mono.ttf"]
    for path in paths:
        assert guarded.ask("GET", path, token=None)[0] == 401
        assert guarded.ask("GET", path)[0] == 403  # the token is a program's
        assert guarded.ask("GET", path, token=None, Cookie=cookie, Origin="http://evil.example")[0] == 403
        status, headers, body = guarded.ask("GET", path, token=None, Cookie=cookie)
        assert status == 200 and len(body) > 100
        assert headers["content-security-policy"] == browser.POLICY
        assert b"googleapis" not in body or path.endswith(".ttf")
    for path in ("/cockpit/static/../server.py", "/cockpit/static/", "/cockpit/download/x", "/cockpit/x"):
        assert guarded.ask("GET", path, token=None, Cookie=cookie)[0] == 404
    assert guarded.ask("POST", "/cockpit/", token=None, Cookie=cookie)[0] == 404


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is not there")
@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT"])
def test_a_cockpit_does_not_outlive_its_server(tmp_path: Path, how: str) -> None:
    place = workspace(tmp_path / "project")
    engine = Lock(place.lock)  # as if one worked: a cockpit starts one where none does
    assert engine.acquire()
    command = [sys.executable, "-P", "-m", "orchestrator.main", "serve", "--cockpit", "--port", "0", "--json"]
    env = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    child = subprocess.Popen(command, cwd=place.root, env=env, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        said = json.loads(child.stdout.readline())
        address = said["address"].removeprefix("http://")
        line = http.client.HTTPConnection(address, timeout=30)
        line.request("GET", said["link"].partition(address)[2])
        cookie = line.getresponse().getheader("set-cookie", "").partition(";")[0]
        line.close()
        url = f"ws://{address}/cockpit/ws?width=80&height=24"
        with connect(url, origin=said["address"], additional_headers={"Cookie": cookie}) as page:
            got = b""
            while b"TICKET-001" not in got:
                got += bytes(page.recv(60))  # type: ignore[arg-type]
            found = [
                e for e in psutil.Process(child.pid).children() if "orchestrator.web.cockpit" in _said(e)
            ]
            assert len(found) == 1
            child.send_signal(signal.Signals[how])
            assert child.wait(30) == (0 if how == "SIGINT" else -signal.Signals[how])
        assert psutil.wait_procs(found, 30)[1] == []
    finally:
        child.kill()
        child.wait(30)
        child.stdout.close()
        engine.release()
