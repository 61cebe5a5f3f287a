"""What a kind of ticket is, and how the installed ones are found."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from orchestrator.actions import Decision
from orchestrator.attempt import Attempt
from orchestrator.world import World
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

    def work(self, attempt: Attempt, world: World) -> Decision | None:
        """The next piece of work; None when it is all done."""
        ...

    def obstacle(self) -> str | None:
        """What this kind needs and does not find on this machine, with the cure. May look; never changes."""
        ...


@cache
def installed() -> Mapping[str, Kind]:
    """Every kind by its name."""
    return {point.name: point.load() for point in entry_points(group="jetbox.kinds")}
