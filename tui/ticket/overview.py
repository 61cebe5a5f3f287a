"""The overview of a ticket: what is wanted, how it stands, what it is held against, what was tried."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from state.views import Attempt, Receipt, Ticket, verdict
from tui.look import Look
from tui.page import Page
from tui.times import age, clock, eta, span


def check_name(check: Any) -> str:
    """A check of `accept` as a line of text."""
    if not isinstance(check, Mapping):
        return str(check)
    if "run" in check:
        return str(check["run"])
    if "metric" in check:
        bounds = [f"{word} {check[word]}" for word in ("min", "max") if word in check]
        return f"{check['metric']} {' '.join(bounds)}"
    if "file" in check:
        contains = check.get("contains")
        return f"{check['file']} contains {contains}" if contains else f"{check['file']} is there"
    for word in ("judge", "human"):
        if word in check:
            return f"{word}: {check[word]}"
    return json.dumps(dict(check), ensure_ascii=False)


def overview(
    page: Page,
    ticket: Ticket,
    attempts: Sequence[Attempt],
    receipts: Sequence[Receipt],
    needs: Mapping[str, str],
    asks: bool,
    now: int,
    run: str = "",
) -> Page:
    """Write the overview."""
    look, card, spec = page.look, ticket.card, ticket.spec
    page.title(card.goal or card.id)
    page.gap()
    word = f"{look.glyph(card.state)} {card.state}"
    page.field("state", f"{word}, for {age(card.since, now)}", card.state, bold=True)
    if card.note and card.note != card.state:
        page.field(
            "", card.note, card.state if card.state in ("waiting", "failed", "broken", "review") else "muted"
        )
    if asks:
        page.field("", f"{look.glyph('asks')} needs you: i shows what it asks", "waiting", bold=True)
    if card.asked:
        page.field("asked", f"{card.asked}, and not carried out yet", "waiting")
    if ticket.removed:
        page.field("file", "is gone; the ticket is not started any more", "waiting")
    if card.state == "running":
        done = f"{card.progress:.0%}" if card.progress is not None else look.g.dash
        page.field("progress", f"{done}, left {eta(card.eta_low, card.eta_high, look.g.dash)}")
    if run:
        page.field("run", f"{run}; 3 shows its curves")
    who = f" {look.g.dot} ".join(part for part in (card.kind, card.persona) if part)
    if who:
        page.field("kind", who)
    if labels := spec.get("labels"):
        page.field("labels", " ".join(map(str, labels)))
    if ticket.comment:
        page.field("comment", ticket.comment, "accent")
    for problem in ticket.problems:
        page.item(look.g.cross, "failed", problem)
    if needs:
        page.head("Needs")
        for id_, state in needs.items():
            page.item(look.glyph(state), state, id_, state)
    _accept(page, spec, receipts)
    for key in ("constraints", "paths"):
        if spec.get(key):
            page.head(key.capitalize())
            for each in spec[key]:
                page.item(look.g.dot, "muted", str(each))
    if spec.get("risks"):
        page.head("Risks")
        for risk in spec["risks"]:
            page.item(look.g.dot, "muted", str(risk.get("risk", "")), f"then {risk.get('then', '')}")
    if spec.get("with"):
        page.head("With")
        for key, value in spec["with"].items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            page.field(str(key), text)
    if attempts:
        page.head("Attempts")
        for tried in reversed(attempts):
            took = span(((tried.ended or now) - tried.started) / 1000, look.g.dash)
            detail = f"{clock(tried.started, now)}, {took}" + (f": {tried.why}" if tried.why else "")
            page.item(look.glyph(tried.state), tried.state, f"{tried.number} {tried.state}", detail)
    if spec.get("notes"):
        page.head("Notes")
        page.text(str(spec["notes"]), "muted")
    return page


def _accept(page: Page, spec: Mapping[str, Any], receipts: Sequence[Receipt]) -> None:
    checks = spec.get("accept") or []
    if not checks:
        return
    page.head("Accepted when")
    look = page.look
    for check in checks:
        name = check_name(check)
        found = [receipt for receipt in receipts if receipt.name == name]
        red = " (has to fail on the base)" if isinstance(check, Mapping) and check.get("red") else ""
        skipped = [receipt.skipped for receipt in found if receipt.skipped]
        if any(not receipt.passed and not receipt.skipped for receipt in found):
            page.item(look.g.cross, "failed", name, f"red{red}")
        elif skipped:
            page.item(look.g.unknown, "waiting", name, f"skipped: {skipped[0]}{red}")
        elif any(receipt.side != "base" for receipt in found):
            page.item(look.g.tick, "landed", name, f"green{red}")
        else:
            page.item(look.g.unknown, "muted", name, f"not known yet{red}")


def receipts_page(page: Page, receipts: Sequence[Receipt], look: Look) -> Page:
    """Write every receipt: what was checked, on what, and what came of it."""
    page.title("Receipts")
    page.gap()
    if not receipts:
        page.text("No check has been run for this attempt yet: nothing is verified.", "muted")
    for receipt in receipts:
        glyph, role = (look.g.tick, "landed") if receipt.passed else (look.g.cross, "failed")
        if receipt.skipped:
            glyph, role = look.g.unknown, "waiting"
        page.item(glyph, role, receipt.name)
        exit_ = look.g.dash if receipt.exit is None else str(receipt.exit)
        told = verdict(receipt.passed, receipt.side, receipt.skipped)
        page.field("", f"{told}, exit {exit_}, {span(receipt.seconds, look.g.dash)}", role)
        if receipt.summary:
            page.field("", receipt.summary, "muted")
        page.field("tree", receipt.tree, "faint")
        page.gap()
    return page
