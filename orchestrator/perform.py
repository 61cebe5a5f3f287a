"""The drivers: each turns one action into an outcome. Thin, repeatable, and the only place with effects.

A driver may be cut off at any instruction and run again for the same key; it then ends in the same
state. What it needs beyond the action comes in a `Place`, so that an attempt could be performed elsewhere.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from orchestrator import landing, run_action, runs, side_runs, worktrees
from orchestrator.actions import (
    Act,
    Action,
    Adopt,
    Back,
    Call,
    Close,
    Command,
    Estimate,
    FollowUp,
    Land,
    Merge,
    Prepare,
    Probe,
    Rehearse,
    Resolve,
    Restore,
    Run,
    Verify,
)
from orchestrator.agent import drive
from orchestrator.agent.calling import call
from orchestrator.attempt import Attempt
from orchestrator.core import drive as core_drive
from orchestrator.core.steps import Install, Plan, Weigh
from orchestrator.followup import follow_up
from orchestrator.git import GitError, Repo, stamp
from orchestrator.place import Performed, Place, spawn
from orchestrator.receipts import verify
from orchestrator.run_action import STOP_GRACE, run
from orchestrator.sandbox.sandbox import BROKEN, SAID
from orchestrator.snapshot import unrecordable
from orchestrator.training.resolve import resolve
from orchestrator.training.sizing import estimate


def perform(action: Action, attempt: Attempt, place: Place) -> Performed:
    """Do one action and say what came of it."""
    done = _DRIVERS[type(action)](action, attempt, place)
    if (
        isinstance(action, (Command, Verify, Rehearse, Probe)) or done.exit is not None
    ):  # evidence says what held the commands that made it
        return replace(done, result={**done.result, "isolation": place.sandbox.isolation})
    return done


# Worktree and commands ------------------------------------------------------------------------------


def _prepare(action: Prepare, attempt: Attempt, place: Place) -> Performed:
    path = place.worktree(attempt)
    return Performed("done", {"worktree": path.relative_to(place.workspace.root).as_posix()})


def _restore(action: Restore, attempt: Attempt, place: Place) -> Performed:
    path = place.worktree(attempt)
    try:
        kept = worktrees.restore(place.repo, path, action.commit)
    except (GitError, OSError) as error:
        if not unrecordable(error):
            raise
        worktrees.discard(place.repo, path)
        kept = worktrees.restore(place.repo, place.worktree(attempt), action.commit)
    return Performed("done", {"trash": kept} if kept else {})


def _command(action: Command, attempt: Attempt, place: Place) -> Performed:
    path = place.worktree(attempt)
    finished = spawn(action.command, path, action.timeout, attempt, place)
    output = place.blobs.put(finished.output) if finished.output else ""
    if finished.reason in ("timeout", "stopped"):
        return Performed("interrupted", {"why": finished.reason}, None, finished.seconds, output)
    if finished.reason in BROKEN:
        worktrees.discard(place.repo, path)
        return Performed(
            "failed", {"why": f"was ended: {SAID[finished.reason]}"}, None, finished.seconds, output
        )
    if not path.is_dir():
        gone = f"the worktree {path} was removed while `{action.command}` ran"
        return Performed("interrupted", {"why": "broke", "broke": gone}, None, finished.seconds, output)
    if finished.exit not in action.ok:
        why = f"ended with {finished.exit}" if finished.exit is not None else finished.reason
        return Performed("failed", {"why": why}, finished.exit, finished.seconds, output)
    try:
        checkpoint = place.checkpoint(attempt, action.command.splitlines()[0][:60])
    except (GitError, OSError) as error:
        if not unrecordable(error):
            raise
        worktrees.discard(place.repo, path)
        return Performed(
            "failed", {"why": f"made what git cannot hold: {error}"}, None, finished.seconds, output
        )
    result = {"checkpoint": asdict(checkpoint), "progress": (action.index + 1) / action.total}
    return Performed("done", result, finished.exit, finished.seconds, output)


def trash_ref(ticket: str, attempt: int) -> str:
    """Where the work of an attempt that did not land is kept."""
    return f"refs/jetbox/trash/{ticket}/{attempt}"


# Merge, receipts, rehearsal -------------------------------------------------------------------------


def _merge(action: Merge, attempt: Attempt, place: Place) -> Performed:
    repo = place.repo
    branch = f"refs/heads/{attempt.branch}"
    if repo.resolve(branch) != attempt.base or not repo.compare_and_swap(branch, action.head, attempt.base):
        repo.move_keeping(branch, action.head)  # somebody moved it: what they put there is kept
    merged = landing.merge(repo, action.base, action.head)
    base_tree, head_tree = repo.tree_of(action.base), repo.tree_of(action.head)
    result: dict[str, Any] = {"conflicts": list(merged.conflicts), "changed": [], "base_tree": base_tree}
    if merged.tree is None:
        return Performed("done", result)
    plan = landing.Landing(
        base_ref=attempt.base_ref,
        base=action.base,
        head=action.head,
        tree=merged.tree,
        message=str(attempt.spec["goal"]),
        author=place.author,
        date=stamp(time.time()),
        ticket=attempt.ticket,
        attempt=str(attempt.number),
        trailers=(("Jetbox-Chain", place.anchor()),),
    )
    changes = repo.changes(base_tree, merged.tree)
    result |= {
        "tree": merged.tree,
        "head_tree": head_tree,
        "changed": sorted({change.path for change in changes}),
        "diff": place.blobs.put(repo.diff(base_tree, merged.tree)),
        "landing": asdict(plan),
        "commit": landing.hold(repo, plan),
    }
    return Performed("done", result)


def _rehearse(action: Rehearse, attempt: Attempt, place: Place) -> Performed:
    if action.command:
        gate = place.workspace.gate(attempt.ticket, attempt.number)
        worktrees.clean_checkout(place.repo, gate, action.commit)
        finished = spawn(action.command, gate, action.timeout, attempt, place)
        output = place.blobs.put(finished.output) if finished.output else ""
        if finished.reason in BROKEN:
            worktrees.discard(place.repo, gate)
            return Performed("failed", {"why": SAID[finished.reason]}, None, finished.seconds, output)
        if finished.reason != "exited":
            return Performed("interrupted", {"why": finished.reason}, None, finished.seconds, output)
        status = "done" if finished.exit == 0 else "failed"
        result = {"rollback": action.command, "why": f"exit {finished.exit}"}
        return Performed(status, result, finished.exit, finished.seconds, output)
    undone = landing.revert(place.repo, action.commit, action.commit)
    base_tree = place.repo.tree_of(action.base)
    result = {"rollback": "revert", "why": f"gives back tree {base_tree[:10]}"}
    if undone.tree != base_tree:
        return Performed("failed", {**result, "why": "a revert does not give back the base"})
    return Performed("done", result)


# Landing --------------------------------------------------------------------------------------------


def _land(action: Land, attempt: Attempt, place: Place) -> Performed:
    place.sound()
    plan = planned(action.landing)
    place.turn.take(attempt.ticket, place.control)
    if landing.land(place.repo, plan) != "landed":
        place.turn.give_back(attempt.ticket)
        return Performed("failed", {"why": "the base has moved"})
    return Performed("done", landed_result(place.repo, plan))


def planned(fields: Mapping[str, Any]) -> landing.Landing:
    """The landing that the journal's fields tell of."""
    trailers = tuple((str(key), str(value)) for key, value in fields["trailers"])
    return landing.Landing(**{**fields, "trailers": trailers})


