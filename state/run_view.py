"""What one run says of itself, for whoever looks on: folded from its events, in bounded memory.

The fold takes one event at a time, so any way of cutting the file gives the same view. Nothing here touches
the run, and nothing that the run says is trusted: names and lists are bounded, what is no number is counted
and not drawn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from state.curve import Series
from state.run_events import Event, Progress, Tail, progress

CURVES = 48
"""Curves of one run that are kept; a run of ours has some fifteen."""
SLICE = 128 * 1024
"""Bytes that are read and folded at once: some ten milliseconds."""
TRAIN, HELDOUT = "train", "heldout"
_NAME, _LINE = 48, 400  # characters of a name, of a message
_PHASES, _ALERTS, _MADE = 12, 60, 40
_SAMPLES = 200  # events of progress that the estimate is made from


class Checkpoint(NamedTuple):
    """A checkpoint that the run has told of."""

    kind: str  # best, last, phase; '' for the pieces of a data set
    path: str
    step: float | None
    bytes: int | None
    at: str  # UTC, as it was written
    says: str = ""  # which phase, which metric


class Alert(NamedTuple):
    """Something that a person should know."""

    level: str
    message: str
    at: str


class Breaker(NamedTuple):
    """What the circuit breaker last said."""

    state: str  # closed, warn, open
    rule: str
    message: str
    numbers: tuple[tuple[str, float], ...]
    at: str


class Made(NamedTuple):
    """A file that the run made."""

    path: str
    sha256: str
    title: str


class RunView:
    """One run. `apply` takes each event once, in order."""

    def __init__(self) -> None:
        self.version = 0
        """Grows with each event."""
        self.series: dict[tuple[str, str], Series] = {}
        self.phases: dict[str, int] = {}
        """Phases in the order in which they came first, and how often each has begun."""
        self.phase = ""
        self.resumed = 0
        """How often the run was taken up again."""
        self.went_back: float | None = None
        """The step from which it last went on again, having been further already."""
        self.done, self.total, self.unit = 0.0, 0.0, ""
        self.checkpoints: dict[str, Checkpoint] = {}
        """The newest of each kind; those of phases by their names."""
        self.alerts: deque[Alert] = deque(maxlen=_ALERTS)
        self.breaker: Breaker | None = None
        self.made: dict[str, Made] = {}
        self.last_at = ""
        self._samples: deque[Event] = deque(maxlen=_SAMPLES)
        self._left_out: set[str] = set()

    # What it comes to ----------------------------------------------------------------------------

    @property
    def fraction(self) -> float | None:
        """0 to 1, or None where the run has said nothing."""
        return min(1.0, self.done / self.total) if self.total > 0 else None

    @property
    def step(self) -> float:
        """The step that training has reached."""
        ends = [
            series.last[0] for (_, split), series in self.series.items() if split == TRAIN and series.last
        ]
        return max(ends, default=self.done if self.unit == "steps" else 0.0)

    def progress(self) -> Progress:
        """How far it is, and the seconds it still takes as a range."""
        return progress(self._samples)

    @property
    def curved(self) -> bool:
        """Whether anything was measured more than once: an evaluation measures all at its end."""
        return any(series.count > 1 for series in self.series.values())

    def names(self) -> list[str]:
        """The metrics that have a curve or a value that is none, in the order in which they came."""
        return list(dict.fromkeys(name for name, _ in self.series))

    def latest(self, name: str, split: str | None = None) -> float | None:
        """The newest value of a metric; without a split the held-out one goes first."""
        for each in (split,) if split else (HELDOUT, TRAIN):
            found = self.series.get((name, each))
            if found is not None and found.last is not None:
                return found.last[1]
        return None

    # Folding -------------------------------------------------------------------------------------

    def apply(self, event: Mapping[str, Any]) -> None:
        """Take one event, as `state.run_events.parse` gives it."""
        self.version += 1
        at = str(event.get("at", ""))[:40]
        self.last_at = at or self.last_at
        match event.get("type"):
            case "metric":
                self._metric(event)
            case "progress":
                self._progress(event)
            case "phase":
                self._phase(event)
            case "checkpoint":
                self._checkpoint(event, at)
            case "alert":
                self.alerts.append(Alert(_text(event, "level", _NAME), _text(event, "message", _LINE), at))
            case "breaker":
                self._breaker(event, at)
            case "artifact":
                path = _text(event, "path", _LINE)
                if path in self.made or len(self.made) < _MADE:
                    made = Made(path, _text(event, "sha256", 64), _text(event, "title", _LINE))
                    self.made[path] = made

    def _metric(self, event: Mapping[str, Any]) -> None:
        name = _text(event, "name", _NAME)
        split = HELDOUT if event.get("split") == HELDOUT else TRAIN
        series = self.series.get((name, split))
        if series is None:
            if len(self.series) >= CURVES:
                self._leave_out(name)
                return
            series = self.series[name, split] = Series()
        value, step = event.get("value"), _real(event.get("step"))
        if value is None:
            series.lost += 1
            return
        last = series.last
        if step is None or step < 0:  # no step of its own: where the run is, else the next one
            step = max(self.done, last[0] + 1 if last else 0.0)
        if split == TRAIN and last is not None and step < last[0]:
            self._back_to(step)
        series.put(step, float(value))

    def _progress(self, event: Mapping[str, Any]) -> None:
        done, unit = float(event["done"]), _text(event, "unit", 16)
        if unit == "steps" and done < self.step:
            self._back_to(done + 1)
        self.done, self.total, self.unit = done, float(event["total"]), unit
        self._samples.append({key: event[key] for key in ("type", "t", "done", "total")})

    def _back_to(self, step: float) -> None:
        """Training is at a step where it was before: what came after it is done anew."""
        self.went_back = step
        for series in self.series.values():
            series.back_to(step)

    def _phase(self, event: Mapping[str, Any]) -> None:
        name = _text(event, "name", _NAME)
        self.phase = name
        if name in self.phases or len(self.phases) < _PHASES:
            self.phases[name] = self.phases.get(name, 0) + 1
        step = _real(event.get("step"))
        if event.get("resumed") is True:
            self.resumed += 1
            if step is not None and step < self.step:
                self._back_to(step + 1)

    def _checkpoint(self, event: Mapping[str, Any], at: str) -> None:
        kind = _text(event, "kind", _NAME)
        says = _text(event, "phase", _NAME) or _text(event, "metric", _NAME)
        size, path = _real(event.get("bytes")), _text(event, "path", _LINE)
        found = Checkpoint(
            kind, path, _real(event.get("step")), None if size is None else int(size), at, says
        )
        key = f"phase {says or found.step}" if kind == "phase" else kind
        self.checkpoints.pop(key, None)
        self.checkpoints[key] = found
        if len(self.checkpoints) > _MADE:
            del self.checkpoints[next(iter(self.checkpoints))]

    def _breaker(self, event: Mapping[str, Any], at: str) -> None:
        given = event.get("numbers")
        numbers = given.items() if isinstance(given, Mapping) else ()
        told = tuple(
            (str(name)[:_NAME], real) for name, value in numbers if (real := _real(value)) is not None
        )
        state, rule = _text(event, "state", _NAME), _text(event, "rule", _NAME)
        message = _text(event, "message", _LINE)
        self.breaker = Breaker(state, rule, message, told[:8], at)
        if state != "closed":
            self.alerts.append(Alert(f"breaker {state}", f"{rule}: {message}", at))

    def _leave_out(self, name: str) -> None:
        if name not in self._left_out and len(self._left_out) < CURVES:
            self._left_out.add(name)
            if len(self._left_out) == 1:
                message = f"more than {CURVES} curves: {name} and others are not shown"
                self.alerts.append(Alert("warn", message, ""))


class RunReader:
    """Follows a run's events into a view, a slice at a time."""

    def __init__(self, folder: Path) -> None:
        self.view = RunView()
        self._tail = Tail(folder, chunk=SLICE)

    @property
    def share(self) -> float:
        """How much of the file has been read: 0 to 1."""
        return min(1.0, self._tail.offset / self._tail.size) if self._tail.size else 1.0

    def take(self) -> list[Event]:
        """Parse the next slice; what it gives is for `fold`. Empty when nothing new is there."""
        return self._tail.read()

    def fold(self, events: Iterable[Event]) -> None:
        """Take events into the view."""
        for event in events:
            self.view.apply(event)

    def read(self) -> RunView:
        """Read all there is."""
        while events := self.take():
            self.fold(events)
        return self.view


