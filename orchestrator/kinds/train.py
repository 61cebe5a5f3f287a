"""Kind `train`: a model learns from a data set in a child run. Its output is its best checkpoint.

Before a person is asked to start it, the complete request is worked out and the memory reckoned; the question
shows both. What is approved is what runs: the request is in the proposal, and in the journal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel

from orchestrator.actions import Close, Decision, Run
from orchestrator.attempt import Attempt
from orchestrator.budget import time_left
from orchestrator.checks import Check
from orchestrator.extras import MODELS, lacking
from orchestrator.models.base import Service
from orchestrator.training import foresight
from orchestrator.training.foresight import Plan
from orchestrator.training.options import TrainOptions
from orchestrator.world import World
from state.workspace import Workspace
from tickets.kinds import Approval

MODULE = "model.train"


class Train:
    """One child run, taken up again after a crash, with a question before it."""

    name = "train"
    options: type[BaseModel] = TrainOptions
    approvals: frozenset[Approval] = frozenset({"start"})
    output: Literal["change", "artifact"] = "artifact"
    heeds = False

    def foresee(self, attempt: Attempt, world: World) -> Decision | None:
        """The request, its memory, and lighter ones where it does not fit."""
        found = foresight.foresee(attempt, world)
        return None if isinstance(found, Plan) else found

    def facts(self, attempt: Attempt, world: World) -> tuple[str, dict[str, Any]]:
        """All that would run."""
        plan = self._plan(attempt, world)
        return foresight.summary(plan), foresight.facts(plan)

    def work(self, attempt: Attempt, checks: Sequence[Check], world: World) -> Decision | None:
        """The run, until it has a result."""
        found = attempt.done.get("run")
        if found is None or found.status == "interrupted":
            plan = self._plan(attempt, world)
            memory = int(plan.memory["bytes"]) if plan.memory["shared"] else 0
            return Run(MODULE, dict(plan.request), time_left(attempt), memory, dict(plan.pins))
        if found.status == "failed":
            return Close("failed", str(found.result["why"]))
        return None

    def obstacle(self, spec: Mapping[str, Any], workspace: Workspace, models: Service) -> str | None:
        """The model wing, where it is not installed."""
        return lacking(MODELS, "training")

    def _plan(self, attempt: Attempt, world: World) -> Plan:
        found = foresight.foresee(attempt, world)
        assert isinstance(found, Plan)  # `foresee` has come before
        return found


TRAIN = Train()
