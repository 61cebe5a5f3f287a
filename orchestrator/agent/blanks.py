"""A block in which blank lines were lost or added, with those of the file instead.

Whether REPLACE lost the same ones is only known where it says so: a gap that it keeps has as many blank lines
as in SEARCH (then the model forgot them in both), or as in the file (then in SEARCH alone). Anything else is
`Unclear`, since a guess would add or take lines that nobody asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.agent.steps import steps


class Unclear(Exception):
    """The change can't be carried over to the real lines; the message says why, for the model."""


def apart(lines: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """The filled lines, and the blank ones before each of them and behind the last."""
    filled: list[str] = []
    gaps: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            filled.append(line)
            gaps.append([])
        else:
            gaps[-1].append(line)
    return filled, gaps


def repaired(
    search: Sequence[str], wanted: Sequence[str], real: Sequence[str]
) -> tuple[list[str], list[str]]:
    """SEARCH and REPLACE with the blank lines of the file.

    Args:
        search: its filled lines are those of `real`, in their order.
        wanted: what comes in their place.
        real: the lines of the file.

    Raises:
        Unclear: it can't be told how many blank lines REPLACE means.
    """
    lines, gaps = apart(search)
    new, news = apart(wanted)
    _, there = apart(real)
    kept: dict[int, int] = {}  # a line of SEARCH that stays, and where in REPLACE
    for tag, i1, i2, j1, _ in steps(lines, new):
        if tag == "equal":
            kept.update((i1 + n, j1 + n) for n in range(i2 - i1))
    stays = set(kept.values())
    kept[-1], kept[len(lines)] = -1, len(new)  # the ends stay where they are
    for gap, (mine, file) in enumerate(zip(gaps, there, strict=True)):
        above, below = kept.get(gap - 1), kept.get(gap)
        if len(mine) == len(file) or (above is None and below is None):
            continue
        either = (len(mine), len(file))
        sure = (len(file),)
        if above is not None and below is not None:
            between: tuple[int, ...] = (above + 1, below)
            allowed = either if below == above + 1 else sure
        elif above is not None:
            between = (above + 1,)
            allowed = sure if above + 1 in stays else either
        else:
            assert below is not None
            between = (below,)
            allowed = sure if below - 1 in stays else either
        for at in between:
            if len(news[at]) not in allowed:
                raise Unclear("SEARCH has other blank lines than the file, right beside the change")
            news[at] = file if len(news[at]) != len(file) else news[at]
    return _joined(lines, there), _joined(new, news)


def _joined(lines: Sequence[str], gaps: Sequence[Sequence[str]]) -> list[str]:
    joined = list(gaps[0])
    for line, gap in zip(lines, gaps[1:], strict=True):
        joined += [line, *gap]
    return joined
