"""The verb `runs`: what was and is made by child runs here, and the report of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import output
from orchestrator.cli.look import Json
from orchestrator.cli.output import Failed, line, table

if TYPE_CHECKING:
    from state.run_events import Progress

_MOST_REPORT = 1 << 20  # bytes

APP = typer.Typer(
    rich_markup_mode=None,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def every(context: typer.Context, json: Json = False) -> int:
    """List the runs, the living first, then the latest.

    Example:
      jetbox runs
      jetbox runs report TICKET-003
    """
    if context.invoked_subcommand is not None:
        return 0
    from orchestrator.cli.models import RunLine
    from orchestrator.cli.reading import here
    from state.run_list import Glances, places

    seen = Glances().look(places(here().runs))
    rows = [
        RunLine.model_validate(
            {
                "ticket": each.place.ticket,
                "attempt": each.place.attempt,
                "folder": each.place.folder.as_posix(),
                "steps_per_second": each.speed,
                "eta": _eta(each.progress) if each.state == "running" else None,
                **{name: getattr(each, name) for name in _SAME},
            }
        )
        for each in seen
    ]
    if json:
        output.json_object([row.model_dump(mode="json") for row in rows])
        return 0
    if not rows:
        line("No runs yet: a ticket of kind datagen, train or eval makes one, and so do the verbs")
        return 0
    table(
        ("run", "kind", "state", "phase", "so far", "loss", "steps/s", "left", ""),
        [
            (
                f"{row.ticket}/{row.attempt}",
                row.kind,
                (row.state, _ROLES[row.state]),
                row.phase,
                f"{row.done:,.0f} of {row.total:,.0f} {row.unit}".rstrip() if row.total else "",
                "" if row.loss is None else f"{row.loss:.4g}",
                "" if row.steps_per_second is None else f"{row.steps_per_second:.3g}",
                "" if row.eta is None else f"{output.seconds(row.eta[0])} to {output.seconds(row.eta[1])}",
                row.error,
            )
            for row in rows
        ],
    )
    return 0


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A ticket, TICKET/ATTEMPT, or a run's folder.")],
) -> int:
    """Print the report of a run: its curves and what it came to.

    Example:
      jetbox runs report TICKET-003
      jetbox runs report runs/hrm-sudoku4/1
    """
    from state.run_events import open_regular
    from state.run_folder import REPORT
    from state.safe_text import safe_lines

    folder = _folder(run)
    try:
        with open_regular(folder / REPORT) as file:
            text = file.read(_MOST_REPORT).decode("utf-8", "replace")
    except OSError:
        raise Failed(
            f"{folder} has no report: it comes at the end of a training run or an evaluation"
        ) from None
    for each in safe_lines(text):
        print(each)
    return 0


def rollback(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A ticket, TICKET/ATTEMPT, or a run's folder.")],
    to: Annotated[
        str, typer.Option("--to", metavar="STEP|PHASE", help="A kept step or phase; the best one else.")
    ] = "",
    json: Json = False,
) -> int:
    """Take a training back to a checkpoint it kept. What came later goes into the run's trash.

    Started again it goes on from there, with exactly those weights.

    Example:
      jetbox runs rollback TICKET-003
      jetbox runs rollback TICKET-003/1 --to 1200
    """
    from orchestrator.cli.reading import here
    from state.journal import Journal
    from state.run_back import roll_back

    folder, workspace = _folder(run), here()
    journal = Journal.open(workspace.journal) if workspace.journal.exists() else None
    try:
        found = roll_back(journal, workspace, folder, to)
    finally:
        if journal is not None:
            journal.close()
    if json:
        output.json_object({"run": folder.as_posix(), "step": found.step, "kept": found.folder.name})
    else:
        line(f"{folder} stands at step {found.step} again; what came later lies in its trash")
    return 0


VERBS = (("report", report), ("rollback", rollback))
_SAME = ("kind", "state", "phase", "done", "total", "unit", "loss", "error")
_ROLES = {"running": "running", "done": "landed", "failed": "failed", "interrupted": "waiting"}


def _folder(run: str) -> Path:
    """The run's folder; of a ticket, that of its last attempt."""
    from orchestrator.cli.reading import here
    from state.run_list import places

    if Path(run, "request.json").is_file():
        return Path(run)
    ticket, _, attempt = run.partition("/")
    found = [each for each in places(here().runs) if each.ticket == ticket]
    if attempt.isdigit():
        found = [each for each in found if each.attempt == int(attempt)]
    if not found:
        raise Failed(f"no run {run}: `jetbox runs` lists them")
    return max(found, key=lambda each: each.attempt).folder


def _eta(now: Progress) -> tuple[float, float] | None:
    return None if now.eta_low is None or now.eta_high is None else (now.eta_low, now.eta_high)
