"""The runs' screen: the list, the chosen run's curves, and what there is to read of it.

It looks at run folders and never touches a run: closing or killing it changes nothing there.
"""

from __future__ import annotations

from collections.abc import Iterable

from textual.containers import Container
from textual.widget import Widget

from tui.commands import MOVING, Command
from tui.context import Context
from tui.feed import Change
from tui.lines import Line, Lines, Text
from tui.runs import pages
from tui.runs.grid import LAST_PART, ChartGrid
from tui.runs.head import head
from tui.runs.listing import Row, RowsDoc, named, rows
from tui.runs.reading import CHARTS, LOG, REPORT_PAGE, TABS, Reading

_PAINT = 0.1  # seconds between two pictures: what changes faster cannot be read
_SIDE = 150  # cells from which the details stand beside the curves
_SIDE_CELLS = 50
_HEAD = 3


class HeadDoc:
    """The three lines of the chosen run."""

    def __init__(self, lines: list[tuple[Line, Line]]) -> None:
        self._lines = lines

    def lay(self, cells: int) -> int:
        """They are what they are."""
        return len(self._lines)

    def line(self, at: int, selected: bool) -> tuple[Line, Line, str]:
        """A line on the ground of a card."""
        return *self._lines[at], "card"


class RunsScreen(Reading):
    """Above the list, below it the chosen run."""

    NAME = "runs"
    TITLE_ = "runs"
    KEYMAP = (
        Command("open", ("enter",), "ticket", "Open the ticket of the run", bar=True),
        Command("metric:1", ("m",), "metric", "The next metric", bar=True),
        Command("metric:-1", ("M",), "metric before", "The metric before"),
        Command("zoom", ("z",), "zoom", "All steps, or the last fifth of them", bar=True),
        Command("report", ("r",), "report", "The report of an evaluation", bar=True),
        Command("log", ("l",), "log", "The end of what the run has printed", bar=True),
        Command("axis", ("y",), "axis", "Values by their logarithm, or plain", bar=True),
        Command("folder", ("o",), "folder", "Show where the run folder is", bar=True),
        Command("rollback", ("b",), "roll back", "Take a training back to a checkpoint that it kept"),
        Command("tab:1", ("tab",), "next page", "The next page", group="Move", listed=False),
        Command("tab:-1", ("shift+tab",), "page before", "The page before", group="Move", listed=False),
        Command("run:-1", ("left", "h", "["), "run before", "The run above", group="Move", listed=False),
        Command("run:1", ("right", "]"), "next run", "The run below", group="Move", listed=False),
        *MOVING,
    )

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.list_pane = Lines(context, cursor=True)
        self.list_pane.clicked = self._clicked
        self.head_pane = Lines(context)
        self.grid = ChartGrid(context, self._to_metric)
        self.side_pane = Lines(context)
        self.below = Container(self.grid, self.side_pane, classes="panes")
        self._seen = -1
        self._painted = float("-inf")
        self._listed: object = None
        self._headed: object = None
        self._layout: object = None

    def body(self) -> Iterable[Widget]:
        """Tabs, list, the chosen run's lines, curves or text."""
        yield self.tabs
        yield self.list_pane
        yield self.head_pane
        yield self.below
        yield self.text_pane

    def why_not(self, name: str) -> str:
        """Why a command does nothing now."""
        verb = name.partition(":")[0]
        if (
            verb in ("open", "folder", "report", "log", "metric", "zoom", "axis", "rollback")
            and self.row is None
        ):
            return "there is no run"
        if verb in ("metric", "zoom", "axis") and not self.grid.names:
            return "the run has no curves yet"
        if name == "open" and self.chosen[0] not in self.context.feed.cards:
            return f"{self.chosen[0]} is no ticket of this repository"
        if name == "rollback" and (row := self.row) is not None and row.lives:
            return f"{named(row)} is at work: stop it first"
        if (
            verb in ("folder", "report", "log", "rollback")
            and (row := self.row) is not None
            and row.glance is None
        ):
            return f"{named(row)} has no folder yet"
        return super().why_not(name)

    # Coming and going ----------------------------------------------------------------------------

    def visit(self, ticket: str) -> None:
        """Look; at the run of a ticket where one is named."""
        self.follower.start()
        if ticket and ticket != self.chosen[0]:
            found = next((row for row in self.rows if row.ticket == ticket), None)
            if found is not None:
                self._choose(found)
            elif not self.follower.listed:
                self.chosen = (ticket, 0)  # the first of this ticket, as soon as the list is there

    def on_screen_resume(self) -> None:
        """Shown again."""
        self.follower.start()
        super().on_screen_resume()
        self._update(anew=True)

    def on_screen_suspend(self) -> None:
        """Another screen is shown: nothing is read for nobody."""
        self.follower.stop()

    def on_unmount(self) -> None:
        """The cockpit ends."""
        self.follower.stop()

    def on_resize(self) -> None:
        """Another size: the panes find their places again."""
        super().on_resize()
        self._arrange()

    # Showing -------------------------------------------------------------------------------------

    @property
    def pulsing(self) -> bool:
        """Whether a run has said something that is not on the screen."""
        due = self.context.clock() - self._painted >= _PAINT
        return due and (self._seen != self.follower.version or self.tabs.at == LOG)

    def pulse(self) -> None:
        """Show what runs have said."""
        if self.pulsing:
            self._update()

    def tick(self) -> None:
        """Ages go on."""
        self._update()
        super().tick()

    def feed_changed(self, change: Change) -> None:
        """What the journal says of the runs' tickets."""
        if change.everything or change.engine or change.inbox or change.tickets:
            self._listed = None
            if change.everything or self.chosen[0] in change.tickets:
                self.of_ticket()
            self._update()
        super().feed_changed(change)

    def look_changed(self) -> None:
        """Other colours."""
        self._listed = None
        self.grid.anew()
        self._update(anew=True)
        super().look_changed()

    def _update(self, anew: bool = False) -> None:
        """Bring the screen up to what the follower has found."""
        follower, context = self.follower, self.context
        self._painted = context.clock()
        with follower.lock:
            self._seen = follower.version
            glances, own, share = follower.glances, follower.own, follower.share
        feed = context.feed
        self.rows = rows(glances, feed.cards, feed.inbox, feed.engine.state)
        self._keep_choice()
        row = self.row
        folder = row.glance.place.folder if row is not None and row.glance is not None else None
        if folder != follower.folder:
            follower.choose(folder)
            self.of_run(row)
        elif row is not None and self.ended is None and row.state in ("done", "failed"):
            self.of_run(row)
        self.tabs.note = (
            (pages.in_brief(context.look, context.machine.picture, own) + " ", context.look("faint")),
        )
        self.tabs.sync()
        self._show_list(anew)
        with follower.lock:
            lines = head(context.look, row, follower.view, share, context.now())
            if lines != self._headed or anew:
                self._headed = lines
                self.head_pane.show(HeadDoc(lines), keep=True)
            if self.charting:
                said = self.nothing(row)
                self.grid.show(follower.view, self.wanted, grows=row is not None and row.lives, said=said)
                if self._wide:
                    self.side_pane.show(Text(self.side), keep=True)
            else:
                self.show_text()
        self._arrange()
        self.sync_bars()

    def _keep_choice(self) -> None:
        """Stay at the run that was chosen; at first, and where it is gone, the first of the list."""
        if self.row is None and self.rows:
            ticket = self.chosen[0]
            first = next((row for row in self.rows if row.ticket == ticket), self.rows[0])
            self.chosen = (first.ticket, first.attempt)
            self.of_ticket()

    def _choose(self, row: Row) -> None:
        self.chosen = (row.ticket, row.attempt)
        if row.ticket in self.context.feed.cards:
            self.context.selected = row.ticket
        self._listed = None
        self.of_ticket()
        self._update(anew=True)

    def _show_list(self, anew: bool) -> None:
        now = self.context.now()
        listed = (tuple(self.rows), self.chosen, now // 10_000, self.context.look)
        if listed == self._listed and not anew:
            return
        self._listed = listed
        self.list_pane.show(RowsDoc(self.rows, self.context.look, now), keep=True)
        row = self.row
        if row is not None:
            self.list_pane.put(self.rows.index(row))

    # Places --------------------------------------------------------------------------------------

    @property
    def _wide(self) -> bool:
        return self.size.width >= _SIDE

    def _arrange(self) -> None:
        """Give the panes their lines; a text has the whole height."""
        charts, height = self.charting, self.size.height
        most = max(3, (height - 4 - _HEAD) // 4)
        lines = max(1, min(len(self.rows), most)) if self.tabs.at == CHARTS else 1
        layout = (charts, lines, self._wide, bool(self.rows))
        if layout == self._layout or not height:
            return
        self._layout = layout
        self.list_pane.styles.height = lines
        self.head_pane.styles.height = _HEAD
        self.list_pane.display = bool(self.rows)
        self.head_pane.display = bool(self.rows)
        self.below.display = charts
        self.text_pane.display = not charts
        self.side_pane.display = self._wide
        self.side_pane.styles.width = _SIDE_CELLS
        self.grid.styles.width = "1fr"

    # Keys ----------------------------------------------------------------------------------------

    def _move(self, move: str, by: int) -> None:
        reads = self.tabs.at != CHARTS or (move == "page" and not self.charting)
        pane = self.text_pane if reads else self.list_pane
        {"move": pane.move, "page": pane.page}.get(move, lambda n: pane.end(n > 0))(by)
        if pane is self.list_pane and pane.at < len(self.rows):
            self._choose(self.rows[pane.at])

    def do_move(self, by: str) -> None:
        """By a line."""
        self._move("move", int(by))

    def do_page(self, by: str) -> None:
        """By a window."""
        self._move("page", int(by))

    def do_end(self, by: str) -> None:
        """To an end."""
        self._move("end", int(by))

    def do_run(self, by: str) -> None:
        """Another run, on every page."""
        if (row := self.row) is not None:
            at = max(0, min(len(self.rows) - 1, self.rows.index(row) + int(by)))
            self._choose(self.rows[at])

    def _clicked(self, at: int) -> None:
        row = self.rows[at]
        if row == self.row:
            self.run("open")
        else:
            self._choose(row)

    def do_open(self) -> None:
        """The ticket's own screen."""
        self.context.go("ticket", self.chosen[0])

    def do_metric(self, by: str) -> None:
        """Another metric first."""
        self.open_tab(CHARTS)
        self.grid.turn(int(by))

    def _to_metric(self, name: str) -> None:
        self.grid.turn(self.grid.names.index(name) - self.grid.at)

    def do_zoom(self) -> None:
        """All, or the last part."""
        self.open_tab(CHARTS)
        self.grid.part = LAST_PART if self.grid.part == 1.0 else 1.0
        self.grid.anew()
        self.context.say("All steps" if self.grid.part == 1.0 else "The last fifth of the steps", "text")

    def do_axis(self) -> None:
        """By the logarithm, or plain."""
        self.open_tab(CHARTS)
        self.grid.by_log = not self.grid.by_log
        self.grid.anew()
        self.context.say("Values by their logarithm" if self.grid.by_log else "Plain values", "text")

    def do_report(self) -> None:
        """The report, and back."""
        self.open_tab(CHARTS if self.tabs.at == REPORT_PAGE else REPORT_PAGE)

    def do_log(self) -> None:
        """The log, and back."""
        self.open_tab(CHARTS if self.tabs.at == LOG else LOG)

    def do_folder(self) -> None:
        """Say where it is."""
        row = self.row
        if row is not None and row.glance is not None:
            self.context.say(str(row.glance.place.folder), "text")

    def do_rollback(self) -> None:
        """Take the run back to a checkpoint."""
        row = self.row
        if row is not None and row.glance is not None:
            from tui.runs.back import ask

            ask(self, row.glance.place.folder, named(row))

    def do_tab(self, by: str) -> None:
        """Another page."""
        self.open_tab((self.tabs.at + int(by)) % len(TABS))

    def open_tab(self, at: int) -> None:
        """Another page."""
        if at == self.tabs.at:
            return
        self.tabs.at = at
        self.text_pane.sticky = at == LOG
        self.shown = None
        self._update(anew=True)

    def do_back(self) -> None:
        """From a text to the curves, from there to the board."""
        if self.tabs.at != CHARTS:
            self.open_tab(CHARTS)
        else:
            super().do_back()
