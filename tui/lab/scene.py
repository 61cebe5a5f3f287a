"""A scene in lines of words, and the picture of it: pure functions.

A line says one object: `small red circle, top left`. The picture is drawn here, plainly, so that one sees
what one has written; the mind draws its own, with the light and the noise of the pictures that it was
trained on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tui.lab.replies import Part, Unclear

_LITTLE = frozenset(("a", "an", "the", "at", "in", "on", "and"))
Object = Mapping[str, str]


def parse(line: str, part: Part) -> dict[str, str]:
    """The object that a line says.

    Raises:
        Unclear: a word is not known or missing; the message names it and what there is.
    """
    words = [word for word in line.casefold().replace(",", " ").split() if word not in _LITTLE]
    found: dict[str, str] = {}
    place = max(
        (each for each in part.places if _within(each.split(), words)),
        key=lambda each: len(each.split()),
        default="",
    )
    if place:
        found["cell"] = place
        for word in place.split():
            words.remove(word)
    for word in words:
        kind = next((kind for kind, known in _kinds(part) if word in known), "")
        if not kind:
            raise Unclear(f"{word!r} is not known here: {_known(part)}"[:200])
        if kind in found:
            raise Unclear(f"two {kind}s: {found[kind]} and {word}")
        found[kind] = word
    for kind, known in (*_kinds(part), ("cell", part.places)):
        if kind not in found:
            raise Unclear(f"no {'place' if kind == 'cell' else kind}: {', '.join(known)}"[:200])
    return found


def _within(words: Sequence[str], of: Sequence[str]) -> bool:
    return any(list(of[at : at + len(words)]) == list(words) for at in range(len(of) - len(words) + 1))


def _kinds(part: Part) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return ("size", part.sizes), ("colour", part.colours), ("shape", part.shapes)


def _known(part: Part) -> str:
    return ", ".join(word for _, known in _kinds(part) for word in known)


def told(each: Object) -> str:
    """An object as a line."""
    words = " ".join(each.get(kind, "") for kind in ("size", "colour", "shape") if each.get(kind))
    return f"{words}, {each.get('cell', '')}"


def scene(lines: Sequence[str], part: Part) -> list[dict[str, str]]:
    """The objects of the lines that say something.

    Raises:
        Unclear: a line cannot be read, there is none, or two stand in one place.
    """
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(parse(line, part))
            except Unclear as error:
                raise Unclear(f"object {number}: {error}") from None
    if not found:
        raise Unclear("the scene is empty: write an object, such as " + hint(part))
    taken = [each["cell"] for each in found]
    for place in taken:
        if taken.count(place) > 1:
            raise Unclear(f"two objects stand at {place}")
    order = {place: at for at, place in enumerate(part.places)}
    return sorted(found, key=lambda each: order[each["cell"]])


def hint(part: Part) -> str:
    """A line that can be read."""
    kinds = (part.sizes, part.colours, part.shapes)
    if not all(kinds) or not part.places:
        return "small red circle, top left"
    return f"{' '.join(kind[0] for kind in kinds)}, {part.places[0]}"


def raster(objects: Sequence[Object], part: Part, side: int) -> list[list[str]]:
    """The picture: `side` rows of `side` names of colours, '' where nothing is."""
    picture = [[""] * side for _ in range(side)]
    across = max(1, math.isqrt(len(part.places)))
    cell = side / across
    for each in objects:
        if each.get("cell") not in part.places:
            continue
        at = part.places.index(each["cell"])
        x, y = (at % across + 0.5) * cell, (at // across + 0.5) * cell
        large = each.get("size") != "small"
        reach = cell * (0.48 if large else 0.36)
        for row in range(max(0, int(y - cell / 2)), min(side, math.ceil(y + cell / 2))):
            for column in range(max(0, int(x - cell / 2)), min(side, math.ceil(x + cell / 2))):
                u, v = (column + 0.5 - x) / reach, (row + 0.5 - y) / reach
                if _inside(each.get("shape", ""), u, v):
                    picture[row][column] = each.get("colour", "?") or "?"
    return picture


_TIPS = tuple((math.sin(math.tau * n / 5), -math.cos(math.tau * n / 5)) for n in range(5))


def _inside(shape: str, x: float, y: float) -> bool:
    """Whether a point lies in a shape that fills the square from -1 to 1; y points down."""
    if shape == "circle":
        return math.hypot(x, y) <= 1
    if shape == "triangle":
        return y <= 0.9 and 2 * abs(x) - y <= 1
    if shape == "cross":
        a, b = abs(x), abs(y)
        return (a <= 1 and b <= 0.34) or (a <= 0.34 and b <= 1)
    if shape == "ring":
        return 0.45 <= math.hypot(x, y) <= 1
    if shape == "star":
        return sum(x * tx + y * ty > 0.38 for tx, ty in _TIPS) <= 1
    return max(abs(x), abs(y)) <= 0.9  # a square, and what is not known
