"""Several charts side by side as one widget: as many as the window holds, the chosen metric first.

A chart is drawn again only when something of it changed; the lines of the others are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from rich.segment import Segment
from textual import events
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from state.curve import Series
from state.run_view import HELDOUT, TRAIN, RunView, Threshold
from tui.context import Context
from tui.draw import segments
from tui.runs.chart import Ask, Columns, Curve, chart, window

LAST_PART = 0.2
"""Of the steps, that the closer look shows."""
_WIDE, _HIGH = 54, 10  # cells and lines of a chart from which two stand side by side, or below each other
_ROLES = {TRAIN: "accent", HELDOUT: "review"}
_WORDS = {TRAIN: "train", HELDOUT: "held-out"}
_FIRST = ("loss", "exact", "cells", "rank")
_ABOUT = ("lr", "grad_norm", "steps_per_second", "core_seconds", "memory_bytes")
"""About the way and not about the goal: shown last."""


def ordered(names: Iterable[str], wanted: Mapping[str, Threshold]) -> list[str]:
    """Metrics in the order in which they matter: what the ticket is accepted by, the usual, the rest."""

    def rank(name: str) -> tuple[int, int]:
        if name in _ABOUT:
            return 4, _ABOUT.index(name)
        if name == _FIRST[0]:
            return 0, 0
        if name in wanted:
            return 1, 0
        return (2, _FIRST.index(name)) if name in _FIRST else (3, 0)

    return sorted(names, key=rank)


class Place(NamedTuple):
    """Where a chart stands."""

    x: int
    y: int
    width: int
    height: int


def places(cells: int, lines: int, wanted: int) -> list[Place]:
    """Places for at most so many charts, row by row; the last of a row takes what is left of it."""
    across = max(1, min(cells // _WIDE, wanted))
    down = max(1, min(lines // _HIGH, -(-wanted // across)))
    found: list[Place] = []
    for row in range(down):
        top, bottom = lines * row // down, lines * (row + 1) // down
        here = min(across, wanted - row * across)
        for column in range(here):
            left, right = cells * column // here, cells * (column + 1) // here
            found.append(Place(left, top, right - left, bottom - top))
    return found


class Shown:
    """One metric: its curves, reduced to columns as long as they are shown."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: list[list[Segment]] = []
        self.state: object = None
        self._columns: dict[str, Columns] = {}

    def curves(self, view: RunView) -> tuple[Curve, ...]:
        """The curves of the metric, the held-out one last: it is drawn over the other."""
        found = []
        for split in (TRAIN, HELDOUT):
            series = view.series.get((self.name, split))
            if series is None:
                continue
            columns = self._columns.get(split)
            if columns is None or columns.series is not series:
                columns = self._columns[split] = Columns(series)
            found.append(Curve(_WORDS[split], _ROLES[split], columns, split == HELDOUT))
        return tuple(found)


