"""A byte-level BPE learnt from the very texts it is for: it may join whole phrases, so that texts are short.

llama.cpp reads it as `gpt2` with the pre-tokenizer `superbpe`, which splits at numbers alone. Digits are
never joined here: how the pre-tokenizer groups them is then of no weight, and a changed number changes
nothing beside itself.
"""

from __future__ import annotations

import heapq
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

_NUMBERS = re.compile(r"\d+|[^\d]+")


def printable() -> dict[int, str]:
    """The character by which a GGUF file writes each byte: itself, or one from U+0100 on."""
    shaped = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {byte: chr(byte) for byte in shaped}
    for byte in range(256):
        if byte not in table:
            table[byte] = chr(0x100 + len(table) - len(shaped))
    return table


class Tokenizer:
    """Tokens are bytes; numbers 0 to 255 are the single bytes, then one for each merge, by rank."""

    def __init__(self, merges: Sequence[tuple[int, int]]) -> None:
        self.merges = list(merges)
        self.tokens = [bytes([byte]) for byte in range(256)]
        for left, right in merges:
            self.tokens.append(self.tokens[left] + self.tokens[right])
        self._rank = {pair: rank for rank, pair in enumerate(self.merges)}

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, by the rules that llama.cpp follows: lowest rank first, then leftmost."""
        found: list[int] = []
        for piece in _NUMBERS.findall(text):
            found += self._piece(piece.encode())
        return found

    def _piece(self, raw: bytes) -> list[int]:
        ids = list(raw)
        after = [*range(1, len(ids)), -1]
        before = list(range(-1, len(ids) - 1))
        queue = [
            (self._rank[pair], at) for at, pair in enumerate(itertools.pairwise(ids)) if pair in self._rank
        ]
        heapq.heapify(queue)
        while queue:
            rank, at = heapq.heappop(queue)
            other = after[at]
            if other < 0 or ids[at] < 0 or (ids[at], ids[other]) != self.merges[rank]:
                continue
            ids[at], ids[other] = 256 + rank, -1
            after[at] = after[other]
            if after[at] >= 0:
                before[after[at]] = at
            for left in (before[at], at):
                right = after[left] if left >= 0 else -1
                if left >= 0 and right >= 0 and (ids[left], ids[right]) in self._rank:
                    heapq.heappush(queue, (self._rank[ids[left], ids[right]], left))
        return [each for each in ids if each >= 0]

    def decode(self, ids: Iterable[int]) -> bytes:
        """The bytes of some tokens."""
        return b"".join(self.tokens[each] for each in ids)


def learn(texts: Sequence[str], most: int, longest: int) -> Tokenizer:
    """The tokenizer of some texts.

    Args:
        texts: each counted once; one that should be short in tokens may be in it several times.
        most: merges at most.
        longest: bytes of a token at most: a longer one would be met too seldom to be learnt.
    """
    ids: list[int] = []
    for text in texts:
        for piece in _NUMBERS.findall(text):
            if not piece.isdigit():
                ids += [*piece.encode(), -1]
        ids.append(-1)  # a piece's border
    tokens = [bytes([byte]) for byte in range(256)]
    after, before = [*range(1, len(ids)), -1], list(range(-1, len(ids) - 1))
    where: dict[tuple[int, int], set[int]] = defaultdict(set)
    for at, pair in enumerate(itertools.pairwise(ids)):
        if min(pair) >= 0:
            where[pair].add(at)

    def worth(pair: tuple[int, int]) -> tuple[int, bytes, bytes]:
        return (-len(where[pair]), tokens[pair[0]], tokens[pair[1]])

    queue = [(worth(pair), pair) for pair in where]
    heapq.heapify(queue)
    merges: list[tuple[int, int]] = []
    while queue and len(merges) < most:
        said, pair = heapq.heappop(queue)
        places = where.get(pair)
        if not places or len(tokens[pair[0]]) + len(tokens[pair[1]]) > longest:
            continue
        if said != worth(pair):
            heapq.heappush(queue, (worth(pair), pair))
            continue
        new = len(tokens)
        tokens.append(tokens[pair[0]] + tokens[pair[1]])
        merges.append(pair)
        changed = set()
        for at in sorted(places):
            other = after[at]
            if ids[at] != pair[0] or other < 0 or ids[other] != pair[1]:
                continue
            left, right = before[at], after[other]
            if left >= 0 and ids[left] >= 0:
                where[ids[left], ids[at]].discard(left)
                where[ids[left], new].add(left)
                changed.add((ids[left], new))
            if right >= 0 and ids[right] >= 0:
                where[ids[other], ids[right]].discard(other)
                where[new, ids[right]].add(at)
                changed.add((new, ids[right]))
            ids[at], ids[other] = new, -2
            after[at] = right
            if right >= 0:
                before[right] = at
        del where[pair]
        for each in changed:
            heapq.heappush(queue, (worth(each), each))
    return Tokenizer(merges)
