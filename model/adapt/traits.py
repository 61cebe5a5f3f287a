"""A table of beliefs read as concepts, for one question: what is asked about, and how it stands to the rest.

Each concept is a distribution over its few values, one row a scene, so two scenes agree in it with a chance.
The *subject* is the first object that a question names, or "it": the first one in reading order. The *other*
is the second one named, or whatever is left. Of lessons with several objects in a picture the scene as a
whole has concepts too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from datagen.scenes.scene import CELLS, COLOURS, SHAPES, SIZES
from model.adapt.beliefs import WIDTHS
from model.adapt.wording import Asked, Named

_CELLS = len(CELLS)
_ROW, _COLUMN = np.arange(_CELLS) // 3, np.arange(_CELLS) % 3
_SHAPE, _COLOUR, _SIZE = (slice(sum(WIDTHS[:at]), sum(WIDTHS[: at + 1])) for at in (1, 2, 3))
_ASIDE = np.sign(_COLUMN[:, None] - _COLUMN[None, :])
_ABOVE = np.sign(_ROW[:, None] - _ROW[None, :])


@dataclass(frozen=True)
class Traits:
    """Concepts of N scenes; `many`: with those of scenes of several objects; `pair`: two are named."""

    names: list[str]
    kinds: list[str]
    subjects: list[str]  # whose concept it is
    values: list[np.ndarray]  # [N, V] each
    many: bool
    pair: bool


def traits(tables: np.ndarray, asked: Sequence[Asked], many: bool | None = None) -> Traits:
    """Concepts of tables [N, 9, 17] under as many questions; `many` of None is taken from the tables."""
    there = tables[..., 0].astype(np.float64)
    if many is None:
        many = bool((there.sum(1) > 1).any())
    weights = [_roles(table, each) for table, each in zip(tables, asked, strict=True)]
    subject = np.array([one for one, _ in weights]).reshape(-1, _CELLS)
    other = np.array([two for _, two in weights]).reshape(-1, _CELLS)
    pair = any(len(each.named) > 1 for each in asked)
    found = Traits([], [], [], [], many, pair)
    parts = {
        "shape": tables[..., _SHAPE].astype(np.float64),
        "colour": tables[..., _COLOUR].astype(np.float64),
        "size": tables[..., _SIZE].astype(np.float64),
        "row": np.tile(np.eye(3)[_ROW], (len(tables), 1, 1)),
        "column": np.tile(np.eye(3)[_COLUMN], (len(tables), 1, 1)),
    }
    for who, role in (("it", subject), ("the other", other))[: 2 if many else 1]:
        for kind, part in parts.items():
            value = np.einsum("nc,ncv->nv", role, part)
            _add(found, f"the {kind} of {who}", kind, who, value)
            if kind in ("shape", "colour"):
                _add(found, f"what is like the {kind} of {who}", f"like {kind}", who, value)
    if many:
        _stand(found, subject, other, parts)
        _whole(found, there, parts)
    return found


def names_some(table: np.ndarray, asked: Asked) -> bool:
    """Whether each object that a question names is there, and just one fits what it says."""
    there = table[:, 0] > 0.5
    for each in asked.named:
        if not each.other and (there & (_fit(table, each) > 0.5)).sum() != 1:
            return False
    return True


def _add(found: Traits, name: str, kind: str, who: str, value: np.ndarray) -> None:
    """One more concept; its last value is that there is no such object."""
    value = np.concatenate([value, np.clip(1 - value.sum(1, keepdims=True), 0, 1)], 1)
    found.names.append(name)
    found.kinds.append(kind)
    found.subjects.append(who)
    found.values.append(value)


def _stand(found: Traits, subject: np.ndarray, other: np.ndarray, parts: dict[str, np.ndarray]) -> None:
    """How the subject stands to the other: aside, above, and in what they are the same."""
    for name, signs in (("which of the two is further left", _ASIDE), ("which of the two is higher", _ABOVE)):
        values = [np.einsum("na,ab,nb->n", subject, signs == sign, other) for sign in (-1, 0, 1)]
        _add(found, name, name, "both", np.stack(values, 1))
    for kind in ("shape", "colour", "size"):
        one, two = (np.einsum("nc,ncv->nv", role, parts[kind]) for role in (subject, other))
        same = (one * two).sum(1)
        value = np.stack([same, 1 - same], 1)
        _add(found, f"whether they have the same {kind}", f"same {kind}", "both", value)
    one, two = (np.einsum("nc,ncv->nv", role, parts["size"]) for role in (subject, other))
    larger, smaller = one[:, 1] * two[:, 0], one[:, 0] * two[:, 1]
    value = np.stack([larger, smaller, 1 - larger - smaller], 1)
    _add(found, "which of the two is larger", "larger", "both", value)


def _whole(found: Traits, there: np.ndarray, parts: dict[str, np.ndarray]) -> None:
    """How many objects there are, and whether any is of each shape, colour and size."""
    count = there.sum(1).astype(np.int64).clip(1, 4) - 1
    _add(found, "how many there are", "count", "all", np.eye(4)[count])
    for kind, words in (("shape", SHAPES), ("colour", COLOURS), ("size", SIZES)):
        for at, word in enumerate(words):
            none = np.prod(1 - there * parts[kind][..., at], axis=1)
            value = np.stack([1 - none, none], 1)
            _add(found, f"whether there is a {word} one", f"any {kind}", f"all {word}", value)


def _roles(table: np.ndarray, asked: Asked) -> tuple[np.ndarray, np.ndarray]:
    """Weights [9] over the cells, each sums to one: of the subject, and of the other."""
    there = table[:, 0].astype(np.float64)
    named = list(asked.named)
    first = next((each for each in named if not each.other), None)
    subject = _fits(table, first, there) if first else _share(there * (np.cumsum(there) == 1))
    rest = there * (1 - subject)
    second = next((each for each in named if each is not first and not each.other), None)
    other = _fits(table, second, rest) if second else _share(rest)
    return subject, other


def _fit(table: np.ndarray, named: Named) -> np.ndarray:
    """[9]: the chance that what stands in each place is what was said."""
    fit = np.ones(_CELLS)
    for value, part in ((named.shape, _SHAPE), (named.colour, _COLOUR), (named.size, _SIZE)):
        if value >= 0:
            fit = fit * (table[:, part][:, value] + 1e-6)
    for value, place in ((named.row, _ROW), (named.column, _COLUMN)):
        if value >= 0:
            fit = fit * ((place == value) + 1e-6)
    return fit


def _fits(table: np.ndarray, named: Named, among: np.ndarray) -> np.ndarray:
    """How well each of these places fits what was said, as shares."""
    return _share(_fit(table, named) * among)


def _share(weights: np.ndarray) -> np.ndarray:
    whole = float(weights.sum())
    return weights / whole if whole > 1e-12 else np.full(_CELLS, 0.0)
