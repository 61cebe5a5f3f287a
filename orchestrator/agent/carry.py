"""An edit that was made for an earlier state of the file, carried over to the file as it is now.

A model writes SEARCH from what it was shown, and the file may have changed since, by its own edits too.
Where SEARCH stands word for word, once, in a state that it was shown, there is no doubt what it means; the
change is then carried along the difference of the two states. It is refused where the difference has touched
what the change replaces, or where it would belong to more than one place: nothing is guessed.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from orchestrator.agent.filetext import FileText, Line, NotText, put, read, told
from orchestrator.agent.steps import steps
from orchestrator.agent.verbs import Edit

_SLACK = 3
"""Lines by which a block may be longer or shorter now than it was shown."""

Hunk = tuple[int, int, list[str]]
"""Lines of the earlier state, from and to, and what comes in their place."""


def carried(file: FileText, edit: Edit, seen: Sequence[bytes]) -> list[Line] | None:
    """The lines of the file with the edit carried over; None where that is not sure.

    Args:
        file: as it is now.
        edit: of blocks.
        seen: earlier states of the file that the model was shown, the newest first.
    """
    now = [line.text for line in file.lines]
    for state in seen:
        try:
            before = [line.text for line in read(state).lines]
        except NotText:
            continue
        if before != now and (made := _carried(file.lines, now, edit, before)) is not None:
            return made
    return None


def _carried(
    lines: Sequence[Line], now: Sequence[str], edit: Edit, before: Sequence[str]
) -> list[Line] | None:
    same = {
        i1 + n: j1 + n for tag, i1, i2, j1, _ in steps(before, now) if tag == "equal" for n in range(i2 - i1)
    }
    moved: list[Hunk] = []
    for block in edit.blocks:
        search, wanted = told(block.search), told(block.replace)
        at = _once(before, search)
        if at is None or not _holds(at, search, same):
            return None
        for tag, i1, i2, j1, j2 in steps(search, wanted):
            if tag == "equal":
                continue
            hunk = _moved(at, at + len(search), at + i1, at + i2, same)
            if hunk is None:
                return None
            moved.append((*hunk, wanted[j1:j2]))
    moved.sort(key=lambda hunk: hunk[:2])
    if any(second[0] < first[1] for first, second in itertools.pairwise(moved)):
        return None
    made = list(lines)
    for first, end, new in reversed(moved):
        made[first:end] = put(new, lines[first:end])
    return made


def _once(before: Sequence[str], search: Sequence[str]) -> int | None:
    """Where SEARCH stands, if it does so exactly once."""
    if not any(line.strip() for line in search):
        return None
    found = [
        at
        for at in range(len(before) - len(search) + 1)
        if before[at] == search[0] and list(before[at : at + len(search)]) == list(search)
    ]
    return found[0] if len(found) == 1 else None


def _holds(at: int, search: Sequence[str], same: dict[int, int]) -> bool:
    """Whether most of a block is still there, in one place."""
    filled = [at + n for n, line in enumerate(search) if line.strip()]
    kept = [same[n] for n in filled if n in same]
    return len(kept) * 2 > len(filled) and max(kept) - min(kept) < len(search) + _SLACK


def _moved(first: int, end: int, a: int, b: int, same: dict[int, int]) -> tuple[int, int] | None:
    """Where lines a to b of the earlier state are now; for an insertion, where it belongs.

    Args:
        first: of the block, in the earlier state.
        end: of the block.
        a: of the lines that change.
        b: their end; equal to `a` for an insertion.
        same: lines that did not change, from the earlier state to now.
    """
    if a < b:
        now = [same.get(n) for n in range(a, b)]
        start = now[0]
        if start is None or now != list(range(start, start + b - a)):
            return None
        return start, start + b - a
    before = same.get(a - 1) if a > first else None
    after = same.get(b) if b < end else None
    if before is not None and after is not None and after != before + 1:
        return None
    if before is not None:
        return before + 1, before + 1
    return (after, after) if after is not None else None
