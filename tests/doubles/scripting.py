"""What a scripted model says, and every way in which a model or its server goes wrong. Shared by the doubles.

A double stands in for a server with a large model, which cannot be here. It speaks the server's real protocol
over a real socket; what the model would say comes from a script.
"""

from __future__ import annotations

import json
import math
import random
import select
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

WIRE_FAULTS = (
    "hang",  # takes the request and never answers
    "stall",  # begins, and then nothing more comes
    "dribble",  # sends a byte now and then, and never a whole line
    "drop",  # the socket is closed in the middle
    "error",  # says `error` in the middle of the stream
    "no-done",  # ends properly without the word that it is complete
    "unavailable",  # 503
    "evicted",  # the model was let go, and its runner is gone: 500
    "truncated",  # the server says that it saw a part of the prompt only
    "cut",  # the reply stops in its middle, at its limit
    "garbage",  # bytes that are no protocol
    "wrong-types",  # JSON, but not what was agreed
    "gzip",  # an answer that unpacks to a thousand times its size
    "long-line",  # a line that does not end
)
MODEL_FAULTS = (
    "empty",  # complete, with nothing in it
    "thinks-only",  # complete, and all of it was thinking
    "prose",  # what was asked for, with talk around it
    "schema",  # something else than the schema asks for
    "chant",  # one phrase for ever
    "think-tags",  # the thinking lies in the reply, between tags: not wrong, but to be told apart
)
FAULTS = WIRE_FAULTS + MODEL_FAULTS


@dataclass(frozen=True)
class Say:
    """One reply of a script."""

    text: str = ""
    thinking: str = ""
    piece: int = 12  # characters of each piece
    delay: float = 0.0  # seconds before each piece
    fault: str = ""  # one of FAULTS


Reply = Callable[[Mapping[str, Any], int], "Say | str"]


@dataclass
class Script:
    """Says what is in it, and breaks a share of it.

    Args:
        replies: `reply(request body, number of the call)`, or a list whose last one is said again and again.
        broken: share of the replies that are broken, 0 to 1.
        seed: of the choice. Which calls are broken depends on it and on their number alone.
        faults: the ways, each as often as the others.
    """

    replies: Reply | Sequence[Say | str] = ("ok",)
    broken: float = 0.0
    seed: int = 0
    faults: Sequence[str] = FAULTS

    def __call__(self, body: Mapping[str, Any], nth: int) -> Say:
        if callable(self.replies):
            said = self.replies(body, nth)
        else:
            said = self.replies[min(nth, len(self.replies) - 1)]
        say = Say(said) if isinstance(said, str) else said
        chance = random.Random(f"{self.seed}:{nth}")
        if not say.fault and chance.random() < self.broken:
            say = replace(say, fault=chance.choice(list(self.faults)))
        return spoiled(say)


def spoiled(say: Say) -> Say:
    """A reply with a fault of the model's in it."""
    if say.fault == "empty":
        return replace(say, text="", thinking="")
    if say.fault == "thinks-only":
        return replace(say, text="", thinking=say.thinking or "Let me think about it once more.")
    if say.fault == "prose":
        return replace(say, text=f"Sure! Here is what you asked for:\n\n{say.text}\n\nI hope this helps!")
    if say.fault == "schema":
        return replace(say, text='{"answer": "I would rather say something else", "confidence": 0.9}')
    if say.fault == "think-tags":
        thought = say.thinking or "Hm, what is asked here?"
        return replace(say, text=f"<think>\n{thought}\n</think>\n\n{say.text}", thinking="")
    return say


def tokens(text: str) -> int:
    """The double's own tokenizer: four bytes a token."""
    return math.ceil(len(text.encode("utf-8", "replace")) / 4)


def prompt_tokens(messages: Sequence[Mapping[str, Any]]) -> int:
    """Tokens of a rendered prompt."""
    return sum(tokens(str(each.get("content", ""))) + 4 for each in messages)


