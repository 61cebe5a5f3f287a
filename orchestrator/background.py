"""Starting an engine that outlives its starter, without loading what the engine is made of."""

from __future__ import annotations

import subprocess
import sys

from state.workspace import Workspace


def spawn(workspace: Workspace) -> None:
    """Start an engine in the background; what it says goes to `.jetbox/engine.log`."""
    with (workspace.home / "engine.log").open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-P", "-m", "orchestrator.main", "engine", str(workspace.root)],
            cwd=workspace.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=sys.platform != "win32",
            creationflags=_DETACHED,
        )


if sys.platform == "win32":
    _DETACHED = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
else:
    _DETACHED = 0
