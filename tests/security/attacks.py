"""All attacks, and the holes that are known: where a backend lets one through by its nature, and why."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping

from attack import SMALL, Attack
from attack_git import GIT
from attack_later import LATER
from attack_network import NETWORK
from attack_others import OTHERS
from attack_outside import OUTSIDE
from attack_processes import PROCESSES
from attack_product import PRODUCT
from attack_resources import RESOURCES
from attack_secrets import SECRETS
from attack_terminal import TERMINAL

from orchestrator.sandbox import cgroup

ATTACKS: tuple[Attack, ...] = (
    *SECRETS, *OUTSIDE, *GIT, *NETWORK, *PROCESSES, *OTHERS, *TERMINAL, *RESOURCES, *LATER, *PRODUCT,
)  # fmt: skip
"""Their ids are unique within a class; `name` tells them apart everywhere."""

_LATE = "without a control group, memory of all processes together is only looked at twice a second"
_WATCHES = "the system counts file watches for each user; who watches has to bear being refused"
_METADATA = "Landlock has no say in a file's {}: it takes a user that may change it and the file's path"

_ANYONE: Mapping[str, Mapping[str, str]] = {
    "bubblewrap": {},
    "landlock": {
        "write-outside/times": _METADATA.format("times"),
        "write-outside/attributes": _METADATA.format("attributes"),
    },
}
_ORDINARY: Mapping[str, Mapping[str, str]] = {
    "bubblewrap": {"resources/watches": _WATCHES},
    "landlock": {
        "resources/watches": _WATCHES,
        "write-outside/mode": _METADATA.format("mode"),
    },
}
"""As root the command runs under a user that owns nothing; an ordinary user's commands are that user's."""
_UNCOUNTED: Mapping[str, str] = {
    "resources/memory-many-processes": _LATE,
    "resources/memory-shared": _LATE,
    "resources/memory-unnamed-files": _LATE,
}
"""Where the system lets us make no control group. Whether a look comes in time is a matter of luck."""


def name(attack: Attack) -> str:
    """One word for an attack, unique in the battery."""
    return f"{attack.kind.replace(' ', '-')}/{attack.id}"


def known(backend: str) -> Mapping[str, str]:
    """The holes of a backend for whoever runs this, by name, each with its reason."""
    ordinary = _ORDINARY[backend] if os.geteuid() != 0 else {}
    return {**_ANYONE[backend], **ordinary}


def lucky() -> Mapping[str, str]:
    """What gets through or not as it happens, by name, each with its reason."""
    return {} if _counted() else _UNCOUNTED


@functools.cache
def _counted() -> bool:
    group = cgroup.make(SMALL)
    if group is not None:
        group.remove()
    return group is not None
