"""A persona as a model of Ollama's own: the text of a Modelfile, or made on a server.

A Modelfile has no way to write three quotes inside a quoted text; such a text is refused, and can still be
made on the server, which is sent JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.providers.base import ProviderError
from orchestrator.reach import Server

_QUOTES = '"""'
_MAKING = 60.0  # seconds: only a few small files are written


@dataclass(frozen=True)
class Recipe:
    """What is made: a model to build on, and what is said to it before anything else."""

    model: str
    system: str
    parameters: Mapping[str, float | int]
    messages: tuple[tuple[str, str], ...] = ()  # questions and their replies


def text(recipe: Recipe) -> str:
    """The Modelfile.

    Raises:
        ProviderError: refused, where a text cannot be written in one.
    """
    lines = [f"FROM {recipe.model}", f"SYSTEM {_quoted(recipe.system)}"]
    lines += [f"PARAMETER {name} {value}" for name, value in sorted(recipe.parameters.items())]
    for asked, reply in recipe.messages:
        lines += [f"MESSAGE user {_quoted(asked)}", f"MESSAGE assistant {_quoted(reply)}"]
    return "\n".join(lines)


def _quoted(said: str) -> str:
    if _QUOTES in said:
        raise ProviderError("refused", f"a Modelfile cannot hold {_QUOTES} in a text: use --create")
    end = "\n" if said.endswith('"') else ""
    return f"{_QUOTES}{said}{end}{_QUOTES}"


def create(server: Server, name: str, recipe: Recipe) -> None:
    """Make it on an Ollama; one of this name is made anew.

    Raises:
        ProviderError: missing, where the server has no such model to build on; refused, where somebody else
            would run that one; transport, stall.
    """
    from orchestrator.providers.ollama import Ollama
    from orchestrator.providers.wire import Wire

    base = Ollama("ollama", f"{server.host}:{server.port}").look(recipe.model)
    if base.remote:
        raise ProviderError("refused", f"{recipe.model} would be run by somebody else: never used")
    body = {
        "model": name,
        "from": recipe.model,
        "system": recipe.system,
        "parameters": dict(recipe.parameters),
        "messages": [
            {"role": role, "content": said}
            for asked, reply in recipe.messages
            for role, said in (("user", asked), ("assistant", reply))
        ],
        "stream": False,
    }
    said = Wire(server).ask("/api/create", body, within=_MAKING).get("status")
    if said != "success":
        raise ProviderError("transport", f"the server says {str(said)[:200]!r} instead of success")
