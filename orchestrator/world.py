"""What an attempt's next step depends on beside its own record."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class World:
    """Gathered anew for each decision."""

    base: str | None  # where the base ref is; None: it is gone
    revision: str  # of the ticket's file as last loaded
    asked: str = ""  # a person's wish: '', cancel, retry
    obstacle: str | None = None  # something the kind needs and does not find
    in_the_way: tuple[str, ...] = ()  # what keeps the user's checkout from following a landing
