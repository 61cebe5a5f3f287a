"""Built-in checks on what a child run made: data sets, trained models, evaluations.

Each says pass, fail or *unknown* with a line. What cannot be evaluated here is unknown and never green: a
person is asked before such an artifact is accepted.
"""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator import comfyui, process, runs, side_runs
from orchestrator.attempt import Attempt, Outcome
from orchestrator.checks import Check, within
from orchestrator.core.weighing import MOST_LOST, losses
from orchestrator.kinds import eval as eval_kind
from orchestrator.kinds import train as train_kind
from orchestrator.models.base import NoModel
from orchestrator.place import Halted, Place
from orchestrator.run_action import holder
from orchestrator.sandbox.offline_probe import REPORT, namespace
from orchestrator.training import short_runs
from orchestrator.training.presets import BadConfig
from orchestrator.training.resolve import altered, manifest
from orchestrator.training.short_runs import Broken
from state.core_words import refusal

AGAIN = "again"
"""The name of the run beside an attempt's own that a check makes."""
_HEAVY = frozenset(("resumes", "deterministic", "offline"))
"""Checks that run a model again."""
_PROBED = 24  # steps that a run works for while its network is denied


@dataclass(frozen=True)
class Taken:
    """What a check gave; `passed` is None where it could not be evaluated."""

    passed: bool | None
    summary: str


def take(name: str, attempt: Attempt, place: Place) -> Taken:
    """Take a built-in check on the artifact of an attempt.

    Raises:
        Halted: the engine goes or the ticket ends.
    """
    check = _CHECKS.get((str(attempt.spec["kind"]), name))
    run = attempt.ok("run")
    if check is None or run is None:
        return Taken(False, f"{name} does not apply to this kind of ticket")
    memory = _memory(attempt) if name in _HEAVY else 0
    try:
        if memory and not place.models.hold(holder(attempt), memory, place.control.stop, place.tell):
            raise Halted
        return check(run, attempt, place)
    except NoModel as error:
        return Taken(None, f"there is no memory to take it in: {error}")
    except (Broken, BadConfig) as error:
        return Taken(False, str(error))
    except runs.RunError as error:
        return Taken(None, f"a run cannot be started here: {error}")
    finally:
        side_runs.sweep(place.workspace, attempt)
        place.models.release(holder(attempt))


def _memory(attempt: Attempt) -> int:
    """What a run of this attempt takes of the memory that models and runs share; 0 where that is nothing."""
    found = [o.result for key, o in attempt.done.items() if key.startswith(("estimate:", "resolve:"))]
    last = found[-1] if found else {}
    return int(last["bytes"]) if last.get("shared") else int(last.get("memory") or 0)


def metric(check: Check, attempt: Attempt) -> tuple[bool, str]:
    """Whether a metric of the run meets its bound; of an evaluation, its mean over the seeds."""
    run = attempt.ok("run")
    metrics = run.result["metrics"] if run else {}
    passed, summary = within(check, metrics.get(check.metric))
    if check.metric not in metrics:
        near = sorted(name for name in metrics if not name.endswith(("_spread", "_seeds")))
        return passed, f"{summary}; it recorded {', '.join(near[:12]) or 'none'}"
    if attempt.spec["kind"] == "eval":
        asked = len(dict.fromkeys((attempt.spec.get("with") or {}).get("seeds") or (0, 1, 2)))
        seeds = int(metrics.get(f"{check.metric}_seeds", asked))
        spread = metrics.get(f"{check.metric}_spread")
        more = f", spread {spread:g}" if spread is not None else ""
        summary += f" (mean over {seeds} seed{'s' if seeds != 1 else ''}{more})"
        if seeds < asked:
            summary += f", of {asked}: the others could not give it"
    elif attempt.spec["kind"] == "train":
        summary += " (held-out rows, best checkpoint: these rows chose it)"
    return passed, summary


# Data sets -------------------------------------------------------------------------------------------


def _verified(run: Outcome, attempt: Attempt, place: Place) -> Taken:
    return _verify(Path(place.workspace.root, run.result["artifact"]["path"]).parent)


def _verify(data: Path) -> Taken:
    """The program of the data wing that holds a data set's files against its manifest."""
    command = [sys.executable, "-P", "-m", "datagen.verify", str(data)]
    done = subprocess.run(command, capture_output=True, check=False, env=process.environment())
    said = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines() or ["fails"]
    return Taken(done.returncode == 0, "holds" if done.returncode == 0 else said[0])


def _same_bytes(run: Outcome, attempt: Attempt, place: Place) -> Taken:
    """Make it again in a folder of its own, from the same request, and compare."""
    found = _again("datagen", attempt, place)
    same = found.artifact is not None and found.artifact.sha256 == run.result["artifact"]["sha256"]
    return Taken(same, "holds: the same bytes" if same else found.error or "made again, its bytes are others")


