"""A small PNG as the mind takes a picture: by the standard library alone."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from orchestrator.gates.picture import pixels
from state.run_events import open_regular

_MOST = 4 << 20  # bytes of the file


def image(path: Path) -> dict[str, Any]:
    """`image` of docs/mind.md; ValueError where it is no square PNG, OSError where it can't be read."""
    with open_regular(path) as file:
        data = file.read(_MOST + 1)
    if len(data) > _MOST:
        raise ValueError(f"{path} is too large for a picture")
    width, height, rgb = pixels(data)
    if width != height:
        raise ValueError(f"{path} is {width} x {height} pixels: a square picture is needed")
    return {"size": width, "rgb": base64.b64encode(rgb).decode()}
