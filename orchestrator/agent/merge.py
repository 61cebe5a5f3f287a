"""What a block does to the lines where it stands: a merge of three texts.

Between the lines that the model remembers and those it wants lies its change; between those it remembers and
those of the file lies what it remembers wrongly. What it leaves as it is stays as the file has it. Where both
fall on the same lines the change is `Unclear`: it was made for text that is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

from orchestrator.agent.filetext import Line, put
from orchestrator.agent.fit import Fit
from orchestrator.agent.indents import indent

Step = tuple[str, int, int, int, int]

_MOST_CELLS = (
    250_000  # lines times lines that difflib is given; above, all between start and end is one change
)


class Unclear(Exception):
    """The change can't be carried over to the real lines; the message says why, for the model."""


def steps(before: Sequence[str], after: Sequence[str]) -> list[Step]:
    """How one sequence becomes another, as difflib's opcodes."""
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


def merged(file: Sequence[Line], fit: Fit, search: Sequence[str], wanted: Sequence[str]) -> list[Line]:
    """The lines that come in place of `file[fit.first:fit.end]`.

    Raises:
        Unclear: the change falls on lines that are not as the model remembers them.
    """
    turned = _turned(fit, search, wanted)
    before = _gaps(fit)
    made: list[Line] = []
    done = steps(search, wanted)
    for tag, i1, i2, j1, j2 in done:
        if tag == "equal":
            for at in range(i1, i2):
                if (real := fit.pairs[at]) is not None:
                    if at > i1 or not i1:  # else it is at the edge of a change, and was dealt with there
                        made += [file[n] for n in before[at]]
                    made.append(file[real])
            continue
        new = turned[j1:j2]
        _refuse_unknown(file, fit, search, before, i1, i2, bool(new))
        gone = [real for at in range(i1, i2) if (real := fit.pairs[at]) is not None]
        above, below = _edges(fit, before, i1, i2)
        keep_above, keep_below = _kept(file, new, above, below, bool(gone))
        made += [file[n] for n in above] if keep_above else []
        made += put(new, [file[n] for n in gone])
        made += [file[n] for n in below] if keep_below else []
    return made


def _gaps(fit: Fit) -> list[list[int]]:
    """For each paired line of the block, the file's lines right above it that the block does not have."""
    gaps: list[list[int]] = []
    last = None
    for real in fit.pairs:
        gaps.append(list(range(last + 1, real)) if real is not None and last is not None else [])
        last = last if real is None else real
    return gaps


def _edges(fit: Fit, before: Sequence[list[int]], i1: int, i2: int) -> tuple[list[int], list[int]]:
    """The file's own lines above and below those that a step takes; for a mere insertion all are above."""
    paired = [at for at in range(i1, i2) if fit.pairs[at] is not None]
    after = next((at for at in range(i2, len(fit.pairs)) if fit.pairs[at] is not None), None)
    below = before[after] if after is not None and after == i2 else []
    if not paired:
        return below, []
    return (before[paired[0]] if paired[0] == i1 else []), below


def _kept(
    file: Sequence[Line], new: Sequence[str], above: Sequence[int], below: Sequence[int], replaces: bool
) -> tuple[bool, bool]:
    """Whether the file's own blank lines at the edges of a change stay, or are among the new ones."""
    if any(file[n].text.strip() for n in (*above, *below)):
        raise Unclear("right beside the change the file has lines that SEARCH does not have")
    start = next((n for n, line in enumerate(new) if line.strip()), len(new))
    stop = next((n for n, line in enumerate(reversed(new)) if line.strip()), len(new))
    if not replaces and above:  # a mere insertion: above or below them?
        if start == stop == len(above):
            return False, False
        raise Unclear("a blank line is missing in SEARCH where lines are to be put in")
    if (above and start not in (0, len(above))) or (below and stop not in (0, len(below))):
        raise Unclear("blank lines beside the change are not as in the file")
    return bool(above) and not start, bool(below) and not stop


def _refuse_unknown(
    file: Sequence[Line],
    fit: Fit,
    search: Sequence[str],
    before: Sequence[list[int]],
    i1: int,
    i2: int,
    puts: bool,
) -> None:
    """Stop where a change takes lines, or stands beside lines, that the file does not have so."""
    for at in range(i1, i2):
        if at in fit.stale or (fit.pairs[at] is None and search[at].strip()):
            raise Unclear(
                f"SEARCH changes the line `{search[at].strip()[:120]}`, which is not so in the file"
            )
        if at > i1 and any(file[n].text.strip() for n in before[at]):
            raise Unclear("among the lines to change the file has some that SEARCH does not have")
    for at in (i1 - 1, i2):
        if puts and i1 == i2 and 0 <= at < len(search) and fit.pairs[at] is None:
            raise Unclear("SEARCH has a line, right beside the change, that the file does not have")


def _turned(fit: Fit, search: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The wanted lines with the file's indentation, and without blanks that the model adds to line ends."""
    if fit.indentation is None:
        raise Unclear("the lines of SEARCH are indented in another way than those of the file")
    lines = [line.rstrip() for line in wanted] if fit.trim else list(wanted)
    filled = [line for line in wanted if line.strip()]
    if fit.indentation.same or not filled:
        return lines
    shared = {line for line in search if line.strip()} & set(filled)
    least = min(len(indent(line).expandtabs()) for line in search if line.strip())
    if not shared and least != min(len(indent(line).expandtabs()) for line in filled):
        raise Unclear("SEARCH and REPLACE are indented differently, and SEARCH not as the file is")
    turned = fit.indentation.all(lines)
    if turned is None:
        raise Unclear("REPLACE has an indentation that SEARCH does not have, and SEARCH not the file's")
    return turned
