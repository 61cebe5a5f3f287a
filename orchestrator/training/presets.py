"""Configurations of training as files: shipped ones by name, a repository's own by path; and changes to them.

Pure but for reading the shipped files. What a configuration may hold is known here by its outline alone (the
child knows it exactly, and is asked by an estimate before anybody is asked to start): enough to refuse a
mistyped key where it was typed.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.settings import SHIPPED
from tickets import strict_yaml, values
from tickets.problems import did_you_mean, listed, quoted, shown

FOLDER = SHIPPED / "training"
"""The presets that come with the program."""

GROUPS: Mapping[str, frozenset[str]] = {
    "optimizer": frozenset(("name", "lr", "plain_lr", "weight_decay", "warmup", "final", "clip", "average")),
    "assess": frozenset(("every", "rows", "best")),
    "checkpoint": frozenset(("seconds", "keep_bytes")),
}
"""The keys of a configuration's groups that are the same for every learner."""
OPEN = frozenset(("model", "breaker"))
"""Groups whose keys the learner or the loop alone knows: passed on, and judged by the child."""
_SINGLE = "learner about batch steps core_minutes precision threads compile attention accumulate"
KEYS = frozenset((*_SINGLE.split(), *GROUPS, *OPEN))
"""The keys of a configuration."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class BadConfig(Exception):
    """A configuration cannot be used; the message is one line that says what and what to do."""


def names() -> list[str]:
    """The shipped presets."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml")) if FOLDER.is_dir() else []


def is_name(config: str) -> bool:
    """Whether a ticket's `config` names a shipped preset; otherwise it is a path in the repository."""
    return _NAME.fullmatch(config) is not None


def shipped(name: str) -> dict[str, Any]:
    """A preset by its name; BadConfig where there is none."""
    known = names()
    if name not in known:
        hint = did_you_mean(name, known)
        raise BadConfig(f"no configuration {quoted(name)}, there is {listed(known)}, or a path{hint}")
    return parse((FOLDER / f"{name}.yaml").read_bytes(), f"{name}.yaml")


def parse(data: bytes, file: str) -> dict[str, Any]:
    """A configuration from its file's bytes, read as strictly as a ticket; BadConfig with the first fault."""
    document = strict_yaml.read(data, file)
    if document.problems:
        raise BadConfig(str(document.problems[0]))
    body = document.root.value if document.root is not None else None
    if not isinstance(body, dict):
        raise BadConfig(f"{file}: is {shown(body)}, expected the map of a configuration")
    for key in body:
        _known(key, KEYS, file)
    for group in (*GROUPS, *OPEN):
        inner = body.get(group, {})
        if not isinstance(inner, dict):
            raise BadConfig(f"{file}: {group} is {shown(inner)}, expected a map")
        for key in inner if group in GROUPS else ():
            _known(key, GROUPS[group], f"{file}: {group}")
    if not isinstance(body.get("learner"), str):
        raise BadConfig(f"{file}: learner is missing, expected jepa or hrm")
    return body


def changed(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with other values at dotted keys (`optimizer.lr: 0.001`); BadConfig where no such key can be."""
    found = copy.deepcopy(dict(config))
    for key, value in changes.items():
        parts = key.split(".")
        _known(parts[0], KEYS, "set")
        if "" in parts:
            raise BadConfig(f"set: {quoted(key)} has an empty part, expected a key such as optimizer.lr")
        if parts[0] in GROUPS:
            if len(parts) != 2:
                raise BadConfig(f"set: {key} is not one value, expected {parts[0]}.<key>")
            _known(parts[1], GROUPS[parts[0]], f"set: {parts[0]}")
        elif parts[0] not in OPEN and len(parts) > 1:
            raise BadConfig(f"set: {key} is deeper than {parts[0]} is, which holds one value")
        elif parts[0] in OPEN and len(parts) < 2:
            raise BadConfig(f"set: {key} is all of it, expected {parts[0]}.<key>")
        if parts[0] == "learner":
            raise BadConfig("set: learner cannot be changed, it is what the configuration is for")
        at = found
        for part in parts[:-1]:
            at = at.setdefault(part, {})
            if not isinstance(at, dict):
                raise BadConfig(f"set: {key} lies below {part}, which holds one value")
        at[parts[-1]] = copy.deepcopy(value)
    return found


def budget(config: Mapping[str, Any], steps: int | None, time: str | None) -> dict[str, Any]:
    """The configuration with a ticket's own length: so many steps, or so much consumed CPU time."""
    found = dict(config)
    if steps is not None:
        found |= {"steps": steps}
        found.pop("core_minutes", None)
    elif time is not None:
        found |= {"core_minutes": values.seconds(time) / 60}
        found.pop("steps", None)
    if not found.get("steps") and not found.get("core_minutes"):
        raise BadConfig("it has no length: give `steps`, or `time` as 4m of CPU time")
    return found


def length(config: Mapping[str, Any]) -> str:
    """How long a configuration trains, for people."""
    minutes = config.get("core_minutes")
    return f"{minutes:g} core-minutes" if minutes else f"{config.get('steps')} steps"


def pairs(texts: Sequence[str]) -> dict[str, Any]:
    """`key=value` texts as changes; a value is read as YAML reads a scalar. BadConfig for what is none."""
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise BadConfig(f"{quoted(text)} is no change, expected KEY=VALUE such as optimizer.lr=0.001")
        document = strict_yaml.read(value.strip().encode(), "set")
        if document.problems or document.root is None:
            raise BadConfig(f"{quoted(text)}: its value cannot be read, expected a number, a word or [a, b]")
        found[key.strip()] = document.root.value
    return found


def _known(key: Any, known: frozenset[str], where: str) -> None:
    if key not in known:
        raise BadConfig(
            f"{where}: {quoted(str(key))} is no key here, expected {listed(known)}"
            f"{did_you_mean(str(key), known)}"
        )
