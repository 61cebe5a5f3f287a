"""What stands in a scene: one to three objects on a grid of 3 x 3 cells, as columns.

An object is five numbers (shape, colour, size, cell, present) in `[N, 3, 5]`, in reading order: left to
right, then top to bottom, the absent ones last and zero. Where it stands within its cell is kept apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from datagen.draws import U64, Draws, Ints, mix

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "cyan", "white")
SIZES = ("small", "large")
CELLS = ("top left", "top", "top right", "left", "middle", "right", "bottom left", "bottom", "bottom right")
MOST = 3  # objects in a scene
TEST_SHARE = 10  # one canonical scene in ten is held out
SHAPE, COLOUR, SIZE, CELL, PRESENT = range(5)
_RADIUS = (13, 20)  # of 128: 6.5 and 10 pixels across in a picture of 32
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Scenes:
    """Scenes without their pictures."""

    objects: Bytes  # [N, 3, 5]: shape, colour, size, cell, present
    count: Bytes  # [N]
    key: U64  # [N]: a hash of the set of objects, whatever their order, jitter, light or wording
    split: Bytes  # [N]: 0 train, 1 test, by the key alone


def draw(draws: Draws, fewest: int, most: int) -> Scenes:
    """Scenes of `fewest` to `most` objects, each in a cell of its own."""
    count = fewest + draws.below(most - fewest + 1, 1)[:, 0]
    order = np.argsort(draws.bits(len(CELLS)), axis=1, kind="stable")[:, :MOST]  # different cells
    present = np.arange(MOST) < count[:, None]
    cells = np.sort(np.where(present, order, len(CELLS)), axis=1)
    objects = np.zeros((len(count), MOST, 5), np.uint8)
    objects[..., SHAPE] = draws.below(len(SHAPES), MOST)
    objects[..., COLOUR] = draws.below(len(COLOURS), MOST)
    objects[..., SIZE] = draws.below(len(SIZES), MOST)
    objects[..., CELL] = cells
    objects[..., PRESENT] = 1
    objects[~present] = 0
    key = keys(objects)
    return Scenes(objects, count.astype(np.uint8), key, split_of(key))


def keys(objects: Bytes, *more: Ints) -> U64:
    """[N]: one number for the set of objects (and what else is given of each, `[N, 3]`), in any order."""
    wide = objects.astype(np.uint64)
    code = np.zeros(objects.shape[:2], np.uint64)
    for place in range(objects.shape[2]):
        code = code * np.uint64(16) + wide[..., place]
    for each in more:
        code = code * np.uint64(1024) + (each + 512).astype(np.uint64)
    code = np.sort(np.where(wide[..., PRESENT] > 0, mix(code + np.uint64(1)), np.uint64(0)), axis=1)
    whole = np.zeros(len(objects), np.uint64)
    for place in range(objects.shape[1]):
        whole = mix(whole ^ code[:, place])
    return whole


def split_of(key: U64) -> Bytes:
    """0 train or 1 test: the same for the same scene in every data set, whatever its seed and options."""
    sides: Bytes = (mix(key) % np.uint64(TEST_SHARE) == 0).astype(np.uint8)
    return sides


def radius(size: int, side: int) -> int:
    """Half of an object's width in quarter pixels."""
    return _RADIUS[size] * side // 32


def spots(draws: Draws, scenes: Scenes, side: int) -> Ints:
    """[N, 3, 2]: the centres (x, y) in quarter pixels, within the cells, so that no two objects touch."""
    cell = scenes.objects[..., CELL].astype(np.int64)
    grid = np.stack([cell % 3, cell // 3], axis=-1)
    middle = (2 * grid + 1) * 4 * side // 6
    free = np.array([4 * side // 6 - radius(size, side) for size in range(len(SIZES))])  # quarter pixels
    room = free[scenes.objects[..., SIZE]]
    shift = np.stack([draws.below(2 * room + 1, MOST) - room for _ in range(2)], axis=-1)
    centres: Ints = middle + shift
    return centres
