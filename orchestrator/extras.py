"""What the extras bring, and the line where one is not installed. It is not loaded to find out."""

from __future__ import annotations

from importlib.util import find_spec

MODELS = ("torch", "safetensors", "numpy", "timm", "tokenizers")
"""What training and evaluation cannot do without."""
COLUMNS = ("numba", "numpy", "safetensors", "PIL")
"""What a data set of columns cannot be made without."""

WEB = ("fastapi", "uvicorn")
"""What `jetbox serve` cannot do without."""
PAGE = ("gradio",)
"""What its page cannot do without."""
IN_BROWSER = ("textual_serve", "websockets")
"""What the cockpit in a browser cannot do without."""


def lacking(needed: tuple[str, ...], what: str, extra: str = "model") -> str | None:
    """What is not installed of what `what` needs, with the cure: the extra that brings it."""
    missing = [name for name in needed if find_spec(name) is None]
    return f"{what} needs {', '.join(missing)}: pip install 'jetbox[{extra}]'" if missing else None
