"""All attacks, and the holes that are known: where a backend lets one through by its nature, and why."""

from __future__ import annotations

import os
from collections.abc import Mapping

from attack_git import GIT
from attack_later import LATER
from attack_network import NETWORK
from attack_outside import OUTSIDE
from attack_processes import PROCESSES
from attack_product import PRODUCT
from attack_resources import RESOURCES
from attack_secrets import SECRETS
from battery import Attack

ATTACKS: tuple[Attack, ...] = (
    *SECRETS, *OUTSIDE, *GIT, *NETWORK, *PROCESSES, *RESOURCES, *LATER, *PRODUCT,
)  # fmt: skip
"""Their ids are unique within a class; `name` tells them apart everywhere."""

_ANYONE: Mapping[str, Mapping[str, str]] = {
    "bubblewrap": {},
    "landlock": {},
}
_ORDINARY: Mapping[str, Mapping[str, str]] = {
    "bubblewrap": {},
    "landlock": {},
}
"""As root the command runs under a user that owns nothing; an ordinary user's commands are that user's."""


def name(attack: Attack) -> str:
    """One word for an attack, unique in the battery."""
    return f"{attack.kind.replace(' ', '-')}/{attack.id}"


def known(backend: str) -> Mapping[str, str]:
    """The holes of a backend for whoever runs this, by name, each with its reason."""
    return {**_ANYONE[backend], **(_ORDINARY[backend] if os.geteuid() != 0 else {})}
