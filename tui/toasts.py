"""Alerts as toasts: in the corner for some seconds, without focus, without keys, never more than a few.

What is severe comes at once, everything else in digests (`state/alerts.py`). More than fit at once wait in
one line that counts them. While a person answers something, only what is severe comes.
"""

from __future__ import annotations

from collections.abc import Callable

from state.alerts import TYPES, Alert, Line, Severity, Throttle, alert_in, at_most, damaged
from state.journal import Journal

MOST = 3
"""Toasts at once: they cover the corner and not the work."""

PORTION = 500
"""Events looked at between two keys: some ms."""

SECONDS = {Severity.SEVERE: 20.0, Severity.NEEDS_YOU: 10.0, Severity.DONE: 6.0, Severity.INFO: 6.0}
"""How long a toast stays."""


class Toasts:
    """What the cockpit tells beside what it shows.

    Args:
        show: puts a line on the screen for so many seconds.
        clock: seconds that only grow.
        seq: of the last event that needs no telling: it was there before the cockpit.
    """

    def __init__(self, show: Callable[[Line, float], None], clock: Callable[[], float], seq: int) -> None:
        self._show, self._clock, self._seq = show, clock, seq
        self._throttle = Throttle()
        self._waiting: list[Line] = []
        self._shown: list[float] = []  # when each toast on the screen goes
        self._problem = ""

    def begin(self, seq: int, problem: str) -> None:
        """The journal was opened anew, or cannot be: nothing in it is news, but what is wrong with it is."""
        self._seq = seq
        if problem and problem != self._problem:
            self._take([damaged(problem)])
        self._problem = problem

    def hear(self, journal: Journal, upto: int) -> bool:
        """Take the next portion of events; whether there may be more.

        Args:
            journal: as it is now.
            upto: a seq that it had reached before. What is of no interest up to there is not read again.

        Raises:
            JournalError: as for any reading.
        """
        events = journal.events(after=self._seq, limit=PORTION, types=TYPES)
        if events:
            self._seq = events[-1].seq
            found = (alert_in(event, journal.views) for event in events)
            self._take([each for each in found if each is not None])
        if len(events) == PORTION:
            return True
        self._seq = max(self._seq, upto)
        return False

    def tick(self, *, busy: bool) -> None:
        """Show what is due; while a person is busy with an answer, only what is severe."""
        now = self._clock()
        self._waiting = at_most([*self._waiting, *self._throttle.due(now)], MOST)
        self._shown = [gone for gone in self._shown if gone > now]
        while self._waiting and len(self._shown) < MOST and (self._waiting[0].severe or not busy):
            line = self._waiting.pop(0)
            self._shown.append(now + SECONDS[line.severity])
            self._show(line, SECONDS[line.severity])

    def _take(self, alerts: list[Alert]) -> None:
        lines = self._throttle.offer(alerts, self._clock())
        self._waiting = at_most([*self._waiting, *lines], MOST)