# Acceptance ------------------------------------------------------------------------------------------


class Threshold(NamedTuple):
    """What a ticket wants of a metric: `least` or `most`."""

    metric: str
    least: float | None
    most: float | None

    @property
    def value(self) -> float:
        """The bound itself."""
        return self.least if self.least is not None else self.most or 0.0

    def met(self, value: float) -> bool:
        """Whether a value reaches it."""
        if self.least is not None:
            return value >= self.least
        return self.most is not None and value <= self.most


def thresholds(spec: Mapping[str, Any]) -> dict[str, Threshold]:
    """The bounds that a ticket's `accept` names, by metric; the first where one is named twice."""
    found: dict[str, Threshold] = {}
    accept = spec.get("accept")
    for check in accept if isinstance(accept, (list, tuple)) else ():
        if not isinstance(check, Mapping) or not isinstance(check.get("metric"), str):
            continue
        least, most = _real(check.get("min")), _real(check.get("max"))
        if (least is None) != (most is None):
            found.setdefault(check["metric"], Threshold(check["metric"], least, most))
    return found


def _text(event: Mapping[str, Any], key: str, most: int) -> str:
    value = event.get(key)
    return value[:most] if isinstance(value, str) else ""


def _real(value: Any) -> float | None:
    fine = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
    return float(value) if fine else None
