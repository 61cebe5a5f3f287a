"""Where a block's lines stand in a file: exactly, else by ever looser readings, each of them safe on its own.

| reading | takes for the same |
|--|--|
| exact | equal lines |
| trailing whitespace | what ends in other blanks |
| characters | typographic signs for plain ones; in a file that is not UTF-8, any sign beyond ASCII |
| indentation | lines moved in or out in one way throughout (`indents.py`) |
| blank lines | that, with blank lines lost or added |
| spacing | that, with other blanks or quotes within lines |
| comments | that, with comments at the ends of lines that only one side has |
| one stale line | that, with one line of context that is not as the model remembers it |

The last one is where an edit could land in the wrong place: two near duplicates differ by one line as well,
and when the one that is meant is gone the other looks like it with a stale line. So similarity alone decides
nothing there. The odd line must be a comment of which only some words are missing, or a definition that the
file has once must stand above it in the block, so that it is known whose body this is.

Pure. Time is linear in the lines of the file and the block.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from orchestrator.agent.indents import Indentation, between, indent

READINGS = (
    "exact",
    "trailing whitespace",
    "characters",
    "indentation",
    "blank lines",
    "spacing",
    "comments",
    "one stale line",
)

_TELLING = 16
"""Characters, blanks not counted, that lines must have together to be found by more than trailing blanks.

Shorter ones (`return None`, `else:`) are found again in other places by chance."""
_ALIKE = 0.6
"""How alike a stale line under a known definition is at least to the one in its place (difflib's ratio)."""
MOST_PLACES = 20
"""Places that are looked at; a block with one more is ambiguous, whatever they are."""
_STEADY = 3
"""Lines that fit, at least, around a stale one."""
_MARGIN = 0.7
"""Another place where this share of the lines fits makes a stale line doubtful."""
_MOST_PAIRS = 200_000
"""Places looked at for a stale line; a file with more is refused at that reading."""

_TYPOGRAPHIC = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        **dict.fromkeys("\u00a0\u2002\u2003\u2007\u2009\u202f\u3000", " "),
        "\u2026": "...",
        "\ufeff": None,
        "\u200b": None,
    }
)
_BEYOND = re.compile(r"[^\x00-\x7f]+")
_COMMENT = re.compile(r"(?:#|//|--|;|/\*|\*|<!--|%)")
_TAIL = re.compile(r"\s(?:#|//|--|/\*)(?![^'\"]*['\"]\s*[),\]}]).*\Z")
_WORD = re.compile(r"\w+")
_DEFINES = re.compile(
    r"(?:@\w|#{1,6}\s|\[|(?:export |default |public |private |protected |static |async |pub |abstract |final "
    r"|unsafe |override )*(?:def|class|fn|func|function|struct|enum|trait|impl|interface|type|module"
    r"|namespace|package|record|object|macro_rules!|it|test|describe|case|when|section)\b)"
)
_NAMED = re.compile(
    r"(?:export |default |public |private |protected |static |async |pub |abstract |final )*"
    r"(?:def|class|fn|func|function|struct|enum|trait|interface|module|namespace)\s+\(?\w"
)


@dataclass(frozen=True)
class Fit:
    """One place where a block's lines stand."""

    first: int
    end: int  # the file's lines `first` to `end - 1`
    indentation: Indentation | None = field(default_factory=Indentation)  # None: not one way throughout
    stale: int | None = None  # which of the block's lines that are not blank is other in the file
    noisy: frozenset[str] = (
        frozenset()
    )  # lines of the block that have blanks at their end, and the file's not


Key = Callable[[str], str]


def fits(file: Sequence[str], block: Sequence[str], utf8: bool = True) -> tuple[str, list[Fit]]:
    """The places of a block by the first reading that finds any; '' and none where no reading does.

    Args:
        file: the lines of the file.
        block: the lines to find, not all blank.
        utf8: whether the file is; else its bytes beyond ASCII stand in it as surrogates.
    """

    def folded(line: str) -> str:
        line = line.translate(_TYPOGRAPHIC) if not line.isascii() else line
        return line if utf8 or line.isascii() else _BEYOND.sub("\ufffd", line)

    if found := _in_a_row(file, block, str):
        return "exact", found
    if found := _in_a_row(file, block, str.rstrip):
        return "trailing whitespace", found
    if sum(len("".join(line.split())) for line in block) < _TELLING:
        return "", []
    if found := _in_a_row(file, block, lambda line: folded(line).rstrip()):
        return "characters", found
    if found := _in_a_row(file, block, lambda line: folded(line).strip()):
        return "indentation", found
    if found := _filled(file, block, lambda line: folded(line).strip()):
        return "blank lines", found
    if found := _filled(file, block, lambda line: _squeezed(folded(line))):
        return "spacing", found
    if found := _commented(file, block, lambda line: _squeezed(folded(line))):
        return "comments", found
    if found := _stale(file, block, lambda line: _squeezed(folded(line))):
        return "one stale line", found
    return "", []


def places(hay: Sequence[str], needle: Sequence[str]) -> list[int]:
    """Where a sequence stands in another, overlaps included (Knuth, Morris, Pratt: linear whatever comes)."""
    if not needle or len(needle) > len(hay):
        return []
    back = [0] * len(needle)
    known = 0
    for at in range(1, len(needle)):
        while known and needle[at] != needle[known]:
            known = back[known - 1]
        known += needle[at] == needle[known]
        back[at] = known
    found = []
    known = 0
    for at, each in enumerate(hay):
        while known and (known == len(needle) or each != needle[known]):
            known = back[known - 1]
        known += each == needle[known]
        if known == len(needle):
            found.append(at - known + 1)
    return found


