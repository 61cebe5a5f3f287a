"""`jetbox`: the cockpit by the shortest way, every verb by the command line.

The cockpit's way imports nothing but what it draws with, so that it opens as fast as the terminal allows.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.lab.mind import Mind
    from state.contract import Sealer
    from state.workspace import Workspace

VERBS = (
    "init",
    "demo",
    "new",
    "backlog",
    "check",
    "schema",
    "do",
    "run",
    "stop",
    "status",
    "show",
    "log",
    "inbox",
    "approve",
    "deny",
    "retry",
    "cancel",
    "rollback",
    "restore",
    "answer",
    "comment",
    "take-over",
    "hand-back",
    "consent",
    "verify",
    "doctor",
    "data",
    "replay",
    "sandbox",
    "models",
    "personas",
    "train",
    "eval",
    "runs",
    "serve",
    "core",
    "lab",
    "engine",
)
"""Every verb, as the command line has them: what is none of these, and a folder, is opened."""


def main() -> int:
    """Run what the command line asks for; the exit code."""
    arguments = sys.argv[1:]
    if not arguments:
        return cockpit(Path.cwd())
    if len(arguments) == 1 and arguments[0] not in VERBS and Path(arguments[0]).is_dir():
        return cockpit(Path(arguments[0]))
    from orchestrator.cli.app import run

    return run(arguments)


def cockpit(folder: Path, terminal: bool = True) -> int:
    """Open the cockpit on the repository that holds this folder; the exit code.

    `terminal` is False where it is shown in a browser: `orchestrator/web/browser.py` starts it then.
    """
    from orchestrator.background import spawn
    from orchestrator.workspaces import NoWorkspace, find, set_up

    try:
        workspace = find(folder)
    except NoWorkspace as error:
        return _refused(str(error))
    if terminal and not (sys.stdin.isatty() and sys.stdout.isatty()):
        return _refused("the cockpit needs a terminal: `jetbox status` prints the board")
    with contextlib.suppress(OSError):  # a folder one may only read can still be looked at
        set_up(workspace)
    from tui.app import run

    return run(workspace.root, lambda: spawn(workspace), _sealer, lambda: _mind(workspace))


def _sealer() -> Sealer:
    from orchestrator import seals

    return seals.yours()


def _mind(workspace: Workspace) -> Mind:
    from orchestrator.lab.mind import Mind

    return Mind.open(workspace)


def _refused(line: str) -> int:
    print(f"jetbox: {line if line.isprintable() else ascii(line)}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