@dataclass
class Made:
    """A model that a double claims to have."""

    name: str
    size: int = 5 << 30
    context: int = 32768
    thinks: bool = False
    embeds: bool = False
    remote: str = ""  # who would run it
    digest: str = "a" * 64
    quantization: str = "Q4_K_M"
    facts: Mapping[str, Any] = field(
        default_factory=lambda: {"block_count": 36, "attention.head_count": 32, "attention.head_count_kv": 8}
    )


class Gone(Exception):
    """The client went away."""


class Double:
    """A server of scripted replies; a context manager. Subclasses speak one protocol.

    Attributes:
        heard: each request as (path, body), in order.
        left: set once a client went away in the middle of a reply.
    """

    def __init__(
        self,
        script: Script | Reply | Sequence[Say | str] = ("ok",),
        models: Sequence[Made] = (),
        port: int = 0,
    ) -> None:
        self.script = script if isinstance(script, Script) else Script(script)
        self.models = {each.name: each for each in models or (Made("small:latest"),)}
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.left = threading.Event()
        self.lock = threading.Lock()
        self.chats = 0
        self.seen: dict[str, str] = {}  # model: the last prompt, which its prefix cache holds
        self._over = threading.Event()
        self._server = _Server(("127.0.0.1", port), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def where(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def bodies(self, path: str) -> list[dict[str, Any]]:
        """What was asked at a path."""
        with self.lock:
            return [body for at, body in self.heard if at == path]

    def answer(self, http: Http, path: str, body: dict[str, Any]) -> None:
        """Answer one request."""
        raise NotImplementedError

    def next(self, body: Mapping[str, Any]) -> Say:
        """The script's next reply."""
        with self.lock:
            nth = self.chats
            self.chats += 1
        return self.script(body, nth)

    def cached(self, model: str, messages: Sequence[Mapping[str, Any]]) -> int:
        """Tokens of the prompt that the prefix cache has, which then holds this prompt."""
        prompt = "".join(f"{each.get('role')}:{each.get('content')}" for each in messages)
        with self.lock:
            before, self.seen[model] = self.seen.get(model, ""), prompt
        same = next((i for i, (a, b) in enumerate(zip(before, prompt, strict=False)) if a != b), None)
        return min(len(before), len(prompt)) // 4 if same is None else same // 4

    # Streaming ---------------------------------------------------------------------------------------

    def stream(self, http: Http, say: Say, most: int, words: Words) -> None:
        """Say a reply piece by piece, with its fault."""
        fault = say.fault
        if fault == "hang":
            self.wait(http)
        http.begin(words.kind, "gzip" if fault == "gzip" else "")
        if fault == "gzip":
            import gzip

            http.send(gzip.compress(b"0" * (50 << 20)))
            return
        if fault == "garbage":
            http.send(bytes(range(128, 256)) * 4 + b"\n")
            return
        if fault == "long-line":
            with suppress(OSError):
                while True:
                    http.send(b" x" * 32768)
        pieces = self._pieces(say)
        told, count = 0, 0
        middle = max(1, math.ceil(len(say.text) / say.piece) // 2)
        for thinking, text in pieces:
            if count >= most or (fault == "cut" and told >= middle):
                http.send(words.done(count, True))
                return
            if told >= middle:
                self._break(http, fault, words)
            if say.delay:
                self.wait(http, say.delay)
            http.look()
            http.send(words.piece(thinking, text))
            told += 1
            count += tokens(text)
        if told < middle or told == middle:
            self._break(http, fault, words)
        if fault == "cut":
            http.send(words.done(count, True))
        elif fault != "no-done":
            http.send(words.done(count, False))

    def _pieces(self, say: Say) -> Iterator[tuple[bool, str]]:
        for thinking, text in ((True, say.thinking), (False, say.text)):
            for at in range(0, len(text), say.piece):
                yield thinking, text[at : at + say.piece]
        while say.fault == "chant":
            yield False, "and so on, "

    def _break(self, http: Http, fault: str, words: Words) -> None:
        if fault == "stall":
            self.wait(http)
        elif fault == "dribble":
            while True:
                http.send(b" ")
                self.wait(http, 0.05)
        elif fault == "drop":
            raise Gone
        elif fault == "error":
            http.send(words.error("an error was encountered while running the model"))
            raise Gone(True)
        elif fault == "wrong-types":
            http.send(words.wrong())
            raise Gone(True)

    def wait(self, http: Http, seconds: float = math.inf) -> None:
        """Say nothing for a while, or for ever; a client that goes away is noticed at once."""
        left = seconds
        while left > 0 and not self._over.wait(min(left, 0.02)):
            left -= 0.02
            http.look()
        if self._over.is_set():
            raise Gone


class Words:
    """How one protocol says the parts of a stream."""

    kind = ""

    def piece(self, thinking: bool, text: str) -> bytes:
        """A piece."""
        raise NotImplementedError

    def done(self, reply: int, cut: bool) -> bytes:
        """The end, with its counts."""
        raise NotImplementedError

    def error(self, message: str) -> bytes:
        """An error in the middle."""
        raise NotImplementedError

    def wrong(self) -> bytes:
        """A chunk of the wrong types."""
        raise NotImplementedError


# HTTP ------------------------------------------------------------------------------------------------


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class Http(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    double: Double

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer."""
        self._answer({})

    def do_POST(self) -> None:
        """Answer."""
        size = int(self.headers.get("content-length") or 0)
        self._answer(json.loads(self.rfile.read(size) or b"{}"))

    def _answer(self, body: dict[str, Any]) -> None:
        with self.double.lock:
            self.double.heard.append((self.path, body))
        self._chunked = False
        try:
            self.double.answer(self, self.path, body)
            if self._chunked:
                self.wfile.write(b"0\r\n\r\n")
        except Gone as gone:
            if gone.args and self._chunked:  # ended by the server, properly
                self.wfile.write(b"0\r\n\r\n")
            self.close_connection = True
        except OSError:
            self.double.left.set()
            self.close_connection = True

    def closed(self, value: Mapping[str, Any], status: int = 200) -> None:
        """A closed JSON answer."""
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def begin(self, kind: str, coding: str = "") -> None:
        """Begin a streamed answer."""
        self.send_response(200)
        self.send_header("content-type", kind)
        if coding:
            self.send_header("content-encoding", coding)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self._chunked = True

    def send(self, data: bytes) -> None:
        """A part of a streamed answer."""
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def look(self) -> None:
        """Whether the client is still there.

        Raises:
            Gone: it is not.
        """
        if select.select([self.connection], [], [], 0)[0] and not self.connection.recv(1, socket.MSG_PEEK):
            self.double.left.set()
            raise Gone


def _handler(double: Double) -> type[Http]:
    return type("Handler", (Http,), {"double": double})


def main(made: Callable[[Script, int], Double], describe: str) -> None:
    """The command line of a double: say where it listens, and serve until it is ended."""
    import argparse
    import runpy
    from pathlib import Path

    parser = argparse.ArgumentParser(description=describe)
    parser.add_argument(
        "--script", help="JSON list of replies (texts or objects), or a .py with reply(body, nth)"
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--broken", type=float, default=0.0, help="share of replies that are broken")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    replies: Reply | list[Say | str] = ["ok"]
    if given.script and given.script.endswith(".py"):
        replies = runpy.run_path(given.script)["reply"]
    elif given.script:
        listed = json.loads(Path(given.script).read_text())
        replies = [each if isinstance(each, str) else Say(**each) for each in listed]
    with made(Script(replies, given.broken, given.seed), given.port) as double:
        print(json.dumps({"where": double.where}), flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