class ChartGrid(Widget):
    """Draws the charts of one run."""

    def __init__(self, context: Context, clicked: Callable[[str], None]) -> None:
        super().__init__()
        self.context = context
        self.names: list[str] = []
        """All metrics there are, in order."""
        self.at = 0
        """The metric that is shown first."""
        self.part = 1.0
        self.by_log = False
        self._clicked = clicked
        self._view = RunView()
        self._wanted: Mapping[str, Threshold] = {}
        self._grows = False
        self._reach = (0.0, 0.0)
        self._said = ""
        self._shown: list[Shown] = []
        self._places: list[Place] = []

    # What is shown -------------------------------------------------------------------------------

    def show(self, view: RunView, wanted: Mapping[str, Threshold], *, grows: bool, said: str) -> None:
        """Show a run, or what is new of it; `said` stands there while it has no curve."""
        if view is not self._view:
            self.at, self._shown = 0, []
        self._view, self._wanted, self._grows = view, wanted, grows
        drawn = [series for series in view.series.values() if series.last]
        first = min((series.first for series in drawn), default=0.0)
        self._reach = first, max((series.last[0] for series in drawn if series.last), default=0.0)
        names = ordered(view.names(), wanted)
        if names != self.names or said != self._said:
            chosen = self.chosen
            self.names, self._said = names, said
            self.at = names.index(chosen) if chosen in names else 0
            self._place()
        self.paint()

    @property
    def chosen(self) -> str:
        """The metric that is shown first."""
        return self.names[self.at] if self.at < len(self.names) else ""

    @property
    def in_view(self) -> int:
        """How many charts there are on the screen."""
        return len(self._shown)

    def turn(self, by: int) -> None:
        """To another metric."""
        if self.names:
            self.at = (self.at + by) % len(self.names)
            self._place()
            self.paint()

    def anew(self) -> None:
        """Another look, zoom or axis: draw all of it."""
        for shown in self._shown:
            shown.state = None
        self.paint()
        self.refresh()

    def on_resize(self) -> None:
        """Another size."""
        self._place()
        self.paint()

    def _place(self) -> None:
        names = [*self.names[self.at :], *self.names[: self.at]]
        if self.size.width <= 0:
            return
        self._places = places(self.size.width, self.size.height, len(names)) if names else []
        kept = {shown.name: shown for shown in self._shown}
        self._shown = [kept.get(name) or Shown(name) for name in names[: len(self._places)]]
        for shown in self._shown:
            shown.state = None
        self.refresh()

    # Drawing -------------------------------------------------------------------------------------

    def paint(self) -> None:
        """Draw the charts of which something changed."""
        for shown, place in zip(self._shown, self._places, strict=True):
            ask, state = self._ask(shown)
            if state != shown.state:
                shown.state = state
                self._draw(shown, ask, place)
                self.refresh(Region(place.x, place.y, place.width, place.height))

    def _ask(self, shown: Shown) -> tuple[Ask, object]:
        view = self._view
        curves = shown.curves(view)
        series = [curve.columns.series for curve in curves]
        first, last = self._reach
        begin, end = window(0.0 if first < last / 10 else first, last, part=self.part, grows=self._grows)
        bound, lost = self._wanted.get(shown.name), sum(each.lost for each in series)
        unit = "steps" if view.unit in ("", "steps") else ""
        ask = Ask(shown.name, curves, bound, begin, end, self.by_log, lost, unit)
        return ask, (begin, end, self.by_log, bound, lost, tuple(map(_stamp, series)), self.context.look)

    def _draw(self, shown: Shown, ask: Ask, place: Place) -> None:
        look = self.context.look
        lines = chart(look, ask, place.width - 1, place.height)
        shown.lines = [segments(place.width, look(), line, [], look.g.ellipsis) for line in lines]

    def render_line(self, y: int) -> Strip:
        """A line across all charts."""
        look, cells = self.context.look, self.size.width
        if not self._shown:
            return self._empty(y)
        row = [each for each in zip(self._shown, self._places, strict=True) if _covers(each[1], y)]
        found = [piece for shown, place in row for piece in shown.lines[y - place.y : y - place.y + 1]]
        return Strip([segment for piece in found for segment in piece], cells).adjust_cell_length(
            cells, look()
        )

    def _empty(self, y: int) -> Strip:
        look, cells = self.context.look, self.size.width
        text = look.clip(self._said, cells - 4) if y == max(1, self.size.height // 3) else ""
        return Strip(segments(cells, look(), [("  ", look()), (text, look("muted"))], []), cells)

    def on_click(self, event: events.Click) -> None:
        """A click on a chart puts it first."""
        for shown, place in zip(self._shown, self._places, strict=True):
            if _covers(place, event.y) and place.x <= event.x < place.x + place.width:
                self._clicked(shown.name)
                return


def _covers(place: Place, y: int) -> bool:
    return place.y <= y < place.y + place.height


def _stamp(series: Series) -> tuple[int, int, int]:
    return id(series), series.count, series.epoch
