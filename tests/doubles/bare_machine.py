"""A machine without the extras `embedded`, `model`, `api` and `web`, as a Python process sees it."""

from __future__ import annotations

from pathlib import Path

_MISSING = ("numpy", "xllamacpp", "torch", "torchvision", "timm", "safetensors", "tokenizers", "numba", "PIL")
_MISSING += ("fastapi", "starlette", "uvicorn", "gradio", "textual_serve", "aiohttp", "websockets")
_SITE = f"""
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in {_MISSING}:
            return None
        return super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
"""
LACKS = "pip install 'jetbox[embedded]'"
"""What a person is told there who needs a model."""


def without_extras(folder: Path, more: str = "") -> str:
    """Make `folder`, and return it for `PYTHONPATH`: a process started with it lacks the extras.

    Args:
        folder: not there yet.
        more: Python that the process runs first, too.
    """
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_SITE + more)
    return str(folder)
