"""Scenes as recipes of columns; numpy is loaded when rows are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datagen.recipe import One, Option, Options, Whole

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Stills:
    """`image/scenes`: pictures of one to three objects, with captions, questions and answers."""

    name: str = "image/scenes"
    version: str = "1"
    form: str = "columns"

    @property
    def options(self) -> Mapping[str, Option]:
        """`size`: pixels a side; `objects`: at most; `wordings`: how many ways of saying it."""
        return {"size": One(32, (32, 64)), "objects": Whole(3, 1, 3), "wordings": Whole(6, 1, 6)}

    def columns(self, options: Options) -> dict[str, tuple[str, tuple[int, ...]]]:
        """The dtype and row shape of each column."""
        from datagen.scenes import stills

        return stills.columns(options)

    def make(self, seed: int, start: int, stop: int, options: Options) -> dict[str, np.ndarray]:
        """Rows start to stop - 1."""
        from datagen.scenes import stills

        return stills.make(seed, start, stop, options)

    def legend(self, options: Options) -> dict[str, Any]:
        """The words of the numbers in `objects` and `topic`."""
        from datagen.scenes import words

        return words.LEGEND


@dataclass(frozen=True)
class Moving:
    """`video/scenes`: one to three objects that drift and bounce, with their velocities and paths."""

    name: str = "video/scenes"
    version: str = "1"
    form: str = "columns"

    @property
    def options(self) -> Mapping[str, Option]:
        """`size`: pixels a side; `frames`: of each scene; `objects`: at most."""
        return {"size": One(32, (32, 64)), "frames": Whole(8, 2, 16), "objects": Whole(3, 1, 3)}

    def columns(self, options: Options) -> dict[str, tuple[str, tuple[int, ...]]]:
        """The dtype and row shape of each column."""
        from datagen.scenes import moving

        return moving.columns(options)

    def make(self, seed: int, start: int, stop: int, options: Options) -> dict[str, np.ndarray]:
        """Rows start to stop - 1."""
        from datagen.scenes import moving

        return moving.make(seed, start, stop, options)

    def legend(self, options: Options) -> dict[str, Any]:
        """The words of the numbers in `objects`; velocities and centres are in quarter pixels, x before y."""
        from datagen.scenes import words

        return words.LEGEND | {"velocity": ["x", "y"], "centres": ["x", "y"]}


STILLS, MOVING = Stills(), Moving()
