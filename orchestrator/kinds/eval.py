"""Kind `eval`: trained models are measured on test rows in a child run. Its output is a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel

from orchestrator.actions import Close, Decision, Resolve, Run
from orchestrator.attempt import Attempt
from orchestrator.budget import time_left
from orchestrator.checks import Check
from orchestrator.extras import MODELS, lacking
from orchestrator.models.base import Service
from orchestrator.training.options import EvalOptions
from orchestrator.world import World
from state.workspace import Workspace
from tickets.kinds import Approval

MODULE = "model.evaluate"


class Eval:
    """One child run, taken up again after a crash."""

    name = "eval"
    options: type[BaseModel] = EvalOptions
    approvals: frozenset[Approval] = frozenset()
    output: Literal["change", "artifact"] = "artifact"
    heeds = False

    def work(self, attempt: Attempt, checks: Sequence[Check], world: World) -> Decision | None:
        """The complete request, then the run until it has a result."""
        step = Resolve(0, "eval", dict(attempt.spec.get("with") or {}), {})
        made = attempt.done.get(step.key)
        if made is None or made.status == "interrupted":
            return step
        if made.status == "failed":
            return Close("failed", str(made.result["why"]))
        found = attempt.done.get("run")
        if found is None or found.status == "interrupted":
            request, pins = dict(made.result["request"]), dict(made.result["pins"])
            return Run(MODULE, request, time_left(attempt), int(made.result["memory"]), pins)
        if found.status == "failed":
            return Close("failed", str(found.result["why"]))
        return None

    def obstacle(self, spec: Mapping[str, Any], workspace: Workspace, models: Service) -> str | None:
        """The model wing, where it is not installed."""
        return lacking(MODELS, "evaluation")


EVAL = Eval()
