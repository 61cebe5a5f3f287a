"""What a row is: its fields, their types, and its one spelling in bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from datagen.errors import RecipeError

FIELDS: dict[str, type] = {
    "id": str,
    "seed": int,
    "task": str,
    "family": str,
    "difficulty": int,
    "split": str,
    "input": str,
    "target": str,
    "cot": str,
}
SPLITS = ("train", "test")
TEST_SHARE = 10  # one in ten

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        **{name: {"type": "integer" if kind is int else "string"} for name, kind in FIELDS.items()},
        "split": {"enum": list(SPLITS)},
    },
    "required": list(FIELDS),
    "additionalProperties": False,
}


def row_id(recipe: str, seed: int, index: int) -> str:
    """The name of a row: it is enough to make the row again."""
    return f"{recipe}:{seed}:{index}"


def split_of(canonical: str) -> str:
    """Train or test, by the canonical form of a problem alone.

    Whatever its wording, names or seed, a problem is always on the same side, so that the sides are
    disjoint within a data set and between all data sets of a recipe.
    """
    digest = hashlib.sha256(canonical.encode()).digest()
    return "test" if int.from_bytes(digest[:8], "big") % TEST_SHARE == 0 else "train"


def problem(row: Mapping[str, Any]) -> str | None:
    """What is wrong with the form of a row, if anything."""
    if row.keys() != FIELDS.keys():
        odd = sorted(row.keys() ^ FIELDS.keys())
        return f"fields missing or too many: {', '.join(map(str, odd))}"
    for name, kind in FIELDS.items():
        if type(row[name]) is not kind:
            return f"{name} must be {'a whole number' if kind is int else 'text'}"
    if row["split"] not in SPLITS:
        return "split must be train or test"
    return None


def encode(row: Mapping[str, Any]) -> bytes:
    """One line of a shard: fields in the order above, UTF-8, no spaces; RecipeError for a misshapen row."""
    wrong = problem(row)
    if wrong:
        raise RecipeError(f"row {row.get('id')!r}: {wrong}")
    ordered = {name: row[name] for name in FIELDS}
    try:
        return json.dumps(ordered, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    except UnicodeEncodeError:
        raise RecipeError(f"row {row['id']!r}: text that is not Unicode") from None
