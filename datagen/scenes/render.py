"""Pictures of scenes, by whole numbers alone, so that every machine gives the same bytes.

Each shape is a signed distance, sampled 8 x 8 times a pixel once for every size and quarter-pixel offset; a
picture is then its background with these stamps laid over it.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

from datagen.draws import Draws, Ints
from datagen.scenes.scene import COLOUR, COLOURS, MOST, PRESENT, SHAPE, SHAPES, SIZE, SIZES, Bytes, radius

Field = npt.NDArray[np.float64]
_SAMPLES = 8  # a pixel and direction
_QUARTERS = 4
_RGB = {
    "red": (228, 38, 44),
    "green": (40, 170, 60),
    "blue": (52, 92, 250),
    "yellow": (246, 222, 40),
    "purple": (160, 52, 200),
    "orange": (250, 134, 22),
    "cyan": (42, 208, 222),
    "white": (246, 246, 246),
}
_TINT = 10  # a colour's channels differ by up to this
_CHUNK = 512  # pictures at once: what fits a cache


def draw(draws: Draws, objects: Bytes, spots: Ints, side: int) -> Bytes:
    """[N, side, side, 3]: the objects at their spots over a plain or graded, lightly noisy background."""
    ground, colours = scenery(draws, objects, side)
    return paint(ground, objects, colours, spots, side)


def scenery(draws: Draws, objects: Bytes, side: int) -> tuple[Bytes, Bytes]:
    """A background `[N, side, side, 3]` and the objects' own colours `[N, 3, 3]`: what frames share."""
    return _grounds(draws, side), _tints(draws, objects)


def paint(ground: Bytes, objects: Bytes, colours: Bytes, spots: Ints, side: int) -> Bytes:
    """The backgrounds with the objects laid over them in order; what lies outside is cut off."""
    stamps = _stamps(side)
    width = stamps.shape[-1]
    edge = width  # so that a stamp at the border needs no case of its own
    picture = np.empty_like(ground)
    across = np.arange(width)
    for begin in range(0, len(ground), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        canvas = np.pad(ground[part], ((0, 0), (edge, edge), (edge, edge), (0, 0))).astype(np.int32)
        for place in range(MOST):
            here = np.flatnonzero(objects[part][:, place, PRESENT])
            which, spot = objects[part][here, place], spots[part][here, place]
            whole, rest = spot // _QUARTERS, spot % _QUARTERS
            cover = stamps[which[:, SHAPE], which[:, SIZE], rest[:, 1], rest[:, 0]][..., None]
            y = whole[:, 1, None, None] + (across - width // 2 + edge)[:, None]
            x = whole[:, 0, None, None] + (across - width // 2 + edge)
            under = canvas[here[:, None, None], y, x]
            over = colours[part][here, place][:, None, None].astype(np.int32)
            canvas[here[:, None, None], y, x] = (under * (256 - cover) + over * cover + 128) >> 8
        picture[part] = canvas[:, edge:-edge, edge:-edge]
    return picture


def _tints(draws: Draws, objects: Bytes) -> Bytes:
    base = np.array([_RGB[name] for name in COLOURS])[objects[..., COLOUR]]
    shift = draws.below(2 * _TINT + 1, MOST * 3).reshape(-1, MOST, 3) - _TINT
    return np.clip(base + shift, 0, 255).astype(np.uint8)


def _grounds(draws: Draws, side: int) -> Bytes:
    """Dark: a level of 20 to 75, half with a slope of up to 24 in one of eight directions; noise of 6."""
    level = 20 + draws.below(56, 3)
    slope = draws.below(25, 1) * draws.below(2, 1)  # every other one is plain
    compass = np.array([(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)])
    way = compass[draws.below(len(compass), 1)[:, 0]]
    ramp = np.arange(side) * 2 - (side - 1)
    rise = way[:, 0, None, None] * ramp + way[:, 1, None, None] * ramp[:, None]
    rise = rise * slope[:, None] // (2 * side)
    ground = np.empty((len(level), side, side, 3), np.uint8)
    noise = draws.bytes(side * side * 3)
    for begin in range(0, len(ground), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        grain = noise[part].reshape(-1, side, side, 3).astype(np.int16) * 13 >> 8
        smooth = (level[part, None, None] + rise[part, ..., None]).astype(np.int16)
        ground[part] = np.clip(smooth + grain - 6, 0, 255)
    return ground


@cache
def _stamps(side: int) -> npt.NDArray[np.int32]:
    """[shape, size, y quarter, x quarter, width, width]: how much of each pixel is covered, of 256."""
    width = 2 * (max(radius(size, side) for size in range(len(SIZES))) // _QUARTERS + 2) + 1
    stamps = np.empty((len(SHAPES), len(SIZES), _QUARTERS, _QUARTERS, width, width), np.int32)
    fine = (np.arange(width * _SAMPLES) + 0.5) / _SAMPLES - width // 2
    for size in range(len(SIZES)):
        reach = radius(size, side) / _QUARTERS
        for y in range(_QUARTERS):
            for x in range(_QUARTERS):
                u = ((fine - x / _QUARTERS) / reach)[None, :]
                v = ((fine - y / _QUARTERS) / reach)[:, None]
                for shape, name in enumerate(SHAPES):
                    inside = (_distance(name, u, v) <= 0).reshape(width, _SAMPLES, width, _SAMPLES)
                    stamps[shape, size, y, x] = inside.sum(axis=(1, 3)) * 256 // _SAMPLES**2
    return stamps


def _distance(shape: str, x: Field, y: Field) -> Field:
    """Signed distance to a shape that fills the square from -1 to 1; negative inside, y points down."""
    if shape == "circle":
        return _length(x, y) - 1
    if shape == "square":
        return np.maximum(np.abs(x), np.abs(y)) - 1
    if shape == "triangle":  # upright: the slopes have the normals (+-2, -1) / sqrt 5
        return np.maximum(y - 0.9, (2 * np.abs(x) - y - 1) / math.sqrt(5))
    if shape == "cross":
        a, b = np.abs(x), np.abs(y)
        cross: Field = np.minimum(np.maximum(a - 1, b - 0.34), np.maximum(a - 0.34, b - 1))
        return cross
    if shape == "ring":
        band: Field = np.abs(_length(x, y) - 0.75) - 0.25
        return band
    return _star(x, y)


# The directions of a five-pointed star's tips, written out: sine and cosine differ between machines.
_TIPS = (
    (0.0, -1.0),
    (0.951056516295, -0.309016994375),
    (0.587785252292, 0.809016994375),
    (-0.587785252292, 0.809016994375),
    (-0.951056516295, -0.309016994375),
)


def _length(x: Field, y: Field) -> Field:
    length: Field = np.sqrt(x * x + y * y)
    return length


def _star(x: Field, y: Field) -> Field:
    """A pentagram with its arms: inside all of its five lines but one at most."""
    lines = np.sort(np.stack([x * tx + y * ty - 0.309016994375 for tx, ty in _TIPS]), axis=0)
    second: Field = lines[-2] - 0.07  # a little fatter, so that its tips are seen in small pictures
    return second
