"""What a mind says, held to its form: bounded, of the right types, or refused in one line.

The mind is another process and is believed nothing. What is shown goes through `Look.text` besides; here it
is made sure that it can be shown at all: numbers are numbers, boards have the part's cells, and nothing is
endless.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

_MOST_CELLS = 4096  # of a board, and of ids: as in the reasoner's own configuration
_MOST = 64  # parts, memories, words of a kind, likely answers
_MOST_CYCLES = 512
_WORD, _TEXT = 48, 300  # characters
_BIG = 1e15  # a count or a time beyond it is none

Said = tuple[int, ...] | str
"""An answer: the ids of a board's cells, or words."""


class Unclear(ValueError):
    """A reply or a question that cannot be taken as it is; the message is one line for a person."""


@dataclass(frozen=True)
class Part:
    """A part of the core, and what it takes."""

    name: str
    task: Literal["board", "scene", "latents"]
    learner: str
    parameters: int
    rows: int = 0
    columns: int = 0
    box_rows: int = 0  # 0: no boxes
    box_columns: int = 0
    tokens: tuple[str, ...] = ()
    blank: int | None = None
    shapes: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    most: int = 3

    @property
    def cells(self) -> int:
        """How many cells its board has."""
        return self.rows * self.columns


@dataclass(frozen=True)
class Cycle:
    """One cycle of the reasoner."""

    answer: Said
    change: float | None
    halt: float | None
    doubt: float | None


