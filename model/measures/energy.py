"""How far what is seen lies from what is predicted: a JEPA's energy, and if it tells true pairs from false.

The energy of an image and a text is one minus the cosine of the text latent that the image predicts and the
text's own latent (LeCun 2022, "A path towards autonomous machine intelligence": low for what goes together).
No pixel or word is compared.
"""

from __future__ import annotations

import numpy as np

from model.measures.calibration import auroc
from model.measures.probe import unit


def energy(predicted: np.ndarray, latents: np.ndarray) -> np.ndarray:
    """Float64 [N], 0 to 2, of predicted latents [N, D] and those that came [N, D]."""
    if predicted.shape != latents.shape or predicted.ndim != 2 or not len(latents):
        raise ValueError(f"two equal forms [N, D] are needed, not {predicted.shape} and {latents.shape}")
    return np.asarray(1 - (unit(predicted) * unit(latents)).sum(axis=1, dtype=np.float64))


def pairs_auroc(predicted: np.ndarray, latents: np.ndarray, seed: int) -> float:
    """The chance that a true pair has the lower energy of it and a mismatched one; 0.5 tells nothing.

    Row i of [N, D] belongs to row i; each is mismatched once, with a row that is not its own.
    """
    count = len(latents)
    if count < 2:
        raise ValueError("two rows at least are needed to mismatch them")
    order = np.random.default_rng(seed).permutation(count)
    other = np.empty(count, dtype=np.int64)
    other[order] = np.roll(order, 1)  # one ring through all: nobody stays its own
    true, false = energy(predicted, latents), energy(predicted, latents[other])
    return auroc(-np.concatenate([true, false]), np.arange(2 * count) < count)


def preferred(predicted: np.ndarray, true: np.ndarray, false: np.ndarray) -> float:
    """The share of rows [N, D] whose true text has less energy than the false one; of equal ones half."""
    near, far = energy(predicted, true), energy(predicted, false)
    return float(np.mean(near < far) + 0.5 * np.mean(near == far))
