"""`jetbox demo --headless`: run the demo through, speak its script's words, and say how each ticket ended."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

from orchestrator import demo, seals
from orchestrator.cli.output import Exit, line, seconds, state, table
from orchestrator.cli.reading import reading
from orchestrator.cli.telling import telling, told
from orchestrator.service import serve
from state import words
from state.alerts import PROPOSED
from state.events import Event
from state.journal import Journal
from state.workspace import Workspace

BY = "the demo's script"


class Making(Protocol):
    """The making of the demo's model, a process."""

    def wait(self) -> int:
        """How it ended, once it has."""
        ...


def play(root: Path, toy: Making | None) -> int:
    """Run until nothing is left to do; DONE when every ticket ended as the script says.

    `toy` is the making of the demo's own model: what waits for it goes on once it is there.
    """
    workspace, began = Workspace(root), time.monotonic()

    def follow(event: Event) -> None:
        if telling(event):
            print(told(event), flush=True)
        if event.type in PROPOSED:
            _answer(workspace, event)

    serve(workspace, until_idle=True, follow=follow)
    if toy is not None:
        if toy.wait() == 0:
            serve(workspace, until_idle=True, follow=follow)
        else:
            log = workspace.home / "toy.log"
            line(f"The model of {demo.script().toy.ticket} could not be made: {log} says why", "failed")
    with reading(workspace) as journal:
        results = demo.ended(journal)
    line()
    rows = [
        (r.ticket, (state(r.state), r.state), "" if r.as_wanted else f"should be {r.wanted}", r.what, r.goal)
        for r in results
    ]
    table(("ticket", "ended", "", "result", "goal"), rows)
    right = all(result.as_wanted for result in results)
    line()
    line(
        f"{'Every ticket ended as it should' if right else 'Not every ticket ended as it should'}, "
        f"in {seconds(time.monotonic() - began)}. `jetbox {root}` opens the cockpit on it.",
        "landed" if right else "failed",
    )
    return Exit.DONE if right else Exit.FAILED


def _answer(workspace: Workspace, event: Event) -> None:
    """Approve what the script foresees, by the digest of what was shown; leave anything else to a person."""
    journal = Journal.open(workspace.journal)
    try:
        found = journal.views.proposal(event.body["id"])
        if found is None or found.state != "open" or not demo.foreseen(found):
            return
        try:
            words.approve(journal, found.id, event.body["digest"], by=BY, sealer=seals.yours(), signoff=BY)
        except words.Stale:
            return  # its base moved meanwhile: it will be proposed again
        what = "the start"
        if found.kind == "merge":
            what = f"the change of {', '.join(found.subject['changed'])}"
        line(f"{'':8}  {found.ticket:<14}  approves {what}: {found.digest}")
    finally:
        journal.close()
