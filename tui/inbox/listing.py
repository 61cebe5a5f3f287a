"""The list of what waits for a person, most severe first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from state.views import Proposal
from tui.inbox.detail import title_of
from tui.lines import Line
from tui.look import Look
from tui.times import age

ROWS = 3
"""Lines of an item, the gap below it included."""

_ROLES = {"core": "failed", "network": "failed", "merge": "review", "start": "running", "question": "waiting"}


class ListDoc:
    """Draws the items; the cursor is on an item, not on a line."""

    def __init__(
        self, items: Sequence[Proposal], at: Callable[[], int], look: Look, now: Callable[[], int]
    ) -> None:
        self._items, self._at, self._look, self._now = items, at, look, now

    def lay(self, cells: int) -> int:
        """Three lines an item."""
        return max(0, len(self._items) * ROWS - 1)

    def line(self, at: int, selected: bool) -> tuple[Line, Line, str]:
        """A line of an item."""
        look, item, row = self._look, self._items[at // ROWS], at % ROWS
        if row == ROWS - 1:
            return (), (), "bg"
        here = at // ROWS == self._at()
        back = "raised" if here else "card"
        role = _ROLES.get(item.kind, "waiting")
        edge = (look.g.edge, look("accent" if here else role, back, bold=here))
        if row == 0:
            left = [
                edge,
                (f" {look.glyph('asks')} {title_of(item.kind)} ", look(role, back, bold=True)),
                (look.text(item.ticket), look("text", back, bold=True)),
            ]
            return left, [(f"{age(item.since, self._now())} ", look("muted", back))], back
        return [edge, (f"   {look.text(item.summary)}", look("text" if here else "muted", back))], (), back
