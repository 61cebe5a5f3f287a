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


def recall(images: np.ndarray, texts: np.ndarray, ks: tuple[int, ...] = (1, 5)) -> dict[str, float]:
    """`image_to_text_at_K` and `text_to_image_at_K` for latents [N, D] of which row i belongs to row i."""
    if images.shape != texts.shape or images.ndim != 2 or not len(images):
        raise ValueError(
            f"as many images as texts are needed, [N, D] each, not {images.shape}, {texts.shape}"
        )
    found = {"image_to_text": ranks(images, texts), "text_to_image": ranks(texts, images)}
    return {f"{name}_at_{k}": float(np.mean(rank < k)) for name, rank in found.items() for k in ks}


def nearest(asked: np.ndarray, answers: np.ndarray, count: int) -> np.ndarray:
    """The `count` nearest answers [M, D] to each question [N, D], nearest first: int64 [N, count]."""
    like = unit(asked) @ unit(answers).T
    return np.argsort(-like, axis=1, kind="stable")[:, :count].astype(np.int64)
