"""Whether an image finds its caption and a caption its image, among scenes that are all different.

Recall@k as in CLIP-like work (Radford et al., arXiv 2103.00020), by cosine. Pairs are of unique scenes: of
two equal scenes either caption would be right, and the measure would punish a model for being right.
"""

from __future__ import annotations

import numpy as np

from model.measures.probe import unit


def unique_rows(keys: np.ndarray, count: int, seed: int) -> np.ndarray:
    """At most `count` row numbers, int64, rising, no two of the same key [N]; the seed says which."""
    first = np.unique(keys, return_index=True)[1]
    drawn = np.random.default_rng(seed).permutation(first)[:count]
    return np.sort(drawn).astype(np.int64)


def ranks(asked: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """How many other answers [N, D] are at least as near to each question [N, D] as its own.

    int64 [N]; 0 is found first. An equal one counts as nearer: latents that are all alike find nothing.
    """
    like = unit(asked) @ unit(answers).T
    own = np.diagonal(like)[:, None]
    nearer = like >= own
    np.fill_diagonal(nearer, False)
    return np.asarray(nearer.sum(axis=1), dtype=np.int64)


def recall(asked: np.ndarray, answers: np.ndarray, k: int = 1) -> float:
    """The share of questions [N, D] whose own answer, row i of [N, D] for row i, is among the `k` nearest."""
    if asked.shape != answers.shape or asked.ndim != 2 or not len(asked):
        raise ValueError(f"two equal forms [N, D] are needed, not {asked.shape} and {answers.shape}")
    return float(np.mean(ranks(asked, answers) < k))


def nearest(asked: np.ndarray, answers: np.ndarray, count: int) -> np.ndarray:
    """The `count` nearest answers [M, D] to each question [N, D], nearest first: int64 [N, count]."""
    like = unit(asked) @ unit(answers).T
    return np.argsort(-like, axis=1, kind="stable")[:, :count].astype(np.int64)
