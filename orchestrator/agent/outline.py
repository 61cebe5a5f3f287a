"""A file shortened to the lines that name its definitions, with the ones that answer to the words opened."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence

from orchestrator.agent.grammar import Definition
from orchestrator.agent.terms import split

_WORD = re.compile(r"[^\W\d]\w*")
WIDE = 400  # characters of a line that are shown
FIRST = 400  # lines that stand for a file without definitions


def outline(
    definitions: Sequence[Definition], text: str, weights: Mapping[str, float], most: int, opened: int
) -> str:
    """Lines `number: text` of a file, at most `most` bytes.

    Definitions that hold the words come first when not all fit; `opened` bytes of the room go to whole bodies
    of those that hold most of them. A file without definitions shows its first lines.

    Args:
        definitions: of the file, in its order.
        text: the file.
        weights: of terms that are looked for.
        most: bytes of the outline.
        opened: bytes of it that bodies may take.
    """
    lines = text.split("\n")
    heads = {d.line: "  " * d.depth + d.signature for d in reversed(definitions)}
    if not heads:
        heads = {at: line.rstrip()[:WIDE] for at, line in enumerate(lines[:FIRST], 1) if line.strip()}
    shown: dict[int, str] = {}
    if opened > 0:
        for at in _opened(definitions, lines, weights, min(opened, most)):
            shown[at] = lines[at - 1].rstrip()[:WIDE]
    room = most - sum(map(_size, shown.items()))
    points = {line: _points(head, weights) for line, head in heads.items()}
    minor = {d.line: (d.kind == "value") + (d.depth > 1) for d in reversed(definitions)}
    order = sorted(heads, key=lambda line: (-points[line], minor.get(line, 0), line))
    for line in order:
        if line in shown:
            continue
        need = _size((line, heads[line]))
        if need <= room:
            room -= need
            shown[line] = heads[line]
    return "\n".join(f"{line}: {shown[line]}" for line in sorted(shown))


def _size(item: tuple[int, str]) -> int:
    return len(f"{item[0]}: {item[1]}\n".encode())


def _points(text: str, weights: Mapping[str, float]) -> float:
    terms = {term: 0 for word in _WORD.findall(text) for term in split(word) if term in weights}
    return sum(weights[term] for term in terms)


def _opened(
    definitions: Sequence[Definition], lines: Sequence[str], weights: Mapping[str, float], most: int
) -> list[int]:
    """The lines of the bodies that hold most of the words; a class is one if it has no methods."""
    functions = [d.line for d in definitions if d.kind == "function"]
    inner = [
        d
        for d in definitions
        if d.kind == "function"
        or (d.kind == "class" and bisect_right(functions, d.last) == bisect_left(functions, d.line))
    ]
    points = [(_points("\n".join(lines[d.line - 1 : d.last]), weights), d) for d in inner]
    found: set[int] = set()
    for _, each in sorted((p for p in points if p[0] > 0), key=lambda item: (-item[0], item[1].line)):
        body = [at for at in range(each.line, min(each.last, len(lines)) + 1) if at not in found]
        need = sum(_size((at, lines[at - 1].rstrip()[:WIDE])) for at in body)
        if need <= most:
            most -= need
            found.update(body)
    return sorted(found)
