"""Kind `code`: a local model changes the repository.

This version looks for a model server and says what it finds; it brings no agent to work with one yet.
"""

from __future__ import annotations

import os
import socket
from typing import Literal

from pydantic import BaseModel

from orchestrator import user
from orchestrator.actions import Decision, Wait
from orchestrator.attempt import Attempt
from orchestrator.kinds.base import Options
from orchestrator.reach import NotAllowed, Reach, Server, reach
from orchestrator.world import World
from tickets.kinds import Approval
from tickets.problems import TicketError


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
        """Whether a model server answers that may be asked."""
        try:
            found = _reach()
        except TicketError as error:
            return f"your own settings cannot be read: {error.problems[0]}"
        if found.refused:
            return found.refused
        host, port = found.ollama
        try:
            socket.create_connection((host, port), timeout=0.5).close()
        except NotAllowed:
            return f"{host}:{port} came to your `servers` after the engine had started: start it anew"
        except OSError:
            return f"no model server answers at {host}:{port}: start Ollama, and this goes on"
        return None


def server() -> Server:
    """The model server: `OLLAMA_HOST`, else Ollama's own."""
    return _reach().ollama


def _reach() -> Reach:
    return reach(user.load().servers, os.environ.get("OLLAMA_HOST"))


CODE = Code()
