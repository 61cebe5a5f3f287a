"""The engine's end of a child that runs llama.cpp: it is started, spoken to line by line, and ended."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from orchestrator.providers.base import ProviderError
from orchestrator.runs import environment
from state.safe_text import safe

LINE = 16 << 20
"""Bytes of one line from a child at most; embeddings of some hundred texts are the longest."""
STOPPING = 0.3
"""Seconds that `stop` waits for the child's own end. A slow machine takes longer for one token."""
GRACE = 10.0
"""Seconds after which a child that did not heed `stop` is killed; the next load starts a new one."""
_LOOK = 0.05  # seconds between two looks at `stop`
_TAIL = 4000  # bytes of what a child complained about that are kept

Said = dict[str, Any] | None
"""A line of the child; None is its end."""


class Link:
    """One child. One call at a time; a second waits. `name` is the model's, for people."""

    def __init__(self, name: str, wanted: dict[str, Any]) -> None:
        self.name, self.context = name, int(wanted["context"])
        command = [sys.executable, "-P", "-m", "orchestrator.providers.embedded_child"]
        pipe, env = subprocess.PIPE, environment(os.environ)
        if sys.platform == "win32":
            flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
            self._child = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=pipe, env=env, creationflags=flags
            )
        else:  # in a group of its own: a Ctrl-C is for the engine, which then ends it
            self._child = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=pipe, env=env, start_new_session=True
            )
        self._said: queue.SimpleQueue[Said] = queue.SimpleQueue()
        self._complaints = b""
        self._busy = threading.Lock()
        self._number = 0
        self._ending = False
        self._left: int | None = None  # the call that was stopped, and whose end is not heard yet
        self._readers = [
            threading.Thread(target=target, name=f"{target.__name__}-{self.pid}", daemon=True)
            for target in (self._listen, self._complained)
        ]
        for each in self._readers:
            each.start()
        self._send(wanted)

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._child.pid

    @property
    def lives(self) -> bool:
        """Whether it can still be asked."""
        return not self._ending and self._child.poll() is None

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return self._busy.locked()

    def ready(self, within: float, stop: threading.Event) -> None:
        """Wait until the model is loaded.

        Raises:
            ProviderError: refused where llama.cpp does not take the file; transport where the child was
                killed; stall where it takes too long, or was stopped.
        """
        until = time.monotonic() + within
        try:
            while True:
                said = self._hear()
                if said == {}:
                    if stop.is_set():
                        raise ProviderError("stall", f"loading {self.name} was stopped")
                    if time.monotonic() > until:
                        raise ProviderError("stall", f"llama.cpp did not load {self.name} in {within:.0f} s")
                elif said is None:
                    raise self._crashed("loading")
                elif "failed" in said:
                    raise self._not_taken(str(said["failed"]))
                elif said.get("ready") is True:
                    return
        except BaseException:
            self.end()
            raise

    def ask(
        self, do: str, body: Any, gap: float, stop: threading.Event, began: Callable[[], None] = lambda: None
    ) -> Iterator[dict[str, Any]]:
        """One call: its chunks as they come. Ended by `stop`, or by its reader, it just ends.

        Args:
            do: chat or embed.
            body: of the request.
            gap: seconds between two signs of life.
            stop: ends it.
            began: called once it is this call's turn.

        Raises:
            ProviderError: transport where the child ended; stall; mid-stream where it says nonsense.
        """
        while not self._busy.acquire(timeout=_LOOK):
            if stop.is_set():
                return
        try:
            if not self._free(stop):
                return
            began()
            self._number += 1
            number, ended = self._number, False
            self._send({"do": do, "id": number, "body": body})
            heard = time.monotonic()
            try:
                while not stop.is_set():
                    said = self._hear()
                    if said is None:
                        ended = True
                        raise self._crashed("answering")
                    if said == {}:
                        if time.monotonic() - heard > gap:
                            raise ProviderError(
                                "stall", f"llama.cpp said nothing for {gap:.0f} s about {self.name}"
                            )
                        continue
                    heard = time.monotonic()
                    if said.get("id") != number:
                        continue
                    if said.get("end") is True:
                        ended = True
                        return
                    if not isinstance(said.get("chunk"), dict):
                        raise ProviderError("mid-stream", "llama.cpp sent something that is no chunk")
                    yield said["chunk"]
            finally:
                if not ended:
                    self._stop(number)
        finally:
            self._busy.release()

    def end(self) -> None:
        """Kill it; returns once it is gone. Doing it twice is no error."""
        with contextlib.suppress(OSError):
            self._child.kill()
        self._child.wait()
        for each in self._readers:
            if each is not threading.current_thread():
                each.join(1.0)
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError, ValueError):
                    pipe.close()

    # -------------------------------------------------------------------------------------------------

    def _send(self, order: dict[str, Any]) -> None:
        pipe = self._child.stdin
        try:
            if pipe is None:
                raise BrokenPipeError
            pipe.write(json.dumps(order).encode() + b"\n")
            pipe.flush()
        except (OSError, ValueError):
            self._said.put(None)  # told by whoever listens, with what the child said last

    def _hear(self) -> Said:
        """The next line; {} where none comes for a moment; None at the child's end."""
        try:
            return self._said.get(timeout=_LOOK)
        except queue.Empty:
            return {}

    def _stop(self, number: int) -> None:
        """Have the child leave a call. One that takes its time is left to do so, and killed at last."""
        self._send({"do": "stop", "id": number})
        self._left = number
        if not self._heard_end(STOPPING):
            timer = threading.Timer(GRACE, self._end_if_left, (number,))
            timer.daemon = True
            timer.start()

    def _end_if_left(self, number: int) -> None:
        if self._left == number and self.lives:
            self._ending = True
            self._child.kill()

    def _heard_end(self, within: float) -> bool:
        """Whether the call that was stopped has ended, or the child with it."""
        until = time.monotonic() + within
        while self._left is not None:
            said = self._hear()
            if said is None:
                self._said.put(None)  # for the next to hear
                return True
            if said.get("id") == self._left and said.get("end") is True:
                self._left = None
            elif time.monotonic() > until:
                return False
        return True

    def _free(self, stop: threading.Event) -> bool:
        """Wait for the end of a call that was stopped; false where this one is stopped meanwhile."""
        while not self._heard_end(_LOOK):
            if stop.is_set():
                return False
        return True

    def _listen(self) -> None:
        pipe = self._child.stdout
        if pipe is None:
            return
        with contextlib.suppress(OSError, ValueError, RecursionError):
            while line := pipe.readline(LINE):
                said = json.loads(line)
                if not isinstance(said, dict) or not said:
                    break
                self._said.put(said)
        with contextlib.suppress(OSError):
            self._child.kill()  # it speaks nonsense, or nothing any more
        self._said.put(None)

    def _complained(self) -> None:
        pipe = self._child.stderr
        if pipe is None:
            return
        with contextlib.suppress(OSError, ValueError):
            while data := os.read(pipe.fileno(), _TAIL):
                self._complaints = (self._complaints + data)[-_TAIL:]

    def _last_complaint(self) -> str:
        """What it said last of an error, in one line; '' where nothing."""
        self._readers[1].join(0.5)
        lines = [line.strip() for line in self._complaints.decode("utf-8", "replace").splitlines()]
        telling = [line for line in lines if "error" in line.lower() or "assert" in line.lower()]
        chosen = (telling or [line for line in lines if line])[-1:]
        return safe(chosen[0][:300]) if chosen else ""

    def _not_taken(self, why: str) -> ProviderError:
        if "ModuleNotFoundError" in why or "ImportError" in why:
            return ProviderError("transport", f"llama.cpp cannot be loaded: {safe(why)}; {INSTALL}")
        told = self._last_complaint() or safe(why)
        return ProviderError("refused", f"llama.cpp does not take {self.name}: {told}")

    def _crashed(self, doing: str) -> ProviderError:
        self._child.kill()
        code = self._child.wait()
        how = f"ended with {code}" if code >= 0 else f"was ended by {_signal(-code)}"
        told = self._last_complaint()
        said = f"llama.cpp {how} while {doing} {self.name}" + (f": {told}" if told else "")
        killed = sys.platform != "win32" and code in (-signal.SIGKILL, -signal.SIGTERM)
        if doing == "loading" and not killed:
            return ProviderError("refused", f"{said}. The file may be broken: get it again")
        return ProviderError("transport", f"{said}; it is started again when it is next asked")


INSTALL = "pip install 'jetbox[embedded]'"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