def _again(module: str, attempt: Attempt, place: Place) -> runs.Result:
    folder = side_runs.folder(place.workspace, attempt, AGAIN)
    comfyui.hand_on(place.workspace.run(attempt.ticket, attempt.number), folder)
    return side_runs.ended(folder, module, _request(attempt, place), place)


def _request(attempt: Attempt, place: Place) -> dict[str, Any]:
    first = place.workspace.run(attempt.ticket, attempt.number)
    request: dict[str, Any] = json.loads((first / runs.REQUEST).read_text())
    return request


# Training --------------------------------------------------------------------------------------------


def _short(attempt: Attempt, place: Place, span: float) -> tuple[Path, dict[str, Any]]:
    first = place.workspace.run(attempt.ticket, attempt.number)
    request = short_runs.cut(_request(attempt, place), short_runs.steps_for(first, span))
    folder = side_runs.folder(place.workspace, attempt, AGAIN)
    return folder, request


def _resumes(run: Outcome, attempt: Attempt, place: Place) -> Taken:
    """One short run undisturbed and one killed twice come to the same numbers and the same weights."""
    folder, request = _short(attempt, place, short_runs.SPAN)
    module, dice = train_kind.MODULE, random.Random(run.result["artifact"]["sha256"])
    one = short_runs.whole(folder / "whole", module, request, place)
    other, kills = short_runs.killed_twice(folder / "killed", module, request, place, dice)
    anew = [kill for kill in kills if kill.again < kill.kept]
    if anew:
        lost = ", ".join(f"at step {kill.again} though step {kill.kept} was kept" for kill in anew)
        return Taken(False, f"killed, it began anew {lost}")
    if found := short_runs.differences(one, other):
        return Taken(False, f"resumed, it is another: {short_runs.told(found)}")
    at = " and ".join(f"{kill.at} (on from {kill.again})" for kill in kills)
    return Taken(
        True,
        f"holds: killed at step {at} of {one.step}, {len(one.curve)} values and {len(one.weights)}"
        " weight files coincide with an undisturbed run",
    )


def _deterministic(run: Outcome, attempt: Attempt, place: Place) -> Taken:
    """Two short runs from the same request come to the same numbers and the same weights."""
    folder, request = _short(attempt, place, short_runs.SPAN / 2)
    traces = [short_runs.whole(folder / name, train_kind.MODULE, request, place) for name in ("one", "other")]
    if found := short_runs.differences(*traces):
        return Taken(False, f"made twice, it differs: {short_runs.told(found)}")
    return Taken(True, f"holds: {len(traces[0].curve)} values over {traces[0].step} steps, and the weights")


def _known_origin(run: Outcome, attempt: Attempt, place: Place) -> Taken:
    """The data set is whole, of a provenance that may be read, and the one that the checkpoint names."""
    resolved = _resolved(attempt)
    data = resolved["data"]
    taken = _verify(Path(data["folder"]))
    if not taken.passed:
        return Taken(taken.passed, f"the data set of {data['ticket']}: {taken.summary}")
    body = manifest(Path(data["folder"]))
    if body["content_sha256"] != data["sha256"]:
        return Taken(False, f"the data set of {data['ticket']} is not the one that was used")
    if why := altered(resolved["pins"], place.workspace.root):
        return Taken(False, why)
    if attempt.spec["kind"] == "train":
        named = _content(Path(place.workspace.root, run.result["artifact"]["path"]))
        if named != data["sha256"]:
            return Taken(False, f"the checkpoint names other data than that of {data['ticket']}")
        artifact = run.result["artifact"]
        if why := altered({artifact["path"]: artifact["sha256"]}, place.workspace.root):
            return Taken(False, why)
    return Taken(True, f"holds: {body.get('provenance')} data, {data['sha256'][:12]}")