@dataclass(frozen=True)
class Answer:
    """What was answered, and what is known of it."""

    said: Said
    probability: float | None
    abstained: bool
    by: str
    unknown: tuple[str, ...] = ()
    """Words of the question that it has never heard."""
    others: tuple[tuple[str, float], ...] = ()
    doubts: tuple[float, ...] = ()
    cycles: float | None = None
    """How far the cycles agree, 0 to 1."""
    variants: float | None = None
    trace: tuple[Cycle, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Memory:
    """A working memory."""

    name: str
    part: str
    method: str
    on: bool
    lessons: int
    right: int
    digest: str
    stale: bool
    recurring: int


@dataclass(frozen=True)
class Corrected:
    """What a correction did."""

    memory: Memory
    seconds: float
    before: Answer
    after: Answer
    unchanged: bool
    """The core's hash was the same before and after."""
    proposed: str
    """The ticket of a proposal that was made of it, or ''."""


# Forms -----------------------------------------------------------------------------------------------


def text(value: Any, most: int = _TEXT) -> str:
    """A text of at most so many characters; '' for anything else."""
    return value[:most] if isinstance(value, str) else ""


def number(value: Any) -> float | None:
    """A finite number of a size that means something."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) and abs(found) <= _BIG else None


def share(value: Any) -> float | None:
    """A number from 0 to 1."""
    found = number(value)
    return found if found is not None and 0.0 <= found <= 1.0 else None


def whole(value: Any, most: int = int(_BIG)) -> int:
    """A count from 0 on; 0 for anything else."""
    return value if type(value) is int and 0 <= value <= most else 0


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Unclear(f"the mind's {what} cannot be read")
    return value


def _listed(value: Any, most: int) -> Sequence[Any]:
    return value[:most] if isinstance(value, list | tuple) else ()


def _words(value: Any) -> tuple[str, ...]:
    return tuple(word for each in _listed(value, _MOST) if (word := text(each, _WORD).strip()))


# Parts -----------------------------------------------------------------------------------------------


def parts(reply: Mapping[str, Any]) -> tuple[Part, ...]:
    """The parts that can be shown, in the order in which they were said."""
    found: dict[str, Part] = {}
    for each in _listed(reply.get("parts"), _MOST):
        part = _part(each) if isinstance(each, Mapping) else None
        if part is not None:
            found.setdefault(part.name, part)
    return tuple(found.values())


def _part(raw: Mapping[str, Any]) -> Part | None:
    name, task = text(raw.get("name"), _WORD), raw.get("task")
    if not name or task not in ("board", "scene", "latents"):
        return None
    learner, parameters = text(raw.get("learner"), _WORD), whole(raw.get("parameters"))
    if task == "board":
        rows, columns = whole(raw.get("rows"), _MOST_CELLS), whole(raw.get("columns"), _MOST_CELLS)
        if not 1 <= rows * columns <= _MOST_CELLS:
            return None
        tall, wide = whole(raw.get("box_rows"), rows), whole(raw.get("box_columns"), columns)
        if not tall or not wide or rows % tall or columns % wide:
            tall = wide = 0
        blank = raw.get("blank")
        tokens = _tokens(raw, blank)
        if not tokens:
            return None
        known = blank if type(blank) is int and 0 <= blank < len(tokens) else None
        return Part(name, "board", learner, parameters, rows, columns, tall, wide, tokens, known)
    if task == "scene":
        kinds = [_words(raw.get(kind)) for kind in ("shapes", "colours", "sizes", "cells")]
        most = min(9, whole(raw.get("most"))) or 3
        shapes, colours, sizes, places = kinds
        return Part(
            name, "scene", learner, parameters,
            shapes=shapes, colours=colours, sizes=sizes, places=places, most=most,
        )  # fmt: skip
    return Part(name, "latents", learner, parameters)


def _tokens(raw: Mapping[str, Any], blank: Any) -> tuple[str, ...]:
    """What the ids are called; numbers where the mind does not say."""
    named = _listed(raw.get("tokens"), _MOST_CELLS)
    if named and all(isinstance(each, str) for each in named):
        return tuple(each[:8] for each in named)
    count = whole(raw.get("vocabulary"), _MOST_CELLS)
    return tuple("." if each == blank else str(each) for each in range(count))


# Questions and answers -------------------------------------------------------------------------------


def said(raw: Any, part: Part) -> Said:
    """An answer of a part's form.

    Raises:
        Unclear: it is none.
    """
    if part.task == "board":
        if not isinstance(raw, list | tuple) or len(raw) != part.cells:
            raise Unclear(f"the mind's answer is no board of {part.cells} cells")
        if not all(type(each) is int and 0 <= each < len(part.tokens) for each in raw):
            raise Unclear("the mind's answer has ids that the part does not know")
        return tuple(raw)
    if not isinstance(raw, str):
        raise Unclear("the mind's answer is no text")
    return raw[:_TEXT]


def answer(raw: Any, part: Part) -> Answer:
    """What a part answered.

    Raises:
        Unclear: it cannot be read.
    """
    found = _mapping(raw, "answer")
    agreed = found.get("consistency")
    agreed = agreed if isinstance(agreed, Mapping) else {}
    doubts = tuple(share(each) or 0.0 for each in _listed(found.get("doubts"), _MOST_CELLS))
    return Answer(
        said=said(found.get("answer"), part),
        probability=share(found.get("probability")),
        abstained=found.get("abstained") is not False,  # what is not known is not sure
        by=text(found.get("by"), _WORD) or "?",
        unknown=tuple(text(each, _WORD) for each in _listed(found.get("unknown"), _MOST)),
        others=_others(found.get("others")),
        doubts=doubts if part.task == "board" and len(doubts) == part.cells else (),
        cycles=share(agreed.get("cycles")),
        variants=share(agreed.get("variants")),
        trace=_trace(found.get("trace"), part),
        seconds=max(0.0, number(found.get("seconds")) or 0.0),
    )


def _others(raw: Any) -> tuple[tuple[str, float], ...]:
    found = []
    for each in _listed(raw, _MOST):
        pair = _listed(each, 2)
        if len(pair) == 2 and isinstance(pair[0], str) and (sure := share(pair[1])) is not None:
            found.append((pair[0][:_WORD], sure))
    return tuple(found)


def _trace(raw: Any, part: Part) -> tuple[Cycle, ...]:
    found = []
    for each in _listed(raw, _MOST_CYCLES):
        if isinstance(each, Mapping):
            change, halt, doubt = (number(each.get(key)) for key in ("change", "halt", "doubt"))
            found.append(Cycle(said(each.get("answer"), part), change, halt, doubt))
    return tuple(found)


def example(reply: Mapping[str, Any], part: Part) -> tuple[Mapping[str, Any], Said]:
    """A question of a part, and its true answer.

    Raises:
        Unclear: it is none of this part.
    """
    question = _mapping(reply.get("question"), "example")
    if question.get("part") != part.name:
        raise Unclear("the mind's example is of another part")
    if part.task == "board":
        return {"cells": list(said(question.get("cells"), part))}, said(reply.get("answer"), part)
    scene = _mapping(question.get("scene"), "example's scene")
    objects = [
        {key: text(each.get(key), _WORD) for key in ("shape", "colour", "size", "cell")}
        for each in _listed(scene.get("objects"), part.most)
        if isinstance(each, Mapping)
    ]
    asked = {"question": text(question.get("question")), "objects": objects, "seed": whole(scene.get("seed"))}
    return asked, said(reply.get("answer"), part)


def latent(reply: Mapping[str, Any]) -> tuple[float, ...]:
    """The numbers that a text became.

    Raises:
        Unclear: they are no numbers.
    """
    found = [number(each) for each in _listed(reply.get("latent"), 1024)]
    kept = tuple(each for each in found if each is not None)
    if not kept or len(kept) != len(found):
        raise Unclear("the mind's latent is no list of numbers")
    return kept


# Memories --------------------------------------------------------------------------------------------


def memories(reply: Mapping[str, Any]) -> tuple[Memory, ...]:
    """The memories there are."""
    found = [memory(each) for each in _listed(reply.get("memories"), _MOST)]
    return tuple(each for each in found if each is not None)


def memory(raw: Any) -> Memory | None:
    """One memory; None where it has no name."""
    if not isinstance(raw, Mapping) or not (name := text(raw.get("name"), _WORD)):
        return None
    counts = (whole(raw.get(key)) for key in ("lessons", "right", "recurring"))
    lessons, right, recurring = counts
    return Memory(
        name, text(raw.get("part"), _WORD), text(raw.get("method"), _WORD), raw.get("on") is True, lessons,
        right, text(raw.get("digest"), 64), raw.get("stale") is True, recurring,
    )  # fmt: skip


def corrected(reply: Mapping[str, Any], part: Part) -> Corrected:
    """What a correction did.

    Raises:
        Unclear: it cannot be read.
    """
    found = memory(reply.get("memory"))
    if found is None:
        raise Unclear("the mind does not say which memory has learned")
    return Corrected(
        found,
        max(0.0, number(reply.get("seconds")) or 0.0),
        answer(reply.get("before"), part),
        answer(reply.get("after"), part),
        reply.get("core_unchanged") is True,
        text(reply.get("proposed"), _WORD),
    )
