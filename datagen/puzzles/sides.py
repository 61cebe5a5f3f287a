"""Which side of the split a problem is on, by the hash of its canonical form alone."""

from __future__ import annotations

import numpy as np

TEST_SHARE = 10  # one in ten


def side(keys: np.ndarray) -> np.ndarray:
    """uint8 [N] for uint64 [N]: 1 (test) for one key in ten, 0 (train) for the others."""
    tested: np.ndarray = (keys % np.uint64(TEST_SHARE) == 0).astype(np.uint8)
    return tested
