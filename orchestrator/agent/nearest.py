"""The lines of a file that a block most likely meant: shown where it does not fit, and never changed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from difflib import SequenceMatcher

_SHOWN = 14  # lines, at most
_COMMON = 50  # a line that stands more often than this tells nothing about the place
_COMPARED = 4_000  # lines of the file that are compared letter by letter
_WIDE = 200  # characters of a line that are compared
_LIKE = 0.6


def nearest(file: Sequence[str], block: Sequence[str]) -> tuple[int, int] | None:
    """The span of lines that looks most like the block, as first index and the one behind the last."""
    where = defaultdict(list)
    for at, line in enumerate(file):
        if line.strip():
            where[line.strip()].append(at)
    starts: Counter[int] = Counter()
    for k, line in enumerate(block):
        known = where.get(line.strip(), ())
        if len(known) <= _COMMON:
            for at in known:
                starts[at - k] += 1
    if starts:
        most = max(starts.values())
        return _span(min(start for start, hits in starts.items() if hits == most), len(block), len(file))
    key = max(range(len(block)), key=lambda k: len(block[k].strip()), default=0)
    likely = _likest(file, block[key].strip()[:_WIDE]) if block else None
    return None if likely is None else _span(likely - key, len(block), len(file))


def _likest(file: Sequence[str], wanted: str) -> int | None:
    """The line that is most like the wanted one, letter by letter."""
    best, found = _LIKE, None
    matcher = SequenceMatcher(None, b=wanted, autojunk=False)
    for at, line in enumerate(file[:_COMPARED]):
        matcher.set_seq1(line.strip()[:_WIDE])
        if matcher.real_quick_ratio() > best and matcher.quick_ratio() > best and matcher.ratio() > best:
            best, found = matcher.ratio(), at
    return found


def _span(start: int, length: int, of: int) -> tuple[int, int]:
    """A few lines more than the block has, within the file."""
    first = max(0, min(start - 1, of - 1))
    return first, min(of, first + min(length + 2, _SHOWN))