def _squeezed(line: str) -> str:
    """A line without blanks, with one kind of quotes, and with no comma or semicolon at its end."""
    return "".join(line.split()).replace("'", '"').rstrip(",;")


def _in_a_row(file: Sequence[str], block: Sequence[str], key: Key) -> list[Fit]:
    starts = places([key(line) for line in file], [key(line) for line in block])
    found = []
    for start in starts[: MOST_PLACES + 1]:
        pairs = [(line, file[start + n]) for n, line in enumerate(block)]
        found.append(
            Fit(
                start,
                start + len(block),
                between(pairs) if key("  x") == key("x") else Indentation(),
                noisy=_noisy(pairs),
            )
        )
    return found


def _filled(file: Sequence[str], block: Sequence[str], key: Key) -> list[Fit]:
    """By the lines that are not blank."""
    there = [n for n, line in enumerate(file) if line.strip()]
    mine = [n for n, line in enumerate(block) if line.strip()]
    starts = places([key(file[n]) for n in there], [key(block[n]) for n in mine])
    return [_fit(file, block, mine, there[at : at + len(mine)]) for at in starts[: MOST_PLACES + 1]]


def _commented(file: Sequence[str], block: Sequence[str], key: Key) -> list[Fit]:
    """By the lines that are not blank, without comments at their ends; two comments must be the same.

    Near duplicates may differ by such comments: a line that has another one is another line.
    """

    def bare(line: str) -> str:
        return key(_TAIL.sub("", line)) if not _COMMENT.match(line.strip()) else key(line)

    found = []
    for fit in _filled(file, block, bare):
        real = [line for line in file[fit.first : fit.end] if line.strip()]
        mine = [line for line in block if line.strip()]
        if all(
            key(a) == key(b) or _TAIL.search(a) is None or _TAIL.search(b) is None
            for a, b in zip(mine, real, strict=True)
        ):
            found.append(fit)
    return found


def _fit(
    file: Sequence[str],
    block: Sequence[str],
    mine: Sequence[int],
    real: Sequence[int],
    odd: int | None = None,
) -> Fit:
    """A place, from its lines that are not blank; with as many blank ones around as it has."""
    first, end = real[0], real[-1] + 1
    for _ in range(mine[0]):
        if not first or file[first - 1].strip():
            break
        first -= 1
    for _ in range(len(block) - 1 - mine[-1]):
        if end == len(file) or file[end].strip():
            break
        end += 1
    pairs = [(block[m], file[r]) for k, (m, r) in enumerate(zip(mine, real, strict=True)) if k != odd]
    return Fit(first, end, between(pairs), odd, _noisy(pairs))


def _noisy(pairs: Sequence[tuple[str, str]]) -> frozenset[str]:
    return frozenset(mine for mine, real in pairs if mine != mine.rstrip() and real == real.rstrip())


def _stale(file: Sequence[str], block: Sequence[str], key: Key) -> list[Fit]:
    """By all lines but one."""
    there = [n for n, line in enumerate(file) if line.strip()]
    mine = [n for n, line in enumerate(block) if line.strip()]
    real, want = [key(file[n]) for n in there], [key(block[n]) for n in mine]
    counts = Counter(real)
    if sum(counts[each] for each in want) > _MOST_PAIRS:
        return []
    shifts = _shifts(real, want)
    found: list[Fit] = []
    for start, hits in shifts.items():
        if hits == len(want) - 1 >= _STEADY and 0 <= start <= len(real) - len(want):
            odd = next(k for k, each in enumerate(want) if real[start + k] != each)
            if _harmless(block[mine[odd]], file[there[start + odd]]) or (
                _known_body(block, mine, odd, [counts[each] for each in want])
                and _alike(block[mine[odd]], file[there[start + odd]])
            ):
                found.append(_fit(file, block, mine, there[start : start + len(mine)], odd))
    rivals = sum(1 for hits in shifts.values() if hits >= max(2, _MARGIN * len(want)))
    return found if len(found) == rivals == 1 else []


def _shifts(real: Sequence[str], want: Sequence[str]) -> Counter[int]:
    """For each place that the block could start at, how many of its lines stand there."""
    where = defaultdict(list)
    for at, each in enumerate(real):
        where[each].append(at)
    return Counter(at - k for k, each in enumerate(want) for at in where.get(each, ()))


def _harmless(mine: str, real: str) -> bool:
    """Whether two lines are one comment, of which one has some words more."""
    a, b = mine.strip(), real.strip()
    if not _COMMENT.match(a) or not _COMMENT.match(b):
        return False
    fewer, more = sorted((_WORD.findall(a.lower()), _WORD.findall(b.lower())), key=len)
    return 2 <= len(fewer) < len(more) <= 2 * len(fewer) and not Counter(fewer) - Counter(more)


def _known_body(block: Sequence[str], mine: Sequence[int], odd: int, counts: Sequence[int]) -> bool:
    """Whether a definition that the file has once stands above the odd line, which is in its body."""
    line = block[mine[odd]]
    if _DEFINES.match(line.strip()):
        return False
    for k in range(odd - 1, -1, -1):
        above = block[mine[k]]
        if len(indent(above).expandtabs()) < len(indent(line).expandtabs()) and _NAMED.match(above.strip()):
            return counts[k] == 1
    return False


def _alike(mine: str, real: str) -> bool:
    mine, real = mine.strip()[:400], real.strip()[:400]
    return not _DEFINES.match(real) and SequenceMatcher(None, mine, real, autojunk=False).ratio() >= _ALIKE
