"""What the doctor says of the models: who serves each role, and why those before it do not, with the cure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from orchestrator.models import choosing
from orchestrator.models.catalogue import Catalogue
from orchestrator.models.choosing import Judged, Seen
from orchestrator.models.ledger import gigabytes
from orchestrator.models.service import Models

WAIT = 4.0  # seconds that a doctor gives a server; providers answer or fail within two


class Line(NamedTuple):
    """One finding; the cure is said and never done."""

    name: str
    ok: bool
    said: str
    cure: str


def findings(catalogue: Catalogue, service: Models) -> list[Line]:
    """One line for each role; a single one where the reason is the same for all."""
    judged = {role: service.judged(role, WAIT) for role in catalogue.roles}
    seen = {name: service.seen(name) for name in catalogue.sources}
    lines = [_role(role, found, seen, service.open_room()) for role, found in judged.items()]
    if lines and not any(each.ok for each in lines):
        said = {(each.said, each.cure) for each in lines}
        if len(said) == 1:
            return [Line("models", False, lines[0].said, lines[0].cure)]
    return lines


def _role(role: str, judged: Sequence[Judged], seen: Mapping[str, Seen | None], room: int) -> Line:
    used = next((each for each in judged if each.chosen is not None), None)
    if used is None:
        said, _, cure = (choosing.obstacle(role, judged, seen, room) or "nobody serves it").partition(": ")
        return Line(f"{role}", False, said, cure)
    assert used.chosen is not None
    size = f", {gigabytes(used.bytes)}" if used.bytes else ""
    label = f" ({used.chosen.label})" if used.chosen.label else ""
    said = f"{used.wish.model}{label} by {used.wish.source.name}, {used.why}{size}"
    passed = judged[: judged.index(used)]
    if passed:
        said += f"; not {'; not '.join(_short(each) for each in passed)}"
    return Line(f"{role}", True, said, "")


def _short(judged: Judged) -> str:
    """Why a better one is not used; the name once, the cure left to `jetbox models`."""
    why = judged.why.partition(": ")[0].removeprefix(judged.wish.model).strip()
    return f"{judged.wish.model} ({why})"
