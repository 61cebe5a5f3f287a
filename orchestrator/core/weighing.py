"""What an update would change, as numbers: from a run's files, bounded, finite, held to its limit. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

MOST_LOST = 0.01
"""What a task may lose at most: one point in a hundred. A ticket's own bounds can only tighten it."""
_TOLERANCE = 1e-9  # of sums of floats
_MOST_ROWS, _MOST_LAYERS = 64, 512
_FEW = 3  # answers that may differ where rows are so few that one point is less than that
_SHOWN_ONLY = ("ece", "loss", "error", "brier", "kept")  # of certainty, or less is better: told, not held to


class BadFigures(Exception):
    """A run's figures are not what they have to be; the message says why."""


def effects(body: Any) -> list[dict[str, Any]]:
    """Rows `{task, measure, before, after, rows}`; BadFigures where they are none."""
    if not isinstance(body, list) or not 0 < len(body) <= _MOST_ROWS:
        raise BadFigures(f"effects.json must be a list of 1 to {_MOST_ROWS} rows")
    found = []
    for row in body:
        if not isinstance(row, Mapping):
            raise BadFigures("a row of effects.json is no object")
        rows = row.get("rows")
        if type(rows) is not int or rows < 1:
            raise BadFigures("a row of effects.json does not say on how many rows it was measured")
        found.append(
            {
                "task": _text(row.get("task")),
                "measure": _text(row.get("measure")),
                "before": _number(row.get("before")),
                "after": _number(row.get("after")),
                "rows": rows,
            }
        )
    return found


def differences(body: Any) -> list[dict[str, Any]]:
    """Rows `{layer, shape, before, change, share, largest}`, largest share first; BadFigures otherwise."""
    rows = [{"layer": name, **each} for name, each in body.items()] if _by_name(body) else body
    if not isinstance(rows, list) or len(rows) > _MOST_LAYERS:
        raise BadFigures(f"difference.json must be a list of at most {_MOST_LAYERS} layers")
    found = []
    for row in rows:
        if not isinstance(row, Mapping) or not isinstance(row.get("shape"), list):
            raise BadFigures("a layer of difference.json has no shape")
        if not all(type(side) is int and side >= 0 for side in row["shape"]):
            raise BadFigures("a layer of difference.json has no shape")
        found.append(
            {
                "layer": _text(row.get("layer")),
                "shape": list(row["shape"])[:8],
                **{name: _number(row.get(name)) for name in ("before", "change", "share", "largest")},
            }
        )
    return sorted(found, key=lambda each: (-each["share"], each["layer"]))


def _by_name(body: Any) -> bool:
    return isinstance(body, Mapping) and all(isinstance(each, Mapping) for each in body.values())


def losses(metrics: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The tasks that would lose more than they may, in words; nothing where all keep what they had.

    `metrics` has `old_before` and `old_after`, over all that the part could before.
    """
    before, after = metrics.get("old_before"), metrics.get("old_after")
    if before is None or after is None or not _finite(before) or not _finite(after):
        return ["it was not measured what becomes of the old tasks"]
    named = [("old tasks", before, after, MOST_LOST)]
    named += [
        (f"{row['task']}, {row['measure']}", row["before"], row["after"], max(MOST_LOST, _FEW / row["rows"]))
        for row in rows
        if str(row["measure"]).lower() not in _SHOWN_ONLY
    ]
    return [
        f"{name}: {old:.1%} to {new:.1%}"
        for name, old, new, most in named
        if not old - new <= most + _TOLERANCE
    ]


def layers(rows: Sequence[Mapping[str, Any]], most: int = 3) -> list[str]:
    """The layers with the largest differences."""
    return [str(row["layer"]) for row in rows[:most] if row["share"] > 0]


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(value: Any) -> float:
    if not _finite(value) or abs(value) > 1e300:
        raise BadFigures("a figure of an update is no number")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise BadFigures("a name in the figures of an update is no line of text")
    return value[:120]
