"""No text can steer the terminal or leave its cells."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from state.safe_text import HIDDEN, safe, safe_lines, trace
from tui.look import ASCII, DARK, Look
from tui.safe_text import chop, clip, fit, width, wrap

ANY = st.text(alphabet=st.characters(codec=None), max_size=80)  # type: ignore[arg-type]
SEEDS = st.sampled_from(
    [
        "\x1b[2J",
        "\x9b31m",
        "\u202e",
        "\u2066",
        "\u200b",
        "\ufeff",
        "e" + "\u0301" * 40,
        "宽字",
        "\u2028",
        "\U000e0041",
        "\ud800",
        "\x7f",
        "\x00",
        "\r",
        "👩\u200d👩\u200d👧",
        "❤\ufe0f",
        "\u0301",
    ]
)
FILLERS = "\u115f\u1160\u3164\uffa0"
HOSTILE = st.lists(st.one_of(ANY, SEEDS), max_size=6).map("".join)


@given(HOSTILE)
def test_safe_text_holds_nothing_that_a_terminal_acts_on(text: str) -> None:
    for char in safe(text):
        assert (
            unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") or char == "\ufffd"
        )
    safe(text).encode()


@given(HOSTILE)
def test_combining_marks_never_pile_up_and_never_begin_a_text(text: str) -> None:
    run = 0
    cleaned = safe(text)
    assert not cleaned or not unicodedata.combining(cleaned[0])
    for char in cleaned:
        run = run + 1 if unicodedata.category(char) in ("Mn", "Me") else 0
        assert run <= 2


def test_every_character_there_is_is_shown_or_marked_or_has_no_cell() -> None:
    """What is let through has a cell of its own, or at most two share one."""
    for code in (*range(0x20000), *range(0xE0000, 0xE1000), *range(sys.maxunicode - 9, sys.maxunicode + 1)):
        char = chr(code)
        alone, three = safe(char), safe("x" + char * 3)
        assert not alone or cell_len(alone) > 0, ascii(char)
        assert sum(not cell_len(each) for each in three) <= 2, ascii(char)
        if unicodedata.category(char)[0] not in "MZ" and cell_len(char) and char not in FILLERS:
            assert alone == char or unicodedata.category(char) in HIDDEN, ascii(char)


@pytest.mark.parametrize(
    "hidden",
    [
        "".join(chr(0xE0100 + ord(c) - 16) for c in "secret"),
        "\u3164" * 6,
        "\ufe0f" * 6,
        "\u034f" * 6,
        "\u180b",
    ],
    ids=ascii,
)
def test_text_that_is_hidden_in_blank_characters_leaves_a_mark(hidden: str) -> None:
    assert "\ufffd" in safe(f"yes{hidden}!")


def test_an_emoji_may_be_spelt_as_one() -> None:
    assert safe("❤\ufe0f a👍\U0001f3fd") == "❤ a👍\U0001f3fd"


@given(HOSTILE, st.integers(1, 40))
def test_clip_fit_wrap_and_chop_keep_to_their_cells(text: str, cells: int) -> None:
    cleaned = safe(text)
    assert width(clip(cleaned, cells)) <= cells
    assert width(fit(cleaned, cells)) == cells == cell_len(fit(cleaned, cells))
    if cells > 1:
        assert all(width(part) <= cells for part in wrap(cleaned, cells))
        assert all(width(part) <= cells for part in chop(cleaned, cells))


@given(HOSTILE, st.integers(2, 40))
def test_chop_leaves_nothing_out(text: str, cells: int) -> None:
    assert "".join(chop(safe(text), cells)) == safe(text)


def test_what_is_taken_out_leaves_a_mark() -> None:
    assert safe("a\u202eb") == "a\ufffdb"
    assert safe("\x1b[31m") == "␛[31m"
    assert safe_lines("one\r\n\ttwo") == ["one", "    two"]


@given(HOSTILE)
def test_an_ascii_terminal_gets_ascii(text: str) -> None:
    assert Look(DARK, ASCII).text(text).isascii()


def test_a_trace_holds_what_happened_and_nothing_that_steers() -> None:
    try:
        raise ValueError("said \x1b[2J\n\x9b31m")
    except ValueError as error:
        shown = trace(error)
    assert "ValueError: said \u241b[2J" in shown and "test_safe_text.py" in shown
    assert not {c for c in shown if c != "\n" and unicodedata.category(c) in HIDDEN}
