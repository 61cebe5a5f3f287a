"""A browser driven by its debugging protocol over two pipes: no port is opened, no package is needed.

The browser reads its commands at descriptor 3 and writes at 4, JSON with a NUL after each message. Every wait
has an end; what comes is bounded.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

_MOST = 64 * 1024 * 1024  # bytes of one message: a picture is some hundred thousand
_ENDING = 5.0  # seconds for the browser to go

FLAGS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",  # its own sandbox needs rights that nothing has in ours, which holds it
    "--no-zygote",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--enable-unsafe-swiftshader",  # WebGL without a graphics card
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # a page sees no network, whatever there is
    "--mute-audio",
    "--window-size=1280,800",
)

_START = "import os, sys; a = sys.argv; os.dup2(int(a[1]), 3); os.dup2(int(a[2]), 4); os.execv(a[3], a[3:])"
"""Puts the pipes where the browser looks for them, in its process alone: in ours, 3 and 4 may be anything."""

Hear = Callable[[str, str, Mapping[str, Any]], None]
"""Is told of an event: session, name, parameters."""


class Gone(Exception):
    """The browser does not answer, or is there no more."""


class Browser:
    """One browser, with a profile of its own."""

    def __init__(self, program: str, profile: Path, hear: Hear, reaches: str = "") -> None:
        """Start it.

        Args:
            program: the browser.
            profile: an empty folder.
            hear: is told of each event, while something is waited for.
            reaches: the one host that its pages may reach; none where it is left out.
        """
        self._hear, self._number, self._data = hear, 0, bytearray()
        self._answers: dict[int, Mapping[str, Any]] = {}
        rules = f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {reaches}"  # the last of two counts
        further = [rules] if reaches else []
        taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(4)]  # nothing below is 3 or 4 itself
        self._errors: IO[bytes] = (profile / "errors").open("w+b")
        commands, self._commands = os.pipe()
        self._came, answers = os.pipe()
        start = [sys.executable, "-I", "-S", "-c", _START, str(commands), str(answers)]
        try:
            self._process = subprocess.Popen(
                [*start, program, *FLAGS, *further, f"--user-data-dir={profile}", "about:blank"],
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=self._errors,
                pass_fds=(commands, answers),
            )
        finally:
            for each in (commands, answers, *taken):
                os.close(each)

    def call(self, method: str, session: str = "", within: float = 10.0, **params: Any) -> Mapping[str, Any]:
        """Send a command and wait for its answer; events that come before it are heard.

        Raises:
            Gone: none came in time, or the browser is gone. ValueError: it says that the command is wrong.
        """
        number = self.send(method, session, **params)
        until = time.monotonic() + within
        while number not in self._answers:
            if not self._listen(until):
                raise Gone(f"no answer to {method} in {within:.0f} s")
        answer = self._answers.pop(number)
        if "error" in answer:
            raise ValueError(str(answer["error"].get("message", "refused")))
        result: Mapping[str, Any] = answer.get("result") or {}
        return result

    def send(self, method: str, session: str = "", **params: Any) -> int:
        """Send a command and wait for nothing; its number.

        Raises:
            Gone: the browser is gone.
        """
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        try:
            os.write(self._commands, json.dumps(message).encode() + b"\0")
        except OSError as error:
            raise Gone("the browser is gone") from error
        return self._number

    def wait(self, seconds: float, done: Callable[[], bool] = lambda: False) -> bool:
        """Hear events until this is so, or the time is over; whether it is so.

        Raises:
            Gone: the browser is gone.
        """
        until = time.monotonic() + seconds
        while not done():
            if not self._listen(until):
                return done()
        return True

    def _listen(self, until: float) -> bool:
        """Take what has come; False when nothing came in time."""
        left = max(0.0, until - time.monotonic())
        if not select.select([self._came], [], [], left)[0]:
            return False
        data = os.read(self._came, 1 << 16)
        if not data:
            raise Gone("the browser is gone")
        self._data += data
        if len(self._data) > _MOST:
            raise Gone("the browser says more than can be held")
        *complete, rest = bytes(self._data).split(b"\0") if b"\0" in data else (bytes(self._data),)
        if complete:
            self._data = bytearray(rest)
        for message in map(json.loads, complete):
            if "id" in message:
                self._answers[message["id"]] = message
            else:
                self._hear(message.get("sessionId", ""), message["method"], message.get("params", {}))
        return True

    def last_words(self) -> str:
        """Why it ended, as far as it says so beside the protocol: what it calls fatal, else its last line."""
        self._errors.seek(0)
        lines = self._errors.read(1 << 20).decode("utf-8", "replace").splitlines()
        said = [line.strip() for line in lines if line.strip()] or ["it says nothing"]
        return next((line.partition("] ")[2] for line in said if ":FATAL:" in line), said[-1])

    def close(self) -> None:
        """End it, whatever it is doing."""
        with contextlib.suppress(Gone, ValueError):
            self.call("Browser.close", within=_ENDING)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING)
        self._process.kill()
        self._process.wait()
        for each in (self._commands, self._came):
            os.close(each)
        self._errors.close()
