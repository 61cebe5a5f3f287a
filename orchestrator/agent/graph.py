"""Which file refers to which: an edge from a file that uses a name to the files that define it.

Guarantees: sums are taken in a fixed order, so that the same files give the same figures to the last bit;
names that many files define say nothing and make no edge; the size is bounded by names x MOST_DEFINED.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

MOST_DEFINED = 6  # files that define a name; above, it is a habit (`main`, `setUp`) and no link
MOST_USED = 400  # files that use it; above, everything would be near everything
BACK = 0.4  # how much a user of a definition is worth from the side of the definition
STEPS = 12  # of the walk; with DAMP 0.6 what is left after them is 0.2 %
DAMP = 0.6  # lower than the 0.85 of the web: two links away is already far in a program
SMALL = 1e-5  # of the mass of the walk; a file with less is not gone on from


@dataclass(frozen=True)
class Graph:
    """Edges with weights, by path; both directions are in it."""

    edges: Mapping[str, Sequence[tuple[str, float]]]
    defined: Mapping[str, Sequence[str]]
    """The files that define a name."""

    @classmethod
    def of(cls, files: Mapping[str, tuple[Sequence[str], Mapping[str, int]]]) -> Graph:
        """The graph of files, each with the names that it defines and the words of its code."""
        defined: dict[str, dict[str, None]] = {}
        for path in sorted(files):
            for name in (*files[path][0], _module(path)):
                defined.setdefault(name, {})[path] = None
        links = {name: list(at) for name, at in defined.items() if len(at) <= MOST_DEFINED and len(name) > 2}
        users: dict[str, list[tuple[str, int]]] = {}
        for path in sorted(files):
            for word, number in files[path][1].items():
                if word in links:
                    users.setdefault(word, []).append((path, number))
        sums: dict[str, dict[str, float]] = {path: {} for path in sorted(files)}
        for name in sorted(users):
            if len(users[name]) > MOST_USED:
                continue
            rare = 1 / (len(links[name]) * math.sqrt(len(users[name])))
            for path, number in users[name]:
                weight = rare * math.sqrt(min(number, 16))
                for home in links[name]:
                    if home != path:
                        sums[path][home] = sums[path].get(home, 0.0) + weight
                        sums[home][path] = sums[home].get(path, 0.0) + BACK * weight
        edges = {path: sorted(out.items()) for path, out in sums.items()}
        return cls(edges, {name: list(at) for name, at in defined.items()})

    def spread(self, seeds: Mapping[str, float]) -> dict[str, float]:
        """PageRank from seeds with weights: how often a walk is at a file that follows edges from them.

        Personalised PageRank (Page et al. 1999) by power iteration; the figures sum to at most 1.
        """
        whole = sum(seeds[path] for path in sorted(seeds))
        if whole <= 0:
            return {}
        start = {path: seeds[path] / whole for path in sorted(seeds) if seeds[path] > 0}
        mass, rank = start, {path: (1 - DAMP) * share for path, share in start.items()}
        for _ in range(STEPS):
            onward: dict[str, float] = {}
            for path, share in mass.items():
                out = self.edges.get(path, ())
                total = sum(weight for _, weight in out)
                if share < SMALL or total <= 0:
                    continue
                for other, weight in out:
                    onward[other] = onward.get(other, 0.0) + DAMP * share * weight / total
            mass = dict(sorted(onward.items()))
            for path, share in mass.items():
                rank[path] = rank.get(path, 0.0) + (1 - DAMP) * share
        return rank


def _module(path: str) -> str:
    """The name by which a file is imported, in most languages: its stem, or the folder of an index file."""
    pure = PurePosixPath(path)
    if pure.stem in ("__init__", "index", "mod", "lib", "main") and len(pure.parts) > 1:
        return pure.parts[-2]
    return pure.stem
