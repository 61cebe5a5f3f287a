"""A project's settings: `jetbox.yaml` and `checks.yaml`, read strictly, with every error at its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator import user
from orchestrator.sandbox import toolchains
from orchestrator.sandbox.policy import Narrowing, Policy, merge
from orchestrator.settings import SHIPPED, document
from orchestrator.user import User
from state.workspace import Workspace
from tickets.explain import explain
from tickets.problems import MOST_PROBLEMS, Problem, TicketError, in_order


class Settings(BaseModel):
    """`jetbox.yaml`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    base: str | None = None
    """The branch that tickets land on; where it is left out, the one checked out at the first start."""
    parallel: Annotated[int, Field(ge=1, le=64)] = 2
    """How many tickets run at once."""
    sandbox: Narrowing = Narrowing()
    """What this project takes away from what commands may use."""


class NamedCheck(BaseModel):
    """One entry of `checks.yaml`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    run: Annotated[str, Field(min_length=1)]
    """Exits 0 when the check holds."""
    red: bool = False
    """It must also fail on the base."""
    about: str = ""
    """What it holds, for people."""


@dataclass(frozen=True)
class Config:
    """All settings of a workspace."""

    settings: Settings
    checks: Mapping[str, Mapping[str, Any]]
    user: User
    policy: Policy
    """What commands may use: as shipped, widened by the person, narrowed by the project."""


def load(workspace: Workspace) -> Config:
    """Read the project's settings and the person's own over the shipped ones.

    Raises:
        TicketError: with every problem, as `file:line:column: field: ...`.
    """
    problems: list[Problem] = []
    settings = Settings()
    if workspace.config.is_file():
        try:
            settings = _settings(workspace.config)
        except TicketError as error:
            problems += error.problems
    checks = _checks(SHIPPED / "checks.yaml")
    if workspace.checks.is_file():
        try:
            checks |= _checks(workspace.checks)
        except TicketError as error:
            problems += error.problems
    own = User()
    try:
        own = user.load()
    except TicketError as error:
        problems += error.problems
    policy = merge(user.shipped(), own.sandbox, settings.sandbox)
    try:
        toolchains.readable(policy, workspace.root, workspace.home)
    except toolchains.TooWide as error:
        problems.append(Problem(str(user.path()), 1, 1, "sandbox.readable", str(error)))
    if problems:
        raise TicketError(in_order(problems))
    return Config(settings, checks, own, policy)


def _settings(path: Path) -> Settings:
    read = document(path)
    try:
        return Settings.model_validate(read.root.value if read.root else {})
    except ValidationError as error:
        found = explain(error.errors(include_url=False), Settings, read, path.name)
        raise TicketError(in_order(found)) from error


def _checks(path: Path) -> dict[str, dict[str, Any]]:
    read = document(path)
    found: dict[str, dict[str, Any]] = {}
    problems: list[Problem] = []
    for name, body in (read.root.value if read.root else {}).items():
        try:
            found[name] = NamedCheck.model_validate(body).model_dump()
        except ValidationError as error:
            problems += explain(error.errors(include_url=False), NamedCheck, read, path.name, at=(name,))
        if len(problems) > MOST_PROBLEMS:
            break
    if problems:
        raise TicketError(problems)
    return found
