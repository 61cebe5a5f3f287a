"""A model's edit and a file's old bytes become its new bytes, or a refusal that tells the model what to do.

Guarantees:
- all of an edit or nothing of it; each block is applied once, in one place that is sure (`fit.py`);
- what the edit does not change stays as it was, byte for byte: line endings, byte order mark, final newline,
  bytes that are not UTF-8, and lines that the model remembers only roughly (`filetext.py`, `merge.py`);
- lines that stand for code left out are refused (`elisions.py`), and so is a whole file that seems a part.

Pure: it reads and writes no file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.agent import filetext, markers
from orchestrator.agent.carry import carried
from orchestrator.agent.elisions import first_elision
from orchestrator.agent.fences import mark
from orchestrator.agent.filetext import FileText, Line, NotText, told
from orchestrator.agent.fit import MOST_PLACES, READINGS, Fit, fits, places
from orchestrator.agent.merge import Unclear, merged
from orchestrator.agent.nearest import nearest
from orchestrator.agent.steps import steps
from orchestrator.agent.verbs import EDIT_FORM, Edit

_PART_OF = 20
"""Filled lines of a file from which on a much shorter whole file is taken for a part of it."""
_PART = 1 / 3
"""Such a part has less than this share of the lines, and most of them are in the old file."""


@dataclass(frozen=True)
class Applied:
    """The new bytes of the file, and by what reading they came about: the loosest one of all blocks."""

    data: bytes
    how: str


class EditFails(Exception):
    """Nothing of the edit was applied. The message is for the model: why, the real lines, the form."""


def apply(
    old: bytes | None, edit: Edit, *, whole_limit: int | None = None, seen: Sequence[bytes] = ()
) -> Applied:
    """The file as the edit makes it.

    Args:
        old: its bytes; None where there is no file.
        edit: blocks, or all of the new text.
        whole_limit: lines of an old file above which a whole new one is refused.
        seen: earlier states of the file that the model was shown, the newest first; see `carry.py`.

    Raises:
        EditFails: it does not fit, is not sure, changes nothing, or leaves code out.
    """
    try:
        file = filetext.read(old or b"")
        if edit.whole is not None:
            made = _whole(old is not None, file, edit.path, edit.whole, whole_limit)
        else:
            made = _blocks_or_carried(old is not None, file, edit, seen)
        lines, how = made
        data = file.data(lines)
    except NotText as fault:
        raise EditFails(str(fault)) from fault
    if data == old:
        raise EditFails("the edit changes nothing, the file is so already. Go on with what is left to do")
    return Applied(data, how)


# A whole file ---------------------------------------------------------------------------------------


def _whole(exists: bool, file: FileText, path: str, whole: str, limit: int | None) -> tuple[list[Line], str]:
    old = [line.text for line in file.lines]
    new = _unfenced(told(whole), old, path)
    if not exists:
        _refuse_elided(new, (), path)
        return filetext.put(new), "new file"
    if limit is not None and len(old) > limit:
        raise EditFails(
            f"the file has {len(old)} lines, too many to be written whole. Change the part that matters:\n\n"
            f"EDIT {path}\n{markers.FORM}"
        )
    filled = sum(1 for line in old if line.strip())
    kept = [line for line in new if line.strip()]
    if filled and not kept:
        raise EditFails("its new text is empty. To remove a file: RUN rm path/to/file")
    _refuse_elided(new, old, path)
    known = {line.strip() for line in old}
    if (
        filled >= _PART_OF
        and len(kept) < filled * _PART
        and 2 * sum(x.strip() in known for x in kept) > len(kept)
    ):
        raise EditFails(
            f"its fence holds {len(kept)} lines, and the file has {filled}: that looks like a part of it."
            f" Write all lines, or change only a part:\n\nEDIT {path}\n{markers.FORM}"
        )
    lines: list[Line] = []
    for tag, i1, i2, j1, j2 in steps(old, new):
        lines += file.lines[i1:i2] if tag == "equal" else filetext.put(new[j1:j2], file.lines[i1:i2])
    return lines, "whole file"


def _unfenced(new: list[str], old: Sequence[str], path: str) -> list[str]:
    """Without a fence that stands around all of it, and is no part of such a file."""
    filled = [n for n, line in enumerate(new) if line.strip()]
    if len(filled) < 2 or path.lower().endswith((".md", ".mdx", ".markdown", ".rst", ".txt")):
        return new
    first, last = new[filled[0]], new[filled[-1]]
    opening, closing = mark(first), mark(last)
    if opening is None or closing is None or closing.info or first in old:
        return new
    return new[filled[0] + 1 : filled[-1]]


def _refuse_elided(new: Sequence[str], old: Sequence[str], path: str) -> None:
    at = first_elision(new, {line.strip() for line in old}, path)
    if at is not None:
        raise EditFails(
            f"line {at + 1} of the new text, `{new[at].strip()[:120]}`, stands for code that is left out."
            f" Write every line, or change only a part of the file:\n\nEDIT {path}\n{markers.FORM}"
        )


# Blocks ---------------------------------------------------------------------------------------------


def _blocks_or_carried(
    exists: bool, file: FileText, edit: Edit, seen: Sequence[bytes]
) -> tuple[list[Line], str]:
    """Blocks as the file is now, else as it was when the model saw it."""
    try:
        return _blocks(exists, file, edit)
    except EditFails:
        lines = carried(file, edit, seen) if exists else None
        if lines is None:
            raise
        for block in edit.blocks:
            _refuse_elided(told(block.replace), [line.text for line in file.lines], edit.path)
        return lines, "as it was shown"


def _blocks(exists: bool, file: FileText, edit: Edit) -> tuple[list[Line], str]:
    lines = list(file.lines)
    loosest = 0
    how = ""
    if not edit.blocks:
        raise EditFails(f"it holds no block. The form is:\n\n{EDIT_FORM}")
    for number, block in enumerate(edit.blocks, 1):
        name = "the block" if len(edit.blocks) == 1 else f"block {number} of {len(edit.blocks)}"
        search, wanted = told(block.search), told(block.replace)
        _refuse_elided(wanted, [line.text for line in file.lines] + search, edit.path)
        if not any(line.strip() for line in search):
            lines, how = _first_lines(exists, lines, wanted, name), "new file"
            continue
        if not exists:
            raise EditFails(
                f"there is no such file, so that SEARCH of {name} finds nothing. To make it:\n\n"
                f"EDIT {edit.path}\n```\nevery line of the file\n```"
            )
        if search == wanted:
            raise EditFails(f"{name} changes nothing, its SEARCH and REPLACE are the same")
        reading, fit = _place(lines, search, wanted, file.utf8, name)
        try:
            lines[fit.first : fit.end] = merged(lines, fit, search, wanted)
        except Unclear as fault:
            raise _fails(f"{name} does not fit: {fault}", lines, search) from fault
        loosest = max(loosest, READINGS.index(reading))
    return lines, how or READINGS[loosest]


def _first_lines(exists: bool, lines: Sequence[Line], wanted: Sequence[str], name: str) -> list[Line]:
    """The lines of a file that is made by a block with nothing to find."""
    if any(line.text.strip() for line in lines):
        raise EditFails(
            f"SEARCH of {name} is empty, which makes a new file, and this one exists already. Put lines into"
            " SEARCH beside which the new ones belong, and again into REPLACE"
        )
    if exists and not any(line.strip() for line in wanted):
        raise EditFails(f"{name} changes nothing, its SEARCH and REPLACE are empty")
    return filetext.put(wanted)


def _place(
    lines: Sequence[Line], search: Sequence[str], wanted: Sequence[str], utf8: bool, name: str
) -> tuple[str, Fit]:
    """The one place of a block.

    A place that earlier blocks have not touched is meant where there is one: the model saw the file without
    their lines.
    """
    texts = [line.text for line in lines]
    reading, found = fits(texts, search, utf8)
    if 1 < len(found) <= MOST_PLACES:
        found = [fit for fit in found if all(lines[n].number for n in range(fit.first, fit.end))] or found
    if len(found) == 1:
        return reading, found[0]
    if found:
        raise EditFails(_ambiguous(lines, found, name))
    if _there_already(texts, wanted, search):
        raise EditFails(
            f"{name} is applied already: its REPLACE stands in the file, and its SEARCH does not. Go on with"
            " what is left to do"
        )
    raise _fails(f"SEARCH of {name} is not in the file", lines, search)


def _there_already(texts: Sequence[str], wanted: Sequence[str], search: Sequence[str]) -> bool:
    """Whether the new lines are in the file: all of them, with one at least that SEARCH does not have."""
    new = Counter(line.strip() for line in wanted if line.strip())
    new.subtract(line.strip() for line in search)
    if not any(count > 0 and len(line) > 2 for line, count in new.items()):
        return False
    plain = [line.strip() for line in texts if line.strip()]
    return len(places(plain, [line.strip() for line in wanted if line.strip()])) == 1


def _ambiguous(lines: Sequence[Line], found: Sequence[Fit], name: str) -> str:
    shown = []
    for fit in found[:4]:
        above = lines[max(0, fit.first - 2) : fit.first + 1]
        shown.append("\n".join(_numbered(line) for line in above))
    count = f"more than {MOST_PLACES}" if len(found) > MOST_PLACES else str(len(found))
    return (
        f"SEARCH of {name} fits in {count} places, so it is not clear which one is meant."
        " Put more of the lines above or below into SEARCH and REPLACE, so that it fits in one place only."
        " The places, with the lines above them:\n\n" + "\n\n".join(shown)
    )


def _fails(why: str, lines: Sequence[Line], search: Sequence[str]) -> EditFails:
    """A refusal with the real lines that are nearest."""
    span = nearest([line.text for line in lines], search)
    if not lines:
        return EditFails(f"{why}: the file is empty. To fill it:\n\n{EDIT_FORM}")
    if span is None:
        return EditFails(
            f"{why}, and nothing in it looks like it. READ the file, then copy the lines from it"
        )
    real = "\n".join(_numbered(line) for line in lines[span[0] : span[1]])
    return EditFails(
        f"{why}. The nearest lines in the file, with their numbers:\n\n{real}\n\nCopy whole lines from there"
        f" into SEARCH, without the numbers:\n\n{markers.FORM}"
    )


def _numbered(line: Line) -> str:
    return f"{line.number or '+':>5}  {line.text[:200]}"
