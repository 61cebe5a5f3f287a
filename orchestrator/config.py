"""A project's settings: `jetbox.yaml` and `checks.yaml`, read strictly, with every error at its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from state.workspace import Workspace
from tickets import strict_yaml
from tickets.explain import explain
from tickets.problems import Problem, TicketError

SHIPPED = Path(__file__).resolve().parent.parent / "configs"
"""The YAML that comes with the program."""


class Settings(BaseModel):
    """`jetbox.yaml`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    base: str | None = None
    """The branch that tickets land on; where it is left out, the one checked out at the first start."""
    parallel: Annotated[int, Field(ge=1, le=64)] = 2
    """How many tickets run at once."""


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


def load(workspace: Workspace) -> Config:
    """Read the project's settings over the shipped ones.

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
    if problems:
        raise TicketError(problems)
    return Config(settings, checks)


def _settings(path: Path) -> Settings:
    read = document(path)
    try:
        return Settings.model_validate(read.root.value if read.root else {})
    except ValidationError as error:
        raise TicketError(explain(error.errors(include_url=False), Settings, read, path.name)) from error


def _checks(path: Path) -> dict[str, dict[str, Any]]:
    read = document(path)
    found: dict[str, dict[str, Any]] = {}
    problems: list[Problem] = []
    for name, body in (read.root.value if read.root else {}).items():
        try:
            found[name] = NamedCheck.model_validate(body).model_dump()
        except ValidationError as error:
            problems += explain(error.errors(include_url=False), NamedCheck, read, path.name, at=(name,))
    if problems:
        raise TicketError(problems)
    return found


def document(path: Path) -> strict_yaml.Document:
    """A file of settings, read strictly; one of nothing but comments has no root.

    Raises:
        TicketError: with every problem.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TicketError(
            [Problem(path.name, 1, 1, "file", f"cannot be read: {error.strerror or error}")]
        ) from error
    if not any(line.strip() and not line.lstrip().startswith(b"#") for line in data.splitlines()):
        return strict_yaml.Document(None, [], set())  # nothing but comments: all is as shipped
    read = strict_yaml.read(data, path.name)
    root = read.root
    if root is not None and not isinstance(root.value, dict):
        read.problems.append(Problem(path.name, root.line, root.column, "file", "expected a map"))
    if read.problems:
        raise TicketError(read.problems)
    return read
