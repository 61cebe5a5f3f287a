"""What there is to read of the chosen run, and how it stands: the part of the runs' screen below its list."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from state.run_folder import OUTPUT, REPORT, Result, result
from state.run_list import request
from state.run_view import Threshold, thresholds
from tui.context import Context
from tui.lines import Doc, Line, Lines, Text
from tui.page import Page
from tui.runs import pages
from tui.runs.follow import Follower
from tui.runs.listing import Row, named
from tui.screen import CockpitScreen
from tui.tabs import TabBar
from tui.ticket.output import OutputDoc, Tail

TABS = ("Charts", "Details", "Report", "Log", "Machine")
CHARTS, DETAILS, REPORT_PAGE, LOG, MACHINE = range(5)


class Reading(CockpitScreen):
    """A screen with a chosen run."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.follower = Follower(context.workspace.runs)
        self.tabs = TabBar(context, TABS, self.open_tab)
        self.text_pane = Lines(context)
        self.rows: list[Row] = []
        self.chosen: tuple[str, int] = ("", 0)
        """Ticket and attempt."""
        self.wanted: Mapping[str, Threshold] = {}
        self.ended: Result | None = None
        self.shown: object = None
        """What the page of text shows; None: show it from its beginning."""
        self._asked: Mapping[str, object] = {}
        self._log: Tail | None = None
        self._report: tuple[Path | None, list[str] | None] = (None, None)

    def open_tab(self, at: int) -> None:
        """Another page."""
        raise NotImplementedError

    @property
    def row(self) -> Row | None:
        """The chosen run."""
        return next((row for row in self.rows if (row.ticket, row.attempt) == self.chosen), None)

    def nothing(self, row: Row | None) -> str:
        """What stands where the curves would be."""
        if row is None:
            if not self.follower.listed:
                return "Looking for runs…" if self.context.look.g.ellipsis == "…" else "Looking for runs"
            return "No run yet: tickets of kind train, eval and datagen make them. 1 shows the board."
        if row.state == "asks":
            return f"{named(row)} waits for your yes: 4 shows what it asks."
        if row.glance is None:
            return f"{named(row)} has not begun: {row.why}"
        if row.lives:
            return "It has measured nothing yet."
        return "It has measured nothing: l shows what it printed."

    def of_run(self, row: Row | None) -> None:
        """Read what stands in the folder beside the events."""
        folder = row.glance.place.folder if row is not None and row.glance is not None else None
        self._asked = request(folder) if folder else {}
        self.ended = result(folder) if folder else None
        self._log = Tail(folder / OUTPUT) if folder else None
        self._report = (None, None)

    def of_ticket(self) -> None:
        """Read what the ticket wants of the metrics."""
        journal = self.context.feed.journal
        ticket = journal.views.ticket(self.chosen[0]) if journal is not None and self.chosen[0] else None
        self.wanted = thresholds(ticket.spec) if ticket is not None else {}

    @property
    def charting(self) -> bool:
        """Whether the curves are shown; where nothing was measured twice there is more to read."""
        view = self.follower.view
        over = self.row is not None and self.row.state == "done"
        return self.tabs.at == CHARTS and (view.curved or not (view.series or over))

    def side(self, cells: int) -> list[Line]:
        """What stands beside the curves where there is room."""
        return [*self._details(cells), *self._machine(cells)]

    def _details(self, cells: int) -> list[Line]:
        row, look = self.row, self.context.look
        if row is None:
            return pages.said(look, cells, "No run", self.nothing(None))
        page, view = Page(look, cells), self.follower.view
        return pages.details(page, row, view, self.wanted, self.ended, self._asked, self.context.now()).lines

    def _machine(self, cells: int) -> list[Line]:
        context, machine = self.context, self.context.machine
        stale = machine.stale(context.now(), context.feed.engine.state)
        page = Page(context.look, cells)
        return pages.machine(page, machine.picture, self.follower.own, stale, context.now()).lines

    def show_text(self, keep: bool = True) -> None:
        """Show the page that is open, where it is one to read."""
        pane, tab, look, row = self.text_pane, self.tabs.at, self.context.look, self.row
        folder = row.glance.place.folder if row is not None and row.glance is not None else None
        report = self._report_of(folder) if tab in (CHARTS, REPORT_PAGE) else None
        if tab == CHARTS:  # measures without curves
            tab = DETAILS if report is None else REPORT_PAGE
        shown = (tab, folder, look, report is None)
        news, self.shown = shown != self.shown or not keep, shown
        if tab in (DETAILS, MACHINE):
            pane.show(Text(self._details if tab == DETAILS else self._machine), keep=not news)
        elif folder is None:
            said = self.nothing(row)
            pane.show(Text(lambda cells: pages.said(look, cells, "Nothing to read yet", said)), keep=not news)
        elif tab == REPORT_PAGE:
            if news:
                pane.show(self._report_doc(report))
        elif self._log is not None and (self._log.read() or news):
            note = self._log.problem or f"{OUTPUT}: what the run has printed"
            if self._log.skipped:
                note = f"{OUTPUT}: the end, without the first {self._log.skipped:,} bytes"
            lines = self._log.all_lines()
            note = note if lines or self._log.problem else f"{OUTPUT}: the run has printed nothing"
            pane.sticky = pane.sticky or news
            pane.show(OutputDoc(lines, look, note), keep=not news)

    def _report_of(self, folder: Path | None) -> list[str] | None:
        """The lines of a run's report; read once, when it is there."""
        if folder is not None and (self._report[0] != folder or self._report[1] is None):
            self._report = (folder, pages.report_lines(folder))
        return self._report[1] if folder is not None else None

    def _report_doc(self, lines: list[str] | None) -> Doc:
        look = self.context.look
        if lines is None:
            told = "It is written when a run has ended. Details has the figures there are."
            return Text(lambda cells: pages.said(look, cells, "This run has no report", told))
        return OutputDoc(lines, look, REPORT)