def _content(checkpoint: Path) -> str:
    """The data set that a checkpoint says it has learned from."""
    try:
        body = json.loads(checkpoint.read_bytes()[: 4 << 20])
        return str(body["data"]["content_sha256"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Broken(f"{checkpoint.name} does not say what it has learned from: {error}") from None


def _resolved(attempt: Attempt) -> Mapping[str, Any]:
    """What the request was made of, as it was worked out last."""
    found = [o for key, o in attempt.done.items() if key.startswith("resolve:") and o.status == "done"]
    return found[-1].result


def _offline(run: Outcome, attempt: Attempt, place: Place) -> Taken:
    """Some steps under the very denial that every run has, tried from inside first and last."""
    kind = str(attempt.spec["kind"])
    module = train_kind.MODULE if kind == "train" else eval_kind.MODULE
    request = _request(attempt, place)
    inner = short_runs.cut(request, _PROBED) if kind == "train" else request
    folder = side_runs.folder(place.workspace, attempt, AGAIN)
    side_runs.clear(folder)
    came = 0
    with socket.create_server(("127.0.0.1", 0)) as host:
        host.setblocking(False)

        def watch() -> None:
            nonlocal came
            try:
                while True:
                    host.accept()[0].close()
                    came += 1
            except BlockingIOError:
                return

        asked = {
            "schema": 1, "module": module, "request": inner,
            "port": host.getsockname()[1], "namespace": namespace(),
        }  # fmt: skip
        found = side_runs.ended(folder, "orchestrator.sandbox.offline_probe", asked, place, watch)
        watch()
    if not found.ok or found.artifact is None:
        return Taken(False, f"without a network it fails: {found.error}")
    return judge_offline(json.loads((folder / REPORT).read_text()), came, runs.result(folder / "run"))


def judge_offline(report: Mapping[str, Any], came: int, work: runs.Result | None) -> Taken:
    """What a probe's report, the connections that came and the work's own result say together."""
    tries = [*report["tried"].items(), *report["still"].items()]
    reached = list(dict.fromkeys(name for name, what in tries if what == "reached"))
    held = {"namespace": "a network namespace of its own", "seccomp": "a filter of system calls"}
    how = held.get(report["held"], "")
    by_hook = [name for name in reached if how or not name.endswith("C library")]
    if by_hook or (came and how):
        return Taken(False, f"it reached {', '.join(by_hook) or 'the host'}")
    if report["refused"]:
        return Taken(False, f"it tried to use the network: {', '.join(report['refused'][:3])}")
    if work is None or not work.ok:
        return Taken(False, f"without a network it fails: {work.error if work else 'no result'}")
    if not how:
        return Taken(None, "only Python's own sockets are refused here: nothing of the kernel's holds a run")
    return Taken(True, f"holds: {how}; {len(tries)} tries from inside were refused, it ran on")


# Updates of the core -----------------------------------------------------------------------------------


def _keeps(run: Outcome, attempt: Attempt, place: Place) -> Taken:
    """No task loses more than it may; the kind holds to the same whatever a receipt says."""
    weighed = attempt.ok("core:weigh")
    rows = weighed.result["effects"] if weighed else []
    if lost := losses(run.result["metrics"], rows):
        why = f"it would lose more than {MOST_LOST:.0%}: {'; '.join(lost)}"
        if place.core is not None:
            about = weighed.result["core"] if weighed else ""
            what = f"candidate {about[:12]}"
            place.core.journal.append(refusal(what, why, "engine", attempt.ticket, attempt.number))
        return Taken(False, why)
    return Taken(True, f"holds: {len(rows)} figures, none lost more than {MOST_LOST:.0%}")


# Evaluation ------------------------------------------------------------------------------------------


def _measured_again(run: Outcome, attempt: Attempt, place: Place) -> Taken:
    found = _again(eval_kind.MODULE, attempt, place)
    if not found.ok:
        return Taken(False, str(found.error))
    before, now = run.result["metrics"], dict(found.metrics)
    other = sorted(
        name
        for name in (before.keys() | now.keys()) - short_runs.CLOCKED
        if before.get(name) != now.get(name)
    )
    if other:
        return Taken(False, f"measured again, {', '.join(other[:3])} differ")
    return Taken(True, f"holds: {len(now)} figures are the same")


def _regression(run: Outcome, attempt: Attempt, place: Place) -> Taken:
    if (attempt.spec.get("with") or {}).get("baseline", "none") == "none":
        return Taken(None, "the ticket names no baseline: `with: {baseline: PATH}`")
    regressed = run.result["metrics"].get("regressed")
    if regressed is None:
        return Taken(None, "the evaluation did not compare itself with the baseline")
    if regressed:
        return Taken(False, f"{regressed:g} figures fell behind the baseline")
    return Taken(True, "holds: no figure fell behind the baseline")


_CHECKS: dict[tuple[str, str], Callable[[Outcome, Attempt, Place], Taken]] = {
    ("datagen", "schema"): _verified,
    ("datagen", "provenance"): _verified,
    ("datagen", "deterministic"): _same_bytes,
    ("train", "resumes"): _resumes,
    ("train", "deterministic"): _deterministic,
    ("train", "provenance"): _known_origin,
    ("train", "offline"): _offline,
    ("core", "keeps"): _keeps,
    ("eval", "deterministic"): _measured_again,
    ("eval", "provenance"): _known_origin,
    ("eval", "offline"): _offline,
    ("eval", "regression"): _regression,
}

__all__ = ["AGAIN", "Halted", "Taken", "judge_offline", "metric", "take"]
