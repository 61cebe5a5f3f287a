"""The board's screen: the canvas, the filter, and what can be asked of the selected ticket."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from textual.widget import Widget

from tui.board.canvas import BoardCanvas
from tui.board.columns import Board
from tui.commands import MOVING, ON_TICKET, Command
from tui.context import Context
from tui.draw import Piece
from tui.feed import Change
from tui.line_edit import LineEdit
from tui.on_ticket import OnTicket

_BUSIEST = (2, 3, 4, 1, 0, 5)
"""Columns in the order in which one would want to see them first: running, waiting, review, ready, ..."""


class BoardScreen(OnTicket):
    """Six columns; the cursor is on a ticket."""

    NAME = "board"
    TITLE_ = "board"
    KEYMAP = (
        Command("open", ("enter",), "open", "Open the selected ticket", bar=True),
        Command("filter", ("/",), "filter", "Show only tickets that hold these words", bar=True),
        *ON_TICKET,
        Command("group", ("v",), "group", "Group each column by label, or not"),
        *MOVING,
        Command("turn:-1", ("left", "h"), "left", "To the column on the left", group="Move", listed=False),
        Command("turn:1", ("right", "l"), "right", "To the column on the right", group="Move", listed=False),
    )

    def __init__(self, context: Context) -> None:
        self.board = Board()
        super().__init__(context)
        self.canvas = BoardCanvas(context, self.board, self.do_open)
        self._edit: LineEdit | None = None
        self._fill()
        self._begin()

    def body(self) -> Iterable[Widget]:
        """The canvas."""
        yield self.canvas

    @property
    def target(self) -> str:
        """The ticket that commands are about."""
        return self.board.selected

    def why_not(self, name: str) -> str:
        """Why a command does nothing now."""
        if name == "open" and not self.board.selected:
            return "no ticket is selected"
        if name == "filter" and not self.context.feed.cards:
            return "there is nothing to filter"
        return super().why_not(name)

    # The feed ------------------------------------------------------------------------------------

    def _fill(self) -> None:
        self.board.fill(self.context.feed.cards.values())
        self.context.selected = self.board.selected

    def _begin(self) -> None:
        """Where the cursor stands at first: on what needs the person, else where most happens."""
        for item in self.context.feed.inbox:
            if self.board.select(item.ticket):
                break
        else:
            self.board.focus = next((at for at in _BUSIEST if self.board.piles[at].count), self.board.focus)
        self.context.selected = self.board.selected

    def feed_changed(self, change: Change) -> None:
        """Lay the cards anew where one moved, else repaint the ones that changed."""
        board, cards = self.board, self.context.feed.cards
        if change.everything:
            self._fill()
            if not board.selected:  # what was selected is gone with all the rest
                self._begin()
            self.canvas.repaint()
        elif change.tickets:
            before = board.focus, board.shown
            if board.update(cards, change.tickets) or before != (board.focus, board.shown):
                self.canvas.repaint()
            else:
                self.canvas.touched(change.tickets)
            self.context.selected = board.selected
        if change.everything or change.tickets:
            self._count()
        elif change.engine and not self.board.shown:
            self.canvas.refresh()
        super().feed_changed(change)

    # The filter ----------------------------------------------------------------------------------

    def do_filter(self) -> None:
        """Type into the filter."""
        self._edit = LineEdit(self.board.filter, len(self.board.filter))
        self.top_bar.typed = self._typed_pieces
        self._count()

    def _typed_pieces(self, cells: int) -> list[Piece]:
        assert self._edit is not None
        look = self.context.look
        hint = "" if self._edit.text else "id, words of the goal, kind, label, persona or state"
        return [*self._edit.pieces(look, cells, "bar"), (hint, look("faint", "bar"))]

    def typed(self, key: str, character: str | None) -> bool:
        """The filter takes every key while it is being typed; moving still moves."""
        if self._edit is None:
            return False
        if key in ("up", "down", "pageup", "pagedown"):
            return False
        if key in ("enter", "tab"):
            self._close_edit()
        elif key == "escape":
            self._edit = LineEdit()
            self._close_edit()
            self._apply("")
        elif key == "ctrl+c":
            return False
        elif self._edit.key(key, character):
            self._apply(self._edit.text)
        return True

    def pasted(self, text: str) -> None:
        """Paste into the filter."""
        if self._edit is not None:
            self._edit.insert(text)
            self._apply(self._edit.text)

    def _close_edit(self) -> None:
        self._edit = None
        self.top_bar.typed = None
        self._count()

    def _apply(self, text: str) -> None:
        if text != self.board.filter:
            self.board.filter = text
            self._fill()
            self.board.reveal()
            self.canvas.repaint()
        self._count()

    def _count(self) -> None:
        look, board = self.context.look, self.board
        if not board.filter and self._edit is None:
            self.top_bar.note = ()
            return
        total = len(self.context.feed.cards)
        note: list[Piece] = [(f"{board.shown:,} of {total:,}", look("accent", "bar", bold=True))]
        if self._edit is None:
            note.insert(0, (f"/ {look.clip(board.filter, 24)}  ", look("muted", "bar")))
        self.top_bar.note = tuple(note)

    # Keys ----------------------------------------------------------------------------------------

    def do_move(self, by: str) -> None:
        """The cursor by a card."""
        self._moving(lambda: self.board.move(int(by)))

    def do_page(self, by: str) -> None:
        """The cursor by a window of cards."""
        cards = max(1, self.board.view // self.board.unit)
        self._moving(lambda: self.board.move(int(by) * cards))

    def do_end(self, by: str) -> None:
        """The cursor to the first or last card."""
        self._moving(lambda: self.board.go_end(by == "1"))

    def do_turn(self, by: str) -> None:
        """The cursor to another column."""
        self._moving(lambda: self.board.turn(int(by)))

    def _moving(self, move: Callable[[], None]) -> None:
        board = self.board
        before = (board.focus, board.selected, board.piles[board.focus].top)
        move()
        self.canvas.moved(*before)
        self.context.selected = board.selected

    def do_open(self) -> None:
        """The ticket's own screen."""
        self.context.go("ticket", self.board.selected)

    def do_group(self) -> None:
        """Group by label, or not."""
        self.board.grouped = not self.board.grouped
        self._fill()
        self.board.reveal()
        self.canvas.repaint()
        self.context.say("Grouped by label" if self.board.grouped else "Not grouped", "text")

    def do_back(self) -> None:
        """Show all again where a filter is on, else leave."""
        if self.board.filter:
            self._apply("")
        else:
            self.app.exit()

    def look_changed(self) -> None:
        """Other colours."""
        self._count()
        super().look_changed()
