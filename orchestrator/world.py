"""What an attempt's next step depends on beside its own record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_STRENGTH = {"none": 0, "job": 2, "landlock": 3, "sandbox-exec": 3, "bubblewrap": 4}
_UNKNOWN = 1  # a name of another version: more than nothing, less than what is known to hold


@dataclass(frozen=True)
class World:
    """Gathered anew for each decision. What is left out is taken for the worst."""

    base: str | None  # where the base ref is; None: it is gone
    revision: str  # of the ticket's file as last loaded
    asked: str = ""  # a person's wish: '', cancel, retry
    obstacle: str | None = None  # something the kind needs and does not find
    in_the_way: tuple[str, ...] = ()  # what keeps the user's checkout from following a landing
    isolation: str = "none"  # what holds commands now
    policy: str = ""  # digest of what they may use
    known: frozenset[str] = frozenset()  # programs that need no question
    consent: bool = False  # a person lets them run without a sandbox, for this run of the engine
    refused: Mapping[str, str] = field(default_factory=dict)
    """Ids of approved proposals whose contract is not accepted, and why."""
    core: str = ""  # of a ticket that would change it: the version in force, by the words of the journal
    tools: Mapping[str, str] = field(default_factory=dict)
    """Of the ticket's gates: where the program that each needs lies now, '' where it is not there."""


def weakest(names: Iterable[str]) -> str:
    """The weakest of some isolations; of equally weak ones the first by name."""
    return min(names, key=lambda name: (_STRENGTH.get(name, _UNKNOWN), name))
