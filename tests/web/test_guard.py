"""Nobody gets past the guard but who holds a key of this run; each way in is tried."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket
from web_doubles import Served, served, workspace

from orchestrator.web import guard, server
from orchestrator.web.desk import Desk
from orchestrator.web.guard import Asked, Few, Guard, Keys, judge

PORT = 8721
OURS = (("host", "127.0.0.1:8721"),)
KEYS = Keys()
GOOD = (*OURS, ("authorization", f"Bearer {KEYS.token}"))
PAGES = {"/lab": "default-src 'self'"}


def verdict(*headers: tuple[str, str], path: str = "/core", pages: Any = None, **more: Any) -> int:
    asked = Asked(more.pop("method", "GET"), path, more.pop("query", ""), headers, **more)
    return judge(asked, PORT, KEYS, pages or {}).status


@pytest.mark.parametrize("websocket", [False, True])
@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8721", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:8722", "127.0.0.1:8721.evil.example",
        "127.0.0.1:8721@evil.example", "evil.example@127.0.0.1:8721", "127.0.0.2:8721", "0.0.0.0:8721",
        "localhost.evil.example:8721", "localhost.:8721", "127.1:8721", "2130706433:8721", "[::]:8721",
        "::1:8721", "[::ffff:127.0.0.1]:8721", " 127.0.0.1:8721", "127.0.0.1:8721 ", "", "127.0.0.1:08721",
    ],
)  # fmt: skip
def test_a_name_that_is_not_ours_gets_nothing_even_with_the_token(host: str, websocket: bool) -> None:
    token = GOOD[1]
    assert verdict(("host", host), token, websocket=websocket) == 403
    assert verdict(token, websocket=websocket) == 403
    assert verdict(*OURS, ("host", host), token, websocket=websocket) == 403


@pytest.mark.parametrize("host", ["127.0.0.1:8721", "localhost:8721", "LocalHost:8721", "[::1]:8721"])
def test_every_name_of_the_loopback_is_answered(host: str) -> None:
    assert verdict(("host", host), GOOD[1], ("origin", f"http://{host}")) == 200


@pytest.mark.parametrize("websocket", [False, True])
@pytest.mark.parametrize(
    "origin",
    [
        "null", "", "http://evil.example", "https://127.0.0.1:8721", "http://127.0.0.1:8722", "file://",
        "http://127.0.0.1", "http://localhost:8721", "http://127.0.0.1:8721.evil.example",
        "http://127.0.0.1:8721/", "http://127.0.0.1:8721, http://evil.example", "chrome-extension://abc",
    ],
)  # fmt: skip
def test_another_site_gets_nothing_even_with_the_token_or_the_cookie(origin: str, websocket: bool) -> None:
    session = KEYS.redeem(KEYS.link())
    cookie = ("cookie", f"jetbox-8721={session}")
    assert verdict(*GOOD, ("origin", origin), websocket=websocket) == 403
    assert verdict(*OURS, cookie, ("origin", origin), path="/lab", pages=PAGES, websocket=websocket) == 403
    ours = ("origin", "http://127.0.0.1:8721")
    assert verdict(*GOOD, ours, ("origin", origin), websocket=websocket) == 403
    assert verdict(*OURS, cookie, ours, path="/lab", pages=PAGES, websocket=websocket) == 200


@pytest.mark.parametrize("said", ["cross-site", "same-site", "", "none, cross-site"])
def test_a_browser_that_says_another_site_asks_is_believed(said: str) -> None:
    assert verdict(*GOOD, ("sec-fetch-site", said)) == 403
    assert verdict(*GOOD, ("sec-fetch-site", "same-origin")) == 200


@pytest.mark.parametrize(
    "said",
    [
        "", "Bearer", "Bearer ", "Basic TOKEN", "TOKEN", "Bearer TOKENx", "Bearer xTOKEN", "Bearer\tTOKEN",
        "Bearer TOKEN TOKEN", "Bearer \u00e9", "Bearer \udcff", "Bearer null", "Token TOKEN", "Bearer HALF",
    ],
)  # fmt: skip
def test_what_is_not_the_token_is_refused(said: str) -> None:
    token = KEYS.token
    text = said.replace("TOKEN", token).replace("HALF", token[: len(token) // 2])
    assert verdict(*OURS, ("authorization", text)) == 401
    assert verdict(*OURS, ("authorization", text), GOOD[1]) == 401, "two are not better than one"
    assert verdict(*OURS, ("cookie", f"jetbox-8721={token}"), path="/lab", pages=PAGES) == 401
    assert verdict(*OURS, query=f"token={token}") == 401
    assert verdict(*OURS, path="/", query=f"token={token}", pages=PAGES) == 401, "a link is not the token"


def test_every_byte_of_the_token_counts_and_each_run_has_its_own() -> None:
    made = {Keys().token for _ in range(50)}
    assert len(made) == 50 and all(len(each) >= 43 for each in made)  # 32 bytes
    keys = Keys()
    for at in range(len(keys.token)):
        other = "A" if keys.token[at] != "A" else "B"
        assert not keys.is_token(keys.token[:at] + other + keys.token[at + 1 :])
    assert keys.is_token(keys.token)


def test_a_link_serves_once_and_its_cookie_opens_pages_alone() -> None:
    keys = Keys()
    code = keys.link()

    def asks(path: str, *more: tuple[str, str], query: str = "", method: str = "GET") -> guard.Verdict:
        return judge(Asked(method, path, query, (*OURS, *more)), PORT, keys, PAGES)

    assert asks("/", query=f"token={code}", method="POST").status == 401, "a form of another site may post"
    assert asks("/lab", query=f"token={code}").status == 401
    assert asks("/", query=f"token={code}&token={code}").status == 401
    assert asks("/", ("sec-fetch-site", "cross-site"), query=f"token={code}").status == 403
    given = asks("/", query=f"token={code}")
    assert given.status == 303 and "HttpOnly; SameSite=Strict" in given.cookie
    assert asks("/", query=f"token={code}").status == 401, "once"
    cookie = ("cookie", "theirs=1; " + given.cookie.partition(";")[0] + "; =;;x")
    assert asks("/lab", cookie).status == asks("/lab/queue", cookie).status == 200
    for path in ("/core", "/apply_update", "/labels", "/events", "/openapi.json", "/LAB"):
        assert asks(path, cookie).status == 401, "the API takes no cookie"
    assert judge(Asked("GET", "/lab", "", (*OURS, cookie)), PORT, keys, {}).status == 401


def test_old_links_and_sessions_are_forgotten() -> None:
    keys = Keys()
    links = [keys.link() for _ in range(20)]
    assert keys.redeem(links[0]) is None
    sessions = [keys.redeem(keys.link()) for _ in range(20)]
    assert not keys.is_session(str(sessions[0])) and keys.is_session(str(sessions[-1]))


def test_few_lines_are_said_and_the_rest_is_counted() -> None:
    said: list[str] = []
    few = Few(said.append, most=3, seconds=0.2)
    assert [few(f"{number}") for number in range(50)].count(True) == 3
    time.sleep(0.25)
    few("later")
    assert said == ["0", "1", "2", "later (47 more were not shown)"]


# Over real sockets ------------------------------------------------------------------------------------


def test_without_the_token_nothing_is_told_not_even_what_there_is(api: Served) -> None:
    for path in ("/", "/health", "/core", "/nothing", "/openapi.json", "/tickets/TICKET-001", "/events"):
        for token in (None, "x", api.serving.token[:-1]):
            status, headers, said = api.ask("GET", path, token=token)
            assert (status, said["reason"]) == (401, "token")
            assert headers["www-authenticate"] == "Bearer" and headers["connection"] == "close"
    assert any(line.startswith("refused GET /") for line in api.said)
    assert len(api.said) <= 10, "a flood is counted, not told"


def test_every_answer_forbids_to_be_stored_framed_or_guessed_at(api: Served) -> None:
    answers = [api.ask("GET", "/health"), api.ask("GET", "/nothing"), api.ask("GET", "/core", token=None)]
    answers.append(api.ask("POST", "/reason", b"{"))
    answers.append(api.ask("OPTIONS", "/core", Origin=api.serving.address))
    for _, headers, _ in answers:
        assert headers["cache-control"] == "no-store" and headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"
        assert not [name for name in headers if name.startswith("access-control-")]
        assert "server" not in headers


def test_a_body_over_the_bound_is_refused_however_it_comes(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "_DRAINED", (4 * guard.LARGEST, 0.2))
    large = b'"' + b"x" * guard.LARGEST + b'"'
    status, _, said = api.ask("POST", "/reason", large)
    assert (status, said["reason"]) == (413, "size")
    head = api.head("POST /reason")
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    got = api.raw(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 20 + b"0\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 413 ") and got.count(b"HTTP/1.1") == 1
    for length in ("99999999999999999999", "-1", "1e3", "0x10", "1, 2"):
        said = api.raw(head.encode() + f"Content-Length: {length}\r\n\r\n".encode())
        assert said.startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 400 ")), length
    exact = b'"' + b"x" * (guard.LARGEST - 2) + b'"'
    assert api.ask("POST", "/reason", exact)[0] == 422


def test_what_is_no_http_gets_one_error_and_the_line_is_closed(api: Served) -> None:
    ours = f"Host: 127.0.0.1:{api.port}\r\nAuthorization: Bearer {api.serving.token}\r\n"
    for text in (
        "\x00\x01\x02\r\n\r\n",
        f"GET  /health HTTP/1.1\r\n{ours}\r\n",
        "GET /health HTTP/1.1\r\n\r\n",
        f"GET /health HTTP/1.1\r\n{ours}A: {'x' * 100_000}\r\n\r\n",
        f"GET /{'x' * 100_000} HTTP/1.1\r\n{ours}\r\n",
        f"POST /reason HTTP/1.1\r\n{ours}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}",
        f"GET /health HTTP/1.1\r\n{ours}X: a\r\n b\r\n\x00: c\r\n\r\n",
    ):
        got = api.raw(text.encode("latin-1"))
        assert got.startswith(b"HTTP/1.1 4") and got.count(b"HTTP/1.1") == 1, (text[:40], got[:80])
        assert b"Traceback" not in got
    assert api.ask("GET", "/health")[0] == 200


def test_one_answer_can_not_be_smuggled_behind_another(api: Served) -> None:
    ours = f"Host: 127.0.0.1:{api.port}\r\nAuthorization: Bearer {api.serving.token}\r\n"
    inner = f"GET /core HTTP/1.1\r\nHost: 127.0.0.1:{api.port}\r\n\r\n"
    both = f"Transfer-Encoding: chunked\r\nContent-Length: {len(inner)}\r\n\r\n0\r\n\r\n"
    got = api.raw(f"POST /reason HTTP/1.1\r\n{ours}{both}{inner}".encode(), 2.0)
    assert b"HTTP/1.1 200" not in got
    # what comes second on one connection is judged for itself
    got = api.raw(f"GET /health HTTP/1.1\r\n{ours}\r\n{inner}".encode(), 2.0)
    assert got.count(b"HTTP/1.1 200") == 1 and got.count(b"HTTP/1.1 401") == 1


def test_a_client_that_sends_slowly_is_let_go(
    api: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(guard, "SLOWEST", 0.3)
    monkeypatch.setattr(server, "HEADERS", 0.3)
    head = api.head("POST /reason")
    got = api.raw(head.encode() + b"Content-Length: 100\r\n\r\n{")
    assert got.startswith(b"HTTP/1.1 400 ") and b'"slow"' in got
    assert api.raw(head.encode()[:30]) == b"", "a head that never ends"
    assert api.raw(b"") == b"", "a line on which nothing is asked"
    whole = api.head("GET /health") + "\r\n"
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", api.port), 5) as line:  # a byte at a time resets nothing
        line.sendall(whole.encode())
        line.recv(65536)
        with pytest.raises(OSError):
            while time.monotonic() - begun < 5:
                line.sendall(b"G")
                time.sleep(0.05)
    assert time.monotonic() - begun < 3


def test_connections_are_bounded_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(server, "CONNECTIONS", 8)
    with served(workspace(tmp_path / "p")) as found, contextlib.ExitStack() as stack:
        lines = [
            stack.enter_context(socket.create_connection(("127.0.0.1", found.port), 5)) for _ in range(40)
        ]
        time.sleep(0.2)
        assert len(found.run.server_state.connections) <= 8
        for line in lines:
            line.close()
        time.sleep(0.2)
        assert found.ask("GET", "/health")[0] == 200


def test_a_fault_of_ours_is_503_with_a_line_and_no_trace(
    api: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(api.desk, "tickets", broken)
    status, headers, said = api.ask("GET", "/tickets")
    assert (status, said["reason"]) == (503, "internal") and "secret" not in said["error"]
    assert headers["x-content-type-options"] == "nosniff"
    monkeypatch.undo()
    assert api.ask("GET", "/tickets")[0] == 200
    assert "secret detail" in capsys.readouterr().err


# Pages ------------------------------------------------------------------------------------------------


def mount(app: FastAPI, desk: Desk) -> dict[str, str]:
    @app.get("/lab", include_in_schema=False)
    def page() -> PlainTextResponse:
        loose = {
            "Access-Control-Allow-Origin": "*",
            "Content-Security-Policy": "default-src *",
            "Server": "x",
        }
        return PlainTextResponse("the lab", headers=loose)

    return PAGES


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Served]:
    with served(workspace(tmp_path / "p"), mount=mount) as found:
        yield found


def test_the_link_leads_to_the_page_and_the_page_can_not_loosen_what_it_is_served_with(
    pages: Served,
) -> None:
    path = pages.serving.link.removeprefix(pages.serving.address)
    assert pages.ask("GET", "/lab", token=None)[0] == 401
    status, headers, _ = pages.ask("GET", path, token=None)
    assert status == 303 and headers["location"] == "/lab" and "HttpOnly" in headers["set-cookie"]
    cookie = headers["set-cookie"].partition(";")[0]
    status, headers, said = pages.ask("GET", "/lab", token=None, Cookie=cookie)
    assert status == 200 and said == b"the lab"
    assert headers["content-security-policy"] == PAGES["/lab"] and "server" not in headers
    assert "access-control-allow-origin" not in headers
    assert pages.ask("GET", path, token=None)[0] == 401
    assert pages.ask("GET", "/core", token=None, Cookie=cookie)[0] == 401
    for origin in ("null", "http://evil.example", "http://127.0.0.1:1"):
        assert pages.ask("GET", "/lab", token=None, Cookie=cookie, Origin=origin)[0] == 403


async def test_a_websocket_is_judged_before_it_is_accepted() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])
        await send({"type": "websocket.accept"})

    keys = Keys()
    guarded = Guard(app, PORT, keys, pages=PAGES)
    session = keys.redeem(keys.link())

    async def connect(*headers: tuple[bytes, bytes], path: str = "/lab/ws") -> str:
        said: list[Any] = []

        async def send(message: Any) -> None:
            said.append(message["type"])

        async def receive() -> Any:
            await asyncio.sleep(0)
            return {"type": "websocket.connect"}

        await guarded({"type": "websocket", "path": path, "headers": headers}, receive, send)
        assert len(said) == 1
        return str(said[0])

    ours = (b"host", b"127.0.0.1:8721"), (b"origin", b"http://127.0.0.1:8721")
    cookie = (b"cookie", f"jetbox-8721={session}".encode())
    assert await connect(*ours) == "websocket.close"
    assert await connect(ours[0], cookie, (b"origin", b"http://evil.example")) == "websocket.close"
    assert await connect((b"host", b"evil.example:8721"), cookie) == "websocket.close"
    assert await connect(*ours, cookie, path="/events") == "websocket.close"
    assert seen == []
    assert await connect(*ours, cookie) == "websocket.accept" and seen == ["/lab/ws"]


def test_a_websocket_stays_when_the_time_for_a_head_is_over_and_none_opens_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("websockets")
    monkeypatch.setattr(server, "HEADERS", 0.3)

    def mount_echo(app: FastAPI, desk: Desk) -> dict[str, str]:
        @app.websocket("/lab/ws")
        async def repeat(line: WebSocket) -> None:
            await line.accept()
            while True:
                await line.send_text(await line.receive_text())

        return PAGES

    def shake(found: Served, *more: str) -> bytes:
        head = ["GET /lab/ws HTTP/1.1", f"Host: 127.0.0.1:{found.port}", "Upgrade: websocket"]
        head += ["Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + "A" * 22 + "=="]
        return "\r\n".join([*head, *more, "", ""]).encode()

    with served(workspace(tmp_path / "p"), mount=mount_echo) as found:
        path = found.serving.link.removeprefix(found.serving.address)
        cookie = found.ask("GET", path, token=None)[1]["set-cookie"].partition(";")[0]
        ours = f"Origin: {found.serving.address}"
        assert found.raw(shake(found)).startswith(b"HTTP/1.1 403")
        assert found.raw(shake(found, f"Cookie: {cookie}", "Origin: null")).startswith(b"HTTP/1.1 403")
        with socket.create_connection(("127.0.0.1", found.port), 5) as line:
            line.sendall(shake(found, f"Cookie: {cookie}", ours))
            assert line.recv(4096).startswith(b"HTTP/1.1 101")
            for _ in range(3):
                time.sleep(0.3)
                line.sendall(b"\x81\x82\x00\x00\x00\x00hi")
                assert line.recv(4096) == b"\x81\x02hi"


async def test_what_is_refused_is_refused_whether_or_not_it_can_be_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(asked: Asked, verdict: guard.Verdict) -> None:
        raise OSError("no room")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("nobody gets here")

    said: list[Any] = []

    async def send(message: Any) -> None:
        said.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "GET", "path": "/core", "headers": [(b"host", b"evil.example")]}
    await Guard(app, PORT, Keys(), refused=broken)(scope, receive, send)
    assert said[0]["status"] == 403 and "no room" in capsys.readouterr().err


# The run ----------------------------------------------------------------------------------------------


def test_the_token_lies_in_a_file_of_its_owner_alone_as_long_as_the_run_lasts(tmp_path: Path) -> None:
    place = workspace(tmp_path / "p")
    stale = server.token_file(place)
    stale.write_text("of a run that was killed\n")
    stale.chmod(0o666)
    tokens = []
    for _ in range(2):
        with served(place) as found:
            tokens.append(stale.read_text().strip())
            assert tokens[-1] == found.serving.token
            if sys.platform != "win32":
                assert stat.S_IMODE(stale.stat().st_mode) == 0o600
        assert not stale.exists()
    assert tokens[0] != tokens[1]


def test_a_link_in_the_place_of_the_tokens_file_is_not_followed(tmp_path: Path) -> None:
    place, victim = workspace(tmp_path / "p"), tmp_path / "victim"
    victim.write_text("mine")
    server.token_file(place).symlink_to(victim)
    with served(place):
        assert victim.read_text() == "mine" and not server.token_file(place).is_symlink()
    assert victim.read_text() == "mine"


def test_nothing_is_listened_on_but_the_loopback(api: Served) -> None:
    names = {line.getsockname()[0] for line in api.run._listening}
    assert names <= {"127.0.0.1", "::1"} and "127.0.0.1" in names
    for name in names:
        family = socket.AF_INET6 if ":" in name else socket.AF_INET
        with socket.socket(family) as line:
            line.settimeout(5)
            line.connect((name, api.port))


def test_a_free_port_is_free_on_every_name_of_the_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    bound = server._bound

    def taken_at_first(port: int) -> list[socket.socket]:
        tried.append(port)
        if len(tried) < 3:
            raise server.CannotServe("port 40000 of ::1 is taken by another program")
        return bound(port)

    monkeypatch.setattr(server, "_bound", taken_at_first)
    with server.listening(0) as made:
        assert tried == [0, 0, 0] and made[0].getsockname()[0] == "127.0.0.1"
        assert len({line.getsockname()[1] for line in made}) == 1
    tried.clear()
    with pytest.raises(server.CannotServe, match="is taken"), server.listening(8721):
        raise AssertionError


def test_a_second_one_says_so_and_a_port_that_is_taken_too(tmp_path: Path) -> None:
    place = workspace(tmp_path / "p")
    with (
        served(place) as found,
        pytest.raises(server.CannotServe, match="is served already"),
        server.prepared(place, 0, say=print),
    ):
        raise AssertionError
    other = workspace(tmp_path / "q")
    with served(place) as found:
        with (
            pytest.raises(server.CannotServe, match="is taken"),
            server.prepared(other, found.port, say=print),
        ):
            raise AssertionError
        assert not server.token_file(other).exists()
    with server.prepared(other, 0, say=print):
        pass
