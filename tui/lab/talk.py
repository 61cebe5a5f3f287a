"""Talking with a mind beside the screen: one thread opens it, asks it and hands back what it says.

The screen never waits. A question is a job in a line; its reply is brought to the screen's thread, where
`then` or `wrong` takes it. What a mind that ended owed is told to `wrong`, so nothing waits for ever.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol

REFUSALS = ("request", "core", "memory", "internal", "busy")
"""Reasons with which a mind that lives says no; with any other it is gone."""


class Mind(Protocol):
    """What answers: docs/mind.md has what can be asked."""

    def ask(self, do: str, **fields: Any) -> Mapping[str, Any]:
        """Ask, and wait for the reply; whatever goes wrong is an exception with a line."""

    def close(self) -> None:
        """End it."""


class Job(NamedTuple):
    """One question."""

    do: str
    fields: dict[str, Any]
    then: Callable[[Mapping[str, Any]], None]
    wrong: Callable[[str], None]


class Talk:
    """A mind, or why there is none."""

    def __init__(
        self,
        open_mind: Callable[[], Mind] | None,
        bring: Callable[[Callable[[], None]], None],
        clock: Callable[[], float],
    ) -> None:
        self.state: Literal["none", "starting", "ready", "ended"] = "none"
        self.why = ""
        """Why there is none, in one line."""
        self.reason = ""
        self.opened = False
        """Whether there was one: then what was learned is safe to speak of."""
        self.since = clock()
        self.waiting = 0
        """Questions that have no reply yet."""
        self._open, self._bring, self._clock = open_mind, bring, clock
        self._jobs: queue.Queue[Job | None] = queue.Queue()
        self._mind: Mind | None = None
        self._turn = 0  # of the thread that may still speak
        self._lock = threading.Lock()

    @property
    def possible(self) -> bool:
        """Whether this cockpit was given a way to open one."""
        return self._open is not None

    def start(self, ready: Callable[[Mapping[str, Any]], None], ended: Callable[[], None]) -> None:
        """Open a mind, where there is none; `ready` is handed its `status`."""
        if self._open is None or self.state in ("starting", "ready"):
            return
        self.state, self.why, self.reason, self.since = "starting", "", "", self._clock()
        self.waiting = 0
        self._turn += 1
        self._jobs = queue.Queue()
        args = (self._open, self._jobs, self._turn, ready, ended)
        threading.Thread(target=self._work, args=args, name="mind", daemon=True).start()

    def ask(
        self,
        do: str,
        then: Callable[[Mapping[str, Any]], None],
        wrong: Callable[[str], None],
        **fields: Any,
    ) -> None:
        """Put a question in the line."""
        if self.state != "ready":
            wrong("the mind is not there yet" if self.state == "starting" else "no mind is there to ask")
            return
        self.waiting += 1
        self._jobs.put(Job(do, fields, then, wrong))

    def close(self) -> None:
        """End the mind; nothing it still says is heard. The caller does not wait."""
        with self._lock:
            self._turn += 1
            mind, self._mind = self._mind, None
        self.state = "none"
        self._jobs.put(None)
        if mind is not None:
            threading.Thread(target=_end, args=(mind,), name="end-mind").start()

    # The thread ------------------------------------------------------------------------------------

    def _work(
        self,
        open_mind: Callable[[], Mind],
        jobs: queue.Queue[Job | None],
        turn: int,
        ready: Callable[[Mapping[str, Any]], None],
        ended: Callable[[], None],
    ) -> None:
        def here(call: Callable[[], None]) -> None:
            if turn == self._turn:
                self._bring(lambda: call() if turn == self._turn else None)

        mind: Mind | None = None
        try:
            mind = open_mind()
            with self._lock:
                wanted = turn == self._turn
                if wanted:
                    self._mind = mind  # from now on `close` reaches it, while it loads too
            if not wanted:
                _end(mind)
                return
            status = mind.ask("status")
            if not isinstance(status, Mapping):
                raise TypeError("the mind's status cannot be read")
        except Exception as error:  # whatever it is, it is shown and the cockpit stays
            line, why = _line(error), _reason(error)
            if mind is not None:
                _end(mind)
            here(lambda: self._ended(line, why, ended))
            return
        here(lambda: self._ready(ready, status))
        while (job := jobs.get()) is not None:
            try:
                reply = mind.ask(job.do, **job.fields)
            except Exception as error:
                line, why = _line(error), _reason(error)
                here(self._told(job.wrong, line))
                if why not in REFUSALS:
                    break
            else:
                if not isinstance(reply, Mapping):
                    here(self._told(job.wrong, "the mind's reply cannot be read"))
                elif reply.get("ok") is False:
                    here(self._told(job.wrong, str(reply.get("error") or "refused")[:500]))
                else:
                    here(self._replied(job.then, reply))
        else:
            return
        with self._lock:
            self._mind = None
        _end(mind)
        while not jobs.empty():
            owed = jobs.get_nowait()
            if owed is not None:
                here(self._told(owed.wrong, line))
        here(lambda: self._ended(line, why, ended))

    def _ready(self, ready: Callable[[Mapping[str, Any]], None], status: Mapping[str, Any]) -> None:
        self.state, self.opened, self.since = "ready", True, self._clock()
        ready(status)

    def _ended(self, line: str, why: str, ended: Callable[[], None]) -> None:
        self.state, self.why, self.reason, self.waiting = "ended", line, why, 0
        ended()

    def _told(self, wrong: Callable[[str], None], line: str) -> Callable[[], None]:
        def call() -> None:
            self.waiting = max(0, self.waiting - 1)
            wrong(line)

        return call

    def _replied(
        self, then: Callable[[Mapping[str, Any]], None], reply: Mapping[str, Any]
    ) -> Callable[[], None]:
        def call() -> None:
            self.waiting = max(0, self.waiting - 1)
            then(reply)

        return call


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:500]


def _reason(error: Exception) -> str:
    found = getattr(error, "reason", "")
    return found if isinstance(found, str) else ""


def _end(mind: Mind) -> None:
    with contextlib.suppress(Exception):
        mind.close()
