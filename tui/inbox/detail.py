"""What a proposal would do, written from the very subject that its digest covers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from state.views import Card, Proposal, verdict
from tui.diff import Diff
from tui.inbox import core
from tui.inbox.offer import receipts_of
from tui.inbox.question import has_options, question
from tui.page import Page
from tui.times import age, clock

_SHOWN = frozenset(
    ("ticket", "attempt", "revision", "base_ref", "base", "head", "tree", "diff", "changed", "receipts",
     "rollback", "isolation", "notable", "new", "hosts", "commands", "bytes", "inside")
)  # fmt: skip
_ANSWERED = frozenset(("question", "options", "recommended"))  # shown by the question itself
_FILES = 12

_TITLES = {
    "merge": "Merge", "start": "Start", "core": "Change the core", "network": "Network",
    "question": "Question",
}  # fmt: skip


def title_of(kind: str) -> str:
    """A kind of proposal in words."""
    return _TITLES.get(kind, kind)


def detail(
    page: Page, proposal: Proposal, card: Card | None, diff: Diff, refused: str, now: int, chosen: int = 0
) -> Page:
    """Write the proposal; of a question with options, `chosen` is the index of the marked one."""
    look, subject = page.look, proposal.subject
    page.title(proposal.summary)
    page.text(
        f"{title_of(proposal.kind)} {look.g.dot} {proposal.ticket}"
        f" {look.g.dot} waits for {age(proposal.since, now)}, since {clock(proposal.since, now)}",
        "muted",
    )
    page.gap()
    if refused:
        bad = "red" in refused.split() or "damaged" in refused or "does not verify" in refused
        glyph, role = (look.g.cross, "failed") if bad else (look.g.warn, "waiting")
        page.item(
            glyph, role, f"Cannot be {'answered' if has_options(proposal) else 'approved'} now: {refused}"
        )
    elif has_options(proposal):
        question(page, proposal, chosen)
    else:
        page.item(look.g.tick, "landed", "Can be approved: a, after you have looked")
    if proposal.kind == "core":
        core.summary(page, proposal)
    _receipts(page, proposal)
    _reaching(page, proposal)
    _effects(page, proposal, diff)
    if card is not None and card.goal and card.goal not in proposal.summary:
        page.head("Goal")
        page.text(card.goal)
    page.head("Bound to")
    for label, key in (
        ("base", "base"), ("head", "head"), ("tree", "tree"), ("revision", "revision"),
    ):  # fmt: skip
        if subject.get(key):
            into = f"{subject['base_ref']} at " if key == "base" and subject.get("base_ref") else ""
            page.field(label, f"{into}{subject[key]}", "muted")
    apart = core.SHOWN if proposal.kind == "core" else frozenset()
    for key, value in subject.items():
        if (
            key not in _SHOWN
            and key not in apart
            and not (key in _ANSWERED and has_options(proposal) and not refused)
        ):
            _value(page, key, value)
    page.field("attempt", str(proposal.attempt), "muted")
    page.field("digest", proposal.digest, "muted")
    return page


def _receipts(page: Page, proposal: Proposal) -> None:
    receipts = receipts_of(proposal)
    look = page.look
    if not receipts:
        if proposal.kind in ("merge", "core"):
            page.head("Checks")
            page.item(look.g.unknown, "waiting", "none was taken: nothing is verified")
        return
    page.head("Checks")
    for each in receipts:
        passed = each.get("passed") is True
        glyph, role = (look.g.tick, "landed") if passed else (look.g.cross, "failed")
        if skipped := str(each.get("skipped") or ""):
            page.item(look.g.unknown, "waiting", str(each.get("check", "?")), f"skipped: {skipped}")
            continue
        exit_ = each.get("exit")
        word = verdict(passed, str(each.get("side", "?")))
        told = f"{word}, exit {exit_}" if exit_ is not None else word
        page.item(glyph, role, str(each.get("check", "?")), told)


def _reaching(page: Page, proposal: Proposal) -> None:
    """What goes beyond the ticket's own files: new programs, the network, files that steer others."""
    look, subject = page.look, proposal.subject
    new = subject.get("new")
    programs = new.get("programs") if isinstance(new, Mapping) and new.keys() == {"programs"} else new
    for head, key, named in (
        ("New programs", "new", programs),
        ("Hosts", "hosts", subject.get("hosts")),
        ("Commands that name them", "commands", subject.get("commands")),
        ("Files that steer more than this change", "notable", subject.get("notable")),
    ):
        if isinstance(named, list) and named:
            page.head(head)
            for each in named:
                page.item(look.g.warn, "waiting", str(each))
        elif named:
            _value(page, key, named)
    if "inside" in subject or "bytes" in subject:
        page.head("Network")
        page.field("inside", str(subject.get("inside")))
        page.field("bytes", "not known" if subject.get("bytes") is None else str(subject["bytes"]))


def _effects(page: Page, proposal: Proposal, diff: Diff) -> None:
    look, subject = page.look, proposal.subject
    if proposal.diff:
        page.head("Change")
        if diff.problem:
            page.item(look.g.cross, "failed", diff.problem)
        files = subject.get("changed")
        count = len(files) if isinstance(files, list) else diff.files
        told = (
            f"{count} file{'s' if count != 1 else ''}, {diff.added:,} lines added, {diff.removed:,} removed"
        )
        page.text(f"{told}: tab opens the diff")
        if isinstance(files, list):
            for path in files[:_FILES]:
                page.item(look.g.dot, "muted", _path(path))
            if len(files) > _FILES:
                page.item(look.g.dot, "muted", f"and {len(files) - _FILES} more")
    rollback = subject.get("rollback")
    if isinstance(rollback, Mapping) and proposal.kind != "core":  # whose way back stands above
        page.head("Way back")
        rehearsed = str(rollback.get("rehearsed") or "")
        glyph, role = (look.g.tick, "landed") if rehearsed else (look.g.unknown, "waiting")
        page.item(glyph, role, str(rollback.get("how", "")), rehearsed or "not rehearsed")
    if "isolation" in subject:
        page.head("Isolation")
        how = str(subject["isolation"])
        weak = how in ("none", "")
        said = "UNSANDBOXED: the commands ran with your rights" if weak else how
        page.item(look.g.warn if weak else look.g.tick, "waiting" if weak else "landed", said)


def _path(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(str(value[key]) for key in ("status", "path") if key in value)
    return str(value)


def _value(page: Page, key: str, value: Any) -> None:
    """A part of the subject that has no place of its own is shown all the same: it is approved too."""
    if isinstance(value, Mapping):
        page.field(key, "", "muted")
        for inner, each in value.items():
            text = each if isinstance(each, str) else json.dumps(each, ensure_ascii=False)
            page.field(f"  {inner}", text, "muted")
    else:
        page.field(key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
