"""What a kind of ticket is, and how the installed ones are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from orchestrator.actions import Decision
from orchestrator.attempt import Attempt
from orchestrator.checks import Check
from orchestrator.models.base import Service
from orchestrator.world import World
from state.workspace import Workspace
from tickets.kinds import Approval


class Options(BaseModel):
    """Base of what stands under `with`: strict, and no key that is not known."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class Kind(Protocol):
    """One kind of ticket: its options, its least approvals, and its work as a pure function."""

    name: str
    options: type[BaseModel]
    approvals: frozenset[Approval]
    output: Literal["change", "artifact"]
    heeds: bool
    """Whether a denied merge goes on in the same attempt, with the reason as a comment."""

    def work(self, attempt: Attempt, checks: Sequence[Check], world: World) -> Decision | None:
        """The next piece of work; None when it is all done."""
        ...

    def obstacle(self, spec: Mapping[str, Any], workspace: Workspace, models: Service) -> str | None:
        """What this kind needs and does not find on this machine, with the cure. May look; never changes."""
        ...


@runtime_checkable
class Foresees(Protocol):
    """A kind that finds something out before anyone is asked to start, and shows it with the question."""

    def foresee(self, attempt: Attempt, world: World) -> Decision | None:
        """The next thing to find out or to ask; None once all is known."""
        ...

    def facts(self, attempt: Attempt, world: World) -> tuple[str, dict[str, Any]]:
        """Once all is known: words for the start proposal, and what its subject holds beside the ticket."""
        ...


@cache
def installed() -> Mapping[str, Kind]:
    """Every kind by its name."""
    return {point.name: point.load() for point in entry_points(group="jetbox.kinds")}
