"""Words, as a search in code means them: an identifier is the words it is made of, and a word is its stem.

`url_for`, `urlFor` and "URLs for" share terms; so do "merging", "merge" and "merges". Query and files go
through the same functions, so a stem need not be a word.
"""

from __future__ import annotations

import functools
import re

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_LONGEST = 80  # characters of an identifier that are looked at; longer is a hash or a trap
STOP = frozenset(
    """a about above after all also an and any are as at be because been before being below between
    both but by can could did do does doing don down during each few for from further get had has
    have having he her here hers him his how i if in into is it its just like make makes made me
    more most must my need no nor not now of off on once only or other our out over own s same shall
    she should so some such t than that the their them then there these they this those through to
    too under until up use used uses using very want was we were what when where which while who
    whom why will with without would you your add added adds fix fixed fixes change changed changes
    allow allowed allows ensure now instead bug issue correctly properly longer case cases new old
    support way
    """.split()  # noqa: SIM905 - a list of this length is for reading
)
"""Words that say nothing about where: of English, and of what changes are called."""


@functools.lru_cache(maxsize=1 << 17)
def split(word: str) -> tuple[str, ...]:
    """The terms of an identifier or word: its parts, stemmed, and itself where it has several."""
    word = word[:_LONGEST]
    parts = tuple(dict.fromkeys(stem(part.lower()) for part in _PARTS.findall(word)))
    if len(parts) > 1:
        return (*parts, word.lower().strip("_"))
    return parts


def stem(word: str) -> str:
    """A word without its ending: light, for English, and only where enough is left."""
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 4 and word.endswith(("sses", "xes", "zes", "ches", "shes")):
        word = word[:-2]
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending, least in (("ing", 6), ("ed", 5), ("er", 6), ("or", 6), ("ion", 7)):
        if len(word) >= least and word.endswith(ending):
            if ending == "ion" and word[-4] not in "ts":
                continue
            word = word[: -len(ending)]
            if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
                word = word[:-1]
            break
    return word[:-1] if len(word) > 3 and word.endswith("e") else word
