"""Charts as pictures, drawn with PIL alone: lines with a threshold, bars with spreads, tables of counts.

A picture is drawn at twice its size and reduced, so that lines and letters are smooth. Colours are Okabe and
Ito's, which colour-blind eyes tell apart. Letters are Pillow's own font, so a chart is the same wherever it
is drawn. Text given here is drawn as printable ASCII, whatever it holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 800, 500
PAPER, INK, SOFT, GRID = (255, 255, 255), (34, 34, 34), (110, 110, 110), (228, 228, 228)
COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233))
LIMIT = (196, 30, 58)
_SCALE = 2


@dataclass(frozen=True)
class Series:
    """One line: points in order of x; values that are no numbers leave a gap."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    dots: bool = False  # each point marked, for few of them


@dataclass(frozen=True)
class Limit:
    """A horizontal line that a value must stay over or under."""

    name: str
    value: float


class Canvas:
    """A picture in coordinates of its final size."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._image = Image.new("RGB", (width * _SCALE, height * _SCALE), PAPER)
        self._draw = ImageDraw.Draw(self._image)

    def line(
        self, points: Sequence[tuple[float, float]], colour: tuple[int, int, int], width: float = 1
    ) -> None:
        """A line through all points."""
        scaled = [(x * _SCALE, y * _SCALE) for x, y in points]
        self._draw.line(scaled, fill=colour, width=max(1, round(width * _SCALE)), joint="curve")

    def box(
        self,
        area: tuple[float, float, float, float],
        fill: tuple[int, int, int] | None = None,
        edge: tuple[int, int, int] | None = None,
        width: float = 1,
    ) -> None:
        """A rectangle: left, top, right, bottom."""
        left, top, right, bottom = (each * _SCALE for each in area)
        scaled = max(1, round(width * _SCALE)) if edge else 0
        self._draw.rectangle((left, top, right, bottom), fill=fill, outline=edge, width=scaled)

    def dot(self, x: float, y: float, radius: float, colour: tuple[int, int, int]) -> None:
        """A filled circle."""
        x, y, radius = x * _SCALE, y * _SCALE, radius * _SCALE
        self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 13,
        colour: tuple[int, int, int] = INK,
        at: str = "la",
    ) -> None:
        """Text anchored as PIL names it: `la` left top, `ra` right top, `mm` the middle, `lm`, `rm`."""
        self._draw.text((x * _SCALE, y * _SCALE), ascii_only(text), fill=colour, font=font(size), anchor=at)

    def upright(
        self, x: float, y: float, text: str, size: float = 13, colour: tuple[int, int, int] = INK
    ) -> None:
        """Text that reads from below to above, its middle at x, y."""
        text = ascii_only(text)
        left, top, right, bottom = self._draw.textbbox((0, 0), text, font=font(size), anchor="la")
        strip = Image.new("L", (max(1, int(right - left) + 4), max(1, int(bottom - top) + 6)), 0)
        ImageDraw.Draw(strip).text((2 - left, 3 - top), text, fill=255, font=font(size), anchor="la")
        turned = strip.rotate(90, expand=True)
        where = round(x * _SCALE - turned.width / 2), round(y * _SCALE - turned.height / 2)
        self._image.paste(Image.new("RGB", turned.size, colour), where, turned)

    def paste(self, image: Image.Image, area: tuple[float, float, float, float]) -> None:
        """A picture into a rectangle, its own pixels kept sharp."""
        left, top, right, bottom = (round(each * _SCALE) for each in area)
        self._image.paste(
            image.convert("RGB").resize((right - left, bottom - top), Image.Resampling.NEAREST), (left, top)
        )

    def wide(self, text: str, size: float = 13) -> float:
        """How much room text takes."""
        return float(self._draw.textlength(ascii_only(text), font=font(size))) / _SCALE

    def fit(self, text: str, room: float, size: float = 13) -> str:
        """The text, or its beginning and three dots where it has no room."""
        text = ascii_only(text)[:200]
        while text and self.wide(text, size) > room:
            text = text[:-4].rstrip() + "..." if len(text) > 6 else text[:-1]
        return text

    def done(self) -> Image.Image:
        """The picture at its final size."""
        return self._image.resize((self.width, self.height), Image.Resampling.BOX)


def lines(
    title: str,
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    limit: Limit | None = None,
    log: bool = False,
) -> Image.Image:
    """Lines over one axis, 800 x 500; `log` falls back to a plain axis where a value is not above 0."""
    canvas = Canvas(WIDTH, HEIGHT)
    canvas.text(24, 16, canvas.fit(title, WIDTH - 48, 18), 18)
    points = [finite(one) for one in series]
    xs = np.concatenate([x for x, _ in points]) if points else np.zeros(0)
    ys = np.concatenate([y for _, y in points] + ([np.array([limit.value])] if limit else []))
    if not len(xs):
        canvas.text(WIDTH / 2, HEIGHT / 2, "no values were written", 15, SOFT, "mm")
        return canvas.done()
    log = log and bool((ys > 0).all())
    low, high = span(np.log10(ys) if log else ys, pad=0.06)
    left_x, right_x = span(xs, pad=0)
    left, top, right, bottom = 84.0, 78.0, WIDTH - 28.0, HEIGHT - 62.0

    def place(x: float, y: float) -> tuple[float, float]:
        y = math.log10(y) if log else y
        return (
            left + (x - left_x) / (right_x - left_x) * (right - left),
            bottom - (y - low) / (high - low) * (bottom - top),
        )

    for value, name in log_ticks(low, high) if log else ticks(low, high):
        _, y = place(left_x, value)
        canvas.line([(left, y), (right, y)], GRID)
        canvas.text(left - 8, y, name, 12, SOFT, "rm")
    for value, name in ticks(left_x, right_x):
        x = place(value, ys[0])[0]
        canvas.line([(x, bottom), (x, bottom + 5)], SOFT)
        canvas.text(x, bottom + 9, name, 12, SOFT, "ma")
    canvas.line([(left, top), (left, bottom), (right, bottom)], SOFT)
    canvas.text((left + right) / 2, HEIGHT - 28, x_label, 13, INK, "ma")
    canvas.upright(22, (top + bottom) / 2, y_label + (" (log)" if log else ""))
    for number, ((x_values, y_values), one) in enumerate(zip(points, series, strict=True)):
        placed = [place(float(x), float(y)) for x, y in zip(*thin(x_values, y_values), strict=True)]
        if len(placed) > 1:
            canvas.line(placed, COLOURS[number % len(COLOURS)], 2)
        if one.dots or len(placed) == 1:
            for x, y in placed:
                canvas.dot(x, y, 3.2, COLOURS[number % len(COLOURS)])
    if limit:
        y = place(left_x, limit.value)[1]
        for start in np.arange(left, right, 12):
            canvas.line([(float(start), y), (min(float(start) + 7, right), y)], LIMIT, 1.6)
    _legend(canvas, [one.name for one in series], limit, left)
    return canvas.done()


def bars(
    title: str,
    names: Sequence[str],
    values: Sequence[float],
    spreads: Sequence[float] | None = None,
    marks: tuple[str, Sequence[float]] | None = None,
    most: float | None = None,
) -> Image.Image:
    """Lying bars, the value behind each; `spreads` as whiskers, `marks` a tick at another value of each."""
    room = 34
    canvas = Canvas(WIDTH, 120 + room * max(1, len(names)))
    canvas.text(24, 16, canvas.fit(title, WIDTH - 48, 18), 18)
    known = [v for v in [*values, *(marks[1] if marks else ())] if math.isfinite(v)]
    top = most or max([*known, 1e-9]) * 1.05
    left, right, y = 180.0, WIDTH - 90.0, 62.0
    for value, name in ticks(0, top):
        x = left + value / top * (right - left)
        canvas.line([(x, y), (x, y + room * len(names))], GRID)
        canvas.text(x, y + room * len(names) + 6, name, 12, SOFT, "ma")
    for number, (name, value) in enumerate(zip(names, values, strict=True)):
        middle = y + room * number + room / 2
        canvas.text(left - 10, middle, canvas.fit(name, left - 30), 13, INK, "rm")
        if not math.isfinite(value):
            canvas.text(left + 6, middle, "not measured", 12, SOFT, "lm")
            continue
        length = max(0.0, min(value / top, 1.0)) * (right - left)
        canvas.box((left, middle - 10, left + length, middle + 10), fill=COLOURS[0])
        end = left + length
        spread = spreads[number] if spreads else 0.0
        if spread > 0:
            near, far = (
                left + max(0.0, min((value + d) / top, 1.0)) * (right - left) for d in (-spread, spread)
            )
            canvas.line([(near, middle), (far, middle)], INK, 1.4)
            for x in (near, far):
                canvas.line([(x, middle - 5), (x, middle + 5)], INK, 1.4)
            end = max(end, far)
        if marks and math.isfinite(marks[1][number]):
            x = left + max(0.0, min(marks[1][number] / top, 1.0)) * (right - left)
            canvas.line([(x, middle - 14), (x, middle + 14)], LIMIT, 2.4)
            end = max(end, x)
        canvas.text(end + 8, middle, number_text(value), 13, INK, "lm")
    canvas.line([(left, y), (left, y + room * len(names))], SOFT)
    if marks:
        below = canvas.height - 20
        canvas.line([(left, below - 8), (left, below + 8)], LIMIT, 2.4)
        canvas.text(left + 10, below, marks[0], 12, SOFT, "lm")
    return canvas.done()


def table(title: str, rows: Sequence[str], columns: Sequence[str], counts: np.ndarray) -> Image.Image:
    """Counts [R, C], shaded by their share of the row: the truth by row, what was said by column"""
    side = max(30, min(56, 560 // max(1, len(columns))))
    left, top = 190, 150
    canvas = Canvas(max(520, left + side * len(columns) + 40), top + side * len(rows) + 50)
    canvas.text(24, 16, canvas.fit(title, canvas.width - 48, 18), 18)
    canvas.text(24, 46, "row: what is there; column: what was read from the latents", 12, SOFT)
    for number, name in enumerate(columns):
        short = canvas.fit(name, 72, 12)
        canvas.upright(left + side * number + side / 2, top - 8 - canvas.wide(short, 12) / 2, short, 12)
    for number, name in enumerate(rows):
        middle = top + side * number + side / 2
        canvas.text(left - 10, middle, canvas.fit(name, left - 30, 12), 12, INK, "rm")
        total = max(1, int(counts[number].sum()))
        for column in range(len(columns)):
            share = float(counts[number, column]) / total
            base = COLOURS[0] if number < len(columns) and rows[number] == columns[column] else COLOURS[1]
            shade = tuple(round(255 + (each - 255) * share) for each in base)
            x, y = left + side * column, top + side * number
            canvas.box((x, y, x + side, y + side), fill=(shade[0], shade[1], shade[2]), edge=GRID)
            if share >= 0.005:
                ink = PAPER if share > 0.6 else INK
                canvas.text(x + side / 2, y + side / 2, f"{share:.0%}", 11, ink, "mm")
    return canvas.done()


def ticks(low: float, high: float, about: int = 6) -> list[tuple[float, str]]:
    """Round values from low to high with their text, steps of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / about
    base = 10.0 ** math.floor(math.log10(raw))
    step = next(base * each for each in (1, 2, 5, 10) if base * each >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [(number * step, tick_text(number * step, step)) for number in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Ticks of an axis whose ends are powers: at 1, 2 and 5 of each decade, or at decades alone."""
    decades = range(math.floor(low), math.ceil(high) + 1)
    parts = (1, 2, 5) if high - low < 3 else (1,)
    values = [part * 10.0**decade for decade in decades for part in parts]
    found = [(value, f"{value:g}") for value in values if low <= math.log10(value) <= high]
    return found or [(10.0 ** ((low + high) / 2), f"{10.0 ** ((low + high) / 2):.3g}")]


def tick_text(value: float, step: float) -> str:
    """A tick's number with as many decimals as its step needs; thousands as k, millions as M."""
    if step >= 1000:
        unit, name = (1e6, "M") if step >= 100_000 else (1e3, "k")
        return f"{value / unit:g}{name}" if value else "0"
    return f"{value:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"


def number_text(value: float) -> str:
    """A value in few characters."""
    return (
        "not measured" if not math.isfinite(value) else f"{value:.3f}" if abs(value) < 10 else f"{value:.4g}"
    )


def thin(x: np.ndarray, y: np.ndarray, columns: int = 700) -> tuple[np.ndarray, np.ndarray]:
    """At most some four points a column of the picture, highest and lowest among them: a spike stays."""
    if len(x) <= 4 * columns:
        return x, y
    kept: set[int] = set()
    for part in np.array_split(np.arange(len(x)), columns):
        kept |= {int(part[0]), int(part[-1]), int(part[y[part].argmin()]), int(part[y[part].argmax()])}
    rows = np.array(sorted(kept))
    return x[rows], y[rows]


@lru_cache(maxsize=64)
def font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font at this size of the final picture."""
    return ImageFont.load_default(size * _SCALE)


def ascii_only(text: str) -> str:
    """Printable ASCII: anything else becomes a question mark, a line break a space."""
    return "".join(c if " " <= c <= "~" else " " if c.isspace() else "?" for c in text)


def finite(series: Series) -> tuple[np.ndarray, np.ndarray]:
    """The points of a series that are numbers."""
    x, y = np.asarray(series.x, dtype=np.float64), np.asarray(series.y, dtype=np.float64)
    keep = np.isfinite(x) & np.isfinite(y)
    return x[keep], y[keep]


def span(values: np.ndarray, pad: float) -> tuple[float, float]:
    """Least and greatest with some room, a share of their distance; never the same twice."""
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-9 * max(1.0, abs(low)):
        low, high = low - (abs(low) * 0.1 or 0.5), high + (abs(high) * 0.1 or 0.5)
    return low - pad * (high - low), high + pad * (high - low)


def _legend(canvas: Canvas, names: Sequence[str], limit: Limit | None, left: float) -> None:
    x = left
    for number, name in enumerate(names):
        colour = COLOURS[number % len(COLOURS)]
        canvas.line([(x, 56), (x + 22, 56)], colour, 3)
        canvas.text(x + 28, 56, name, 13, INK, "lm")
        x += 28 + canvas.wide(name) + 24
    if limit:
        for start in (0, 9, 18):
            canvas.line([(x + start, 56), (x + start + 5, 56)], LIMIT, 2)
        canvas.text(x + 30, 56, f"{limit.name} {number_text(limit.value)}", 13, LIMIT, "lm")
