"""An approval is offered only for what is green, whole and seen; and a key decides only when meant."""

from __future__ import annotations

from typing import Any

import pytest

from state.canonical import digest
from state.views import Card, Proposal
from tui.diff import ADDED, REMOVED, parse
from tui.inbox.offer import refusal
from tui.sheets.gate import settled

GREEN = {"check": "pytest", "side": "merged", "passed": True, "exit": 0}


def proposal(kind: str = "merge", **subject: Any) -> Proposal:
    whole = {"receipts": [GREEN], "diff": "blob:x", **subject}
    return Proposal("p", kind, "TICKET-1", 1, digest(whole), "s", whole, "blob:x", "open", "", "", 0, None, 0)


def card(red: int = 0, unknown: int = 0) -> Card:
    return Card(
        "TICKET-1", "review", "run", "g", "", "[]", "[]", 1, None, None, None, 1, red, unknown, "", "", 0, 0
    )


def test_green_and_seen_is_offered() -> None:
    assert refusal(proposal(), card(), True, "") == ""


def test_a_skipped_check_beside_a_green_one_is_offered_and_hides_no_other_unknown_one() -> None:
    skipped = {"check": "go", "side": "merged", "passed": False, "skipped": "go is not installed"}
    assert refusal(proposal(receipts=[GREEN, skipped]), card(unknown=1), True, "") == ""
    assert "not known" in refusal(proposal(receipts=[GREEN, skipped]), card(unknown=2), True, "")
    assert "nothing is verified" in refusal(proposal(receipts=[skipped]), card(unknown=1), True, "")


@pytest.mark.parametrize(
    ("found", "of", "seen", "problem", "says"),
    [
        (proposal(receipts=[{**GREEN, "passed": False}]), card(), True, "", "red"),
        (proposal(receipts=[{**GREEN, "passed": "yes"}]), card(), True, "", "red"),
        (proposal(receipts=[]), card(), True, "", "nothing is verified"),
        (proposal(), card(red=1), True, "", "red"),
        (proposal(), card(unknown=1), True, "", "not known"),
        (proposal(), card(), False, "", "not opened"),
        (proposal(), card(), True, "The blob is damaged", "damaged"),
        (proposal()._replace(digest="0" * 64), card(), True, "", "digest"),
        (proposal()._replace(diff="blob:other"), card(), True, "", "not the one"),
        (proposal("start")._replace(digest="0" * 64), card(), True, "", "digest"),
    ],
)
def test_anything_else_is_not_offered_and_says_why(
    found: Proposal, of: Card, seen: bool, problem: str, says: str
) -> None:
    assert says in refusal(found, of, seen, problem)


def test_a_key_decides_only_after_paint_and_quiet() -> None:
    assert not settled(None, 0, 100)
    assert not settled(99.8, 0, 100)
    assert not settled(0, 99.8, 100)
    assert settled(99.5, 99.5, 100)


def test_a_changed_line_that_looks_like_a_header_is_counted_as_a_change() -> None:
    found = parse(b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n--- old\n+++ new\n same\n")
    assert (found.added, found.removed, found.files) == (1, 1, 1)
    assert found.kinds[4:6] == (REMOVED, ADDED)
