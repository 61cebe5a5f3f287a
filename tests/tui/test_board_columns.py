"""The board's order, filter and cursor, as values."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from state.views import Card
from tui.board.columns import COLUMNS, OF_STATE, Board
from tui.board.layout import FULL, STRIP, spans

STATES = list(OF_STATE)


def card(number: int, state: str, since: int = 0, labels: str = "[]", goal: str = "do it") -> Card:
    row = (f"TICKET-{number}", state, "run", goal, "", labels, "[]", 1, None, None, None, 0, 0, 1, "", "")
    return Card(*row, since, since)


def everything(board: Board) -> list[object]:
    return [(pile.items, pile.places, list(pile.starts), pile.height, pile.count) for pile in board.piles]


CARDS = st.dictionaries(
    st.integers(1, 30),
    st.tuples(st.sampled_from(STATES), st.integers(0, 5), st.sampled_from(["[]", '["M0"]'])),
    max_size=20,
)


def cards_of(found: dict[int, tuple[str, int, str]]) -> dict[str, Card]:
    return {f"TICKET-{n}": card(n, *value) for n, value in found.items()}


@given(CARDS, CARDS, st.booleans(), st.sampled_from(["", "running", "TICKET-1"]))
def test_taking_only_what_changed_gives_what_filling_anew_gives(
    old: dict[int, tuple[str, int, str]], new: dict[int, tuple[str, int, str]], grouped: bool, words: str
) -> None:
    before, after = cards_of(old), cards_of(new)
    patched, fresh = Board(), Board()
    patched.grouped = fresh.grouped = grouped
    patched.filter = fresh.filter = words
    patched.fill(before.values())
    touched = {id_ for id_ in before.keys() | after.keys() if before.get(id_) != after.get(id_)}
    patched.update(after, touched)
    fresh.fill(after.values())
    assert everything(patched) == everything(fresh)
    assert patched.shown == fresh.shown


@given(CARDS, CARDS, st.data())
def test_a_reload_never_moves_the_selection_off_its_ticket(
    old: dict[int, tuple[str, int, str]], new: dict[int, tuple[str, int, str]], data: st.DataObject
) -> None:
    before, after = cards_of(old), cards_of(new)
    board = Board()
    board.fill(before.values())
    if not before:
        return
    chosen = data.draw(st.sampled_from(sorted(before)))
    assert board.select(chosen)
    touched = {id_ for id_ in before.keys() | after.keys() if before.get(id_) != after.get(id_)}
    board.update(after, touched)
    assert board.selected == chosen or chosen not in after


def test_the_selected_card_keeps_its_line_when_cards_come_above_it() -> None:
    cards = {f"TICKET-{n}": card(n, "ready") for n in range(10, 40)}
    board = Board()
    board.fill(cards.values())
    board.select("TICKET-30")
    pile = board.piles[1]
    line = pile.starts[pile.places["TICKET-30"]] - pile.top
    cards |= {f"TICKET-{n}": card(n, "ready") for n in range(1, 6)}
    board.update(cards, {f"TICKET-{n}" for n in range(1, 6)})
    assert pile.starts[pile.places["TICKET-30"]] - pile.top == line


def test_tickets_stand_by_number_and_what_ended_last_stands_first() -> None:
    board = Board()
    board.fill([card(10, "ready"), card(9, "ready"), card(1, "landed", 5), card(2, "failed", 9)])
    assert list(board.piles[1].places) == ["TICKET-9", "TICKET-10"]
    assert list(board.piles[5].places) == ["TICKET-2", "TICKET-1"]


def test_the_filter_looks_at_id_goal_kind_label_and_state() -> None:
    board = Board()
    cards = [card(1, "ready", labels='["docs"]'), card(2, "failed", goal="Speed it up"), card(3, "running")]
    for words, expected in (
        ("docs", {"TICKET-1"}),
        ("speed FAILED", {"TICKET-2"}),
        ("ticket-3", {"TICKET-3"}),
        ("done", {"TICKET-2"}),
        ("run", {"TICKET-1", "TICKET-2", "TICKET-3"}),
    ):
        board.filter = words
        board.fill(cards)
        assert {id_ for pile in board.piles for id_ in pile.places} == expected


@given(st.integers(60, 260), st.integers(0, 5), st.integers(0, 5))
def test_the_columns_fill_the_width_and_the_one_of_the_cursor_is_full(
    cells: int, focus: int, first: int
) -> None:
    found, _ = spans(cells, len(COLUMNS), focus, first)
    assert sum(span.width for span in found) == cells
    assert found[focus].full
    if cells >= 80:
        assert all(span.width >= (FULL if span.full else STRIP) for span in found)
