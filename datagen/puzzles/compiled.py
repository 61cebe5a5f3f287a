"""The compiler of the puzzles' loops, and random numbers that depend on a name and a count alone.

Compiled code is kept by numba beside the source (`__pycache__`), or below the user's cache folder where
that can't be written (`NUMBA_CACHE_DIR` chooses another); where neither can, each process compiles it. A copy
goes stale with its own file alone: after a change in this file, remove the copies of the others, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from datagen.errors import DataError

try:
    import numba
except ImportError:  # the core runs without the extra
    raise DataError("making puzzles needs numba: pip install 'jetbox[model]'") from None

F = TypeVar("F", bound=Callable[..., Any])

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_30, _27, _31, _32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)


def compiled(function: F) -> F:
    """The function as machine code, kept between processes where a folder for it can be written."""
    try:
        made: Any = numba.njit(cache=True)(function)
    except RuntimeError:  # numba found no place for its copies
        made = numba.njit(function)
    kept: F = made
    return kept


@compiled
def mix(value: Any) -> Any:
    """The finaliser of splitmix64: uint64 to uint64, one to one, every bit depending on every bit."""
    value = (value ^ (value >> _30)) * _FIRST
    value = (value ^ (value >> _27)) * _SECOND
    return value ^ (value >> _31)


@compiled
def stream(state: Any, seed: Any, name: Any, row: Any) -> None:
    """Put `state` (uint64 [1]) at the beginning of the numbers of this row."""
    state[0] = mix(mix(mix(np.uint64(seed) + _GOLDEN) ^ np.uint64(name)) + np.uint64(row) * _GOLDEN)


@compiled
def below(state: Any, limit: Any) -> Any:
    """The next number from 0 to limit - 1; limit is below 2^32, and the unevenness below limit / 2^32."""
    state[0] += _GOLDEN
    return np.int64(((mix(state[0]) >> _32) * np.uint64(limit)) >> _32)
