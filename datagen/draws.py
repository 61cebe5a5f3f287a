"""Random numbers for whole columns: each depends on a name, a seed, the row and its place in the row alone.

Any range of rows can be drawn anywhere, in any order, again. The numbers are those of SplitMix64 as a hash of
a counter (Steele, Lea, Flood 2014): 64-bit whole numbers, the same on every machine and under every numpy.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
_STEP = np.uint64(0x9E3779B97F4A7C15)
_ONE, _TWO = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def mix(values: U64) -> U64:
    """A 64-bit hash of each value, one to one."""
    values = (values ^ (values >> np.uint64(30))) * _ONE
    values = (values ^ (values >> np.uint64(27))) * _TWO
    mixed: U64 = values ^ (values >> np.uint64(31))
    return mixed


class Draws:
    """The draws of rows `start` to `stop` - 1, under a name that keeps streams apart."""

    def __init__(self, name: str, seed: int, start: int, stop: int) -> None:
        digest = hashlib.sha256(f"{name}\x1f{seed}".encode()).digest()
        key = np.uint64(int.from_bytes(digest[:8], "big"))
        self._rows = mix(mix(np.arange(start, stop, dtype=np.uint64) * _STEP + _STEP) ^ key)
        self._place = 0

    def bits(self, width: int) -> U64:
        """[rows, width]: the next `width` draws of each row, 64 bits each."""
        places = np.arange(self._place + 1, self._place + width + 1, dtype=np.uint64) * _STEP
        self._place += width
        return mix(self._rows[:, None] + places)

    def below(self, limit: int | Ints, width: int) -> Ints:
        """[rows, width]: whole numbers from 0 to limit - 1, limit at most 2**31 (one number, or one each)."""
        high = (self.bits(width) >> np.uint64(32)).astype(np.int64)
        return (high * limit) >> 32

    def bytes(self, width: int) -> npt.NDArray[np.uint8]:
        """[rows, width]: bytes, each value as likely as the other."""
        words = self.bits((width + 7) // 8).astype("<u8")
        return words.view(np.uint8).reshape(len(words), -1)[:, :width]
