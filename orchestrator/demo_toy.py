"""The demo's own model: a toy that has memorised one ticket, made on the spot, so that no server is needed.

The prompts are rehearsed with the agent's own code, then learnt by heart in a child process beside the demo's
other work. It is labelled for what it is wherever it answers.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

from orchestrator import config, demo, personas, process
from orchestrator.agent.rehearsal import rehearse
from orchestrator.checks import resolve
from orchestrator.git import Repo
from orchestrator.kinds.base import installed
from orchestrator.models.base import Chosen
from orchestrator.models.choosing import WHOLE_FILE
from state.workspace import Workspace
from tickets.load import load_ticket

_NEEDS = ("numpy", "xllamacpp")


def start(root: Path) -> subprocess.Popen[bytes] | None:
    """Begin to make the toy of a demo; None where what it takes is not installed.

    Its ticket waits until the file is there, which appears whole or not at all.
    """
    if not all(importlib.util.find_spec(name) for name in _NEEDS):
        return None
    workspace, toy = Workspace(root), demo.script().toy
    request = workspace.home / "toy.json"
    name = f"a toy: has memorised {toy.ticket}"
    body = {"transcripts": transcripts(workspace), "name": name, "seed": 1}
    request.write_text(json.dumps(body))
    with (workspace.home / "toy.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "model.toy", str(request), str(root / toy.file)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=process.environment(),
            start_new_session=True,  # it goes on when the cockpit is closed
        )


def transcripts(workspace: Workspace) -> list[dict[str, object]]:
    """What the toy's ticket will ask, and what the toy is to say."""
    toy, settings = demo.script().toy, config.load(workspace)
    path = workspace.tickets / f"{toy.ticket}.yaml"
    loaded = load_ticket(
        path, workspace.root, installed(), frozenset(settings.checks), personas.working(workspace.personas)
    )
    chosen = Chosen(
        provider="embedded",
        version="",
        model=Path(toy.file).name,
        digest="",
        context=toy.context,
        think=None,
        think_more=None,
        temperature=0.0,
        whole_file=WHOLE_FILE,
    )
    checks = resolve(loaded.spec["accept"], settings.checks)
    base = f"refs/heads/{settings.settings.base}"
    asked = rehearse(
        workspace, Repo.open(workspace.root), toy.ticket, loaded.spec, base, checks, chosen, toy.replies
    )
    return [each.body() for each in asked]
