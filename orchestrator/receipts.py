"""Taking a receipt: one check on one tree, in a clean checkout of it, or on an artifact."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from orchestrator import process, runs, worktrees
from orchestrator.actions import Verify
from orchestrator.attempt import Attempt
from orchestrator.checks import Check, within
from orchestrator.gates import gate
from orchestrator.place import Halted, Performed, Place, spawn
from orchestrator.sandbox.sandbox import BROKEN, SAID


def verify(action: Verify, attempt: Attempt, place: Place) -> Performed:
    """Take the receipt that the action names.

    What cannot be evaluated is red, never green; a gate whose tool is not here is neither, but skipped.
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
        run = attempt.ok("run")
        passed, summary = within(check, run.result["metrics"].get(check.metric) if run else None)
    elif check.built_in and not check.gate and not action.commit:
        passed, output = _built_in(check.built_in, attempt, place)
        summary = "holds" if passed else (output.decode("utf-8", "replace").splitlines() or ["fails"])[0]
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


def _built_in(name: str, attempt: Attempt, place: Place) -> tuple[bool, bytes]:
    run = attempt.ok("run")
    assert run is not None
    data = (place.workspace.root / run.result["artifact"]["path"]).parent
    if name in ("schema", "provenance"):
        command = [sys.executable, "-P", "-m", "datagen.verify", str(data)]
        done = subprocess.run(command, capture_output=True, check=False, env=process.environment())
        return done.returncode == 0, done.stdout + done.stderr
    return _deterministic(run.result["artifact"]["sha256"], attempt, place)


def _deterministic(wanted: str, attempt: Attempt, place: Place) -> tuple[bool, bytes]:
    """Make it again in a folder of its own, from the same request, and compare."""
    first, again = place.workspace.run(attempt.ticket, attempt.number), second_run(attempt, place)
    request = json.loads((first / runs.REQUEST).read_text())
    runs.start(again, "datagen", request)
    while runs.alive(again):
        if place.control.stop.wait(0.05):
            runs.stop(again, 1.0)
            raise Halted
    found = runs.result(again)
    same = found is not None and found.artifact is not None and found.artifact.sha256 == wanted
    shutil.rmtree(again, ignore_errors=True)
    return same, b"the same bytes\n" if same else b"made again, its bytes are others\n"


def second_run(attempt: Attempt, place: Place) -> Path:
    """The run folder in which an attempt's data set is made a second time."""
    first = place.workspace.run(attempt.ticket, attempt.number)
    return first.with_name(f"{first.name}-again")
