"""What can be read off latents by a straight line: the linear probe, and the nearest neighbours beside it.

The probe is multinomial logistic regression on standardised features, its penalty that of scikit-learn's
default (C = 1, Pedregosa et al. 2011), the usual way to ask what frozen latents hold (Alain and Bengio, arXiv
1610.01644). The neighbours vote by cosine similarity as in Wu et al. (arXiv 1805.01978). Both see the latents
as they are; a model that has learnt nothing is measured in the same way, as the control.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

SHAPE, COLOUR, SIZE, CELL, PRESENT = range(5)  # of an object in the column `objects`
_MOST_STEPS = 100  # of L-BFGS; standardised features take 20 to 60
_BLOCK = 2048  # rows whose similarities are held at once


@dataclass(frozen=True)
class Judged:
    """How well labels are told from latents, on rows that the probe was not fitted to."""

    predicted: np.ndarray  # int64 [M]
    truth: np.ndarray  # int64 [M]

    @property
    def accuracy(self) -> float:
        """The share of rows that are right."""
        return float(np.mean(self.predicted == self.truth))

    @property
    def chance(self) -> float:
        """What always naming the most frequent label would reach."""
        return float(np.unique(self.truth, return_counts=True)[1].max() / len(self.truth))

    def confusion(self) -> tuple[np.ndarray, np.ndarray]:
        """The labels in order [C], and counts [C, C]: rows are the truth, columns what was said."""
        labels = np.union1d(self.truth, self.predicted)
        counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
        at = np.searchsorted(labels, self.truth), np.searchsorted(labels, self.predicted)
        np.add.at(counts, at, 1)
        return labels, counts


def linear(
    train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray, seed: int = 0
) -> Judged:
    """A linear probe fitted to the training rows and judged on the test rows.

    Args:
        train_x: Latents [N, D].
        train_y: Whole numbers [N]; a label that never occurs here can't be predicted.
        test_x: Latents [M, D].
        test_y: Whole numbers [M].
        seed: Of the first weights; the problem is convex, so it moves the result little.
    """
    _check(train_x, train_y)
    _check(test_x, test_y)
    labels, target = np.unique(train_y, return_inverse=True)
    mean, deviation = train_x.mean(axis=0), train_x.std(axis=0)
    scale = np.where(deviation > 1e-6 * max(1e-6, float(deviation.max(initial=0))), deviation, np.inf)
    x = _features((train_x - mean) / scale)
    weight = _fit(x, torch.from_numpy(target.reshape(-1).astype(np.int64)), len(labels), seed)
    with torch.no_grad():
        said = (_features((test_x - mean) / scale) @ weight).argmax(dim=1).numpy()
    return Judged(labels[said].astype(np.int64), test_y.astype(np.int64))


def cross(x: np.ndarray, y: np.ndarray, seed: int = 0, folds: int = 4) -> Judged:
    """Probes over folds drawn by the seed: each row is judged by the probe that was fitted to the others."""
    _check(x, y)
    if len(x) < folds:
        raise ValueError(f"{len(x)} rows are too few for {folds} folds")
    order = np.random.default_rng(seed).permutation(len(x))
    predicted = np.zeros(len(x), dtype=np.int64)
    for fold in range(folds):
        held = np.zeros(len(x), dtype=bool)
        held[order[fold::folds]] = True
        predicted[held] = linear(x[~held], y[~held], x[held], y[held], seed).predicted
    return Judged(predicted, y.astype(np.int64))


def neighbours(
    train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray, k: int = 20
) -> Judged:
    """The label that most of the `k` nearest training rows have, by cosine; of equal votes the nearer side's.

    Shapes as for `linear`.
    """
    _check(train_x, train_y)
    _check(test_x, test_y)
    labels, target = np.unique(train_y, return_inverse=True)
    target, k = target.reshape(-1), min(k, len(train_x))
    bank, asked = unit(train_x), unit(test_x)
    said = np.zeros(len(test_x), dtype=np.int64)
    for start in range(0, len(asked), _BLOCK):
        like = asked[start : start + _BLOCK] @ bank.T
        near = np.argpartition(-like, k - 1, axis=1)[:, :k]
        votes = np.zeros((len(like), len(labels)))
        weight = 1 + 1e-3 * np.take_along_axis(like, near, axis=1)
        np.add.at(votes, (np.arange(len(like))[:, None], target[near]), weight)
        said[start : start + _BLOCK] = votes.argmax(axis=1)
    return Judged(labels[said].astype(np.int64), test_y.astype(np.int64))


def scene_labels(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The probe's questions about scenes, each with its answers int64 [N].

    How many objects there are, and of the first of them in reading order its shape, colour, position (cell)
    and size. Read from the columns `count` [N] and `objects` [N, K, 5].
    """
    objects = columns["objects"]
    first = objects[np.arange(len(objects)), objects[:, :, PRESENT].astype(bool).argmax(axis=1)].astype(
        np.int64
    )
    return {
        "count": columns["count"].astype(np.int64),
        "shape": first[:, SHAPE],
        "colour": first[:, COLOUR],
        "position": first[:, CELL],
        "size": first[:, SIZE],
    }


def unit(x: np.ndarray) -> np.ndarray:
    """Rows of length one, float32; a row of zeros stays one."""
    x = np.asarray(x, dtype=np.float32)
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12), dtype=np.float32)


def _features(x: np.ndarray) -> Tensor:
    """Float32 [N, D + 1]: a one behind each row, for the offset."""
    return functional.pad(torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32)), (0, 1), value=1.0)


def _fit(x: Tensor, target: Tensor, classes: int, seed: int) -> Tensor:
    """The weights [D + 1, C] of least penalised cross-entropy, by L-BFGS over all rows at once."""
    generator = torch.Generator().manual_seed(seed)
    weight = (0.01 * torch.randn(x.shape[1], classes, generator=generator)).requires_grad_()
    steps = torch.optim.LBFGS(
        [weight], max_iter=_MOST_STEPS, tolerance_grad=1e-4, history_size=20, line_search_fn="strong_wolfe"
    )

    def loss() -> float:
        steps.zero_grad()
        value = functional.cross_entropy(x @ weight, target) + weight[:-1].square().sum() / (2 * len(x))
        value.backward()  # type: ignore[no-untyped-call]
        return value.detach()  # type: ignore[return-value] # torch wants the tensor, its stub a number

    with torch.enable_grad():
        steps.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach()


def _check(x: np.ndarray, y: np.ndarray) -> None:
    if x.ndim != 2 or y.shape != x.shape[:1] or not len(x):
        raise ValueError(f"latents [N, D] and labels [N] are needed, not {x.shape} and {y.shape}")
    if not np.isfinite(x).all():
        raise ValueError("the latents are not all finite numbers")
