"""Kind `code`: a local model changes the repository, one recorded turn at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel

from orchestrator.actions import Decision
from orchestrator.agent.options import CodeOptions, way
from orchestrator.agent.work import next_step
from orchestrator.attempt import Attempt
from orchestrator.checks import Check
from orchestrator.models.base import Service
from orchestrator.world import World
from state.workspace import Workspace
from tickets.kinds import Approval

PERSONAS = ("planner", "critic")
"""Who works on a ticket beside its own persona."""


class Code:
    """Plan, criticise, act, verify; see `orchestrator/agent/work.py`."""

    name = "code"
    options: type[BaseModel] = CodeOptions
    approvals: frozenset[Approval] = frozenset({"merge"})
    output: Literal["change", "artifact"] = "change"
    heeds = True

    def work(self, attempt: Attempt, checks: Sequence[Check], world: World) -> Decision | None:
        """The next turn, or what it asks for."""
        return next_step(attempt, checks, world, way(attempt.spec))

    def obstacle(self, spec: Mapping[str, Any], workspace: Workspace, models: Service) -> str | None:
        """Whether the models that its personas speak through can be asked."""
        from orchestrator.personas import fault, roles  # reads files: only where a ticket is at work

        wanted = way(spec)
        names = (wanted.persona, *(PERSONAS if wanted.plans and not wanted.stages else ()))
        broken = fault(names, workspace.personas)
        return broken or models.obstacle(roles(names, workspace.personas))


CODE = Code()
