"""What a person writes on the page, and what is written back: boards, scenes, answers, as plain text.

Pure functions. What is read is bounded and refused in one line (`Unclear`); what comes from the mind, or from
the journal, is believed nothing: it is cut short and holds no control character.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from state.safe_text import safe

MOST_CELLS = 4_096
MOST_TEXT = 20_000  # characters of what is written into one field
_LINE = 300
_LITTLE = frozenset(("a", "an", "the", "at", "in", "on", "and"))
_RULES = frozenset("|+-")  # lines between boxes, where no cell is called so
_BLANKS = frozenset("._0")
_KINDS = (("size", "sizes"), ("colour", "colours"), ("shape", "shapes"))

Part = Mapping[str, Any]
"""A part as `status` of docs/mind.md tells it."""


class Unclear(ValueError):
    """It can't be taken as it is written; the message is one line for a person."""


def short(said: object, most: int = _LINE) -> str:
    """Anything as one line that can be shown: bounded, without what would steer a reader."""
    text = said if isinstance(said, str) else repr(said)[: most + 1]
    return safe(text[:most]) + ("…" if len(text) > most else "")


def words(said: object, most: int = 64) -> list[str]:
    """A list of words, as far as it is one."""
    return [each[:40] for each in said[:most] if isinstance(each, str)] if isinstance(said, list) else []


def number(said: object, least: float = 0.0, largest: float = 1.0) -> float | None:
    """A finite number within bounds; None for anything else."""
    if isinstance(said, bool) or not isinstance(said, (int, float)) or not math.isfinite(said):
        return None
    return min(max(float(said), least), largest)


# Boards ----------------------------------------------------------------------------------------------


def size(part: Part) -> tuple[int, int]:
    """Rows and columns of a board part; Unclear where it says nothing that can be drawn."""
    rows, columns = part.get("rows"), part.get("columns")
    if type(rows) is not int or type(columns) is not int or rows < 1 or columns < 1:
        raise Unclear("this part does not say how large its boards are")
    if rows * columns > MOST_CELLS:
        raise Unclear(f"this part's boards have more than {MOST_CELLS} cells: use `jetbox lab`")
    return rows, columns


def cells(text: str, part: Part) -> list[int]:
    """The ids of a board that is written as a text grid; `.`, `_` and `0` are blanks where there are any.

    Raises:
        Unclear: too many or too few cells, or one that the part does not know.
    """
    rows, columns = size(part)
    tokens = words(part.get("tokens"), MOST_CELLS)
    if len(text) > MOST_TEXT:
        raise Unclear(f"this is more than {MOST_TEXT} characters")
    if not tokens:
        raise Unclear("this part does not say how its cells are written")
    spaced = any(len(each) > 1 for each in tokens)
    rules = _RULES - set(tokens)
    written = text.replace(",", " ").split()
    if not spaced:
        written = [each for each in "".join(written) if each not in rules]
    blank = part.get("blank")
    known = {each: at for at, each in reversed(list(enumerate(tokens)))}
    if type(blank) is int and 0 <= blank < len(tokens):
        known = {**dict.fromkeys(_BLANKS - known.keys(), blank), **known}
    for each in written:
        if each not in known:
            raise Unclear(
                f"{short(each, 20)!r} is no cell here; there are {' '.join(map(short, tokens[:20]))}"
            )
    if len(written) != rows * columns:
        raise Unclear(f"{len(written)} cells are written, {rows} x {columns} = {rows * columns} are needed")
    return [known[each] for each in written]


def grid(ids: object, part: Part) -> str:
    """A board as lines; a line that says so where it is none."""
    try:
        rows, columns = size(part)
    except Unclear as error:
        return str(error)
    tokens = words(part.get("tokens"), MOST_CELLS)
    if not isinstance(ids, list) or len(ids) != rows * columns:
        return f"(no board of {rows} x {columns} cells)"
    called = [
        short(tokens[each], 4) if type(each) is int and 0 <= each < len(tokens) else "?" for each in ids
    ]
    wide = max(map(len, called), default=1)
    box = part.get("box_rows"), part.get("box_columns")
    down, across = (each if type(each) is int and each > 0 else MOST_CELLS for each in box)
    lines = []
    for row in range(rows):
        if row and row % down == 0:
            lines.append("")
        line = called[row * columns : (row + 1) * columns]
        lines.append("  ".join(" ".join(f"{each:>{wide}}" for each in some) for some in _cut(line, across)))
    return "\n".join(lines)


