"""Child runs beside an attempt's own: an estimate before it starts, a second making to compare with.

They lie beside the attempt's run folder and are gone when they have served, or with the attempt.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator import runs
from orchestrator.attempt import Attempt
from orchestrator.place import Halted, Place
from state.run_folder import Result
from state.workspace import Workspace

_POLL = 0.05  # seconds between looks at a run
_GRACE = 1.0  # seconds for one that nobody wants any more


def folder(workspace: Workspace, attempt: Attempt, word: str) -> Path:
    """The folder of an attempt's run of this name."""
    first = workspace.run(attempt.ticket, attempt.number)
    return first.with_name(f"{first.name}-{word}")


def ended(
    run_dir: Path,
    module: str,
    request: Mapping[str, Any],
    place: Place,
    watch: Callable[[], None] = lambda: None,
    timeout: float | None = None,
) -> Result:
    """Start a run, or take up one that lives, and wait for its end; one that died is a failure.

    Args:
        run_dir: its folder.
        module: what works in it.
        request: what is asked of it.
        place: how the engine stops it.
        watch: called while it works.
        timeout: seconds it may take, where there is a limit.

    Raises:
        Halted: the engine goes or the ticket ends; nothing of the run is left at work.
    """
    until = place.within(timeout)
    runs.start(run_dir, module, request)
    while runs.alive(run_dir):
        watch()
        if until.wait(_POLL):
            runs.stop(run_dir, _GRACE)
            if place.control.stop.is_set():
                raise Halted
            return Result(ok=False, error=f"it was not done after {timeout:.0f} s")
    return runs.result(run_dir) or Result(
        ok=False, error=f"it died: {runs.OUTPUT} in {run_dir.name} says more"
    )


def sweep(workspace: Workspace, attempt: Attempt) -> None:
    """End and remove all runs beside an attempt's own."""
    for path in _all(workspace, attempt):
        clear(path)


def clear(run_dir: Path) -> None:
    """End what still works in a folder (for an engine that was killed, say) or right below it; remove it.

    A folder that is only removed is written on by who works there, beside who is started in it next.
    """
    for each in (run_dir, *run_dir.glob("*/")):
        runs.stop(each, _GRACE)
    shutil.rmtree(run_dir, ignore_errors=True)


def _all(workspace: Workspace, attempt: Attempt) -> Iterator[Path]:
    first = workspace.run(attempt.ticket, attempt.number)
    if first.parent.is_dir():
        yield from (path for path in first.parent.glob(f"{first.name}-*") if path.is_dir())
