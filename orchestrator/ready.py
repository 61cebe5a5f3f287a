"""Which tickets may start, and from where. Pure but for two looks at refs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator.config import Config
from orchestrator.git import Repo
from orchestrator.kinds.base import Kind


def unmet(needs: Sequence[str], states: Mapping[str, str]) -> list[str]:
    """What a ticket still waits for, in the order its file names them."""
    return [need for need in needs if states.get(need) != "landed"]


def start_block(
    spec: Mapping[str, Any], kind: Kind, ground: Callable[[], tuple[str, str, str]]
) -> tuple[str, str, str]:
    """Why a ready ticket can't start now ('' when it can), its base ref, and where that is."""
    when = spec.get("when") or "now"
    if when != "now":
        return f"starts {when!r}, which this version does not schedule: set `when: now`", "", ""
    return ("", "", "") if kind.output == "artifact" else ground()


def ground(repo: Repo, config: Config) -> tuple[str, str, str]:
    """Why no change can start now ('' when one can), the base's ref, and where that is."""
    branch = config.settings.base
    ref = f"refs/heads/{branch}" if branch else repo.head_branch(repo.root)
    if ref is None:
        return "no branch is checked out: name one as `base` in jetbox.yaml, and this starts", "", ""
    base = repo.resolve(ref)
    if base is None and repo.is_unborn(repo.root):
        return "the repository has no commit yet: make one, and this starts", "", ""
    if base is None:
        return f"there is no branch {ref.removeprefix('refs/heads/')}: `base` in jetbox.yaml names it", "", ""
    return "", ref, base


def branch_name(ticket: str, goal: str) -> str:
    """`ticket/<ID>-<slug>`: ASCII letters, digits and single dashes, so that every tool takes it."""
    plain = unicodedata.normalize("NFKD", goal).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-")
    return f"ticket/{ticket}-{slug}" if slug else f"ticket/{ticket}"
