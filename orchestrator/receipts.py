"""Taking a receipt: one check on one tree, in a clean checkout of it, or on an artifact."""

from __future__ import annotations

from orchestrator import run_checks, worktrees
from orchestrator.actions import Verify
from orchestrator.attempt import Attempt
from orchestrator.checks import Check
from orchestrator.gates import gate
from orchestrator.place import Performed, Place, spawn
from orchestrator.sandbox.sandbox import BROKEN, SAID


def verify(action: Verify, attempt: Attempt, place: Place) -> Performed:
    """Take the receipt that the action names.

    What cannot be evaluated is red, never green; a gate whose tool is not here, and a check that nothing here
    can take, are neither, but skipped.
    """
    check = action.check
    exit_code: int | None = None
    output, seconds = b"", 0.0
    more: dict[str, str] = {}
    if (check.run or check.gate) and action.commit:
        checkout = place.workspace.gate(attempt.ticket, attempt.number)
        worktrees.clean_checkout(place.repo, checkout, action.commit)
        command, limit = _command(action, attempt, place)
        finished = spawn(command, checkout, limit, attempt, place)
        exit_code, output, seconds = finished.exit, finished.output, finished.seconds
        if finished.reason in BROKEN:
            worktrees.discard(place.repo, checkout)
            passed, summary = False, f"was ended: {SAID[finished.reason]}"
        elif finished.reason == "timeout" and limit != action.timeout:
            passed, summary = False, f"was not done after {limit:.0f} s"
        elif finished.reason != "exited":
            return Performed("interrupted", {"why": finished.reason}, None, seconds)
        elif check.gate and exit_code == gate.SKIPPED:
            passed, summary = False, gate.said(output)
            more = {"skipped": summary, "tool": gate.tool(check.built_in)}
        elif check.gate:
            passed = exit_code == 0
            summary = "holds" if passed else gate.said(output)
        else:
            failed_as_wanted = action.side == "base" and check.red
            passed = (exit_code != 0) if failed_as_wanted else (exit_code == 0)
            summary = f"exit {exit_code}"
    elif check.file and action.commit:
        passed, summary = _file(check, place.repo.show_file(action.tree, check.file))
    elif check.metric:
        passed, summary = run_checks.metric(check, attempt)
    elif check.built_in and not check.gate and not action.commit:
        taken = run_checks.take(check.built_in, attempt, place)
        passed, summary = bool(taken.passed), taken.summary
        if taken.passed is None:
            more = {"skipped": summary}
    elif check.asks == "human":
        passed, summary = True, "a person says so"
    else:
        passed, summary = False, "does not apply to this kind of ticket"
    blob = place.blobs.put(output) if output else ""
    receipt = {
        "name": check.name,
        "side": action.side,
        "tree": action.tree,
        "revision": attempt.revision,
        "passed": passed,
        "summary": summary,
        **more,
    }
    return Performed("done", {**receipt, "output": blob}, exit_code, seconds, blob, receipt)


def _command(action: Verify, attempt: Attempt, place: Place) -> tuple[str | list[str], float | None]:
    """What takes the check, and the seconds it may take."""
    if not action.check.gate:
        return action.check.run, action.timeout
    changes = place.repo.changes(place.repo.tree_of(attempt.base), action.tree)
    command = gate.command(action.check.built_in, [change.path for change in changes])
    return command, gate.TIME if action.timeout is None else min(gate.TIME, action.timeout)


def _file(check: Check, content: bytes | None) -> tuple[bool, str]:
    if content is None:
        return False, f"{check.file} is not there"
    if check.contains and check.contains.encode() not in content:
        return False, f"{check.file} does not contain {check.contains!r}"
    return True, "is there"
