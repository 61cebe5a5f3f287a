"""What the ticket room asks of a kind of work. The kinds themselves live above, and are handed in by name."""

from typing import Literal, Protocol

from pydantic import BaseModel

Approval = Literal["start", "merge", "core", "network"]
"""What a person is asked for: to start, to land, to change the core model, to use the network."""


class KindSpec(Protocol):
    """A kind of work, found through the entry-point group `jetbox.kinds`."""

    @property
    def name(self) -> str:
        """The word that stands as `kind` in a ticket."""

    @property
    def options(self) -> type[BaseModel]:
        """The model of what stands under `with`; it should forbid extra keys unless it means to take any."""

    @property
    def approvals(self) -> frozenset[Approval]:
        """The least approvals of this kind; a ticket can only add to them."""

    @property
    def output(self) -> Literal["change", "artifact"]:
        """Whether the work ends in a change of the repository or in an artifact."""
