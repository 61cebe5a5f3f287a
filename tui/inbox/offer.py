"""When an approval may be offered: a pure function of what is proposed and of what was seen.

The answer is a reason to show, never a silent refusal. What is not known is not green.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from state.canonical import digest
from state.views import Card, Proposal

WITH_NUMBER = frozenset(("merge", "core"))
"""Kinds that are approved by typing the ticket's number: they change what others build on."""


def receipts_of(proposal: Proposal) -> Sequence[Mapping[str, Any]]:
    """The receipts that the proposal is bound to."""
    found = proposal.subject.get("receipts")
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def refusal(proposal: Proposal, card: Card | None, diff_seen: bool, diff_problem: str) -> str:
    """Why the proposal cannot be approved here, in one line; '' where it can.

    Of a change of the core, the effects take the place of the diff, and the candidate that of its blob.
    """
    if digest(proposal.subject) != proposal.digest:
        return "the digest is not that of what is shown: the journal may be damaged"
    if proposal.diff and proposal.subject.get("diff", proposal.diff) != proposal.diff:
        return "the diff is not the one that the proposal names"
    if proposal.kind not in WITH_NUMBER:
        return ""
    receipts = receipts_of(proposal)
    skipped = {str(each.get("check")) for each in receipts if each.get("skipped")}
    taken = [each for each in receipts if not each.get("skipped")]
    red = [str(each.get("check", "a check")) for each in taken if each.get("passed") is not True]
    if red:
        return f"a check is red: {red[0]}"
    if not taken:
        return "no check has been taken: nothing is verified"
    if card is not None and card.red:
        return "a check is red"
    if card is not None and card.unknown > len(skipped):
        return f"{card.unknown} of {card.green + card.unknown} checks are not known yet"
    if diff_problem:
        return diff_problem[:1].lower() + diff_problem[1:]
    if proposal.diff and not diff_seen:
        return "the diff was not opened: tab opens it"
    if proposal.kind == "core" and not diff_seen:
        return "its effects were not opened: tab opens them"
    return ""
