"""Kind `core`: what a working memory learned is taken into the core, if a person says so.

The update is made in a folder of its own and measured; what is proposed is that very folder, by its digest. A
task that would lose more than one point ends it before anyone is asked. Nothing but the approval of exactly
this candidate, over exactly the version that it was measured on, puts it into force.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from orchestrator.actions import Close, Decision, Propose, Run, Void
from orchestrator.asking import asked, evidence, superseded
from orchestrator.attempt import Attempt, Outcome
from orchestrator.budget import time_left
from orchestrator.checks import Check
from orchestrator.core.steps import Install, Plan, Weigh
from orchestrator.core.weighing import MOST_LOST, layers, losses
from orchestrator.extras import MODELS, lacking
from orchestrator.kinds.base import Options
from orchestrator.models.base import Service
from orchestrator.world import World
from state.canonical import digest
from state.workspace import Workspace
from tickets.kinds import Approval

MODULE = "model.consolidate"
KEEPS = Check(name="keeps", built_in="keeps")
"""The check that every update is held to, whatever its ticket's `accept` says or leaves out."""
CHANGED = "the core has changed: it is measured anew"
_SHOWN = 64  # layers in a proposal; the file that is pinned has all
_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class CoreOptions(Options):
    """What a `core` ticket's `with` holds."""

    memory: Annotated[_Name, Field(examples=["default"])]
    """The working memory whose lessons the core is to learn."""
    part: _Name | None = None
    """The part of the core that learns; the memory's own where it is left out."""
    core_seconds: Annotated[int, Field(ge=1, le=7 * 24 * 3600)] = 60
    """CPU seconds that the learning may take; new words alone are learned in a fixed number of steps."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """What is drawn: fresh questions, and the order of learning."""


class Core:
    """One consolidation in a child run, a question, and the installation of exactly what was approved."""

    name = "core"
    options: type[BaseModel] = CoreOptions
    approvals: frozenset[Approval] = frozenset({"core"})
    output: Literal["change", "artifact"] = "artifact"
    heeds = False

    def work(self, attempt: Attempt, checks: Sequence[Check], world: World) -> Decision | None:
        """Plan, run, weigh, check, ask, install; None once it is in force."""
        if installed(attempt):
            return None
        options = CoreOptions.model_validate(attempt.spec.get("with") or {})
        plan = Plan(options.memory, options.part or "", options.seed, options.core_seconds)
        made = attempt.done.get(plan.key)
        if made is None or made.status == "interrupted":
            return plan
        if made.status == "failed":
            return Close("failed", str(made.result["why"]))
        if made.result["before"] != world.core:
            return _anew(attempt)
        run = attempt.done.get("run")
        if run is None or run.status == "interrupted":
            return Run(MODULE, dict(made.result["request"]), time_left(attempt), 0, dict(made.result["pins"]))
        if run.status == "failed":
            return Close("failed", str(run.result["why"]))
        artifact = run.result["artifact"]
        weigh = Weigh(str(artifact["path"]), str(artifact["sha256"]), str(made.result["before"]))
        weighed = attempt.done.get(weigh.key)
        if weighed is None or weighed.status == "interrupted":
            return weigh
        if weighed.status == "failed":
            return Close("failed", str(weighed.result["why"]))
        if verdict := _checked(attempt, checks, world, run, weighed):
            return verdict
        return _ask(attempt, world, made, run, weighed)

    def obstacle(self, spec: Mapping[str, Any], workspace: Workspace, models: Service) -> str | None:
        """The model wing, where it is not installed."""
        return lacking(MODELS, "an update of the core")


def installed(attempt: Attempt) -> bool:
    """Whether what was approved is in force."""
    return any(key.startswith("install:") and o.status == "done" for key, o in attempt.done.items())


def _anew(attempt: Attempt) -> Decision:
    """What was measured on another version counts no more: the question is voided, the attempt made anew."""
    word = attempt.word("core")
    if word is not None and word.state in ("open", "approved"):
        return Void(word.id, CHANGED)
    return Close("cancelled", CHANGED, retry=True)


def _checked(
    attempt: Attempt, checks: Sequence[Check], world: World, run: Outcome, weighed: Outcome
) -> Decision | None:
    """All checks before anyone is asked; the kind's own comes first and is no matter of names or receipts."""
    from orchestrator.decide import receipts_of_artifact  # which looks at kinds

    every = (KEEPS, *(check for check in checks if check.name != KEEPS.name))
    if verdict := receipts_of_artifact(attempt, every, world):
        return verdict
    if lost := losses(run.result["metrics"], weighed.result["effects"]):
        return Close("failed", f"it would lose more than {MOST_LOST:.0%}: {'; '.join(lost)}")
    return None