def _cut(line: Sequence[str], every: int) -> Iterable[Sequence[str]]:
    return (line[at : at + every] for at in range(0, len(line), every))


# Scenes ----------------------------------------------------------------------------------------------


def scene(text: str, part: Part) -> dict[str, Any]:
    """A scene of one object a line, or between semicolons: `small red circle at the top left`.

    Raises:
        Unclear: a word that the part does not know, a kind that is missing, two objects in one place.
    """
    if len(text) > MOST_TEXT:
        raise Unclear(f"this is more than {MOST_TEXT} characters")
    lines = [each.strip() for each in text.replace(";", "\n").splitlines() if each.strip()]
    most = part.get("most") if type(part.get("most")) is int else 9
    if not lines:
        raise Unclear("a scene has an object a line, such as: small red circle at the top left")
    if len(lines) > (most or 9):
        raise Unclear(f"{len(lines)} objects are more than the {most} that this part has seen at once")
    found = [_object(each, part) for each in lines]
    places = [each["cell"] for each in found]
    if twice := next((each for each in places if places.count(each) > 1), None):
        raise Unclear(f"two objects stand at {twice}")
    return {"objects": found, "seed": 0}


def _object(line: str, part: Part) -> dict[str, str]:
    spoken = [each for each in line.casefold().replace(",", " ").split() if each not in _LITTLE]
    found: dict[str, str] = {}
    for place in sorted(words(part.get("cells")), key=lambda each: -len(each.split())):
        wanted = place.split()
        at = next((n for n in range(len(spoken)) if spoken[n : n + len(wanted)] == wanted), None)
        if at is not None and wanted:
            found["cell"] = place
            del spoken[at : at + len(wanted)]
            break
    known = {name: words(part.get(listed)) for name, listed in _KINDS}
    for each in spoken:
        kind = next((name for name, listed in known.items() if each in listed), None)
        if kind is None:
            every = ", ".join(short(word, 20) for listed in known.values() for word in listed)
            raise Unclear(f"{short(each, 20)!r} is not known here: {every}"[:_LINE])
        if kind in found:
            raise Unclear(f"one object has two words of {kind}: {found[kind]} and {each}")
        found[kind] = each
    known["cell"] = words(part.get("cells"))
    if lacks := next((name for name in known if name not in found), None):
        called = "place" if lacks == "cell" else lacks
        raise Unclear(f"{short(line, 60)!r} has no {called}: {', '.join(known[lacks])}"[:_LINE])
    return found


def scene_lines(given: object) -> str:
    """A scene as it would be written; '' where it is none."""
    objects = given.get("objects") if isinstance(given, Mapping) else None
    lines = []
    for each in objects[:64] if isinstance(objects, list) else []:
        if isinstance(each, Mapping):
            said = [short(each.get(kind, "?"), 40) for kind in ("size", "colour", "shape", "cell")]
            lines.append(f"{said[0]} {said[1]} {said[2]} at the {said[3]}")
    return "\n".join(lines)


# Answers ---------------------------------------------------------------------------------------------


def share(said: object) -> str:
    """A number from 0 to 1 as a percentage; certainty alone is called so."""
    found = number(said)
    if found is None:
        return "not known"
    if 0 < found < 0.005 or 0.995 <= found < 1:
        return "under 1%" if found < 0.5 else "over 99%"
    return f"{found:.0%}"


def answer(reply: Mapping[str, Any], part: Part) -> str:
    """An answer in lines: what, how sure, by whom, what else it might be."""
    said = reply.get("answer")
    lines = [grid(said, part) if isinstance(said, list) else short(said), ""]
    sure = f"probability {share(reply.get('probability'))}, by {short(reply.get('by'), 64)}"
    unknown = reply.get("unknown")
    never = [short(each, 40) for each in unknown] if isinstance(unknown, list) else []
    why = f"never heard of {', '.join(never)}" if never else "below its bound"
    lines.append(sure + (f" - {why}: take it as no answer" if reply.get("abstained") else ""))
    others = reply.get("others")
    for each in others[:5] if isinstance(others, list) else []:
        if isinstance(each, list) and len(each) == 2:
            lines.append(f"  {short(each[0], 40)}  {share(each[1])}")
    found = reply.get("consistency")
    if isinstance(found, Mapping):
        for name in ("cycles", "variants"):
            if found.get(name) is not None:
                lines.append(f"the same over {name}: {share(found[name])}")
    return "\n".join(lines)
