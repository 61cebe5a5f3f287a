"""An update of the core: measured, shown, approved as what it is, installed whole, undone bit for bit."""

from __future__ import annotations

import pytest
from core_lab import CoreLab

from orchestrator.attempt import fold
from orchestrator.core.desk import CoreDesk
from orchestrator.core.drive import into_force
from state import words
from state.core import CoreRefused
from state.events import New


def test_an_approved_update_comes_into_force_and_a_revert_gives_back_the_very_bytes(lab: CoreLab) -> None:
    first = lab.adopt(sudoku=b"first", mazes=b"other")
    before = lab.bytes_of(first)
    lab.teach()
    ticket, asked = lab.asked()
    assert lab.now() == first
    lab.say(words.approve, asked.id, asked.digest)
    assert lab.now() == first
    lab.run()
    assert lab.state(ticket) == "landed", lab.card(ticket)
    second = lab.now()
    assert second == asked.subject["core"] != first
    assert lab.bytes_of(second)["parts/sudoku/model.safetensors"] == b"first learned"
    assert lab.current().standing.accepted[-1].proposal == asked.id
    lab.revert(first[:10])
    assert lab.now() == first and lab.bytes_of(first) == before
    lab.revert("")
    assert lab.now() == second
    with pytest.raises(words.Refused, match="jetbox core revert"):
        lab.say(words.rollback, ticket)
    lab.intact()


def test_an_approval_is_not_used_where_another_word_came_between_the_look_and_the_writing(
    lab: CoreLab,
) -> None:
    first = lab.adopt(sudoku=b"first")
    lab.teach()
    ticket, asked = lab.asked()
    lab.say(words.approve, asked.id, asked.digest)
    second = lab.adopt(mazes=b"other")
    with lab.journal() as journal:
        attempt = fold(journal.events(ticket=ticket, attempt=1))
        assert attempt is not None
        outcome = New("action.outcome", {"key": "install:x", "status": "done"}, ticket, 1)
        desk = CoreDesk(journal, lab.workspace, lab.sealer)
        instead = into_force(desk, attempt, asked.id, outcome)
    assert instead[0].body["status"] == "failed" and instead[0].body["result"]["stale"]
    assert instead[1].type == "core.refused"
    assert lab.now() == second != first and not lab.events(type_="proposal.used")


def test_the_question_holds_all_that_is_promised_of_it(lab: CoreLab) -> None:
    first = lab.adopt(sudoku=b"first", mazes=b"other")
    lab.teach(lessons=4)
    _, asked = lab.asked()
    subject = asked.subject
    assert subject["layer"] == ["blocks.0.mix", "head.weight"]
    assert "measured, not a model's words: 4 lessons in the memory rules" in subject["rationale"]
    assert {row["task"] for row in subject["expected_effects"]} == {"sudoku6", "mazes", "the new rule"}
    assert subject["revert_plan"]["to"] == first == subject["before"]
    assert "verifies" in subject["revert_plan"]["rehearsed"]
    assert subject["evidence"]["memory"]["name"] == "rules"
    assert [r["check"] for r in subject["receipts"]] == ["keeps"] and subject["receipts"][0]["passed"]
    assert subject["isolation"] and subject["policy"]


def test_a_denial_ends_it_and_stands_until_the_memory_learned_more(lab: CoreLab) -> None:
    lab.adopt(sudoku=b"first", mazes=b"other")
    lab.teach()
    ticket, asked = lab.asked()
    lab.say(words.deny, asked.id, asked.digest, "not on this data")
    lab.run()
    assert lab.state(ticket) == "failed" and "not on this data" in lab.note(ticket)
    with pytest.raises(CoreRefused, match="not on this data"):
        lab.propose()
    lab.say(words.retry, ticket)
    lab.run()
    assert lab.state(ticket) == "failed" and "not on this data" in lab.note(ticket)
    lab.teach(lessons=5)
    _, again = lab.asked()
    assert again.digest != asked.digest
