"""What a ticket of kind `core` does, as actions: decided by the kind, carried out in `drive.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from orchestrator.actions import Action


@dataclass(frozen=True)
class Plan(Action):
    """Find the core in force and the memory, and put what the measuring needs where nobody changes it."""

    task: ClassVar[str] = "Prepare"
    memory: str
    part: str  # '' for the memory's own
    seed: int
    core_seconds: int

    key = "core:plan"
    title = "the core in force and the memory"


@dataclass(frozen=True)
class Weigh(Action):
    """Hold the candidate against the version that it is to replace, and rehearse the way back."""

    task: ClassVar[str] = "Checks"
    alone: ClassVar[bool] = True
    path: str  # of the candidate's core.json, below the root
    sha256: str
    before: str

    key = "core:weigh"
    title = "what the candidate changes, and the way back"


@dataclass(frozen=True)
class Install(Action):
    """Put exactly what was approved into force."""

    task: ClassVar[str] = "Land"
    alone: ClassVar[bool] = True
    proposal: str
    candidate: str  # its folder, below the root
    core: str

    @property
    def key(self) -> str:
        """One for each approval."""
        return f"install:{self.proposal}"

    @property
    def title(self) -> str:
        """What comes into force."""
        return f"core {self.core[:12]}"
