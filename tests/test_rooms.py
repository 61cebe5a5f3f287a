"""The rooms import downward only, and the light paths stay light."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY = {
    "tickets": {"tickets"},
    "state": {"state", "tickets"},
    "orchestrator": {"orchestrator", "state", "tickets"},
    "tui": {"tui", "state", "tickets"},
    "datagen": {"datagen"},
    "model": {"model", "datagen"},
}
DOOR = {("orchestrator/main.py", "tui")}  # the command line opens the cockpit
HEAVY = {"torch", "timm", "mcp", "httpx", "ollama", "numpy", "xllamacpp", "pynvml", "tree_sitter"}
HEAVY |= {"safetensors", "tokenizers", "numba", "PIL"}
HEAVY |= {"fastapi", "starlette", "uvicorn", "gradio", "textual_serve", "aiohttp"}
HOLDS = {  # the only places for them, each imported when it is used
    "orchestrator/providers": {"httpx", "ollama", "xllamacpp"},
    "orchestrator/models": {"pynvml"},
    "orchestrator/agent": {"tree_sitter"},
    "orchestrator/web": {"fastapi", "starlette", "uvicorn", "gradio", "textual_serve", "aiohttp"},
    "model": {"numpy", "torch", "safetensors", "tokenizers", "PIL"},  # timm through model/vision_ops.py
    "datagen": {"numpy", "numba", "safetensors", "PIL"},
}


def imports(file: Path) -> set[str]:
    """Top-level names that a file imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("room", MAY)
def test_a_room_imports_only_what_lies_below_it(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for file in files:
        name = file.relative_to(ROOT).as_posix()
        strays = {other for other in imports(file) & MAY.keys() - MAY[room] if (name, other) not in DOOR}
        assert not strays, f"{name} imports {strays}"


def test_model_libraries_and_network_clients_are_imported_in_their_own_places_alone() -> None:
    for room in MAY:
        for file in (ROOT / room).rglob("*.py"):
            name = file.relative_to(ROOT).as_posix()
            may = {each for place, held in HOLDS.items() if name.startswith(place + "/") for each in held}
            assert not imports(file) & HEAVY - may, file
