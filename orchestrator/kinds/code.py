"""Kind `code`: a local model changes the repository.

This version looks for a model server and says what it finds; it brings no agent to work with one yet.
"""

from __future__ import annotations

import os
import socket
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel

from orchestrator.actions import Decision, Wait
from orchestrator.attempt import Attempt
from orchestrator.kinds.base import Options
from orchestrator.world import World
from tickets.kinds import Approval

OLLAMA = "127.0.0.1:11434"


class CodeOptions(Options):
    """What a `code` ticket's `with` holds: nothing yet."""


class Code:
    """Waits for a model server."""

    name = "code"
    options: type[BaseModel] = CodeOptions
    approvals: frozenset[Approval] = frozenset({"merge"})
    output: Literal["change", "artifact"] = "change"

    def work(self, attempt: Attempt, world: World) -> Decision | None:
        """There is no agent in this version."""
        return Wait("a model server answers, but this version has no agent for it: use kind `run`")

    def obstacle(self) -> str | None:
        """Whether a model server answers on this machine."""
        host, port = server()
        try:
            socket.create_connection((host, port), timeout=0.5).close()
        except OSError:
            return f"no model server answers at {host}:{port}: start Ollama, and this goes on"
        return None


def server() -> tuple[str, int]:
    """Host and port of the model server: `OLLAMA_HOST`, else Ollama's own."""
    given = os.environ.get("OLLAMA_HOST", OLLAMA)
    parts = urlsplit(given if "//" in given else f"//{given}")
    try:
        return parts.hostname or "127.0.0.1", parts.port or 11434
    except ValueError:
        return "127.0.0.1", 11434


CODE = Code()
