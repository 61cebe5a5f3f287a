"""Kind `run`: plain commands in the worktree, in order. No model: a build, a script, a benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from orchestrator.actions import Close, Command, Decision
from orchestrator.attempt import Attempt
from orchestrator.budget import time_left
from orchestrator.checks import Check
from orchestrator.kinds.base import Options
from orchestrator.models.base import Service
from orchestrator.world import World
from state.workspace import Workspace
from tickets.kinds import Approval

CommandLine = Annotated[str, Field(min_length=1, max_length=8192)]
ExitCode = Annotated[int, Field(ge=0, le=255)]


class Step(Options):
    """A command line whose exit codes are not only 0."""

    run: CommandLine
    """A shell command line, run in the worktree's root."""
    ok: Annotated[tuple[ExitCode, ...], Field(min_length=1, strict=False)] = (0,)
    """The exit codes that count as success."""


class RunOptions(Options):
    """What a `run` ticket's `with` holds."""

    steps: Annotated[
        list[CommandLine | Step],
        Field(min_length=1, max_length=200, examples=[["python tools/change.py"]]),
    ]
    """Command lines, run in order; one that fails fails the ticket."""
    inputs: dict[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")], str] = Field({}, max_length=32)
    """Artifacts the commands use: a name and the ticket that makes it. `JETBOX_INPUT_<NAME>` is its path."""


class Run:
    """Commands, each an action with a checkpoint."""

    name = "run"
    options: type[BaseModel] = RunOptions
    approvals: frozenset[Approval] = frozenset({"merge"})
    output: Literal["change", "artifact"] = "change"
    heeds = False

    def work(self, attempt: Attempt, checks: Sequence[Check], world: World) -> Decision | None:
        """The first command that has not succeeded yet."""
        steps = RunOptions.model_validate(attempt.spec["with"]).steps
        for index, step in enumerate(steps):
            command, ok = (step.run, step.ok) if isinstance(step, Step) else (step, (0,))
            action = Command(index, len(steps), command, ok, time_left(attempt))
            found = attempt.done.get(action.key)
            if found is None or found.status == "interrupted":
                return action
            if found.status == "failed":
                return Close("failed", f"`{command}` {found.result['why']}")
        return None

    def obstacle(self, spec: Mapping[str, Any], workspace: Workspace, models: Service) -> str | None:
        """Commands bring what they need."""
        return None


RUN = Run()
