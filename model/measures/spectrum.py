"""How many directions latents use, and whether any lie still: the signs of collapse.

The effective rank is RankMe's (Garrido et al., arXiv 2210.02885): the exponential of the entropy of the
singular values' shares. It compares runs of one method and is an alarm, not a score.
"""

from __future__ import annotations

import numpy as np

_STILL = 1e-5
"""Below this share of the latents' length all differences are rounding: everything fell onto one point."""


def singular_values(latents: np.ndarray) -> np.ndarray:
    """Float64 [min(N, D)], falling: those of the centred latents [N, D]; all zeros when they are one point.

    Centred, since an offset that all rows share says nothing about any of them.
    """
    if latents.ndim != 2 or not latents.size or not np.isfinite(latents).all():
        raise ValueError(f"finite latents [N, D] are needed, not {latents.shape}")
    x = latents.astype(np.float64)
    centred = x - x.mean(axis=0)
    length = np.sqrt(np.square(x).mean())
    if np.sqrt(np.square(centred).mean()) <= _STILL * length:
        return np.zeros(min(x.shape))
    if len(x) > x.shape[1]:  # the same numbers from [D, D], some ten times cheaper
        values = np.linalg.eigvalsh(centred.T @ centred)[::-1]
        found = np.sqrt(np.maximum(values - values[0] * 1e-14, 0))
    else:
        found = np.linalg.svd(centred, compute_uv=False)
    return np.asarray(found)


def effective_rank(latents: np.ndarray) -> float:
    """From 1 (one direction, or one point) to min(N, D) (all directions alike); latents are [N, D]."""
    values = singular_values(latents)
    total = values.sum()
    if total == 0:
        return 1.0
    share = values[values > 0] / total
    return float(np.exp(-(share * np.log(share)).sum()))


def deviations(latents: np.ndarray) -> np.ndarray:
    """The standard deviation of each dimension, float64 [D]; near 0 is a dimension that says nothing."""
    return np.asarray(latents.astype(np.float64).std(axis=0))
