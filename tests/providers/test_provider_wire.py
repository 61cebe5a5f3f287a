"""What a hostile server can do to a call: an error, in time and in bounds. And what a call never does."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from contenders import asking
from scripted_ollama import ScriptedOllama
from scripting import Http

from orchestrator.providers.base import Provider, ProviderError
from orchestrator.providers.ollama import Ollama
from orchestrator.providers.openai import OpenAI
from orchestrator.providers.wire import CLOSED, Wire
from orchestrator.reach import guard, server

ASKED = asking("small:latest", "Say hello.")
PROVIDERS = [Ollama, OpenAI]


@contextmanager
def raw(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that answers each connection's first request with whatever bytes it likes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            answer(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def closed(body: bytes, head: bytes = b"") -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        length = b"content-length: %d\r\n" % len(body)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + length + b"\r\n" + body)

    return answer


def endless(part: bytes, first: bytes = b"HTTP/1.1 200 OK\r\n", pause: float = 0.0) -> Callable[..., None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(part)
            time.sleep(pause)

    return answer


def ended() -> bool:
    """Whether no thread of a call is left."""
    until = time.monotonic() + 10
    while any(each.name.startswith("call ") for each in threading.enumerate()):
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


HOSTILE = {
    "endless headers": (endless(b"x-a: " + b"y" * 1000 + b"\r\n"), "transport"),
    "one endless header": (endless(b"y" * 1000, b"HTTP/1.1 200 OK\r\nx-a: "), "transport"),
    "headers by the byte": (endless(b"y", b"HTTP/1.1 200 OK\r\nx-a: ", 0.02), "stall"),
    "endless beginnings": (endless(b"HTTP/1.1 100 Continue\r\n\r\n", b"", 0.001), "stall"),
    "no HTTP": (endless(b"SSH-2.0-OpenSSH_9.6\r\n", b""), "transport"),
    "closed at once": (lambda connection: None, "transport"),
    "fewer bytes than promised": (
        lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"),
        "transport",
    ),
    "more than there is room for": (
        endless(b" " * 65536, b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n"),
        "transport",
    ),
    "compressed": (closed(b"\x1f\x8b" + b"0" * 100, b"content-encoding: gzip\r\n"), "transport"),
    "deep": (closed(b'{"models":' + b"[" * 200_000), "transport"),
    "a list": (closed(b"[]"), "transport"),
    "no text": (closed(b"\xff" * 100), "transport"),
    "a page": (closed(b"<html>login</html>"), "transport"),
    "elsewhere": (
        lambda connection: connection.sendall(
            b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
        ),
        "refused",
    ),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_a_hostile_answer_is_an_error_in_time_and_in_bounds(how: str) -> None:
    answer, kind = HOSTILE[how]
    with raw(answer) as where:
        began = time.monotonic()
        with pytest.raises(ProviderError) as caught:
            Wire(server(where)).ask("/api/tags", within=0.5 if kind == "stall" else 20.0)
        assert caught.value.kind == kind, caught.value
        assert len(str(caught.value)) < 700
        assert time.monotonic() - began < 10
    assert ended()


@pytest.mark.parametrize("how", HOSTILE)
@pytest.mark.parametrize("make", PROVIDERS)
def test_a_hostile_server_is_not_healthy_and_says_so_in_time(make: Callable[..., Provider], how: str) -> None:
    if how == "more than there is room for":
        pytest.skip("it is a matter of bytes, and not of a call")
    with raw(HOSTILE[how][0]) as where:
        began = time.monotonic()
        health = make("server", where).health()
        assert time.monotonic() - began < 3.0  # two seconds, and a busy machine
        assert not health.ok
        assert health.why
    assert ended()


WRONG = [
    b"{}",
    b'{"models": null, "data": null}',
    b'{"models": [1, null, "a", []], "data": [1, null, "a", []]}',
    b'{"models": [{}], "data": [{}], "version": 5, "details": 7, "model_info": [], "capabilities": 3}',
    b'{"models": [{"name": "small:latest", "size": "much", "digest": 5, "context_length": -4}],'
    b' "data": [{"id": "small:latest", "meta": 5, "max_model_len": "long", "embedding": "x", "index": 0}],'
    b' "model_info": {"general.architecture": [], "a": {"b": 1}}, "capabilities": [{}], "embeddings": "x"}',
    b'{"models": [{"name": "small:latest", "size": 1e400}], "data": [{"id": "small:latest", "index": [1]}]}',
]


@pytest.mark.parametrize("body", WRONG)
@pytest.mark.parametrize("make", PROVIDERS)
def test_answers_of_wrong_types_are_errors_or_facts_left_out(
    make: Callable[..., Provider], body: bytes
) -> None:
    stop = threading.Event()
    with raw(closed(body)) as where:
        provider = make("server", where)
        calls: list[Callable[[], object]] = [
            provider.health,
            provider.models,
            provider.loaded,
            lambda: provider.look("small:latest"),
            lambda: provider.load("small:latest", 4096, 60.0, stop),
            lambda: provider.unload("small:latest", stop),
            lambda: provider.embed("small:latest", ["a"]),
            lambda: list(provider.chat(ASKED, stop)),
        ]
        if make is Ollama:
            provider._loading = 0.2  # type: ignore[attr-defined]
        for call in calls:
            with suppress(ProviderError):
                call()


def test_no_more_is_kept_of_a_large_answer_than_its_bound() -> None:
    sent = 0

    def answer(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n")
        while True:
            sent += connection.send(b" " * 65536)

    with raw(answer) as where:
        with pytest.raises(ProviderError):
            Wire(server(where)).ask("/api/tags", within=30.0)
        assert ended()
        assert CLOSED < sent < 2 * CLOSED  # what was under way in buffers beside


@pytest.mark.parametrize("make", PROVIDERS)
def test_stop_ends_a_call_to_a_server_that_answers_nothing_at_all(make: Callable[..., Provider]) -> None:
    asked = threading.Event()

    def silent(connection: socket.socket) -> None:
        asked.set()
        connection.recv(1)

    with raw(silent) as where:
        stop, done = threading.Event(), threading.Event()

        def call() -> None:
            assert list(make("server", where).chat(ASKED, stop)) == []
            done.set()

        threading.Thread(target=call, daemon=True).start()
        assert asked.wait(10)
        began = time.monotonic()
        stop.set()
        assert done.wait(5)
        assert time.monotonic() - began < 0.5
    assert ended()


def test_stop_ends_a_stream_among_lines_that_came_together() -> None:
    with raw(closed(b'{"a": 1}\n' * 1000)) as where:
        stop = threading.Event()
        heard = 0
        for _ in Wire(server(where)).lines("/api/chat", {}, stop, 10.0, 10.0):
            heard += 1
            stop.set()
        assert heard == 1


@pytest.mark.parametrize("make", PROVIDERS)
def test_no_proxy_redirect_or_credential_of_the_environment_is_used(
    make: Callable[..., Provider], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, str]] = []

    class Watching(ScriptedOllama):
        def answer(self, http: Http, path: str, body: dict[str, object]) -> None:
            seen.append({key.lower(): value for key, value in http.headers.items()})
            super().answer(http, path, body)

    with raw(closed(b"{}")) as elsewhere, Watching() as double:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://{elsewhere}")
        monkeypatch.setenv("OLLAMA_API_KEY", "secret")
        monkeypatch.setenv("OLLAMA_HOST", elsewhere)
        monkeypatch.setenv("OPENAI_API_KEY", "secret")
        provider = make("server", double.where)
        for call in (
            provider.health,
            provider.loaded,
            lambda: provider.load("small", 4096, 60.0, threading.Event()),
            lambda: list(provider.chat(ASKED, threading.Event())),
        ):
            with suppress(ProviderError):
                call()
    assert len(seen) >= 2
    assert not any("secret" in value for headers in seen for value in headers.values())
    assert not any("authorization" in headers for headers in seen)


@pytest.mark.parametrize("make", PROVIDERS)
def test_where_the_engine_may_not_reach_is_refused_with_the_cure(make: Callable[..., Provider]) -> None:
    with ScriptedOllama() as double, guard(frozenset([server("127.0.0.1:1").plain])):
        provider = make("server", double.where)
        with pytest.raises(ProviderError) as caught:
            provider.models()
        assert caught.value.kind == "refused"
        assert "servers" in str(caught.value)
        assert not provider.health().ok
        assert not double.heard


def test_what_answers_and_is_no_model_server_is_not_healthy() -> None:
    for make in PROVIDERS:
        with raw(closed(b"{}")) as where:
            health = make("server", where).health()
            assert not health.ok
            assert where in health.why


def test_making_a_provider_loads_no_client_and_reaches_nothing() -> None:
    code = """
import sys
def hook(event, arguments):
    assert not event.startswith("socket."), event
sys.addaudithook(hook)
from orchestrator.providers.ollama import Ollama
from orchestrator.providers.openai import OpenAI
Ollama("a", "127.0.0.1:1"), OpenAI("b", "localhost:2")
print(sorted({"httpx", "ollama", "pydantic"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
