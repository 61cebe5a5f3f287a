"""Tickets that train and evaluate, with doubles in place of the model wing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from lab import Lab, until
from scripted_wing import tiny

from orchestrator import runs

PROGRAM = """
import sys; from pathlib import Path
from orchestrator.service import serve; from state.workspace import Workspace
sys.path += [sys.argv[2], str(Path(sys.argv[2]).parent / "doubles")]
from scripted_wing import scripted
from unheld import unheld
scripted(setattr)
workspace = Workspace(Path(sys.argv[1]))
serve(workspace, sandbox=unheld(workspace))
"""
"""An engine as a process of its own whose children are the doubles."""


def ready(lab: Lab, **model: Any) -> None:
    """A configuration in the repository, and a ticket for the data set that it is to learn from."""
    lab.commit({"tiny.yaml": json.dumps(tiny(**model))})
    lab.data("TICKET-1", count=20, shards=1)


def train(lab: Lab, id_: str = "TICKET-2", accept: Any = None, **options: Any) -> Path:
    """A ticket that trains on TICKET-1."""
    asked = {"model": "hrm", "config": "tiny.yaml", "data": "TICKET-1", **options}
    checks = accept or [{"metric": "exact", "min": 0.5}]
    return lab.ticket(id_, kind="train", accept=checks, **{"with": asked})


def stepped(lab: Lab, step: int, id_: str = "TICKET-2") -> None:
    """Until a run has come so far."""
    folder = lab.workspace.run(id_, 1)

    def there() -> bool:
        events = runs.Tail(folder).read()
        return any(event.get("type") == "checkpoint" and event["step"] >= step for event in events)

    until(there, f"step {step}")


def pid(lab: Lab, id_: str = "TICKET-2") -> int:
    """The process at work on a run."""
    body = json.loads((lab.workspace.run(id_, 1) / "process.json").read_bytes())
    os.kill(body["pid"], 0)
    return int(body["pid"])
