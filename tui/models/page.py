"""The engine's picture of the models, written for people: memory and who holds it, roles, findings.

On a wide screen memory and roles stand side by side. A picture that is old says so first: it shows how things
were, not how they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from state.machine import Candidate, Device, Holder, Machine
from tui.amounts import gigabytes
from tui.lines import Line
from tui.look import Look
from tui.page import Page
from tui.safe_text import width
from tui.times import age

WIDE = 112
"""Cells from which there are two columns."""
_BAR = 28  # cells of a memory bar at most
HOT, WARM = 85.0, 75.0
"""Degrees Celsius: most graphics cards slow themselves down from 83 to 90 on."""
_POLICIES = {"serial": "one model at a time", "packed": "as many models as fit"}


def machine_page(look: Look, cells: int, found: Machine, stale: str, now: int) -> list[Line]:
    """Every line of the screen."""
    page = Page(look, cells)
    page.title("Models and the machine")
    seen = f"as seen {age(found.at, now)} ago"
    if stale:
        page.item(look.g.warn, "waiting", f"This is how things were: {seen}, {stale}")
    else:
        page.text(seen, "muted")
    if found.paused:
        page.item(look.glyph("paused"), "waiting", f"Nothing is asked of a model now: {found.paused}")
    if cells < WIDE:
        memory(page, found, now)
        _roles(page, found)
        _findings(page, found)
        return page.lines
    half = cells // 2
    left, right = Page(look, half), Page(look, cells - half)
    left.lines, right.lines = [], []
    memory(left, found, now)
    _roles(right, found)
    _findings(right, found)
    page.gap()
    return [*page.lines, *_beside(look, half, left.lines, right.lines)]


def _beside(look: Look, cells: int, left: list[Line], right: list[Line]) -> list[Line]:
    lines: list[Line] = []
    empty: Line = []
    for one, two in zip_longest(left, right, fillvalue=empty):
        gap = max(0, cells - sum(width(text) for text, _ in one))
        lines.append([*one, (" " * gap, look()), *two])
    return lines


# Memory ----------------------------------------------------------------------------------------------


def memory(page: Page, found: Machine, now: int) -> None:
    """Write what memory there is, how warm and busy its devices are, and who holds how much of it."""
    look = page.look
    page.head("Memory")
    if not found.devices:
        page.text("No graphics card and no figure of the machine's own memory is known.", "muted")
    for device in found.devices:
        _device(page, device)
    page.head("Held by")
    if not found.holders:
        page.text("Nobody: no model is loaded and nothing trains.", "muted")
    for holder in sorted(found.holders, key=lambda holder: -holder.bytes):
        page.item(look.glyph("done"), "landed", holder.who, _holds(holder, now))
    policy = _POLICIES.get(found.policy, found.policy)
    kept = f", {gigabytes(found.reserve)} are kept free" if found.reserve else ""
    page.text(f"{policy}{kept}", "faint")


def _device(page: Page, device: Device) -> None:
    look = page.look
    kind = {"gpu": "graphics card", "ram": "the machine's own"}.get(device.kind, device.kind)
    facts = [kind]
    if device.celsius is not None:
        facts.append(f"{device.celsius:.0f} °C")
    if device.load is not None:
        facts.append(f"{device.load:.0%} busy")
    if device.watts is not None:
        facts.append(f"{device.watts:.0f} W")
    page.item(look.g.open, "muted", device.name, _told(facts))
    used = max(0, device.total - device.free)
    share = min(1.0, used / device.total) if device.total > 0 else 0.0
    cells = max(8, min(_BAR, page.cells - 34))
    full = round(share * cells)
    role = "waiting" if share >= 0.9 else "accent"
    page.lines.append(
        [
            (" ", look()),
            (look.g.full * full, look(role)),
            (look.g.empty * (cells - full), look("line")),
            (f" {gigabytes(used)} of {gigabytes(device.total)}", look("text")),
            (f", {gigabytes(device.free)} free", look("muted")),
        ]
    )
    if device.celsius is not None and device.celsius >= WARM:
        hot = device.celsius >= HOT
        said = "hot: it slows itself down" if hot else "warm"
        page.item(look.g.warn, "failed" if hot else "waiting", f"{device.celsius:.0f} °C, {said}")


def _holds(holder: Holder, now: int) -> str:
    parts = [holder.what, gigabytes(holder.bytes)]
    if holder.context:
        parts.append(f"context {holder.context:,}")
    parts.append(f"for {age(holder.since, now)}")
    if holder.until is not None and holder.until > now:
        parts.append(f"lets go in {age(now, holder.until)}")
    return _told(parts)


def _told(parts: list[str]) -> str:
    return f"({', '.join(parts)})" if parts else ""


# Roles and findings ----------------------------------------------------------------------------------


def _roles(page: Page, found: Machine) -> None:
    look = page.look
    page.head("Roles")
    if not found.roles:
        page.text("No role has a model: models.yaml names them, best first.", "muted")
    for role in found.roles:
        if not any(candidate.used for candidate in role.candidates):
            page.item(look.g.cross, "failed", role.role, "(nobody can serve it now)")
        else:
            page.item(look.g.tick, "landed", role.role)
        for used, provider, why, group in _alike(role.candidates):
            _candidates(page, used, provider, why, group)


def _alike(candidates: Sequence[Candidate]) -> Iterator[tuple[bool, str, str, list[Candidate]]]:
    """The used one first, then those of one provider that share a reason, which is told once."""
    groups: dict[tuple[bool, str, str], list[Candidate]] = {}
    for each in sorted(candidates, key=lambda candidate: not candidate.used):
        groups.setdefault((each.used, each.provider, each.why), []).append(each)
    for (used, provider, why), group in groups.items():
        yield used, provider, why, group


def _candidates(page: Page, used: bool, provider: str, why: str, group: Sequence[Candidate]) -> None:
    look = page.look
    names = [f"{each.model} ({each.label})" if each.label else each.model for each in group]
    facts = [provider] if provider else []
    if len(group) == 1 and group[0].bytes:
        facts.append(gigabytes(group[0].bytes))
    facts += [why] if why else []
    word = "used" if used else "not"
    state, role = ("done", "landed") if used else ("backlog", "muted")
    page.item(f"  {look.glyph(state)}", role, f"{word} {', '.join(names)}", _told(facts))


def _findings(page: Page, found: Machine) -> None:
    look = page.look
    page.head("What trying them has shown")
    if not found.findings:
        page.text("No model has been tried yet: `jetbox models try NAME` does it.", "muted")
    for finding in found.findings:
        page.text(f"{finding.model}  {finding.digest[:12]}", bold=True)
        for line in finding.says:
            page.item(look.g.dot, "muted", line)
