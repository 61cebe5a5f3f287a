"""llama.cpp with one GGUF file, spoken to over pipes: `python -P -m orchestrator.providers.embedded_child`.

One JSON object a line. In, first: {"path", "context", "threads", "embed"}; then {"do": "chat" or "embed",
"id", "body"} and {"do": "stop", "id"}. Out: {"ready": true} or {"failed": line}; then {"id", "chunk"} as
often as there is something, and {"id", "end": true}.

It has no network (`sandbox/nonet.py`), and ends within a second of its input, whatever it is doing.
llama.cpp's server cannot be had without its listener: that is a Unix socket in a private folder, both removed
at once, or on Windows a port of this machine behind a key that nobody is told.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from orchestrator.sandbox.nonet import deny_network

BATCH = 512
"""Tokens of a prompt read at once. After each batch a sign of life is given, and `stop` is heeded."""
CACHE_MIB = 512
"""Memory for the prefixes of other conversations: a plan between two turns does not cost the next one."""


def main() -> int:
    """Serve until the input ends; see the module."""
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever a library prints is no line of ours
    orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    stopped: set[int] = set()
    first = json.loads(sys.stdin.buffer.readline())
    try:
        deny_network()
        with _ended_with_input():
            server = _server(first)
    except Exception as error:  # the boundary: whatever a library raises becomes a line
        _tell(out, {"failed": f"{type(error).__name__}: {error}"[:500]})
        return 1
    threading.Thread(target=_listen, args=(orders, stopped), daemon=True).start()
    _tell(out, {"ready": True})
    while True:
        order = orders.get()
        number = int(order["id"])
        if number not in stopped:
            if order["do"] == "chat":
                _chat(server, order, out, stopped)
            else:
                _tell(out, {"id": number, "chunk": server.handle_embeddings(order["body"])})
        stopped.discard(number)
        _tell(out, {"id": number, "end": True})


def _server(wanted: dict[str, Any]) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = wanted["path"]
    params.n_ctx = wanted["context"]
    params.n_parallel = 1  # else the context is shared out
    params.ctx_shift = False  # nothing of a prompt is dropped in silence
    params.n_batch = params.n_ubatch = BATCH
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = wanted["threads"]
    params.cache_ram_mib = CACHE_MIB
    params.warmup = False
    params.verbosity = 1  # errors
    params.ui = params.endpoint_slots = False
    params.n_threads_http = 1
    params.sse_ping_interval = -1
    if wanted["embed"]:
        params.embedding = True
        params.n_batch = params.n_ubatch = wanted["context"]  # a text must be seen whole
    with _listener(params):
        return xllamacpp.Server(params)


@contextlib.contextmanager
def _listener(params: Any) -> Iterator[None]:
    """Let the server listen where nobody can come."""
    params.api_keys = [secrets.token_hex(32)]
    if sys.platform == "win32":
        params.hostnames, params.port = ["127.0.0.1"], 0
        yield
        return
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="jetbox-llama-") as folder:
        os.chdir(folder)  # the path of a socket is short: by its name alone it always fits
        try:
            params.hostnames = ["llama.sock"]
            yield
        finally:
            os.chdir(before)


@contextlib.contextmanager
def _ended_with_input() -> Iterator[None]:
    """Have the kernel end this process with its input. While a model is loaded no thread of Python runs."""
    if sys.platform != "linux":
        yield
        return
    import fcntl

    own = fcntl.fcntl(0, fcntl.F_GETFL)
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, own | os.O_ASYNC)
    try:
        yield
    finally:
        fcntl.fcntl(0, fcntl.F_SETFL, own)


def _listen(orders: queue.SimpleQueue[dict[str, Any]], stopped: set[int]) -> None:
    for line in sys.stdin.buffer:
        order = json.loads(line)
        if order["do"] == "stop":
            stopped.add(int(order["id"]))
        else:
            orders.put(order)
    os._exit(0)  # who asked is gone: nothing is worth finishing


def _chat(server: Any, order: dict[str, Any], out: BinaryIO, stopped: set[int]) -> None:
    number = int(order["id"])
    head = b'{"id":%d,"chunk":' % number

    def heard(chunk: bytes) -> bool:
        """Pass a chunk on; true ends the reply."""
        out.write(head + chunk.replace(b"\n", b" ") + b"}\n")
        return number in stopped

    server.handle_chat_completions(json.dumps(order["body"]).encode(), heard)


def _tell(out: BinaryIO, said: dict[str, Any]) -> None:
    out.write(json.dumps(said).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
