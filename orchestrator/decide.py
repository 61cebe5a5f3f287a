"""What an attempt does next: a pure function of what is recorded and of what the world looks like.

No I/O, no clock, no memory of its own. The engine gathers a `World`, asks, performs the answer and
writes what came of it; after a crash it asks again. The order of the rules below is the pipeline:

    close what is ending -> follow up what landed -> approvals that count for nothing -> a person's wishes
    -> work -> merge -> checks -> rehearsed rollback -> proposal -> landing

No command comes out of it where no sandbox holds and no person has consented to that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.actions import (
    Act,
    Action,
    Adopt,
    Call,
    Close,
    Command,
    Decision,
    End,
    FollowUp,
    Land,
    Merge,
    Prepare,
    Probe,
    Propose,
    Rehearse,
    Restore,
    Verify,
    Void,
    Wait,
)
from orchestrator.asking import asked, evidence, not_accepted, outdated, superseded, without
from orchestrator.attempt import Attempt, Outcome
from orchestrator.budget import exceeded, time_left
from orchestrator.checks import Check
from orchestrator.globs import outside
from orchestrator.kinds.base import Foresees, Kind
from orchestrator.notable import notable
from orchestrator.permission import permission
from orchestrator.world import World
from tickets import values

PATIENCE = 4
"""How often in a row an action may break (not: fail) before its attempt is given up."""

TAKEN = (
    "you have taken it over: hand it back with `jetbox hand-back`, or O in the cockpit, and the checks run"
)
"""Why nothing is done while a person works in the worktree."""

UNSANDBOXED = (
    "no sandbox holds on this machine: commands run with your rights only after `jetbox consent`, or U in the"
    " cockpit, which asks for a phrase and counts until the engine stops"
)
"""Why a command waits where nothing would hold it."""


def decide(attempt: Attempt, kind: Kind, checks: Sequence[Check], world: World) -> Decision:
    """The next decision for this attempt."""
    decision = _decide(attempt, kind, checks, world)
    if _runs_a_command(decision) and world.isolation == "none" and not world.consent:
        return Wait(UNSANDBOXED)
    return decision


def _runs_a_command(decision: Decision) -> bool:
    """Whether something that a ticket, a model or a project names would be started."""
    match decision:
        case Command() | Probe():
            return True
        case Act():
            return decision.verb == "run" and not decision.refused
        case Verify():
            return bool(decision.check.run) or decision.check.gate
        case Rehearse():
            return bool(decision.command)
    return False


def _decide(attempt: Attempt, kind: Kind, checks: Sequence[Check], world: World) -> Decision:
    if attempt.closing is not None:
        return _close(attempt, attempt.closing)
    if landed := _landed(attempt, world):
        return landed
    if void := not_accepted(attempt, world):
        return void
    if attempt.faults >= PATIENCE:
        return _end(attempt, "failed", attempt.fault)
    if world.asked in ("cancel", "retry"):
        why = "cancelled" if world.asked == "cancel" else "tried again on request"
        return _end(attempt, "cancelled", why, retry=world.asked == "retry")
    if world.revision != attempt.revision:
        return _end(attempt, "cancelled", "the ticket was edited while it ran", retry=True)
    for word in attempt.words:
        if word.state == "denied" and not (kind.heeds and word.kind == "merge"):
            return _end(attempt, "failed", f"denied: {word.reason}")
    if attempt.taken:
        return Wait(TAKEN)
    if void := outdated(attempt, world):
        return void
    facts: tuple[str, Mapping[str, Any]] = ("", {})
    if isinstance(kind, Foresees):
        if first := kind.foresee(attempt, world):
            blocked = world.obstacle if isinstance(first, Action) and not isinstance(first, Close) else None
            return Wait(blocked) if blocked else first
        facts = kind.facts(attempt, world)
    if ask := permission(attempt, checks, world, _approvals(attempt, kind), facts):
        return ask
    if budget := exceeded(attempt, world, ("time",)):
        return budget
    work: Decision | None = None
    if attempt.handed and not attempt.ok(Adopt(attempt.handed).key):
        work = Adopt(attempt.handed)
    work = work or kind.work(attempt, checks, world)
    if work is not None and kind.output == "change":
        work = _after_interruption(attempt, work)
    if isinstance(work, Action) and not work.alone and world.obstacle:
        return Wait(world.obstacle)
    if isinstance(work, Call) and (budget := exceeded(attempt, world, ("turns", "tokens"))):
        return budget
    if work is not None:
        return work
    if kind.output == "change":
        return _accept_change(attempt, checks, world)
    return _accept_artifact(attempt, checks, world)


# The end of an attempt ------------------------------------------------------------------------------


def _end(
    attempt: Attempt, state: str, why: str, *, retry: bool = False, result: dict[str, Any] | None = None
) -> Decision:
    return Close(state=state, why=why, retry=retry, result=result or {})


def _close(attempt: Attempt, closing: Mapping[str, Any]) -> Decision:
    """Once an end has begun it is carried through, whatever happens meanwhile."""
    if attempt.ok("close"):
        return End(closing["state"], closing["why"], closing["retry"], dict(closing["result"]))
    return Close(closing["state"], closing["why"], closing["retry"], dict(closing["result"]))


def landed_not_followed(attempt: Attempt) -> bool:
    """Whether the base has moved and the checkouts may not have followed."""
    return _landing(attempt) is not None and not attempt.ok("follow-up")


def _landing(attempt: Attempt) -> tuple[str, Outcome] | None:
    """The proposal that landed, and the outcome that says so."""
    done = ((key, o) for key, o in attempt.done.items() if key.startswith("land:") and o.status == "done")
    return next(((key.removeprefix("land:"), outcome) for key, outcome in done), None)


def _landed(attempt: Attempt, world: World) -> Decision | None:
    found = _landing(attempt)
    if found is None:
        return None
    proposal, done = found
    if why := world.refused.get(proposal):
        return _end(attempt, "failed", f"the journal says that it landed, git does not: {why}")
    if not attempt.ok("follow-up"):
        return FollowUp(attempt.base_ref, done.result["old_tree"], done.result["tree"])
    kept = attempt.done["follow-up"].result.get("kept") or []
    why = f"landed; {len(kept)} of your own files were left as they are" if kept else ""
    return _end(attempt, "landed", why, result={"commit": done.result["commit"]})


# Before the work ------------------------------------------------------------------------------------


def _approvals(attempt: Attempt, kind: Kind) -> frozenset[str]:
    """A ticket may ask for more approvals than its kind needs, never for fewer."""
    return kind.approvals | frozenset(attempt.spec.get("approve") or ())


def _after_interruption(attempt: Attempt, work: Decision) -> Decision:
    """The worktree comes before the work; after a cut-off action it goes back to the last checkpoint."""
    if not attempt.ok("prepare"):
        return Prepare(attempt.head)
    if isinstance(work, Adopt):
        return work  # what stands there is a person's, whatever was cut off before they took it
    since = max(_restored(attempt), attempt.handed)
    cut = [
        o.seq
        for key, o in attempt.done.items()
        if o.status == "interrupted" and o.seq > since and not key.startswith(("call:", "adopt:"))
    ]
    if cut:
        return Restore(attempt.head, max(cut))
    return work


def _restored(attempt: Attempt) -> int:
    keys = [key for key, o in attempt.done.items() if key.startswith("restore:") and o.status == "done"]
    return max((int(key.removeprefix("restore:")) for key in keys), default=0)


# Acceptance -----------------------------------------------------------------------------------------


def _accept_change(attempt: Attempt, checks: Sequence[Check], world: World) -> Decision:
    if world.base is None:
        branch = attempt.base_ref.removeprefix("refs/heads/")
        return Wait(f"the branch {branch} is gone: bring it back, and this goes on")
    void = _void(attempt, world)
    if void:
        return void
    key = Merge(world.base, attempt.head).key
    merged = attempt.ok(key)
    if merged is None:
        return Merge(world.base, attempt.head)
    result = merged.result
    if result["conflicts"]:
        files = ", ".join(result["conflicts"][:5])
        return _end(attempt, "failed", f"conflicts with its base in {files}; a retry starts from there")
    if stray := outside(result["changed"], attempt.spec.get("paths") or ()):
        return _end(attempt, "failed", f"changed outside its paths: {', '.join(stray[:5])}")
    verdict = _checked(attempt, checks, world, result)
    if verdict is not None:
        return verdict
    if not result["changed"]:
        return _end(attempt, "landed", "nothing to merge: it changed no file")
    if unverified := _unverified(attempt, checks, result["head_tree"]):
        return Wait(unverified)
    how = values.rollback(attempt.spec.get("rollback") or "revert")
    command = how.command if isinstance(how, values.ByShell) else ""
    rehearsal = Rehearse(world.base, attempt.head, result["commit"], command, time_left(attempt))
    rehearsed = attempt.done.get(rehearsal.key)
    if rehearsed is None or rehearsed.status == "interrupted":
        return rehearsal
    if rehearsed.status == "failed":
        return _end(attempt, "failed", f"its rollback does not work: {rehearsed.result['why']}")
    propose = _merge_proposal(attempt, checks, world, result, rehearsed)
    if void := superseded(attempt, propose):
        return void
    if wait := asked(attempt, propose):
        return wait
    if world.in_the_way:
        return Wait("; ".join(world.in_the_way))
    word = attempt.word("merge")
    assert word is not None  # _asked has just found it approved
    return Land(word.id, dict(propose.subject["landing"]))


def _void(attempt: Attempt, world: World) -> Void | None:
    """A merge proposal or approval whose base has moved serves no more."""
    word = attempt.word("merge")
    if word is None or word.state not in ("open", "approved") or word.subject["base"] == world.base:
        return None
    return Void(word.id, "the base has moved: the checks are taken again")


def _checked(
    attempt: Attempt, checks: Sequence[Check], world: World, merged: Mapping[str, Any]
) -> Decision | None:
    """Receipts on the branch, on the base for `red` ones, and on the merge result; None when all pass.

    All checks of a side are taken before a red one ends the attempt, so that a person sees them all.
    """
    sides = [("branch", attempt.head, merged["head_tree"])]
    if merged["tree"] != merged["head_tree"]:
        sides.append(("merged", merged["commit"], merged["tree"]))
    for side, commit, tree in sides:
        takes = [Verify(check, side, commit, tree, time_left(attempt)) for check in checks]
        if side == "branch":
            reds = [check for check in checks if check.red]
            base, tree = str(world.base), merged["base_tree"]
            takes += [Verify(check, "base", base, tree, time_left(attempt)) for check in reds]
        if verdict := _take(attempt, takes, world):
            return verdict
    return None


def _accept_artifact(attempt: Attempt, checks: Sequence[Check], world: World) -> Decision:
    run = attempt.ok("run")
    assert run is not None  # the kind's work is done
    artifact = dict(run.result["artifact"])
    if verdict := receipts_of_artifact(attempt, checks, world):
        return verdict
    return _end(attempt, "landed", "", result={"artifact": artifact})


def receipts_of_artifact(attempt: Attempt, checks: Sequence[Check], world: World) -> Decision | None:
    """The next receipt to take on what a run made, the end where one is red; None when all are there."""
    artifact = attempt.done["run"].result["artifact"]
    takes = [Verify(check, "artifact", "", artifact["sha256"], time_left(attempt)) for check in checks]
    return _take(attempt, takes, world) or without(attempt, takes, world)


def _take(attempt: Attempt, takes: Sequence[Verify], world: World) -> Decision | None:
    """The next receipt to take; the end when one is red; None when every one is there and passes."""
    for take in takes:
        if take.check.asks and (wait := _ask_human(attempt, take, world)):
            return wait
        if taken(attempt, take, world) is None:
            return take
    done = [(take, attempt.done[take.key]) for take in takes]
    red = [(take, o) for take, o in done if not o.result["passed"] and not o.result.get("skipped")]
    if not red:
        return None
    lines = [f"{take.check.name}: {_said(take, outcome)}" for take, outcome in red]
    return _end(attempt, "failed", "; ".join(lines))


def taken(attempt: Attempt, take: Verify, world: World) -> Outcome | None:
    """The outcome of a check that counts; None where it is to be taken.

    One that was skipped counts until the program that it needs lies elsewhere than it did then.
    """
    found = attempt.done.get(take.key)
    if found is None or found.status == "interrupted":
        return None
    before, now = found.result.get("tool"), world.tools.get(take.check.built_in)
    return None if found.result.get("skipped") and now and now != before else found


def _skipped(attempt: Attempt, checks: Sequence[Check], tree: str) -> dict[str, str]:
    """The checks that could not be taken on the branch, with the reasons."""
    takes = [Verify(check, "branch", "", tree, None) for check in checks]
    found = {take.check.name: attempt.done.get(take.key) for take in takes}
    return {name: str(o.result["skipped"]) for name, o in found.items() if o and o.result.get("skipped")}


def _unverified(attempt: Attempt, checks: Sequence[Check], tree: str) -> str:
    """Why a change is not proposed though nothing is red: no check that runs has held; '' where one has."""
    skipped = _skipped(attempt, checks, tree)
    if not skipped or any(not check.asks and check.name not in skipped for check in checks):
        return ""
    why = "; ".join(dict.fromkeys(skipped.values()))
    return f"unverified: {why}, and no other check runs. Once it is there, this goes on"


def _said(take: Verify, outcome: Outcome) -> str:
    if take.side == "base":
        return "passes on the base already, so it proves nothing"
    return f"{outcome.result['summary']} on the {take.side}"


def _ask_human(attempt: Attempt, take: Verify, world: World) -> Decision | None:
    if take.check.asks == "judge":
        return Wait(f"needs a model to judge, which this version cannot ask: {take.check.name}")
    subject = {
        "ticket": attempt.ticket,
        "attempt": attempt.number,
        "question": take.check.name,
        "tree": take.tree,
        **evidence(attempt, world),
    }
    return asked(attempt, Propose("question", take.check.name, subject))


def _merge_proposal(
    attempt: Attempt, checks: Sequence[Check], world: World, merged: Mapping[str, Any], rehearsed: Outcome
) -> Propose:
    """All that a merge approval is bound to. Nothing of it may depend on when it is asked."""
    prefix = ("check:branch:", "check:merged:", "check:base:")
    names = {check.name for check in checks}
    trees = {merged["base_tree"], merged["head_tree"], merged["tree"]}
    receipts = [
        {"check": o.result["name"], "side": o.result["side"], "tree": o.result["tree"], "exit": o.exit,
         "output": o.result.get("output", ""), "passed": o.result["passed"],
         **({"skipped": o.result["skipped"]} if o.result.get("skipped") else {})}
        for key, o in attempt.done.items()
        if key.startswith(prefix) and o.status == "done"
        and o.result["name"] in names and o.result["tree"] in trees
    ]  # fmt: skip
    count = len(merged["changed"])
    summary = f"merge {count} file{'s' if count != 1 else ''}: {attempt.spec['goal']}"
    if skipped := _skipped(attempt, checks, merged["head_tree"]):
        some = f"{len(skipped)} check{'s' if len(skipped) != 1 else ''} skipped"
        summary = f"{summary} ({some}: {'; '.join(dict.fromkeys(skipped.values()))})"
    subject = {
        "ticket": attempt.ticket,
        "attempt": attempt.number,
        "revision": attempt.revision,
        "base_ref": attempt.base_ref,
        "base": world.base,
        "head": attempt.head,
        "tree": merged["tree"],
        "diff": merged["diff"],
        "changed": merged["changed"],
        "notable": notable(merged["changed"]),
        "receipts": sorted(receipts, key=lambda r: (r["check"], r["side"])),
        "rollback": {"how": rehearsed.result["rollback"], "rehearsed": rehearsed.result["why"]},
        **evidence(attempt, world),
        "landing": merged["landing"],
    }
    return Propose("merge", summary, subject, str(merged["diff"]))
