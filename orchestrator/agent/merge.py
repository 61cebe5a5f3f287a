"""What a block does to the lines where it stands: a merge of three texts.

Between the lines that the model remembers and those it wants lies its change; between those it remembers and
those of the file lies what it remembers wrongly. What it leaves as it is stays as the file has it. Where both
fall on the same lines the change is `Unclear`: it was made for text that is not there.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.agent.blanks import Unclear, repaired
from orchestrator.agent.filetext import Line, put
from orchestrator.agent.fit import Fit
from orchestrator.agent.indents import indent
from orchestrator.agent.steps import steps

__all__ = ["Unclear", "merged"]


def merged(file: Sequence[Line], fit: Fit, search: Sequence[str], wanted: Sequence[str]) -> list[Line]:
    """The lines that come in place of `file[fit.first:fit.end]`.

    Raises:
        Unclear: the change falls on lines that are not as the model remembers them.
    """
    real = file[fit.first : fit.end]
    if [not line.text.strip() for line in real] != [not line.strip() for line in search]:
        search, wanted = repaired(search, wanted, [line.text for line in real])
    turned = _turned(fit, search, wanted)
    made: list[Line] = []
    filled = -1
    for tag, i1, i2, j1, j2 in steps(search, wanted):
        if tag == "equal":
            made += real[i1:i2]
        else:
            made += put(turned[j1:j2], real[i1:i2])
        for line in search[i1:i2]:
            filled += bool(line.strip())
            if filled == fit.stale and line.strip() and tag != "equal":
                raise Unclear(f"SEARCH changes the line `{line.strip()[:120]}`, which is not so in the file")
    return made


def _turned(fit: Fit, search: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The wanted lines with the file's indentation, and without the blanks that its SEARCH adds to them."""
    if fit.indentation is None:
        raise Unclear("the lines of SEARCH are indented in another way than those of the file")
    lines = [line.rstrip() if line in fit.noisy else line for line in wanted]
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
