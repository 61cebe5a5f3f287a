"""Kind `datagen`: a data set made by a recipe in a child run. Its output is an artifact, not a change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from orchestrator.actions import Close, Decision, Run
from orchestrator.attempt import Attempt
from orchestrator.budget import time_left
from orchestrator.checks import Check
from orchestrator.extras import COLUMNS, lacking
from orchestrator.kinds.base import Options
from orchestrator.models.base import Service
from orchestrator.world import World
from state.workspace import Workspace
from tickets.kinds import Approval


class DatagenOptions(Options):
    """What a `datagen` ticket's `with` holds."""

    recipe: Annotated[
        str, Field(pattern=r"^[a-z0-9][a-z0-9_./-]*$", max_length=64, examples=["text/worked-steps"])
    ]
    """An entry point in the group `jetbox.recipes`, such as text/worked-steps."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """The same seed gives the same bytes."""
    count: Annotated[int, Field(ge=1, le=100_000_000)] = 20_000
    """Rows."""
    shards: Annotated[int, Field(ge=1, le=10_000)] = 8
    """Files the rows are spread over; each is finished and checked on its own."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Processes that make columns at the same time; they change no byte."""
    options: dict[str, Any] = Field({})
    """The recipe's own options."""


class Datagen:
    """One child run, taken up again after a crash."""

    name = "datagen"
    options: type[BaseModel] = DatagenOptions
    approvals: frozenset[Approval] = frozenset()
    output: Literal["change", "artifact"] = "artifact"
    heeds = False

    def work(self, attempt: Attempt, checks: Sequence[Check], world: World) -> Decision | None:
        """The run, until it has a result."""
        options = DatagenOptions.model_validate(attempt.spec.get("with") or {})
        found = attempt.done.get("run")
        if found is None or found.status == "interrupted":
            request = {"schema": 1, **options.model_dump()}
            if options.workers == 1:
                del request["workers"]
            return Run("datagen", request, time_left(attempt))
        if found.status == "failed":
            return Close("failed", str(found.result["why"]))
        return None

    def obstacle(self, spec: Mapping[str, Any], workspace: Workspace, models: Service) -> str | None:
        """What the recipe stands on, where it is not installed."""
        recipe = (spec.get("with") or {}).get("recipe", "")
        if any("model" in point.extras for point in entry_points(group="jetbox.recipes", name=recipe)):
            return lacking(COLUMNS, f"the recipe {recipe}")
        return None


DATAGEN = Datagen()
