"""Random choices that are the same on every machine, in every process, for ever.

Only `getrandbits` of the Mersenne Twister is used, whose output Python keeps; `choice`, `sample` and
`shuffle` of the standard library have changed between versions.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Rng:
    """A stream of choices that depends on nothing but the parts of its name."""

    def __init__(self, *name: str | int) -> None:
        seed = hashlib.sha256("\x1f".join(map(str, name)).encode()).digest()
        self._bits = random.Random(int.from_bytes(seed, "big")).getrandbits

    def below(self, limit: int) -> int:
        """A whole number from 0 to limit - 1, each as likely as the other."""
        width = limit.bit_length()
        while (number := self._bits(width)) >= limit:
            pass
        return number

    def between(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + self.below(high - low + 1)

    def flip(self) -> bool:
        """True or false."""
        return self._bits(1) == 1

    def choice(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.below(len(items))]

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """`count` different items, in random order."""
        rest = list(items)
        for index in range(count):
            other = index + self.below(len(rest) - index)
            rest[index], rest[other] = rest[other], rest[index]
        return rest[:count]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """All the items in random order."""
        return self.sample(items, len(items))
