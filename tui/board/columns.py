"""Which card stands where: columns, order, groups, filter, cursor and scroll. Values only, no screen.

The selection is a ticket, not a place: when cards come, go or move, it stays on its ticket and, where
that stays in its column, on its line of the screen.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from state.views import Card


class Column(NamedTuple):
    """A column: its title, a short one, the states it holds, what it says when empty."""

    title: str
    states: frozenset[str]
    empty: str


COLUMNS = (
    Column("Backlog", frozenset(("backlog", "broken")), "nothing blocked"),
    Column("Ready", frozenset(("ready",)), "nothing ready"),
    Column("Running", frozenset(("running",)), "nothing runs"),
    Column("Waiting", frozenset(("waiting",)), "nothing waits"),
    Column("Review", frozenset(("review",)), "nothing to review"),
    Column("Done", frozenset(("landed", "failed", "cancelled")), "nothing done yet"),
)
OF_STATE: Mapping[str, int] = {state: at for at, column in enumerate(COLUMNS) for state in column.states}
_DONE = len(COLUMNS) - 1


Item = Card | str
"""A card, or the heading of a group."""


@dataclass
class Pile:
    """The items of one column and where they begin, in lines."""

    items: list[Item] = field(default_factory=list)
    starts: Sequence[int] = ()
    height: int = 0
    places: dict[str, int] = field(default_factory=dict)
    count: int = 0
    top: int = 0  # the first line in view
    selected: str = ""  # the ticket the cursor was on when it was last in this column

    def at_line(self, y: int) -> tuple[Item, int] | None:
        """The item at a line of the column and the line within it."""
        if y < 0 or y >= self.height:
            return None
        index = bisect_right(self.starts, y) - 1
        return self.items[index], y - self.starts[index]


def oldest_first(card: Card) -> tuple[int, int, str]:
    """By number, not by letter."""
    return 0, len(card.id), card.id


def newest_first(card: Card) -> tuple[int, int, str]:
    """What ended last stands first."""
    return -card.since, len(card.id), card.id


def order_of(column: int) -> Callable[[Card], tuple[int, int, str]]:
    """How a column is sorted."""
    return newest_first if column == _DONE else oldest_first


def haystack(card: Card) -> str:
    """What the filter looks in."""
    done = " done" if OF_STATE.get(card.state) == _DONE else ""
    return f"{card.id} {card.goal} {card.kind} {card.labels} {card.persona} {card.state}{done}".lower()


def label(card: Card) -> str:
    """The first label, by which cards are grouped."""
    if card.labels in ("", "[]"):
        return "no label"
    found = json.loads(card.labels)
    return str(found[0]) if found else "no label"


class Board:
    """Everything the board's drawing and keys need."""

    def __init__(self, unit: int = 6) -> None:
        self.unit = unit  # lines a card takes, the gap below it included
        self.view = 20  # lines of a column in view
        self.grouped = False
        self.filter = ""
        self.focus = 0
        self.piles = [Pile() for _ in COLUMNS]
        self.shown = 0
        self._hay: dict[str, tuple[Card, str]] = {}

    # Filling -------------------------------------------------------------------------------------

    def fill(self, cards: Iterable[Card]) -> None:
        """Put every card in its place; the selection stays on its ticket."""
        sorted_into: list[list[Card]] = [[] for _ in COLUMNS]
        for card in self._filtered(cards):
            if (at := OF_STATE.get(card.state)) is not None:
                sorted_into[at].append(card)
        for at, found in enumerate(sorted_into):
            found.sort(key=order_of(at))
        self._replace(dict(enumerate(sorted_into)))

    def update(self, cards: Mapping[str, Card], touched: Iterable[str]) -> bool:
        """Take the cards that changed; True when one came, went or moved."""
        moved: dict[int, list[Card]] = {}
        for id_ in touched:
            card = cards.get(id_)
            shown = card is not None and (not self.filter or bool(self._filtered((card,))))
            wanted = OF_STATE.get(card.state) if card is not None and shown else None
            found = next((at for at, pile in enumerate(self.piles) if id_ in pile.places), None)
            if card is not None and found is not None and found == wanted and self._put(found, card, moved):
                continue
            for at in {at for at in (found, wanted) if at is not None}:
                if at not in moved:
                    moved[at] = [item for item in self.piles[at].items if not isinstance(item, str)]
                    moved[at].sort(key=order_of(at))
            if found is not None:
                moved[found] = [each for each in moved[found] if each.id != id_]
            if wanted is not None and card is not None:
                key = order_of(wanted)
                moved[wanted].insert(bisect_left(moved[wanted], key(card), key=key), card)
        if moved:
            self._replace(moved)
        return bool(moved)

    def _put(self, column: int, card: Card, moved: Mapping[int, list[Card]]) -> bool:
        """Exchange a card for its newer self where that stands in the same place."""
        if column in moved:  # the column is laid anew anyhow
            return False
        pile = self.piles[column]
        place = pile.places[card.id]
        before = pile.items[place]
        key = order_of(column)
        if (
            isinstance(before, str)
            or key(before) != key(card)
            or (self.grouped and before.labels != card.labels)
        ):
            return False
        pile.items[place] = card
        return True

    def _replace(self, columns: Mapping[int, list[Card]]) -> None:
        """Lay some columns anew; the selection stays on its ticket, on its line where it can."""
        selected = self.selected
        for at, found in columns.items():
            pile = self.piles[at]
            anchor, before = self._anchor(pile), pile.places.get(pile.selected, 0)
            self._lay(pile, found)
            self._keep(pile, anchor, before)
        self.shown = sum(pile.count for pile in self.piles)
        if selected and selected not in self.piles[self.focus].places:
            for at, pile in enumerate(self.piles):
                if selected in pile.places:
                    self.focus, pile.selected = at, selected
                    self.reveal()
                    break
        if not self.piles[self.focus].count and not selected:
            self.focus = next((at for at, pile in enumerate(self.piles) if pile.count), self.focus)

    def _filtered(self, cards: Iterable[Card]) -> Iterable[Card]:
        words = self.filter.lower().split()
        if not words:
            return cards
        return [card for card in cards if all(word in self._text(card) for word in words)]

    def _text(self, card: Card) -> str:
        known = self._hay.get(card.id)
        if known is None or known[0] is not card:
            known = self._hay[card.id] = (card, haystack(card))
        return known[1]

    def _lay(self, pile: Pile, cards: list[Card]) -> None:
        if self.grouped:
            self._lay_groups(pile, cards)
        else:
            pile.items = list(cards)
            pile.starts = range(0, len(cards) * self.unit, self.unit)
            pile.height = len(cards) * self.unit
        pile.count = len(cards)
        pile.places = {item.id: at for at, item in enumerate(pile.items) if not isinstance(item, str)}

    def _lay_groups(self, pile: Pile, cards: list[Card]) -> None:
        groups: dict[str, list[Card]] = {}
        for card in cards:
            groups.setdefault(label(card), []).append(card)
        items: list[Item] = []
        starts: list[int] = []
        y = 0
        for name in sorted(groups, key=lambda each: (each == "no label", each)):
            items.append(f"{name}  {len(groups[name])}")
            starts.append(y)
            y += 2
            for card in groups[name]:
                items.append(card)
                starts.append(y)
                y += self.unit
        pile.items, pile.starts, pile.height = items, starts, y

    def _anchor(self, pile: Pile) -> int | None:
        """The screen line of the selected card, when it is in view."""
        at = pile.places.get(pile.selected)
        if at is None:
            return None
        y = pile.starts[at] - pile.top
        return y if -self.unit < y < self.view else None

    def _keep(self, pile: Pile, anchor: int | None, before: int) -> None:
        if pile.selected not in pile.places:
            after = [item.id for item in pile.items[before : before + 2] if not isinstance(item, str)]
            ahead = [item.id for item in pile.items[max(0, before - 2) : before] if not isinstance(item, str)]
            last = [item.id for item in pile.items[-1:] if not isinstance(item, str)]
            pile.selected = next(iter((*after, *reversed(ahead), *last)), "")
        elif anchor is not None:
            pile.top = pile.starts[pile.places[pile.selected]] - anchor
        pile.top = max(0, min(pile.top, pile.height - self.view))

    # Selecting -----------------------------------------------------------------------------------

    @property
    def selected(self) -> str:
        """The ticket under the cursor, '' where there is none."""
        return self.piles[self.focus].selected

    def move(self, by: int) -> None:
        """The cursor by so many cards."""
        pile = self.piles[self.focus]
        at = pile.places.get(pile.selected)
        if at is None:
            return
        step = 1 if by > 0 else -1
        left = abs(by)
        while left and 0 <= (at := at + step) < len(pile.items):
            if not isinstance(item := pile.items[at], str):
                pile.selected = item.id
                left -= 1
        self.reveal()

    def go_end(self, last: bool) -> None:
        """The cursor to the first or last card of its column."""
        pile = self.piles[self.focus]
        for item in reversed(pile.items) if last else pile.items:
            if not isinstance(item, str):
                pile.selected = item.id
                break
        self.reveal()

    def turn(self, by: int) -> None:
        """The cursor to the next column; an empty one is passed over when there is another behind it."""
        at = self.focus + by
        while 0 <= at < len(self.piles) and not self.piles[at].count:
            at += by
        if 0 <= at < len(self.piles):
            self.focus = at

    def select(self, ticket: str) -> bool:
        """The cursor to a ticket; False when it is not on the board."""
        for at, pile in enumerate(self.piles):
            if ticket in pile.places:
                self.focus, pile.selected = at, ticket
                self.reveal()
                return True
        return False

    def reveal(self) -> None:
        """Scroll the column of the cursor as far as its card needs it."""
        pile = self.piles[self.focus]
        at = pile.places.get(pile.selected)
        if at is None:
            return
        start = pile.starts[at]
        if at and isinstance(pile.items[at - 1], str):  # its group's heading comes along
            start = pile.starts[at - 1]
        end = pile.starts[at] + self.unit - 1
        if pile.top > start:
            pile.top = start
        elif end > pile.top + self.view:
            pile.top = end - self.view
        pile.top = max(0, min(pile.top, max(0, pile.height - self.view)))

    def scroll(self, column: int, lines: int) -> bool:
        """Scroll a column without the cursor; True when it moved."""
        pile = self.piles[column]
        before = pile.top
        pile.top = max(0, min(pile.top + lines, pile.height - self.view))
        return pile.top != before

    def resize(self, unit: int, view: int) -> None:
        """Other card heights or another window."""
        self.view = view
        if unit != self.unit:
            self.unit = unit
            for pile in self.piles:
                self._lay(pile, [item for item in pile.items if not isinstance(item, str)])
        for pile in self.piles:
            pile.top = max(0, min(pile.top, pile.height - view))
        self.reveal()
