"""What a `code` ticket's `with` holds, and how it says the work is to be done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from orchestrator.agent.turns import Subtask
from orchestrator.agent.work import Way
from orchestrator.kinds.base import Options


class Stage(Options):
    """A part of the work that can be run when it is done, and tried again without the others."""

    goal: Annotated[str, Field(min_length=8, max_length=240)]
    """What this stage is to reach."""
    check: Annotated[str, Field(max_length=8192)] = ""
    """A shell command line that exits 0 when it is reached."""


class CodeOptions(Options):
    """What a `code` ticket's `with` holds."""

    plan: bool = True
    """Let a planner cut the goal into subtasks, and a critic look at them."""
    rounds: Annotated[int, Field(ge=0, le=5)] = 2
    """How often the critic may send the plan back."""
    stages: Annotated[list[Stage], Field(max_length=12)] = Field([])
    """The plan, where the ticket brings its own: stages in order, each with a check of its own."""


def way(spec: Mapping[str, Any]) -> Way:
    """How a ticket wants to be worked on."""
    options = CodeOptions.model_validate(spec.get("with") or {})
    stages = tuple(Subtask(stage.goal, stage.check) for stage in options.stages)
    return Way(str(spec.get("persona") or "coder"), stages, options.plan, options.rounds)
