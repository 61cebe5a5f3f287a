"""A run that first tries to reach the network, then does its work: started as a child run like any other.

It is given a port of the host's own loopback on which somebody listens. Past Python's hooks, by the C library
itself where there is one, it tries that port, addresses beyond this machine and a name; what it reached and
what was refused is its result. Then the module of the request works in a folder below, under the very same
denial, and all is tried once more.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import json
import os
import socket
import struct
import sys
from pathlib import Path
from typing import Any

from orchestrator.child import main_module
from orchestrator.sandbox import nonet
from state import durable

INNER = "run"
REPORT = "offline.json"
FAR = ("192.0.2.1", "1.1.1.1")
"""Addresses that are not this machine's: one that never answers, one that would."""
_WAIT = 2.0  # seconds: what has no way out is refused at once; what waits longer may have one


def main(run_dir: Path) -> int:
    """Try, work, and write what came of both."""
    body = json.loads((run_dir / "request.json").read_text())
    report: dict[str, Any] = {"held": _held(body["namespace"]), "tried": _tries(int(body["port"]))}
    nonet.REFUSED.clear()  # from here on it is the work itself that tries
    inner = run_dir / INNER
    inner.mkdir(exist_ok=True)
    durable.replace(inner / "request.json", json.dumps(body["request"], sort_keys=True).encode() + b"\n")
    status = importlib.import_module(main_module(body["module"])).main(inner)
    report |= {"status": int(status or 0), "refused": list(nonet.REFUSED), "still": _tries(int(body["port"]))}
    text = json.dumps(report, sort_keys=True).encode() + b"\n"
    durable.replace(run_dir / REPORT, text)
    made = {"path": REPORT, "sha256": hashlib.sha256(text).hexdigest()}
    result = {"v": 1, "ok": True, "metrics": {}, "artifact": made}
    durable.replace(run_dir / "result.json", json.dumps(result, sort_keys=True).encode() + b"\n")
    return 0


def namespace() -> str:
    """The network that this process is in, '' where the system has no such thing."""
    try:
        return str(Path("/proc/self/ns/net").readlink())
    except OSError:
        return ""


def _held(host: str) -> str:
    """What holds this process back, by the system's own word: namespace, seccomp, or '' for neither."""
    own = namespace()
    if own and host and own != host:
        return "namespace"
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return ""
    return "seccomp" if "Seccomp:\t2" in status else ""


def _tries(port: int) -> dict[str, str]:
    """What became of each try: `reached`, or why not."""
    found = {f"{name}, by Python": _python(address) for name, address in _targets(port)}
    if sys.platform != "win32":
        found |= {f"{name}, by the C library": _native(*address) for name, address in _targets(port)}
    found["a name"] = _name()
    return found


def _targets(port: int) -> list[tuple[str, tuple[str, int]]]:
    near = ("the host's loopback", ("127.0.0.1", port))
    return [near, *((f"{address}", (address, 53)) for address in FAR)]


def _python(address: tuple[str, int]) -> str:
    try:
        with socket.create_connection(address, timeout=_WAIT):
            return "reached"
    except OSError as error:
        return _why(error)


def _native(host: str, port: int) -> str:
    """Connect without Python in between, which no audit hook sees."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    if fd < 0:
        return os.strerror(ctypes.get_errno())
    try:
        seconds = struct.pack("ll", int(_WAIT), 0)  # struct timeval: a connect waits no longer than that
        libc.setsockopt(fd, socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds, len(seconds))
        packed = socket.inet_aton(host)
        if sys.platform == "darwin":
            address = struct.pack("=BBH4s8x", 16, socket.AF_INET, socket.htons(port), packed)
        else:
            address = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port), packed)
        if libc.connect(fd, address, len(address)) == 0:
            return "reached"
        return os.strerror(ctypes.get_errno())
    finally:
        os.close(fd)


def _name() -> str:
    try:
        socket.getaddrinfo("example.com", 80)
    except (OSError, UnicodeError) as error:
        return _why(error)
    return "reached"


def _why(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text or type(error).__name__
