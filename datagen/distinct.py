"""How many of many texts are different, in eight bytes a text."""

from __future__ import annotations

import hashlib
from array import array


class Distinct:
    """Counts by a 64-bit hash: even a billion texts collide by chance in one of thirty sets."""

    def __init__(self) -> None:
        # Sorted bucket by bucket, so that only a 256th is ever held as Python numbers.
        self._buckets = [array("Q") for _ in range(256)]

    def add(self, text: str) -> None:
        """Take one text into account."""
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        self._buckets[digest[0]].append(int.from_bytes(digest, "big"))

    def duplicates(self) -> int:
        """How many texts had been there before."""
        return sum(len(bucket) - len(set(bucket)) for bucket in self._buckets)