def landed_result(repo: Repo, plan: landing.Landing) -> dict[str, Any]:
    """What the journal keeps of a landing."""
    return {"commit": plan.commit(repo), "tree": plan.tree, "old_tree": repo.tree_of(plan.base)}


def _follow_up(action: FollowUp, attempt: Attempt, place: Place) -> Performed:
    place.turn.take(attempt.ticket, place.control)
    followed = follow(place.repo, action.base_ref, action.old_tree, action.new_tree)
    if followed.status == "done":
        place.turn.give_back(attempt.ticket)
    return followed


def follow(repo: Repo, base_ref: str, old_tree: str, new_tree: str) -> Performed:
    """Bring every checkout of the base up to it; what is the user's own work stays and is named."""
    done, kept = 0, []
    for checkout in landing.checked_out(repo, base_ref):
        followed = follow_up(repo, checkout, old_tree, new_tree, base_ref)
        if followed.waiting:
            return Performed("interrupted", {"broke": followed.waiting})
        done += len(followed.done)
        kept += [list(pair) for pair in followed.kept]
    return Performed("done", {"done": done, "kept": kept})


def _close(action: Close, attempt: Attempt, place: Place) -> Performed:
    """Whatever did not land is in the trash before anything of it goes away."""
    folder = place.workspace.run(attempt.ticket, attempt.number)
    if action.state != "landed" and folder.is_dir():
        runs.stop(folder, STOP_GRACE)
        place.models.release(run_action.holder(attempt))
    side_runs.sweep(place.workspace, attempt)  # of a check or an estimate that was cut off
    place.workspace.live(attempt.ticket, attempt.number).unlink(missing_ok=True)
    place.workspace.stream(attempt.ticket, attempt.number).unlink(missing_ok=True)
    shutil.rmtree(place.workspace.flight(attempt.ticket, attempt.number), ignore_errors=True)
    if not attempt.base:
        return Performed("done")
    repo, path = place.repo, place.workspace.worktree(attempt.ticket, attempt.number)
    kept = trash_ref(attempt.ticket, attempt.number) if action.state != "landed" else ""
    if kept and path.is_dir() and repo.git_dir_of(path):
        kept = _trash(repo, path, kept)
    elif kept and repo.resolve(kept) is None:  # somebody took the worktree away: its checkpoints are left
        repo.move_keeping(kept, attempt.head)
    worktrees.remove(repo, path, base=attempt.head)
    gate = place.workspace.gate(attempt.ticket, attempt.number)
    worktrees.discard(repo, gate)  # made from a commit alone: nothing in it is worth keeping
    worktrees.remove(repo, gate, base=attempt.head)
    if action.state != "failed":  # a failed attempt's branch stays to be looked at
        _drop(repo, f"refs/heads/{attempt.branch}", attempt.head)
    _drop(repo, place.private_ref(attempt), attempt.head)
    landing.release_all(repo, attempt.ticket, attempt.number)
    return Performed("done", {"trash": kept} if kept else {})


def _trash(repo: Repo, path: Path, ref: str) -> str:
    """Keep what the worktree holds; where git cannot hold it, its checkpoints alone are kept."""
    try:
        worktrees.trash(repo, path, ref)
    except (GitError, OSError) as error:
        if not unrecordable(error):
            raise
        worktrees.discard(repo, path)
        return ""
    return ref


def _drop(repo: Repo, ref: str, expected: str) -> None:
    """Remove a ref of ours if it is where we left it and something else holds its commit."""
    if repo.resolve(ref) == expected:
        repo.compare_and_swap(ref, None, expected)


_DRIVERS: dict[type[Action], Callable[[Any, Attempt, Place], Performed]] = {
    Prepare: _prepare,
    Restore: _restore,
    Command: _command,
    Run: run,
    Resolve: resolve,
    Estimate: estimate,
    Merge: _merge,
    Verify: verify,
    Rehearse: _rehearse,
    Land: _land,
    FollowUp: _follow_up,
    Close: _close,
    Call: call,
    Act: drive.act,
    Probe: drive.probe,
    Back: drive.back,
    Adopt: drive.adopt,
    Plan: core_drive.plan,
    Weigh: core_drive.weigh,
    Install: core_drive.install,
}
