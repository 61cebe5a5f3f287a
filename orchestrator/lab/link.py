"""One process of the mind: started, spoken to by many at once, ended. No torch is loaded here.

What it says is bounded and parsed; one that talks rubbish, or works on a request for longer than its asker
waits, is killed, and everyone who waits is told why. Replies come in the order of the requests.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.runs import environment
from state.safe_text import safe

LINE = 4 << 20
"""Bytes of a line, both ways (docs/mind.md)."""
PROTOCOL = 1
_TAIL = 4000  # bytes of what it complained about that are kept
_CALM = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "MKL_NUM_THREADS": "1"}


class MindError(Exception):
    """The mind can't answer; `reason` says whose matter it is, the message is a line for a person.

    Reasons of the mind: request, core, memory, internal. Of the client: missing (an extra is not installed),
    none (no core yet), busy (others are before it), timeout, gone (it ended), closed.
    """

    def __init__(self, reason: str, line: str) -> None:
        super().__init__(line)
        self.reason = reason


class Gone(Exception):
    """The process ended before it answered; the message says how."""


class _Call:
    """One request under way."""

    def __init__(self, timeout: float) -> None:
        self.timeout, self.since = timeout, time.monotonic()
        self.done = threading.Event()
        self.reply: dict[str, Any] | None = None


class Link:
    """One child; `call` may be used by many threads at once."""

    def __init__(self, command: Sequence[str]) -> None:
        pipe, env = subprocess.PIPE, {**environment(os.environ), **_CALM}
        if sys.platform == "win32":
            flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
            self._child = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=pipe, env=env, creationflags=flags
            )
        else:  # a Ctrl-C is for whoever asks, who then ends it
            self._child = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=pipe, env=env, start_new_session=True
            )
        self.core = ""  # the digest that it opened, once it is ready
        self.seconds = 0.0  # that it took to be ready
        self._heard = threading.Event()  # its first line, or its end
        self._refused = ""
        self._why = ""  # why it was ended, where we ended it
        self._ended = False
        self._lock = threading.Lock()
        self._calls: OrderedDict[int, _Call] = OrderedDict()
        self._number = 0
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._complaints = b""
        self._threads = [
            threading.Thread(target=target, name=f"mind-{self._child.pid}", daemon=True)
            for target in (self._write, self._listen, self._complained)
        ]
        for each in self._threads:
            each.start()

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._child.pid

    @property
    def lives(self) -> bool:
        """Whether it can still be asked."""
        return not self._ended and not self._refused

    def ready(self, timeout: float) -> None:
        """Wait until it can answer.

        Raises:
            MindError: core where it refuses its core; timeout, after which it is ended.
            Gone: it ended.
        """
        if not self._heard.wait(timeout):
            self.kill(f"it was not ready in {timeout:.0f} s")
            raise MindError("timeout", f"the mind was not ready in {timeout:g} s, and was ended")
        if self._refused:
            raise MindError("core", self._refused)
        if not self.core:
            raise Gone(self._how())

    def call(self, do: str, fields: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        """One request and its reply, as it came.

        Raises:
            MindError: request where it is too long; busy where others were before it all the time; timeout
                where it was worked on for so long, after which the process is ended.
            Gone: the process ended.
        """
        with self._lock:
            if self._ended:
                raise Gone(self._how())
            self._number += 1
            number, call = self._number, _Call(timeout)
            line = json.dumps({**fields, "do": do, "id": number}, allow_nan=False).encode() + b"\n"
            if len(line) > LINE:
                raise MindError("request", f"a question of {len(line)} bytes is too long: at most {LINE}")
            self._calls[number] = call
            self._outbox.put(line)
        if not call.done.wait(timeout):
            self._late(timeout)
        if call.reply is None:
            raise Gone(self._how())
        return call.reply

    def kill(self, why: str) -> None:
        """End it at once."""
        self._why = self._why or why
        with contextlib.suppress(OSError):
            self._child.kill()

    def close(self, within: float = 2.0) -> None:
        """End it: by the end of its input, and by force after `within` seconds. Twice is no error."""
        self._outbox.put(None)
        try:
            self._child.wait(within)
        except subprocess.TimeoutExpired:
            self.kill("it was closed")
        self._child.wait()
        for each in self._threads:
            if each is not threading.current_thread():
                each.join(1.0)
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError, ValueError):
                    pipe.close()

    # -------------------------------------------------------------------------------------------------

    def _late(self, timeout: float) -> None:
        """A caller has waited long enough. The process is ended where the one it works on has, too."""
        with self._lock:
            first = next(iter(self._calls.values()), None)
            overdue = first is not None and time.monotonic() - first.since >= first.timeout
        if not overdue:
            raise MindError("busy", f"the mind is busy with others: no answer in {timeout:.0f} s")
        self.kill("it did not answer")
        raise MindError("timeout", f"the mind did not answer in {timeout:g} s, and was ended")

    def _write(self) -> None:
        pipe = self._child.stdin
        with contextlib.suppress(OSError, ValueError):
            while pipe is not None and (line := self._outbox.get()) is not None:
                pipe.write(line)
                pipe.flush()
        with contextlib.suppress(OSError, ValueError):
            if pipe is not None:
                pipe.close()

    def _listen(self) -> None:
        pipe = self._child.stdout
        with contextlib.suppress(OSError):
            while pipe is not None and (line := pipe.readline(LINE)):
                if not self._taken(line):
                    self.kill("it said something that is no answer")
                    break
        self.kill("")  # it says nothing any more
        self._child.wait()
        with self._lock:
            self._ended = True
            waiting = list(self._calls.values())
            self._calls.clear()
        self._outbox.put(None)
        self._heard.set()
        for call in waiting:
            call.done.set()

    def _taken(self, line: bytes) -> bool:
        """Whether a line was one that had to come."""
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            return False
        if not isinstance(said, dict):
            return False
        if not self._heard.is_set():
            return self._greeted(said)
        with self._lock:
            number = next(iter(self._calls), None)
            if number is None or said.get("id") != number or not isinstance(said.get("ok"), bool):
                return False
            call = self._calls.pop(number)
            following = next(iter(self._calls.values()), None)
            if following is not None:
                following.since = time.monotonic()
        call.reply = said
        call.done.set()
        return True

    def _greeted(self, said: dict[str, Any]) -> bool:
        """Its first line."""
        if said.get("ready") is False:
            self._refused = safe(str(said.get("error", "the core is refused"))[:500])
        elif said.get("ready") is True and said.get("protocol") == PROTOCOL:
            self.core = str(said.get("core", ""))[:64] or "?"
            seconds = said.get("seconds")
            self.seconds = float(seconds) if isinstance(seconds, int | float) else 0.0
        else:
            return False
        self._heard.set()
        return True

    def _complained(self) -> None:
        pipe = self._child.stderr
        with contextlib.suppress(OSError, ValueError):
            while pipe is not None and (data := os.read(pipe.fileno(), _TAIL)):
                self._complaints = (self._complaints + data)[-_TAIL:]

    def _how(self) -> str:
        """How it ended, with the last thing it complained about."""
        code = self._child.poll()
        how = self._why or ("it ended" if code is None else f"it ended with {code}")
        lines = [line.strip() for line in self._complaints.decode("utf-8", "replace").splitlines()]
        told = next((safe(line[:300]) for line in reversed(lines) if line), "")
        return f"{how}: {told}" if told and not self._why else how
