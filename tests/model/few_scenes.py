"""Small scenes and a small JEPA, for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from datagen.draws import Draws
from datagen.scenes import moving as clips
from datagen.scenes import render, scene, words
from model.jepa.learner import JepaLearner, build
from model.learner import DataInfo

torch.set_num_threads(1)  # two threads on two busy cores wait for each other ten times as long as they work

TINY: dict[str, Any] = {
    "latent": 16,
    "hidden": 32,
    "vision": {"width": 32, "depth": 1, "heads": 2},
    "text": {"width": 32, "depth": 1, "heads": 2, "length": 48},
    "directions": 32,
}
INFO = DataInfo("image/scenes", {}, {}, 64)


def columns(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """So many scenes, as a data set of `image/scenes` holds them."""
    draws = Draws("test", seed, 0, count)
    made = scene.draw(draws, 1, 3)
    pictures = render.draw(draws, made.objects, scene.spots(draws, made, 32), 32)
    said = words.captions(draws, made.objects, words.WORDINGS)
    return {"image": pictures, "caption": said, "objects": made.objects, "count": made.count, "key": made.key}


def learner(seed: int = 0, **options: Any) -> JepaLearner:
    """A tiny JEPA; options are laid over TINY."""
    torch.manual_seed(seed)
    return build({**TINY, **options}, INFO)


class Few:
    """`model.learner.Feed` over a few rows, in order, round and round."""

    def __init__(self, rows: dict[str, Tensor], seed: int = 0) -> None:
        self._rows, self._at = rows, 0
        self.rng = torch.Generator().manual_seed(seed)

    def take(self, count: int) -> dict[str, Tensor]:
        """The next rows."""
        index = torch.arange(self._at, self._at + count) % len(self._rows["caption"])
        self._at += count
        return {name: rows[index] for name, rows in self._rows.items()}


def moving(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """So many moving scenes of five frames, as a data set of `video/scenes` holds them."""
    return clips.make(seed, 0, count, {"size": 32, "frames": 5, "objects": 3})
