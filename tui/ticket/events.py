"""The journal of a ticket by the line: read a page at a time, where someone looks."""

from __future__ import annotations

import json
from collections import OrderedDict

from state.events import Event
from state.views import Views
from tui.lines import Line
from tui.look import Look
from tui.times import stamp

_PAGE = 200
_PAGES = 20

_ROLES = {
    "attempt.landed": "landed", "attempt.failed": "failed", "attempt.cancelled": "cancelled",
    "proposal.approved": "landed", "proposal.denied": "failed", "ticket.broken": "failed",
    "merge.proposed": "review", "proposal.opened": "waiting", "attempt.started": "running",
}  # fmt: skip


class EventsDoc:
    """Every event of a ticket, oldest first."""

    def __init__(self, views: Views, ticket: str, look: Look) -> None:
        self._views, self._ticket, self._look = views, ticket, look
        self._seqs: list[int] = []
        self._pages: OrderedDict[int, list[Event]] = OrderedDict()
        self.more()

    def more(self) -> bool:
        """Look for new events; True when there are some."""
        last = self._seqs[-1] if self._seqs else 0
        found = self._views.event_seqs(self._ticket, last)
        if found and self._seqs:
            self._pages.pop(len(self._seqs) // _PAGE, None)
        self._seqs += found
        return bool(found)

    def lay(self, cells: int) -> int:
        """One line an event."""
        return len(self._seqs)

    def event(self, at: int) -> Event | None:
        """An event by its place."""
        page = at // _PAGE
        if page not in self._pages:
            self._pages[page] = self._views.events_at(self._seqs[page * _PAGE : (page + 1) * _PAGE])
            if len(self._pages) > _PAGES:
                self._pages.popitem(last=False)
        else:
            self._pages.move_to_end(page)
        found = self._pages[page]
        return found[at % _PAGE] if at % _PAGE < len(found) else None

    def line(self, at: int, selected: bool) -> tuple[Line, Line, str]:
        """Time, type, body."""
        look, event = self._look, self.event(at)
        if event is None:
            return [(" ", look())], (), "bg"
        body = {key: value for key, value in event.body.items() if key not in ("spec", "subject")}
        text = json.dumps(body, ensure_ascii=False)[:400] if body else ""
        return (
            [
                (f" {stamp(event.at)}  ", look("faint")),
                (look.text(f"{event.type:<18}"), look(_ROLES.get(event.type, "text"))),
                (f" {event.attempt or look.g.dash} ", look("faint")),
                (look.text(text), look("muted")),
            ],
            (),
            "bg",
        )
