"""A picture of the first rows of a data set: scenes with captions, puzzles with answers, texts.

The same data set gives the same picture, byte for byte, under the same version of Pillow.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw, ImageFont

from datagen import files, load, recipe, runlog
from datagen.errors import BrokenData, DataError

if TYPE_CHECKING:
    import numpy as np

    from datagen.manifest import Manifest

WIDTH, MARGIN = 960, 12
_LINE = 14  # pixels from one line of text to the next
_TEXT = 11
_INK, _PALE, _PAPER, _RULE = (30, 30, 34), (110, 112, 120), (250, 250, 248), (205, 205, 210)
_MAZE = {1: (44, 46, 54), 2: (240, 240, 236), 3: (46, 160, 80), 4: (214, 60, 60), 5: (242, 186, 60)}
_SAMPLES = {"tiles": 24, "strips": 6, "texts": 8}
Draw = Callable[[Image.Image, int, int], None]  # onto a sheet, with the left upper corner
Block = tuple[int, int, Draw]  # width, height, and how it is drawn


def png(data_dir: Path) -> bytes:
    """The sheet of a data folder as a PNG; BrokenData where it does not hold together."""
    found = load.manifest(data_dir)
    blocks = _column_blocks(data_dir, found) if found.form == "columns" else _row_blocks(data_dir)
    said = [f"{name} {_short(value)}" for name, value in sorted(found.parameters.items())]
    title = f"{found.recipe}   {found.count:,} rows   seed {found.seed}   {'   '.join(said)}"
    if found.source:
        title += f"   {found.source}"
    picture = _laid_out(title, blocks)
    kept = io.BytesIO()
    picture.save(kept, "PNG", optimize=False, compress_level=6)
    return kept.getvalue()


def _column_blocks(data_dir: Path, found: Manifest) -> list[Block]:
    arrays = _head(data_dir, found)
    rows = range(len(arrays["key"]))
    if "frames" in arrays:
        return [_strip(arrays, row) for row in rows[: _SAMPLES["strips"]]]
    if "image" in arrays:
        return [_tile(arrays, row) for row in rows[: _SAMPLES["tiles"]]]
    if {"question", "answer"} <= arrays.keys():
        return [_puzzle(found, arrays, row) for row in rows[: _SAMPLES["tiles"]]]
    lines = [", ".join(f"{name} {arrays[name][row].tolist()}" for name in sorted(arrays)) for row in rows]
    return [_texts([_cut(line, 400)]) for line in lines[: _SAMPLES["texts"]]]


def _head(data_dir: Path, found: Manifest) -> dict[str, np.ndarray]:
    """The first rows: of the first file alone, checked."""
    from datagen import columns

    if not found.shards:
        raise BrokenData(f"{data_dir} has no rows; make the data set again")
    first = found.shards[0]
    return columns.read(data_dir / first.path, found.columns, first)


def _row_blocks(data_dir: Path) -> list[Block]:
    blocks = []
    for row in load.read(data_dir):
        lines = [*row["input"].splitlines(), *(f"  {line}" for line in row["cot"].splitlines())]
        blocks.append(_texts([*lines[:10], f"= {row['target'].splitlines()[0] if row['target'] else ''}"]))
        if len(blocks) == _SAMPLES["texts"]:
            break
    return blocks


# Blocks ---------------------------------------------------------------------------------------------


def _tile(arrays: Mapping[str, np.ndarray], row: int) -> Block:
    """A picture with what is said of it."""
    width, side = (WIDTH - 2 * MARGIN) // 6 - MARGIN, 128
    lines = _wrapped(_text(arrays, "caption", row), width)
    if "question" in arrays:
        lines += _wrapped(f"{_text(arrays, 'question', row)} {_text(arrays, 'answer', row)}", width)
    image = Image.fromarray(arrays["image"][row]).resize((side, side), Image.Resampling.NEAREST)

    def draw(sheet: Image.Image, x: int, y: int) -> None:
        sheet.paste(image, (x, y))
        _lines(sheet, lines, x, y + side + 4)

    return width, side + 4 + _LINE * len(lines), draw


def _strip(arrays: Mapping[str, np.ndarray], row: int) -> Block:
    """The frames of a moving scene, side by side."""
    frames = arrays["frames"][row][:8]
    width = WIDTH - 2 * MARGIN
    side = min(112, width // len(frames) - 4)
    lines = _wrapped(_text(arrays, "caption", row), width)

    def draw(sheet: Image.Image, x: int, y: int) -> None:
        for place, frame in enumerate(frames):
            image = Image.fromarray(frame).resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(image, (x + place * (side + 4), y))
        _lines(sheet, lines, x, y + side + 4)

    return width, side + 4 + _LINE * len(lines), draw


def _puzzle(found: Manifest, arrays: Mapping[str, np.ndarray], row: int) -> Block:
    """A question and its answer: a grid where the recipe has one, else as the recipe writes them."""
    question, answer = arrays["question"][row], arrays["answer"][row]
    size = found.parameters.get("size")
    if isinstance(size, int) and size * size == len(question) == len(answer):
        grid = _sudoku if found.recipe == "puzzle/sudoku" else _maze
        side = max(72, min(156, 16 * size))
        return side + 4, side + 8, partial(grid, question, answer, size, side)
    lines = [_written(found, question), f"= {_written(found, answer)}"]
    return _texts([each for line in lines for each in line.splitlines()])


def _written(found: Manifest, row: np.ndarray) -> str:
    """As the recipe writes it; its numbers where the recipe is not installed here."""
    try:
        write = getattr(recipe.load(found.recipe), "text", None)
    except DataError:
        write = None
    return str(write(row, found.parameters)) if write else " ".join(map(str, row.tolist()))


def _sudoku(
    question: np.ndarray, answer: np.ndarray, size: int, side: int, sheet: Image.Image, x: int, y: int
) -> None:
    draw, cell = ImageDraw.Draw(sheet), side / size
    high, wide = {4: (2, 2), 6: (2, 3), 9: (3, 3)}.get(size, (size, size))
    for place in range(size + 1):
        at = round(place * cell)
        draw.line((x, y + at, x + side, y + at), _INK if place % high == 0 else _RULE)
        draw.line((x + at, y, x + at, y + side), _INK if place % wide == 0 else _RULE)
    for place in range(size * size):
        middle = (x + (place % size + 0.5) * cell, y + (place // size + 0.5) * cell)
        ink = _INK if question[place] else (60, 110, 220)
        draw.text(middle, str(int(answer[place])), ink, _font(), anchor="mm")


def _maze(
    question: np.ndarray, answer: np.ndarray, size: int, side: int, sheet: Image.Image, x: int, y: int
) -> None:
    draw, cell = ImageDraw.Draw(sheet), side / size
    for place in range(size * size):
        left, top = x + round(place % size * cell), y + round(place // size * cell)
        box = (left, top, x + round((place % size + 1) * cell) - 1, y + round((place // size + 1) * cell) - 1)
        draw.rectangle(box, _MAZE.get(int(answer[place]), _PALE))


def _texts(lines: list[str]) -> Block:
    width = WIDTH - 2 * MARGIN
    wrapped = [each for line in lines for each in _wrapped(line, width)]
    return width, _LINE * len(wrapped), lambda sheet, x, y: _lines(sheet, wrapped, x, y)


# Layout ---------------------------------------------------------------------------------------------


def _laid_out(title: str, blocks: list[Block]) -> Image.Image:
    """Blocks from left to right, row under row, below a title."""
    head = _wrapped(title, WIDTH - 2 * MARGIN)
    x, y, high, placed = MARGIN, 2 * MARGIN + _LINE * len(head), 0, []
    for width, height, draw in blocks:
        if x > MARGIN and x + width > WIDTH - MARGIN:
            x, y, high = MARGIN, y + high + MARGIN, 0
        placed.append((x, y, draw))
        x, high = x + width + MARGIN, max(high, height)
    sheet = Image.new("RGB", (WIDTH, y + high + MARGIN), _PAPER)
    _lines(sheet, head, MARGIN, MARGIN)
    for x, y, draw in placed:
        draw(sheet, x, y)
    return sheet


def _lines(sheet: Image.Image, lines: list[str], x: int, y: int) -> None:
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        draw.text((x, y + number * _LINE), line, _INK, _font())


def _wrapped(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` pixels; a longer word is cut."""
    lines, line = [], ""
    for word in _cut(text, 600).split(" "):
        longer = f"{line} {word}" if line else word
        if line and _font().getlength(longer) > width:
            lines.append(line)
            longer = word
        while _font().getlength(longer) > width:
            longer = longer[:-1]
        line = longer
    return [*lines, line]


def _cut(text: str, most: int) -> str:
    plain = "".join(c if c.isprintable() else " " for c in text)
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return _cut(text, 60)


def _text(arrays: Mapping[str, np.ndarray], name: str, row: int) -> str:
    """A text column's cell; '' where the set has no such column."""
    return arrays[name][row].tobytes().rstrip(b"\0").decode("utf-8", "replace") if name in arrays else ""


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_TEXT)


def main(data_dir: Path, out: Path) -> int:
    """Write the sheet of a data folder; 1 with a line that says why not."""
    try:
        files.replace(out, png(data_dir))
    except (DataError, OSError) as error:
        print(runlog.explain(error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -P -m datagen.sheet DATA_DIR PNG")
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
