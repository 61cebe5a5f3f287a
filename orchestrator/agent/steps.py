"""How one sequence of lines becomes another, as `difflib` tells it, in bounded time."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

Step = tuple[str, int, int, int, int]

_MOST_CELLS = 250_000
"""Lines times lines that difflib is given (its time may grow with them); above it, all is one change."""


def steps(before: Sequence[str], after: Sequence[str]) -> list[Step]:
    """The opcodes that lead from one to the other."""
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    a, b = len(before), len(after)
    while a > start and b > start and before[a - 1] == after[b - 1]:
        a, b = a - 1, b - 1
    found: list[Step] = [("equal", 0, start, 0, start)] if start else []
    if (a - start) * (b - start) > _MOST_CELLS:
        found.append(("replace", start, a, start, b))
    else:
        matcher = SequenceMatcher(None, before[start:a], after[start:b], autojunk=False)
        found += [
            (tag, i + start, j + start, k + start, m + start) for tag, i, j, k, m in matcher.get_opcodes()
        ]
    if a < len(before):
        found.append(("equal", a, len(before), b, len(after)))
    return found
