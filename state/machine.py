"""What the models hold of this machine, as last seen: written by the engine, read by the fronts.

It is a picture of the moment and no record: whoever reads it looks at its age. Reading it takes nothing but
the standard library, and believes nothing: a picture of another shape is no picture.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from state import durable

VERSION = 1
_MOST = 4 << 20  # bytes: a picture has some kilobytes
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One model that could serve a role, in the order of `models.yaml`."""

    model: str
    provider: str
    used: bool
    why: str
    """Why it is not used, or what is known of it."""
    bytes: int = 0
    """What it would take of the memory, weights and context together; 0 where it is not known."""
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Role:
    """A role and who could serve it."""

    role: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, kw_only=True)
class Holder:
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


@dataclass(frozen=True, kw_only=True)
class Device:
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


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What trying a model once has shown; see `orchestrator/models/calibrate.py`."""

    model: str
    digest: str
    says: tuple[str, ...]
    """Lines for people."""


@dataclass(frozen=True, kw_only=True)
class Machine:
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
    durable.replace(path, json.dumps(dataclasses.asdict(machine)).encode())


def read(path: Path) -> Machine | None:
    """The picture, or None where there is none or it is of another version."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST + 1)
        return _made(Machine, json.loads(data)) if len(data) <= _MOST else None
    except (OSError, ValueError, RecursionError):
        return None


def _made(kind: type[_T], value: Any) -> _T:
    """A record out of parsed JSON; keys that it does not know are left out, so that a newer one can be read.

    Raises:
        ValueError: a field is missing or of another type.
    """
    if not isinstance(value, Mapping) or value.get("v", VERSION) != VERSION:
        raise ValueError(f"no {kind.__name__} of this version")
    given = {
        field.name: _FIELDS[str(field.type)](value[field.name])
        for field in dataclasses.fields(kind)  # type: ignore[arg-type]
        if field.name in value
    }
    try:
        return kind(**given)
    except TypeError as error:
        raise ValueError(str(error)) from error


def _one(*kinds: type) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise ValueError(f"{value!r:.80} is of another type")
        if isinstance(value, (int, float)) and not abs(value) < 1e15:  # infinite, or no number
            raise ValueError("no figure of a machine")
        return value

    return check


def _many(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError(f"{value!r:.80} is no list")
        return tuple(map(make, value))

    return check


_FIELDS: dict[str, Callable[[Any], Any]] = {
    "str": _one(str),
    "int": _one(int),
    "bool": _one(bool),
    "int | None": _one(int, type(None)),
    "float | None": _one(int, float, type(None)),
    "tuple[str, ...]": _many(_one(str)),
    "tuple[Candidate, ...]": _many(lambda value: _made(Candidate, value)),
    "tuple[Role, ...]": _many(lambda value: _made(Role, value)),
    "tuple[Holder, ...]": _many(lambda value: _made(Holder, value)),
    "tuple[Device, ...]": _many(lambda value: _made(Device, value)),
    "tuple[Finding, ...]": _many(lambda value: _made(Finding, value)),
}
"""How each type of a field is read."""
