"""The memory of this machine, shared between the tickets of one engine: waiting, loading, unloading.

Who gets in is decided in `ledger.py`; here it is waited for and done. Everything ends soon after its `stop`.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from orchestrator.models.base import NoModel
from orchestrator.models.catalogue import Policy
from orchestrator.models.ledger import Hold, Ledger, Load, Refuse, Room, Unload, Use, Want

CROWDED = 60.0  # seconds that one waits for memory which other programs hold
_LOOK = 0.25  # seconds between looks at what only time or other programs change


def _nothing() -> None:
    pass


class Memory:
    """Thread-safe. It lives as long as the engine."""

    def __init__(
        self,
        policy: Policy,
        room: Callable[[], Room],
        unload: Callable[[str, threading.Event], None],
        changed: Callable[[], None] = _nothing,
    ) -> None:
        """Begin with nobody in memory.

        Args:
            policy: serial or packed.
            room: looks at the memory; milliseconds.
            unload: takes a model out and returns once it is gone; may raise, then it stays.
            changed: told after every change, for show.
        """
        self._ledger = Ledger(policy)
        self._room, self._unload, self._changed = room, unload, changed
        self._lock = threading.Condition()
        self._moved = float("-inf")  # when something was last brought in or taken out

    def holds(self) -> tuple[Hold, ...]:
        """Who is in memory now."""
        with self._lock:
            return self._ledger.holds

    def found(self, there: Sequence[Hold], sources: frozenset[str], at: float) -> None:
        """What servers say that they hold; see `Ledger.found`.

        Args:
            there: the models.
            sources: the servers that were asked.
            at: monotonic seconds when they were; what is of before the last change counts for nothing.
        """
        with self._lock:
            if at > self._moved:
                self._ledger.found(there, sources)
                self._lock.notify_all()

    @contextlib.contextmanager
    def use(
        self,
        want: Want,
        load: Callable[[], tuple[int, int]],
        stop: threading.Event,
        waits: Callable[[str], None] = lambda _: None,
    ) -> Iterator[bool]:
        """Have a model in memory for as long as this lasts; False where `stop` came first.

        Args:
            want: the model, its bytes and its context.
            load: brings it in; (bytes, tokens of context) that it really took, 0 where that is not told.
            stop: ends the waiting.
            waits: told why, each time that it changes.

        Raises:
            NoModel: it can never fit, or other programs hold the memory for too long.
            Exception: whatever `load`, or taking another one out, has raised.
        """
        if not self._enter(want, load, stop, waits):
            yield False
            return
        try:
            yield True
        finally:
            with self._lock:
                self._ledger.answered(want, time.monotonic())
                self._lock.notify_all()
            self._changed()

    def hold(
        self, who: str, bytes_: int, stop: threading.Event, waits: Callable[[str], None] = lambda _: None
    ) -> bool:
        """Give a run the memory: models end what they answer and leave, and wait until `release`.

        Returns: False where `stop` came first.

        Raises:
            NoModel: it can never fit, or other programs hold the memory for too long.
        """
        return self._enter(Want(who, "run", bytes_), lambda: (bytes_, 0), stop, waits)

    def adopt(self, who: str, bytes_: int) -> None:
        """Take note of a run that is in memory already: it was let in by an engine before this one."""
        with self._lock:
            self._ledger.adopt(who, bytes_, _wall())
        self._changed()

    def release(self, who: str) -> None:
        """A run has ended. Releasing what is not held does nothing."""
        with self._lock:
            self._ledger.release(who)
            self._lock.notify_all()
        self._changed()

    def drop(self, who: str, stop: threading.Event) -> bool:
        """Take an idle model out, at a person's word; False where it answers just now or is not there."""
        with self._lock:
            if not self._ledger.drop(who):
                return False
        self._take_out((who,), stop)
        return True

    def _enter(
        self,
        want: Want,
        load: Callable[[], tuple[int, int]],
        stop: threading.Event,
        waits: Callable[[str], None],
    ) -> bool:
        with self._lock:
            number = self._ledger.enter(want, time.monotonic())
        said, crowded = "", 0.0
        try:
            while not stop.is_set():
                with self._lock:
                    step = self._ledger.step(number, self._room(), time.monotonic(), _wall())
                if isinstance(step, Use):
                    return True
                if isinstance(step, Load):
                    if want.what == "model":
                        waits(f"{want.who} is being loaded")
                    self._bring_in(want, load)
                    return True
                if isinstance(step, Unload):
                    self._take_out(step.names, stop)
                    continue
                if isinstance(step, Refuse):
                    raise NoModel(step.why)
                now = time.monotonic()
                crowded = (crowded or now) if step.crowded else 0.0
                if crowded and now - crowded > CROWDED:
                    raise NoModel(f"{step.why}: close one of them, or name a smaller model in models.yaml")
                if step.why != said:
                    said = step.why
                    waits(said)
                with self._lock:
                    self._lock.wait(_LOOK)
            return False
        finally:
            with self._lock:
                self._ledger.leave(number)
                self._lock.notify_all()
            self._changed()

    def _bring_in(self, want: Want, load: Callable[[], tuple[int, int]]) -> None:
        self._changed()
        ok, taken, context = False, 0, 0
        try:
            taken, context = load()
            ok = True
        finally:
            with self._lock:
                self._ledger.arrived(want.what, want.who, ok, taken, context)
                self._moved = time.monotonic()
                self._lock.notify_all()

    def _take_out(self, names: Sequence[str], stop: threading.Event) -> None:
        left = list(names)
        try:
            while left:
                self._unload(left[0], stop)
                with self._lock:
                    self._ledger.gone(left.pop(0), ok=True)
                    self._moved = time.monotonic()
        finally:
            with self._lock:
                for name in left:
                    self._ledger.gone(name, ok=False)
                self._lock.notify_all()
            self._changed()


def _wall() -> int:
    return time.time_ns() // 1_000_000
