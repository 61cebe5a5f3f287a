"""The whole board as one widget: columns, cards and scroll marks are lines that it draws itself.

Ten thousand cards cost what the ones in view cost. A card's lines are kept until the card, its width,
its selection or the look changes; moving the cursor repaints two cards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.segment import Segment
from textual import events
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from state.views import Card
from tui.board.card import COMPACT, ROOMY, card_lines, strip_line
from tui.board.columns import COLUMNS, Board, Pile
from tui.board.empty import empty_lines
from tui.board.layout import Span, spans
from tui.context import Context
from tui.draw import Piece, line, segments
from tui.safe_text import fit, width, wrap

_HEAD = 2  # lines of a column's title
_KEPT = 600  # cards whose lines are kept
_ROOMY_FROM = 32  # lines of canvas from which cards get their full height


class BoardCanvas(Widget):
    """Draws a `Board`."""

    def __init__(self, context: Context, board: Board, opened: Callable[[], None]) -> None:
        super().__init__()
        self.context = context
        self.board = board
        self._opened = opened
        self._spans: list[Span] = []
        self._first = 0
        self._kept: dict[tuple[object, ...], list[list[Segment]]] = {}

    # Layout --------------------------------------------------------------------------------------

    def on_resize(self, event: events.Resize) -> None:
        """Fit the columns and cards to the window."""
        unit = ROOMY if event.size.height >= _ROOMY_FROM else COMPACT
        self.board.resize(unit, max(1, event.size.height - _HEAD))
        self._kept.clear()
        self.repaint()

    def place(self) -> bool:
        """Give the columns their widths; True when one changed."""
        before = self._spans
        if not self.size.width:
            return False
        self._spans, self._first = spans(self.size.width, len(COLUMNS), self.board.focus, self._first)
        return before != self._spans

    # Repainting ----------------------------------------------------------------------------------

    def repaint(self) -> None:
        """All of it."""
        self.place()
        self.refresh()

    def moved(self, focus: int, selected: str, top: int) -> None:
        """The cursor moved from there: repaint what that changed."""
        board = self.board
        if self.place():
            self.refresh()
            return
        pile = board.piles[board.focus]
        if board.focus == focus and pile.top != top:
            self.refresh(self._region(board.focus))
            return
        for column, ticket in {(focus, selected), (board.focus, board.selected)}:
            self._refresh_card(column, ticket)
        if board.focus != focus:
            self.refresh(Region(0, 0, self.size.width, _HEAD))
            self.refresh(self._region(board.focus))

    def touched(self, tickets: frozenset[str]) -> None:
        """Cards that changed where they stand."""
        for column, pile in enumerate(self.board.piles):
            for ticket in tickets & pile.places.keys():
                self._refresh_card(column, ticket)

    def _region(self, column: int) -> Region:
        span = self._spans[column]
        return Region(span.x, 0, span.width, self.size.height)

    def _refresh_card(self, column: int, ticket: str) -> None:
        pile, span = self.board.piles[column], self._spans[column]
        at = pile.places.get(ticket)
        if at is None:
            return
        if not span.full:
            self.refresh(self._region(column))
            return
        y = pile.starts[at] - pile.top + _HEAD
        region = Region(span.x, y, span.width, self.board.unit)
        if visible := region.intersection(Region(0, _HEAD, self.size.width, self.size.height - _HEAD)):
            self.refresh(visible)

    # Drawing -------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """One line across all columns."""
        look, cells = self.context.look, self.size.width
        if y >= _HEAD or not self.board.shown:
            said = empty_lines(self.context.feed, self.board.filter, look) if not self.board.shown else ()
            if said:
                return self._said(said, y)
        out: list[Segment] = []
        for column, span in enumerate(self._spans):
            if span.width <= 0:
                continue
            if y < _HEAD:
                out += self._head(column, span, y)
            else:
                out += self._body(column, span, y - _HEAD)
        return Strip(out, cells)

    def _said(self, said: Sequence[list[Piece]], y: int) -> Strip:
        """A line of what stands in the middle when there are no cards."""
        look, cells = self.context.look, self.size.width
        lines: list[list[Piece]] = []
        for pieces in said:
            if len(pieces) == 1 and width(pieces[0][0]) > cells - 8:
                lines += [[(text, pieces[0][1])] for text in wrap(pieces[0][0], cells - 8)]
            else:
                lines.append(pieces)
        at = y - max(1, (self.size.height - len(lines)) // 3)
        if not 0 <= at < len(lines):
            return Strip.blank(cells, look())
        size = sum(width(text) for text, _ in lines[at])
        return line(cells, look(), [(" " * max(0, (cells - size) // 2), look()), *lines[at]])

    def _head(self, column: int, span: Span, y: int) -> list[Segment]:
        look, board = self.context.look, self.board
        here = column == board.focus
        pile = board.piles[column]
        if y == 0:
            back = "bg"
            count = f"{pile.count:,}"
            title = fit(COLUMNS[column].title, span.width - 2, look.g.ellipsis)
            if span.full:
                title = COLUMNS[column].title
            bold = look("text" if here or pile.count else "muted", back, bold=here)
            left = [(" ", look()), (title, bold)]
            if span.full:
                left.append((f"  {count}", look("accent" if here else "muted", back, bold=here)))
            return segments(span.width, look(), left, [], look.g.ellipsis)
        if span.full:
            rule = look.g.heavy if here else look.g.rule
            style = look("accent" if here else "line")
            return segments(span.width, look(), [(" " + rule * (span.width - 2), style)], [])
        tail = fit(f"{pile.count:,}" if pile.count else look.g.dash, span.width - 2, look.g.ellipsis)
        return segments(span.width, look(), [(" " + tail, look("muted" if pile.count else "faint"))], [])

    def _body(self, column: int, span: Span, y: int) -> list[Segment]:
        look, board = self.context.look, self.board
        pile = board.piles[column]
        ground = look()
        if not pile.count:
            text = COLUMNS[column].empty if y == 1 and span.full else ""
            return segments(span.width, ground, [(f" {text}", look("faint"))], [], look.g.ellipsis)
        if not span.full:
            return self._strip(pile, span, y)
        mark = self._thumb(pile, y)
        found = pile.at_line(pile.top + y)
        if found is None:
            return segments(span.width, ground, [], [(mark, look("faint"))])
        item, row = found
        if isinstance(item, str):
            text = look.clip(item, span.width - 4) if row == 0 else ""
            pieces = [(" ", ground), (text, look("accent", bold=True))]
            return segments(span.width, ground, pieces, [(mark, look("faint"))], look.g.ellipsis)
        if row == board.unit - 1:
            return segments(span.width, ground, [], [(mark, look("faint"))])
        lines = self._lines(item, span.width - 2, column)
        return [Segment(" ", ground), *lines[row], Segment(mark, look("faint"))]

    def _lines(self, card: Card, cells: int, column: int) -> list[list[Segment]]:
        board, look = self.board, self.context.look
        selected = column == board.focus and card.id == board.selected
        asks = card.id in self.context.feed.asking
        key = (card.id, card.changed, cells, board.unit, selected, asks, look)
        lines = self._kept.get(key)
        if lines is None:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            lines = self._kept[key] = card_lines(
                card, look, cells, board.unit, selected=selected, asks=asks, now=self.context.now()
            )
        return lines

    def _strip(self, pile: Pile, span: Span, y: int) -> list[Segment]:
        look = self.context.look
        card = self._in_strip(pile, y)
        if card is None:
            return segments(span.width, look(), [], [])
        asks = card.id in self.context.feed.asking
        return strip_line(card, look, span.width, selected=False, asks=asks)

    def _in_strip(self, pile: Pile, y: int) -> Card | None:
        """The card on a line of a strip, which keeps its column's cursor in view."""
        cards = (
            [item for item in pile.items if not isinstance(item, str)] if self.board.grouped else pile.items
        )
        first = max(
            0, min(pile.places.get(pile.selected, 0) - self.board.view // 2, len(cards) - self.board.view)
        )
        card = cards[first + y] if first + y < len(cards) else None
        return None if isinstance(card, str) else card

    def _thumb(self, pile: Pile, y: int) -> str:
        view = self.board.view
        if pile.height <= view + 1:
            return " "
        size = max(1, view * view // pile.height)
        start = (view - size) * pile.top // max(1, pile.height - view)
        return self.context.look.g.thumb if start <= y < start + size else " "

    # Mouse ---------------------------------------------------------------------------------------

    def _column_at(self, x: int) -> int | None:
        return next((at for at, span in enumerate(self._spans) if span.x <= x < span.x + span.width), None)

    def on_click(self, event: events.Click) -> None:
        """Select what was clicked; a click on what is selected opens it."""
        column = self._column_at(event.x)
        if column is None or not self.board.shown:
            return
        board, pile = self.board, self.board.piles[column]
        before = (board.focus, board.selected, board.piles[board.focus].top)
        ticket = self._ticket_at(pile, self._spans[column], event.y - _HEAD)
        if ticket and (column, ticket) == before[:2]:
            self._opened()
            return
        if ticket:
            board.focus, pile.selected = column, ticket
            board.reveal()
        elif pile.count:
            board.focus = column
        self.moved(*before)
        self.context.selected = board.selected

    def _ticket_at(self, pile: Pile, span: Span, y: int) -> str:
        if y < 0 or not pile.count:
            return ""
        if not span.full:
            card = self._in_strip(pile, y)
            return card.id if card else ""
        found = pile.at_line(pile.top + y)
        return "" if found is None or isinstance(found[0], str) else found[0].id

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Wheel: the column under the pointer."""
        self._wheel(event.x, 1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Wheel: the column under the pointer."""
        self._wheel(event.x, -1)

    def _wheel(self, x: int, by: int) -> None:
        column = self._column_at(x)
        if column is not None and self.board.scroll(column, by * self.board.unit // 2):
            self.refresh(self._region(column))
