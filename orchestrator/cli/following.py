"""A child run followed on the command line: one live line on a terminal, lines where it is piped, or JSON.

The run is a process of its own: Ctrl-C asks it to end, with the time to write what it has; whatever else ends
this program leaves it at work.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.cli import output
from orchestrator.cli.output import Wrong, complain, line

if TYPE_CHECKING:
    from orchestrator.runs import Result
    from state.run_view import RunView

_POLL = 0.05  # seconds between looks
_TENTH = 10  # percent between lines where nobody looks


class Interrupted(Exception):
    """The person ended it; the run has stopped and can be taken up again."""


def fresh(run: Path | None, root: Path, name: str) -> Path:
    """The folder to work in: the one that was asked for, or the next free one below `root/name`."""
    if run is not None:
        if (run / "request.json").exists():
            raise Wrong(f"{run} holds a run: `--resume` goes on with it, another --run begins one")
        return run
    number = 1
    while (root / name / str(number)).exists():
        number += 1
    return root / name / str(number)


def follow(run: Path, module: str, request: dict[str, Any], *, json: bool, noun: str) -> Result:
    """Start the run, or go on with it, and show what it says until it has ended.

    Raises:
        Interrupted: by Ctrl-C, once the run has stopped. RunError: it cannot be started.
    """
    from orchestrator import runs
    from orchestrator.run_action import STOP_GRACE
    from state.run_view import RunView

    tail = runs.Tail(run)
    if (run / runs.REQUEST).exists():  # what was said before is seen, and not said again
        while tail.read():
            pass
    runs.start(run, module, request)
    view, told = RunView(), -_TENTH
    try:
        with _live(json) as show:
            while True:
                alive = runs.alive(run)
                while events := tail.read():
                    for event in events:
                        view.apply(event)
                        if json:
                            output.json_object(event, indent=None)
                        elif event["type"] in ("alert", "breaker") and event.get("state") != "closed":
                            complain(f"{event.get('level') or event.get('state')}: {event['message']}")
                percent = int(100 * view.progress().fraction)
                if show is not None:
                    show(_line(view, noun))
                elif not json and percent // _TENTH > told // _TENTH and view.total:
                    told = percent
                    line(f"{percent:>3} %  {_line(view, noun)}")
                if not alive:
                    found = runs.result(run)
                    died = f"it ended without a result: see {run / runs.OUTPUT}"
                    return found or runs.Result(ok=False, error=died)
                time.sleep(_POLL)
    except KeyboardInterrupt:
        runs.stop(run, STOP_GRACE)
        raise Interrupted from None


def _line(view: RunView, noun: str) -> str:
    """How a run stands, in one line."""
    parts = [view.phase or noun]
    if view.total:
        parts.append(f"{view.done:,.0f} of {view.total:,.0f} {view.unit}".rstrip())
    for split, words in (("train", "loss"), ("heldout", "held-out loss")):
        if (value := view.latest("loss", split)) is not None:
            parts.append(f"{words} {value:.4g}")
    if (speed := view.latest("steps_per_second")) is not None:
        parts.append(f"{speed:.3g} steps/s")
    now = view.progress()
    if now.eta_low is not None and now.eta_high is not None:
        low, high = output.seconds(now.eta_low), output.seconds(now.eta_high)
        parts.append(f"{low} left" if low == high else f"{low} to {high} left")
    return ", ".join(parts)


@contextmanager
def _live(json: bool) -> Iterator[Any]:
    """Shows one line in place, on a terminal; None elsewhere."""
    if json or not output.is_terminal():
        yield None
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(highlight=False), refresh_per_second=8, transient=True) as live:
        yield lambda text: live.update(Text(output.safe(text), no_wrap=True, overflow="ellipsis"))
