"""Moving scenes as columns: `video/scenes`. Objects drift, bounce off the walls and pass over each other.

Where an object is at any time follows from its start and its velocity in whole quarter pixels, so a frame can
be made without the ones before it. The velocity is that at the start: none begins with a bounce.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from datagen.draws import Draws, Ints
from datagen.scenes import render, scene, words
from datagen.scenes.scene import MOST, PRESENT, SIZE, SIZES, Bytes

NAME = "video/scenes"
SLOWEST, FASTEST = 3, 7  # quarter pixels a frame and axis, in a picture of 32
_STILL = 6  # one object in so many does not move


def columns(options: Mapping[str, Any]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The type and the shape of a row of each column."""
    side, frames = options["size"], options["frames"]
    return {
        "frames": ("uint8", (frames, side, side, 3)),
        "caption": ("uint8", (words.MOVING_CAPTION,)),
        "count": ("uint8", ()),
        "objects": ("uint8", (MOST, 5)),
        "velocity": ("int8", (MOST, 2)),
        "centres": ("int16", (frames, MOST, 2)),
        "split": ("uint8", ()),
        "key": ("uint64", ()),
    }


def make(seed: int, start: int, stop: int, options: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """Rows start to stop - 1; options are `size` (pixels a side), `frames` and `objects` (at most)."""

    def draws(part: str) -> Draws:
        return Draws(f"{NAME}/{part}", seed, start, stop)

    side, count = options["size"], options["frames"]
    scenes = scene.draw(draws("scene"), 1, options["objects"])
    objects = scenes.objects
    spots = scene.spots(draws("spots"), scenes, side)
    velocity = _velocities(draws("velocity"), objects, spots, side)
    centres = _paths(spots, velocity, objects, side, count)
    ground, colours = render.scenery(draws("light"), objects, side)
    frames = np.empty((stop - start, count, side, side, 3), np.uint8)
    for frame in range(count):
        frames[:, frame] = render.paint(ground, objects, colours, centres[:, frame], side)
    way = np.sign(velocity)
    key = scene.keys(objects, way[..., 0], way[..., 1])
    wording = draws("caption").below(words.MOVING_WORDINGS, 1)[:, 0].tolist()
    rows = zip(words.things(objects), way.tolist(), wording, strict=True)
    captions = [words.moving_caption(row, ways, which) for row, ways, which in rows]
    return {
        "frames": frames,
        "caption": words.column(captions, words.MOVING_CAPTION),
        "count": scenes.count,
        "objects": objects,
        "velocity": velocity.astype(np.int8),
        "centres": (centres * objects[:, None, :, PRESENT, None]).astype(np.int16),
        "split": scene.split_of(key),
        "key": key,
    }


def _velocities(draws: Draws, objects: Bytes, spots: Ints, side: int) -> Ints:
    """[N, 3, 2]: quarter pixels a frame along x and y, away from a near wall; zero for what stands."""
    speed = (SLOWEST + draws.below(FASTEST - SLOWEST + 1, MOST)) * side // 32
    way = draws.below(8, MOST)
    way = way + (way >= 4)  # the eight neighbours of the middle of 3 x 3
    moves = (draws.below(_STILL, MOST) > 0) & (objects[..., PRESENT] > 0)
    velocity: Ints = np.stack([way % 3 - 1, way // 3 - 1], axis=-1) * (speed * moves)[..., None]
    low = _reach(objects, side)[..., None]
    blocked = (spots + velocity < low) | (spots + velocity > 4 * side - low)
    return np.where(blocked, -velocity, velocity)


def _reach(objects: Bytes, side: int) -> Ints:
    reach: Ints = np.array([scene.radius(size, side) for size in range(len(SIZES))])[objects[..., SIZE]]
    return reach


def _paths(start: Ints, velocity: Ints, objects: Bytes, side: int, frames: int) -> Ints:
    """[N, frames, 3, 2]: centres in quarter pixels, turned back at the walls."""
    reach = _reach(objects, side)
    low, room = reach[:, None, :, None], (4 * side - 2 * reach)[:, None, :, None]
    time = np.arange(frames)[None, :, None, None]
    straight = start[:, None] + velocity[:, None] * time - low
    folded = straight % (2 * room)
    path: Ints = low + np.where(folded > room, 2 * room - folded, folded)
    return path
