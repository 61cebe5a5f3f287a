"""What the engine's own process may reach: model servers, on this machine or named by the person, no more.

An audit hook refuses every other connection and every other name that Python is asked to look up, so that a
library that phones home, or a mistake, is stopped and told. It is defence in depth for our own process:
native code could go around it. Commands are held by the sandbox, not by this.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from types import FrameType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from orchestrator.named_hosts import loopback

OLLAMA = "127.0.0.1:11434"
COMFYUI = "127.0.0.1:8188"
LOCAL = (OLLAMA, "127.0.0.1:8080", "127.0.0.1:1234", "127.0.0.1:8000", COMFYUI)
"""Where model servers listen by default: Ollama, llama.cpp, LM Studio, vLLM, ComfyUI."""

_TO_ADDRESS = frozenset(("socket.connect", "socket.sendto", "socket.sendmsg"))  # (socket, address)
_TO_NAME = frozenset(("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"))  # (name, ...)


class NotAllowed(PermissionError):
    """Something in the engine tried to reach what it may not."""


class Server(NamedTuple):
    """Host and port of a model server."""

    host: str
    port: int

    @property
    def plain(self) -> Server:
        """The same server as all its names are compared: this machine is 127.0.0.1."""
        return Server("127.0.0.1" if loopback(self.host) else self.host.rstrip(".").casefold(), self.port)


@dataclass(frozen=True)
class Reach:
    """The servers that may be reached, and those that are asked for and may not."""

    servers: frozenset[Server]
    ollama: Server
    refused: str = ""
    """Why Ollama's server may not be reached, with the cure; '' where it may."""


def server(text: str, port: int = 11434) -> Server:
    """Read `host`, `host:port`, `[v6]:port` or a URL; "all of this machine" is where its loopback answers.

    Raises:
        ValueError: it is none of these.
    """
    try:
        parts = urlsplit(text if "//" in text else f"//{text}")
        host, port = parts.hostname or "127.0.0.1", parts.port or port
    except ValueError as error:
        raise ValueError(f"is {text!r}, expected a model server as host:port") from error
    return Server("127.0.0.1" if host in ("0.0.0.0", "::") else host, port)


def reach(listed: Iterable[str], ollama_host: str | None) -> Reach:
    """What may be reached.

    Args:
        listed: `servers` of the person's own configuration: `host:port`.
        ollama_host: the environment's `OLLAMA_HOST`, where it is set; a host that is not this machine counts
            only if the person has listed it too, since anything can set a variable.

    Raises:
        ValueError: an entry of `listed` is no server.
    """
    allowed = {server(each).plain for each in (*LOCAL, *listed)}
    try:
        ollama = server(ollama_host or OLLAMA)
    except ValueError as error:
        return Reach(frozenset(allowed), server(OLLAMA), f"OLLAMA_HOST {error}: correct it or unset it")
    if loopback(ollama.host):
        allowed.add(ollama.plain)
    elif ollama.plain not in allowed:
        where = f"{ollama.host}:{ollama.port}"
        why = f"OLLAMA_HOST names {where}, which is not yours to reach yet: list it under `servers` in your"
        return Reach(frozenset(allowed), ollama, f"{why} config.yaml, or unset OLLAMA_HOST")
    return Reach(frozenset(allowed), ollama)


# The guard ------------------------------------------------------------------------------------------

_guards: list[frozenset[Server]] = []
"""What is allowed by each guard that is up; without any, nothing is refused. A hook itself stays for good."""


@contextlib.contextmanager
def guard(allowed: frozenset[Server]) -> Iterator[None]:
    """Refuse for as long as this lasts, in all threads, whatever is not allowed."""
    _install()
    _guards.append(allowed)
    try:
        yield
    finally:
        _guards.remove(allowed)


@cache
def _install() -> None:
    sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not event.startswith("socket.") or not _guards:
        return
    if event in _TO_ADDRESS:
        _check_address(event, arguments[0], arguments[1])
    elif event in _TO_NAME:
        _check_name(event, arguments[0])


def _check_address(event: str, made: socket.socket, address: Any) -> None:
    if made.family not in (socket.AF_INET, socket.AF_INET6) or address is None:
        return  # a path on this machine, or one connected before
    host, port = str(address[0]), int(address[1])
    if sys.platform == "win32" and _pair(sys._getframe(2)):
        return
    to = Server(host, port).plain
    for allowed in tuple(_guards):
        if to in allowed or any(port == each.port and host in _addresses(each) for each in allowed):
            return
    raise NotAllowed(f"the engine may not reach {host}:{port} ({event}): it reaches model servers alone")


def _check_name(event: str, name: Any) -> None:
    if isinstance(name, (bytes, bytearray)):
        name = bytes(name).decode("ascii", "replace")
    if name is None or not name or _numeric(name) or loopback(name):
        return  # nothing is asked of anybody
    if not any(each.host == name.rstrip(".").casefold() for allowed in tuple(_guards) for each in allowed):
        raise NotAllowed(f"the engine may not look up {name!r} ({event}): it reaches model servers alone")


def _numeric(name: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, ValueError):
            socket.inet_pton(family, name.partition("%")[0])
            return True
    return False


def _addresses(named: Server) -> frozenset[str]:
    """The addresses of a server that is listed by its name, looked up when it is called."""
    if loopback(named.host) or _numeric(named.host):
        return frozenset()
    with contextlib.suppress(OSError):
        found = socket.getaddrinfo(named.host, named.port, type=socket.SOCK_STREAM)
        return frozenset(str(each[4][0]) for each in found)
    return frozenset()


def _pair(frame: FrameType | None) -> bool:
    """Whether Python makes a pair of its own sockets: on Windows that is a connection to itself."""
    while frame is not None and frame.f_code.co_filename == socket.__file__:
        if frame.f_code.co_name in ("socketpair", "_fallback_socketpair"):
            return True
        frame = frame.f_back
    return False
