"""How an answer came about: change, halting and doubt over the cycles, and the answer at each of them."""

from __future__ import annotations

from collections.abc import Sequence

from state.curve import Series
from tui.lab.bench import Bench
from tui.lab.replies import Cycle, Said
from tui.lines import Line
from tui.look import Look
from tui.page import Page
from tui.runs.chart import Ask, Columns, Curve, chart


def trace(look: Look, bench: Bench, cells: int, lines: int) -> list[Line]:
    """Change, halting and doubt over the cycles as curves, and the answer at each of them."""
    cycles = bench.trace
    if not cycles:
        page = Page(look, cells)
        page.lines = []
        page.text("No trace yet: enter asks, and the answer comes with one.", "muted")
        return page.lines
    found: list[Line] = []
    height = max(4, min(8, (lines - 2) // 3))
    listed = max(1, min(len(cycles), lines - 3 * height - 1))
    for name, role, values in (
        ("change", "review", [each.change for each in cycles]),
        ("halting", "landed", [each.halt for each in cycles]),
        ("doubt", "waiting", [each.doubt for each in cycles]),
    ):
        found += _curve(look, name, role, values, cells, height)
    found.append([])
    return [*found, *_each(look, bench, cycles, listed)]


def _curve(
    look: Look, name: str, role: str, values: Sequence[float | None], cells: int, height: int
) -> list[Line]:
    series = Series()
    for at, value in enumerate(values, 1):
        if value is not None:
            series.put(at, value)
    curve = Curve("", role, Columns(series), True)
    ask = Ask(name, (curve,), None, 1.0, float(max(2, len(values))), False, 0, "cycles")
    return chart(look, ask, cells, height)


def _each(look: Look, bench: Bench, cycles: Sequence[Cycle], listed: int) -> list[Line]:
    """The answers: of a board how many cells each cycle changed, of a scene the words."""
    final = cycles[-1].answer
    at = bench.cycle if bench.cycle >= 0 else len(cycles) - 1
    first = max(0, min(at - listed + 1, len(cycles) - listed))
    found: list[Line] = []
    for number in range(first, first + listed):
        here = number == bench.cycle
        back = "raised" if here else "bg"
        found.append(
            [
                (f" {number + 1:>3} ", look("accent" if here else "muted", back, bold=here)),
                (f"{_told(look, cycles[number].answer, final)} ", look("text", back, bold=here)),
            ]
        )
    return found


def _told(look: Look, said: Said, final: Said) -> str:
    if isinstance(said, str):
        return look.clip(said, 40) or look.g.dash
    same = sum(one == two for one, two in zip(said, final, strict=True))
    return f"{same} of {len(said)} cells as at the end"
