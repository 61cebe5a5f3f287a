"""Scenes as recipes of columns; numpy is loaded when rows are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from datagen.recipe import ColumnRecipe, One, Option, Options, Whole

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from datagen.scenes.fetched import Entry


@dataclass(frozen=True)
class Stills:
    """`image/scenes`: pictures of one to three objects, with captions, questions and answers."""

    name: str = "image/scenes"
    version: str = "1"
    form: str = "columns"
    about: str = "scenes of up to three objects, with captions, questions and answers"

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
    about: str = "the same in motion: frames, velocities and paths"

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


@dataclass(frozen=True)
class ComfyUI:
    """`image/comfyui`: images that a ComfyUI on this machine made; drawn ones where none answered."""

    name: str = "image/comfyui"
    version: str = "1"
    form: str = "columns"
    about: str = "images of a ComfyUI on this machine with their prompts; drawn where none answers"
    given: tuple[Path, tuple[Entry, ...]] | None = None
    """The folder and the list of the images, once they are there."""

    @property
    def options(self) -> Mapping[str, Option]:
        """`size`: pixels a side; `port`: where ComfyUI listens on this machine."""
        return {"size": One(32, (32, 64)), "port": Whole(8188, 1, 65535)}

    def columns(self, options: Options) -> dict[str, tuple[str, tuple[int, ...]]]:
        """The dtype and row shape of each column."""
        from datagen.scenes import fetched

        return fetched.columns(options)

    def make(self, seed: int, start: int, stop: int, options: Options) -> dict[str, np.ndarray]:
        """Rows start to stop - 1, decoded or drawn."""
        from datagen.scenes import fetched

        if self.given is None:
            return fetched.drawn(seed, start, stop, options)
        folder, entries = self.given
        return fetched.fetched(folder, entries[start:stop], options["size"])

    def bind(self, run_dir: Path, seed: int, count: int) -> tuple[ColumnRecipe, str]:
        """The recipe with the images that lie in the run's folder, if any; and where the rows come from."""
        from datagen.scenes import fetched

        entries, source = fetched.listed(run_dir, count)
        given = (run_dir / fetched.GIVEN, tuple(entries)) if entries else None
        return replace(self, given=given), source


STILLS, MOVING, COMFYUI = Stills(), Moving(), ComfyUI()
