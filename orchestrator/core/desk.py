"""What reaches the core in the engine: the journal, the workspace and the person's seal, together."""

from __future__ import annotations

from dataclasses import dataclass

from state import core
from state.contract import Sealer
from state.journal import Journal
from state.workspace import Workspace


@dataclass(frozen=True)
class CoreDesk:
    """The core of one workspace."""

    journal: Journal
    workspace: Workspace
    sealer: Sealer

    def now(self) -> core.Current:
        """The version in force, its files checked."""
        return core.verified(self.journal, self.workspace, self.sealer)

    def head(self) -> str:
        """The version that was said last, no file looked at; '' where there is none."""
        return core.standing(self.journal, self.sealer).head or ""
