"""The question of a bench as a picture: a board, a scene in half blocks, a line of words."""

from __future__ import annotations

from tui.lab import picture, scene
from tui.lab.bench import Bench
from tui.lab.board import board, kind, legend
from tui.lab.replies import Unclear
from tui.lines import Line
from tui.look import Look
from tui.page import Page


def question(look: Look, bench: Bench, cells: int, lines: int) -> list[Line]:
    """The question as a picture, with what was answered in its place."""
    if bench.part.task == "board":
        return _board(look, bench, cells, lines)
    if bench.part.task == "scene":
        return _scene(look, bench, cells, lines)
    page = Page(look, cells)
    page.text("A text, as the model takes it in", "muted")
    page.gap()
    return [*page.lines, *_typed(look, bench, 0, "", cells)]


def _board(look: Look, bench: Bench, cells: int, lines: int) -> list[Line]:
    shown = bench.shown()
    below = _below(look, bench, cells)
    found = board(look, bench.part, shown, cells, max(3, lines - len(below) - 1))
    kinds = {kind(shown, at, bench.part.blank) for at in range(len(shown.cells))}
    found.append(legend(look, tuple(kinds)))
    return [*found, *below]


def _below(look: Look, bench: Bench, cells: int) -> list[Line]:
    page = Page(look, cells)
    page.lines = []
    if bench.mode == "edit":
        page.text("Arrows, then a digit; space empties a cell. enter asks, esc is done.", "accent")
    elif bench.mode == "correct":
        page.text("The right answer: change what is wrong. enter teaches it, esc leaves it.", "accent")
    elif bench.cycle >= 0:
        page.text(f"After cycle {bench.cycle + 1} of {len(bench.trace)}", "review")
    elif bench.answer is None and bench.seed:
        page.text("An example. enter asks.", "muted")
    elif bench.answer is None:
        page.text("n takes an example, e changes it, enter asks.", "muted")
    return page.lines


def _scene(look: Look, bench: Bench, cells: int, lines: int) -> list[Line]:
    part, objects, wrong = bench.part, [], {}
    for number, edit in enumerate(bench.lines[:-1]):
        if edit.text.strip():
            try:
                objects.append(scene.parse(edit.text, part))
            except Unclear as error:
                wrong[number] = str(error)
    room = lines - len(bench.lines) - 1  # for the lines and what is said of them
    side = max(12, min(cells - 3, 2 * room, 48)) // 6 * 6
    found: list[Line] = picture.drawn(look, scene.raster(objects, part, side))
    at = bench.at if bench.mode == "edit" else -1
    for number in range(part.most):
        if number == at or bench.lines[number].text or (bench.mode == "edit"):
            found += _typed(look, bench, number, str(number + 1), cells, number in wrong)
    found += _typed(look, bench, part.most, "Q", cells)
    said, role = "", "muted"
    if at in wrong:
        said, role = wrong[at], "failed"
    elif bench.mode == "edit":
        said, role = "in words" if at == part.most else f"such as {scene.hint(part)}", "accent"
    elif bench.answer is None:
        said = "n: an example, e: your own scene"
    return [*found, [(f" {look.clip(said, cells - 2)}", look(role))]]


def _typed(look: Look, bench: Bench, number: int, label: str, cells: int, wrong: bool = False) -> list[Line]:
    """A line that can be typed into."""
    edit, here = bench.lines[number], bench.mode == "edit" and bench.at == number
    name = f" {label} " if label else " > "
    mark = (name, look("failed" if wrong else "accent" if here else "faint", bold=here))
    room = max(8, cells - len(name) - 2)
    if here:
        return [[mark, *edit.pieces(look, room, "raised")]]
    if edit.text:
        return [[mark, (look.clip(edit.text, room), look("failed" if wrong else "text"))]]
    return [[mark, (look.g.dash, look("faint"))]]