def _ask(attempt: Attempt, world: World, made: Outcome, run: Outcome, weighed: Outcome) -> Decision:
    propose = proposal(attempt, world, made, run, weighed)
    if void := superseded(attempt, propose):
        return void
    if wait := asked(attempt, propose):
        return wait
    wanted = digest(propose.subject)
    word = next(w for w in reversed(attempt.words) if w.digest == wanted)  # `asked` found it approved
    step = Install(word.id, str(weighed.result["candidate"]), str(weighed.result["core"]))
    found = attempt.done.get(step.key)
    if found is None or found.status == "interrupted":
        return step
    if found.result.get("stale"):
        return Close("cancelled", CHANGED, retry=True)
    return Close("failed", str(found.result["why"]))


def proposal(attempt: Attempt, world: World, made: Outcome, run: Outcome, weighed: Outcome) -> Propose:
    """All that an approval to change the core is bound to. Nothing of it may depend on when it is asked."""
    plan, found, metrics = made.result, weighed.result, run.result["metrics"]
    memory, before = plan["memory"], str(plan["before"])
    command = f"jetbox core revert {before[:12]}"
    receipts = [
        {"check": o.result["name"], "side": o.result["side"], "tree": o.result["tree"], "exit": o.exit,
         "output": o.result.get("output", ""), "passed": o.result["passed"],
         **({"skipped": o.result["skipped"]} if o.result.get("skipped") else {})}
        for key, o in attempt.done.items()
        if key.startswith("check:artifact:") and o.status == "done"
    ]  # fmt: skip
    figures = {name: metrics[name] for name in sorted(metrics) if name.startswith(("old_", "new_"))}
    layer = layers(found["difference"])
    subject: dict[str, Any] = {
        "ticket": attempt.ticket,
        "attempt": attempt.number,
        "revision": attempt.revision,
        "goal": attempt.spec["goal"],
        "change_id": str(found["core"])[:12],
        "part": plan["part"],
        "layer": layer,
        "rationale": rationale(memory),
        "evidence": {
            "memory": {"name": memory["name"], "digest": memory["digest"], "method": memory["method"]},
            "lessons": {"count": memory["lessons"], "digest": memory["lessons_digest"]},
            **({"reflections": memory["reflections"]} if memory.get("reflections") else {}),
            "effects": found["effects_sha256"],
            "difference": found["difference_sha256"],
        },
        "figures": figures,
        "expected_effects": found["effects"],
        "difference": found["difference"][:_SHOWN],
        "receipts": sorted(receipts, key=lambda r: str(r["check"])),
        "revert_plan": {"to": before, "command": command, "rehearsed": found["rehearsed"]},
        "rollback": {"how": command, "rehearsed": found["rehearsed"]},
        "core": found["core"],
        "before": before,
        **evidence(attempt, world),
    }
    said = f"change the core: {plan['part']} learns what the memory {memory['name']} knows"
    if {"new_before", "new_after", "old_before", "old_after"} <= figures.keys():
        said += (
            f" (new {figures['new_before']:.0%} to {figures['new_after']:.0%},"
            f" old {figures['old_before']:.1%} to {figures['old_after']:.1%})"
        )
    return Propose("core", said, subject)


def rationale(memory: Mapping[str, Any]) -> str:
    """Why, in what was counted; no model's words."""
    kinds = ", ".join(f"{count} of {kind}" for kind, count in sorted(memory["kinds"].items()))
    count, since = int(memory["lessons"]), int(memory["since"])
    day = time.strftime("%Y-%m-%d", time.gmtime(since / 1000)) if since else ""
    more = f"; since {day}: {kinds}" if kinds and day else ""
    noun = "lesson" if count == 1 else "lessons"
    return f"measured, not a model's words: {count} {noun} in the memory {memory['name']}{more}"


CORE = Core()
