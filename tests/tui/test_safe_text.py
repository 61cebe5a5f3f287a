"""No text can steer the terminal or leave its cells."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tui.look import ASCII, DARK, Look
from tui.safe_text import chop, clip, fit, safe, safe_lines, width, wrap

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
