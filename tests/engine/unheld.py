"""A double of a sandbox: plain processes, so that a test can see commands from outside and they it.

It stands in where a test needs to steer a command by files outside its worktree. The real backends are tested
in `tests/sandbox` and `tests/security`, and through the whole engine in `test_engine_sandboxed.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator import config
from orchestrator.sandbox.bare import Bare
from orchestrator.sandbox.choose import Choice
from orchestrator.sandbox.sandbox import Sandbox
from state.workspace import Workspace


class Unheld(Bare):
    """Calls itself something else than none, so that no consent is asked for."""

    name = "unheld"


def unheld(workspace: Workspace) -> Callable[[], Choice]:
    """What `serve` and `Engine` take as `sandbox`."""
    return lambda: Choice(Sandbox(Unheld(), config.load(workspace).policy, workspace))
