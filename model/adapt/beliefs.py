"""What the core believes of a picture, as a small table: in which cells something stands, and what.

Read off the latents of the core's own encoder by a straight line for each of the nine cells, which is fitted
in closed form to some thousand fresh scenes of the training's recipe (never one that is held out) as the
core is opened: the same core and seed give the same reader. Its softmax is set on scenes that it was not
fitted to, so a belief of 0.9 is right nine times in ten. No lesson of a person's ever changes it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from datagen.draws import Draws
from datagen.scenes import render, scene
from datagen.scenes.scene import CELLS, COLOURS, PRESENT, SHAPES, SIZES

WIDTHS = (1, len(SHAPES), len(COLOURS), len(SIZES))
"""Numbers of each cell: something there, its shape, its colour, its size."""
WIDTH = sum(WIDTHS)
_SCENES, _JUDGES = 6000, 800  # fitted to; to set the softmax by
_BATCH = 256
_RIDGE = 3.0
_HEATS = np.geomspace(1.0, 40.0, 40)
_KEPT = 4  # readers
Look = Callable[[Tensor], Tensor]
"""Pictures uint8 [N, S, S, 3] to the encoder's latents [N, P, W]."""


@dataclass(frozen=True)
class Reader:
    """Straight lines: weights [9, F + 1, 17], the patches of each cell [9, K], heats of the softmax."""

    weights: Tensor
    windows: Tensor
    heats: tuple[float, float, float]

    def read(self, latents: Tensor) -> np.ndarray:
        """Beliefs float32 [N, 9, 17] of latents [N, P, W]: presence 0 or 1, then three distributions."""
        scores = torch.einsum("ncf,cfo->nco", _features(latents, self.windows), self.weights)
        there = scores[..., 0] > 0.5
        none = ~there.any(1)
        there[none, scores[none, :, 0].argmax(1)] = True  # a scene of nothing is none of the core's
        parts = torch.split(scores[..., 1:], list(WIDTHS[1:]), dim=-1)
        odds = [(part * heat).softmax(-1) for part, heat in zip(parts, self.heats, strict=True)]
        return np.asarray(torch.cat([there[..., None].float(), *odds], -1).cpu().numpy(), dtype=np.float32)


def fitted(look: Look, size: int, patch: int, seed: int = 0, scenes: int = _SCENES) -> Reader:
    """A reader of pictures of `size` pixels whose latents `look` gives, one for each patch."""
    windows = _windows(size, patch)
    gram: Tensor | None = None
    sums: Tensor | None = None
    judged: list[tuple[Tensor, Tensor]] = []
    seen, row = 0, 0
    while seen < scenes + _JUDGES:
        pictures, truth = _fresh(seed, row, size)
        row += _BATCH
        x, y = _features(look(torch.from_numpy(pictures)), windows), torch.from_numpy(truth)
        if seen < scenes:
            inner, outer = torch.einsum("ncf,ncg->cfg", x, x), torch.einsum("ncf,nco->cfo", x, y)
            gram, sums = (inner, outer) if gram is None or sums is None else (gram + inner, sums + outer)
        else:
            judged.append((x, y))
        seen += len(pictures)
    assert gram is not None and sums is not None
    square = gram.double() + _RIDGE * torch.eye(gram.shape[-1], dtype=torch.float64, device=gram.device)
    weights = torch.linalg.solve(square, sums.double()).float()
    return Reader(weights, windows, _heats(weights, judged))


def reader_of(key: str, look: Look, size: int, patch: int) -> Reader:
    """The reader of the encoder with this hash, fitted once in a process."""
    name = f"{key}:{size}:{patch}"
    if name not in _readers:
        with torch.no_grad():
            _readers[name] = fitted(look, size, patch)
    _readers.move_to_end(name)
    while len(_readers) > _KEPT:
        _readers.popitem(last=False)
    return _readers[name]


_readers: OrderedDict[str, Reader] = OrderedDict()


def _features(latents: Tensor, windows: Tensor) -> Tensor:
    """[N, 9, F + 1]: the latents of each cell's patches, and a one."""
    even = functional.layer_norm(latents.float(), latents.shape[-1:])
    near = even[:, windows.to(latents.device)].flatten(2)
    return torch.cat([near, near.new_ones(*near.shape[:2], 1)], -1)


def _windows(size: int, patch: int) -> Tensor:
    """int64 [9, K]: the patches that a cell of the scene's grid lies on, as many for each."""
    side = size // patch
    edges = [(at * size // (3 * patch), -(-(at + 1) * size // (3 * patch))) for at in range(3)]
    width = max(last - first for first, last in edges)
    spans = [[min(first, side - width) + step for step in range(width)] for first, _ in edges]
    cells = [[y * side + x for y in spans[at // 3] for x in spans[at % 3]] for at in range(len(CELLS))]
    return torch.tensor(cells)


def _fresh(seed: int, row: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of scenes that no test holds out, and their tables float32 [N, 9, 17]."""
    draws = Draws("beliefs", seed, row, row + _BATCH)
    drawn = scene.draw(draws, 1, scene.MOST)
    pictures = render.draw(draws, drawn.objects, scene.spots(draws, drawn, size), size)
    open_to_all = drawn.split == 0
    return pictures[open_to_all], tables(drawn.objects[open_to_all])


def tables(objects: np.ndarray) -> np.ndarray:
    """The true tables float32 [N, 9, 17] of objects uint8 [N, K, 5]."""
    found = np.zeros((len(objects), len(CELLS), WIDTH), np.float32)
    starts = np.cumsum((0, *WIDTHS))
    rows, places = np.nonzero(objects[..., PRESENT])
    shape, colour, size, cell = (objects[rows, places, each].astype(np.int64) for each in range(4))
    found[rows, cell, 0] = 1.0
    for start, value in zip(starts[1:], (shape, colour, size), strict=False):
        found[rows, cell, start + value] = 1.0
    return found


def _heats(weights: Tensor, judged: list[tuple[Tensor, Tensor]]) -> tuple[float, float, float]:
    """For each attribute the heat of the softmax under which the truth is likeliest."""
    scores = torch.cat([torch.einsum("ncf,cfo->nco", x, weights) for x, _ in judged])
    truth = torch.cat([y for _, y in judged])
    there = truth[..., 0] > 0.5
    found = []
    for part, true in zip(
        torch.split(scores[there][:, 1:], list(WIDTHS[1:]), -1),
        torch.split(truth[there][:, 1:], list(WIDTHS[1:]), -1),
        strict=True,
    ):
        losses = [float(functional.cross_entropy(part * float(heat), true.argmax(-1))) for heat in _HEATS]
        found.append(float(_HEATS[int(np.argmin(losses))]))
    return found[0], found[1], found[2]
