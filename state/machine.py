"""What the models hold of this machine, as last seen: written by the engine, read by the fronts.

It is a picture of the moment and no record: whoever reads it looks at its age.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from state import durable

VERSION = 1


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Candidate(_Model):
    """One model that could serve a role, in the order of `models.yaml`."""

    model: str
    provider: str
    used: bool
    why: str
    """Why it is not used, or what is known of it."""
    bytes: int = 0
    """What it would take of the memory, weights and context together; 0 where it is not known."""
    label: str = ""


class Role(_Model):
    """A role and who could serve it."""

    role: str
    candidates: tuple[Candidate, ...]


class Holder(_Model):
    """Somebody who holds memory: a model, or a training run."""

    who: str
    what: str
    """model or run."""
    bytes: int
    context: int = 0
    since: int
    """Milliseconds of wall clock."""
    until: int | None = None
    """When it lets go by itself, if it does."""


class Device(_Model):
    """Memory that models can lie in: the graphics card, or the machine's own."""

    name: str
    kind: str
    """gpu or ram."""
    total: int
    free: int
    celsius: float | None = None
    watts: float | None = None
    load: float | None = None
    """0 to 1."""


class Finding(_Model):
    """What trying a model once has shown; see `orchestrator/models/calibrate.py`."""

    model: str
    digest: str
    says: tuple[str, ...]
    """Lines for people."""


class Machine(_Model):
    """The whole picture."""

    v: int = VERSION
    at: int
    """Milliseconds of wall clock."""
    policy: str = "serial"
    roles: tuple[Role, ...] = ()
    devices: tuple[Device, ...] = ()
    holders: tuple[Holder, ...] = ()
    findings: tuple[Finding, ...] = ()
    paused: str = ""
    """Why nothing is asked of a model now, such as a hot graphics card."""
    reserve: int = 0
    """Bytes that are kept free."""


def write(path: Path, machine: Machine) -> None:
    """Put the picture in place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    durable.replace(path, machine.model_dump_json().encode())


def read(path: Path) -> Machine | None:
    """The picture, or None where there is none or it is of another version."""
    try:
        data = json.loads(path.read_bytes())
        return Machine.model_validate(data) if data.get("v") == VERSION else None
    except (OSError, ValueError, ValidationError, AttributeError):
        return None
