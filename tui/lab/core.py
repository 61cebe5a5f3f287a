"""The core as its versions: which is in force, who said so, what was refused, and the way back."""

from __future__ import annotations

from state.core import Current, Setting, Version
from tui.amounts import gigabytes
from tui.lines import Line
from tui.look import Look
from tui.page import Page
from tui.safe_text import fit
from tui.times import age, clock

_REFUSED = 5  # of what was refused, the newest
_DOES = {"adopt": "adopted", "update": "updated", "revert": "went back"}


def earlier(found: Current | None) -> tuple[Setting, ...]:
    """Versions to go back to, the newest first: each that was in force and is not now, once."""
    if found is None:
        return ()
    held: dict[str, Setting] = {}
    for each in reversed(found.standing.accepted):
        if each.core != found.standing.head:
            held.setdefault(each.core, each)
    return tuple(held.values())


def page(look: Look, found: Current | None, answers: str, chosen: int, cells: int, now: int) -> list[Line]:
    """Every line; `answers` is the core that the mind holds, `chosen` what `v` would go back to."""
    out = Page(look, cells)
    out.lines = []
    if found is None:
        out.text("The versions are being held against their digests", "muted")
        return out.lines
    version = found.version
    if version is None:
        out.item(look.g.warn, "waiting" if not found.standing.settings else "failed", found.why)
    else:
        _version(out, version, answers, found)
    for digest, why in found.passed:
        out.item(look.g.cross, "failed", f"{digest[:12]} is passed over: {why}")
    back = earlier(found)
    if back:
        out.head("To go back to")
        for number, each in enumerate(back):
            _place(out, each, number == chosen, now)
        out.text("up and down choose, v goes back: with your seal, and written down.", "faint")
    _history(out, found, now)
    return out.lines


def _version(out: Page, version: Version, answers: str, found: Current) -> None:
    look = out.look
    out.item(look.g.tick, "landed", f"core {version.digest[:12]}", f"verified, {gigabytes(version.bytes)}")
    if answers and answers != version.digest:
        out.item(look.g.warn, "waiting", f"the mind still answers with {answers[:12]}: R starts it anew")
    out.field("parent", version.parent[:12] if version.parent else "none: the first", "muted")
    made = version.made
    told = str(made.get("by", ""))[:40]
    if made.get("memory"):
        told += f" of the memory {str(made['memory'])[:40]} into {str(made.get('part', ''))[:40]}"
    out.field("made by", told, "muted")
    for name, part in version.parts.items():
        sure = "" if part.calibration or part.task == "latents" else ", not calibrated"
        out.item(look.g.dot, "accent", name, f"{part.task}, {part.learner}{sure}")


def _place(out: Page, each: Setting, here: bool, now: int) -> None:
    look = out.look
    back = "raised" if here else "bg"
    out.lines.append(
        [
            (f" {look.g.shut if here else ' '} ", look("accent", back, bold=True)),
            (fit(each.core[:12], 14), look("text", back, bold=here)),
            (f"{_DOES.get(each.why, each.why)} {clock(each.at, now)} ", look("muted", back)),
        ]
    )


def _history(out: Page, found: Current, now: int) -> None:
    look, standing = out.look, found.standing
    if standing.settings:
        out.head("History")
    for each in reversed(standing.settings):
        did = _DOES.get(each.why, look.text(each.why))
        who = f"{each.by}, {age(each.at, now)} ago" + (f", {each.proposal}" if each.proposal else "")
        if each.refused:
            out.item(look.g.cross, "failed", f"{each.core[:12]} does not count: {each.refused}")
        else:
            out.item(look.g.dot, "muted", f"{did} {each.core[:12]}", who)
    if standing.refusals:
        out.head("Refused")
    for refusal in standing.refusals[: -_REFUSED - 1 : -1]:
        out.item(look.g.cross, "failed", refusal.what, f"{refusal.why} ({refusal.by})")
