"""What all commands of a workspace may use: as shipped, widened by the person's own settings, narrowed by the
project's. Merging is pure; the digest goes into every proposal made under it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.sandbox.box import Limits
from orchestrator.user import LimitSettings, SandboxSettings
from state.canonical import digest


class Narrowing(BaseModel):
    """`sandbox` in a project's `jetbox.yaml`: it can only take away."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    limits: LimitSettings = LimitSettings()
    """Bounds of each command; a bound above the person's own changes nothing."""
    hide: tuple[str, ...] = Field(default=(), strict=False)
    """Of what commands could read, as written there: what this project's shall not."""


@dataclass(frozen=True)
class Policy:
    """What a command may use, before it is known which folders are there."""

    readable: tuple[str, ...]
    beside: tuple[str, ...]
    environment: tuple[str, ...]
    programs: frozenset[str]
    limits: Limits

    @property
    def digest(self) -> str:
        """SHA-256 in hex over all of it."""
        return digest({**asdict(self), "programs": sorted(self.programs), "limits": asdict(self.limits)})


def merge(shipped: SandboxSettings, user: SandboxSettings, project: Narrowing) -> Policy:
    """The policy of a workspace."""
    granted = _limits(Limits(), user.limits)
    hidden = frozenset(project.hide)
    return Policy(
        readable=tuple(name for name in (*shipped.readable, *user.readable) if name not in hidden),
        beside=tuple(name for name in (*shipped.beside, *user.beside) if name not in hidden),
        environment=(*shipped.environment, *user.environment),
        programs=frozenset((*shipped.programs, *user.programs)),
        limits=narrowed(granted, _limits(granted, project.limits)),
    )


def narrowed(first: Limits, second: Limits) -> Limits:
    """The smaller of each bound."""
    bounds: Mapping[str, int] = {
        each.name: min(getattr(first, each.name), getattr(second, each.name)) for each in fields(Limits)
    }
    return Limits(**bounds)


def _limits(before: Limits, given: LimitSettings) -> Limits:
    return replace(before, **{name: value for name, value in given.model_dump().items() if value is not None})
