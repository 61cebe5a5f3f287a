"""What can be made: `python -P -m datagen.catalogue` prints each recipe with its options, as JSON.

A recipe of another package that can't be loaded is listed with its fault: one does not hide the others.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from datagen import recipe
from datagen.errors import DataError
from datagen.recipe import One, Option, Some


def recipes() -> list[dict[str, Any]]:
    """Each installed recipe: its name, one line about it, its form and its options."""
    return [_entry(name) for name in recipe.names()]


def _entry(name: str) -> dict[str, Any]:
    try:
        found = recipe.load(name)
        form = "columns" if recipe.is_columns(found) else "rows"
        options = {option: _told(kind) for option, kind in found.options.items() if not _fixed(kind)}
        return {"name": name, "about": _about(found), "form": form, "options": options, "fault": ""}
    except DataError as error:
        return {"name": name, "about": "", "form": "", "options": {}, "fault": str(error)}


def _about(found: object) -> str:
    """What the recipe says of itself; else the first line of its documentation."""
    said = getattr(found, "about", None) or (type(found).__doc__ or "").strip().partition("\n")[0]
    return str(said).rstrip(".")


def _told(option: Option) -> dict[str, Any]:
    """Its default and what it may be."""
    if isinstance(option, One):
        allowed = ", ".join(map(str, option.choices))
    elif isinstance(option, Some):
        allowed = f"some of {', '.join(option.default)}"
    else:
        allowed = f"{option.low} to {option.high}"
    default = option.default if not isinstance(option, Some) else list(option.default)
    return {"default": default, "allowed": allowed}


def _fixed(option: Option) -> bool:
    return isinstance(option, One) and len(option.choices) == 1


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    print(json.dumps(recipes(), ensure_ascii=False))
