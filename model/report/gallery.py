"""Scenes as a model sees them: the captions it finds for an image, the images it holds to be alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from model.report.chart import GRID, INK, LIMIT, SOFT, WIDTH, Canvas
from model.report.words import COLUMNS, plain, wrapped

GOOD = (0, 128, 90)
_SIDE = 92  # of an image
_SMALL = 84


@dataclass(frozen=True)
class Found:
    """One image, the captions nearest to it (nearest first), and the number of its own among all."""

    image: np.ndarray  # uint8 [H, W, 3]
    own: str
    captions: Sequence[tuple[str, bool]]  # text, and whether it is its own
    rank: int  # 0 is found first


def captions(found: Sequence[Found], title: str) -> Image.Image:
    """Each image with the captions found for it; its own is green, the others are red."""
    tall = _SIDE + 30
    canvas = Canvas(WIDTH, 64 + tall * max(1, len(found)))
    canvas.text(24, 16, title, 18)
    for number, one in enumerate(found):
        top = 62 + number * tall
        canvas.paste(Image.fromarray(one.image), (24, top, 24 + _SIDE, top + _SIDE))
        canvas.box((24, top, 24 + _SIDE, top + _SIDE), edge=GRID)
        x, y = 24.0 + _SIDE + 20, float(top)
        for place, (caption, right) in enumerate(one.captions, 1):
            lines = _lines(canvas, f"{place}. {caption}", WIDTH - x - 30)
            for line in lines[:2]:
                canvas.text(x, y, line, 12.5, GOOD if right else LIMIT)
                y += 16
            y += 2
        if not any(right for _, right in one.captions):
            canvas.text(
                x, y, canvas.fit(f"its own came as number {one.rank + 1}", WIDTH - x - 30, 12), 12, SOFT
            )
    return canvas.done()


def captions_text(found: Sequence[Found]) -> list[str]:
    """The same in lines of at most 80 columns."""
    out = []
    for number, one in enumerate(found, 1):
        out += wrapped(f"image {number}: {plain(one.own, 200)}", COLUMNS, "  ")
        for place, (caption, right) in enumerate(one.captions, 1):
            lines = wrapped(f"{place}. {plain(caption, 200)}", COLUMNS - 6, "")
            out += [f"    {'✓' if right else '✗'} {lines[0]}", *(f"      {line}" for line in lines[1:])]
        if not any(right for _, right in one.captions):
            out.append(f"      its own came as number {one.rank + 1}")
    return out


def alike(asked: np.ndarray, found: np.ndarray, title: str) -> Image.Image:
    """Each image [K, H, W, 3], and beside it those nearest to it [K, M, H, W, 3], nearest first."""
    tall = _SMALL + 14
    canvas = Canvas(WIDTH, 92 + tall * max(1, len(asked)))
    canvas.text(24, 16, title, 18)
    canvas.text(24, 46, "an image", 12, SOFT)
    canvas.text(24 + _SMALL + 44, 46, "nearest to it first", 12, SOFT)
    for number, image in enumerate(asked):
        top = 68 + number * tall
        for place, each in enumerate([image, *found[number]]):
            left = 24 + place * (_SMALL + 12) + (32 if place else 0)
            canvas.paste(Image.fromarray(each), (left, top, left + _SMALL, top + _SMALL))
            canvas.box((left, top, left + _SMALL, top + _SMALL), edge=INK if not place else GRID)
    return canvas.done()


def _lines(canvas: Canvas, text: str, room: float) -> list[str]:
    """Text by the word in lines that fit."""
    lines: list[str] = []
    for word in plain(text, 300).split():
        if lines and canvas.wide(f"{lines[-1]} {word}", 12.5) <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(canvas.fit(word, room, 12.5))
    return lines or [""]
