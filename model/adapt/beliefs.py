"""What the core believes of a picture, as a small table: in which of nine places something stands, and what.

The reasoner over pictures sees places before it is asked anything (`Sight` of `model/hrm/scene_net`), and was
told in training what stands where. Its beliefs are taken as they are, but for how sharp they are: its own
training's pictures, seen many times, made it surer than it is right. The heat of each softmax is set on a few
hundred fresh scenes of the recipe (never one that is held out), the same for the same core; so is what it
takes for what: how alike two colours or shapes look to it. No lesson of a person's ever changes either.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from datagen.draws import Draws
from datagen.scenes import render, scene
from datagen.scenes.scene import COLOURS, SHAPES, SIZES
from model.adapt.guard import hash_of
from model.hrm.scene import SceneReasoner, stands
from model.hrm.scene_net import KINDS, PLACES

WIDTHS = (1, len(SHAPES), len(COLOURS), len(SIZES))
"""Numbers of each place: something there, its shape, its colour, its size."""
WIDTH = sum(WIDTHS)
_SCENES = 512
_HEATS = np.geomspace(0.1, 3.0, 40)
_NEAR = 0.5  # cosines from one are as far as e
_KEPT = 8  # cores


@dataclass(frozen=True)
class Fit:
    """What was found of a core's sight on fresh scenes."""

    heats: tuple[float, ...]  # of its distributions
    alike: Mapping[str, np.ndarray]  # of shape and colour [V, V]: how alike they look to it, itself 1


@dataclass(frozen=True)
class Reader:
    """The core's sight, as sharp as it is right."""

    learner: SceneReasoner
    fit: Fit

    @torch.no_grad()
    def read(self, latents: Tensor) -> np.ndarray:
        """Beliefs float32 [N, 9, 17] of latents [N, P, W]: presence 0 or 1, then three distributions."""
        told = _told(self.learner, latents)
        bare = torch.stack([part.softmax(-1)[..., 0] for part in told]).mean(0)
        there = bare < 0.5
        none = ~there.any(1)
        there[none, bare[none].argmin(1)] = True  # a scene of nothing is none of the core's
        odds = [(part[..., 1:] * heat).softmax(-1) for part, heat in zip(told, self.fit.heats, strict=True)]
        return np.asarray(torch.cat([there[..., None].float(), *odds], -1).cpu().numpy(), dtype=np.float32)


def reader_of(learner: SceneReasoner) -> Reader:
    """The reader of a reasoner; its fit is found once in a process for the same weights."""
    key = hash_of(learner)
    if key not in _fits:
        _fits[key] = _fitted(learner)
    _fits.move_to_end(key)
    while len(_fits) > _KEPT:
        _fits.popitem(last=False)
    return Reader(learner, _fits[key])


_fits: OrderedDict[str, Fit] = OrderedDict()


def fresh(name: str, seed: int, start: int, stop: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 [N, S, S, 3] and objects of scenes that no test holds out, of these rows of a stream."""
    draws = Draws(name, seed, start, stop)
    drawn = scene.draw(draws, 1, scene.MOST)
    pictures = render.draw(draws, drawn.objects, scene.spots(draws, drawn, size), size)
    learnable = drawn.split == 0
    return pictures[learnable], drawn.objects[learnable]


def tables(objects: np.ndarray) -> np.ndarray:
    """The true tables float32 [N, 9, 17] of objects uint8 [N, K, 5]."""
    numbers = stands(objects).astype(np.int64)
    found = [(numbers[..., :1] > 0).astype(np.float32)]
    for at, width in enumerate(WIDTHS[1:]):
        found.append(np.eye(width + 1, dtype=np.float32)[numbers[..., at]][..., 1:])
    return np.concatenate(found, -1)


@torch.no_grad()
def _fitted(learner: SceneReasoner) -> Fit:
    """Heats under which the truth is likeliest, and what the sight takes for what."""
    device = learner.embed.device
    pictures, objects = fresh("beliefs", 0, 0, _SCENES, learner.config.vision.size)
    told = _told(learner, learner.seen(torch.from_numpy(pictures).to(device)))
    truth = torch.from_numpy(stands(objects).astype(np.int64)).to(device)
    there = truth[..., 0] > 0
    heats, alike = [], {}
    for at, (name, part) in enumerate(zip(("shape", "colour", "size"), told, strict=True)):
        scores, true = part[there][:, 1:], truth[there][:, at] - 1
        losses = [float(functional.cross_entropy(scores * float(heat), true)) for heat in _HEATS]
        heats.append(float(_HEATS[int(np.argmin(losses))]))
        alike[name] = _alike(scores.log_softmax(-1).cpu().numpy(), true.cpu().numpy())
    return Fit(tuple(heats), alike)


def _alike(scores: np.ndarray, true: np.ndarray) -> np.ndarray:
    """[V, V] of scores [N, V] of things of the value `true` [N]: near one where they look alike."""
    groups = [scores[true == at] for at in range(scores.shape[1])]
    mean = np.stack([(group if len(group) else scores).mean(0) for group in groups])
    mean = mean - mean.mean(0)
    mean = (mean + mean.T) / 2
    rows = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9)
    found = np.exp((rows @ rows.T - 1) / _NEAR)
    np.fill_diagonal(found, 1.0)
    return np.asarray(found, dtype=np.float64)


def _told(learner: SceneReasoner, latents: Tensor) -> tuple[Tensor, ...]:
    """Logits [N, 9, K + 1] of shape, colour and size; the first of each: nothing."""
    _, told = learner.sight(latents.float())
    assert told.shape[1:] == (PLACES, sum(KINDS))
    return tuple(torch.split(told, list(KINDS), -1))
