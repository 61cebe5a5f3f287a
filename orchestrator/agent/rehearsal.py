"""What a model would be asked, were these its replies: the conversation of a ticket, made in advance.

It is how the demo's toy comes to know its one ticket: the very prompts that the agent will send are made
here, by the same code, in a scratch repository. Checks and probes are taken to hold.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.actions import Act, Action, Call
from orchestrator.agent import drive
from orchestrator.agent.calling import call
from orchestrator.agent.options import way
from orchestrator.agent.scratch import scratch
from orchestrator.agent.work import next_step
from orchestrator.attempt import apply
from orchestrator.checks import Check
from orchestrator.git import Repo
from orchestrator.models.base import Chosen, Heard, Nobody, Reply
from orchestrator.providers.base import Request, Usage
from orchestrator.world import World
from state.events import Event
from state.workspace import Workspace


@dataclass(frozen=True)
class Asked:
    """One request and the reply to it."""

    request: Request
    reply: str

    def body(self) -> dict[str, Any]:
        """As a toy is taught it."""
        messages = [{"role": each.role, "content": each.content} for each in self.request.messages]
        return {"messages": messages, "reply": self.reply}


def rehearse(
    workspace: Workspace,
    repo: Repo,
    ticket: str,
    spec: Mapping[str, Any],
    base_ref: str,
    checks: Sequence[Check],
    chosen: Chosen,
    replies: Sequence[str],
) -> list[Asked]:
    """Every request of an attempt whose model gives these replies, in order.

    Args:
        workspace: with its personas; nothing is written to it.
        repo: its repository.
        ticket: its id.
        spec: of the ticket, as the loader gives it.
        base_ref: the branch it would start from.
        checks: of the ticket; taken to hold.
        chosen: as the model will be chosen: its room shapes the prompts.
        replies: what it says, call by call.

    Raises:
        ValueError: the replies do not lead to the end of the ticket.
    """
    service = _Given(chosen, replies)
    base = repo.resolve(base_ref)
    started = {"spec": spec, "revision": "", "base_ref": base_ref, "base": base, "branch": "rehearsal"}
    world = World(base=base, revision="", known=frozenset())
    with scratch(workspace, repo, "Jetbox <jetbox@localhost>", checks, service) as place:
        attempt = apply(None, Event(1, 0, ticket, 1, "attempt.started", started))
        assert attempt is not None
        for seq in range(2, 400, 2):
            step = next_step(attempt, checks, world, way(spec))
            if step is None:
                return service.asked
            if not isinstance(step, Action):
                break
            result = {"name": step.title, "passed": True, "summary": "taken to hold"}
            if isinstance(step, Call):
                result = call(step, attempt, place).result
            elif isinstance(step, Act):
                result = drive.act(step, attempt, place).result
            body = {"key": step.key, "intent": seq, "status": "done", "result": result}
            attempt = apply(attempt, Event(seq + 1, 0, ticket, 1, "action.outcome", body))
            assert attempt is not None
    raise ValueError(f"the replies to {ticket} do not lead to its end")


class _Given(Nobody):
    """A service that gives replies from a list and remembers what it was asked."""

    def __init__(self, chosen: Chosen, replies: Sequence[str]) -> None:
        self.asked: list[Asked] = []
        self._chosen, self._replies = chosen, list(replies)

    def obstacle(self, roles: frozenset[str]) -> str | None:
        return None

    def choose(self, role: str, larger: int = 0) -> Chosen:
        return self._chosen

    def chat(
        self, chosen: Chosen, request: Request, hear: Callable[[Heard], None], stop: threading.Event
    ) -> Reply | None:
        if not self._replies:
            raise ValueError("there are fewer replies than calls")
        text = self._replies.pop(0)
        self.asked.append(Asked(request, text))
        return Reply("", text, Usage())
