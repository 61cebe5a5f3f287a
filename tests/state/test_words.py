"""A person's words: in every state either refused with a line that helps, or what the table says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from state_doubles import about, admitted, broken, leading_to, proposed, started

from state import words
from state.events import Event
from state.journal import Journal
from tickets.lifecycle import LIVE, State, Trigger, step

T = "TICKET-001"
Word = Callable[[Journal, str], Event]
ALLOWED: dict[Word, set[State]] = {
    words.cancel: {State.BACKLOG, State.READY, *LIVE},
    words.retry: {State.FAILED, State.CANCELLED, *LIVE},
    words.rollback: {State.LANDED},
    words.restore: {State.LANDED, State.FAILED, State.CANCELLED},
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("word", ALLOWED, ids=lambda word: word.__name__)
def test_every_word_in_every_state(tmp_path: Path, word: Word, state: State) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    journal.append(*leading_to(state, T))
    before = journal.head()
    if state not in ALLOWED[word]:
        with pytest.raises(words.Refused) as refused:
            word(journal, T)
        assert T in str(refused.value) and len(str(refused.value)) > len(T) + 10
        assert journal.head() == before
        return
    event = word(journal, T)
    card = journal.views.board()[0]
    triggers = {str(trigger): trigger for trigger in Trigger}
    expected = step(state, triggers[event.type]) if event.type in triggers else state
    assert card.state == expected
    waits = card.state == state
    assert card.asked == (event.type.removeprefix("asked.") if waits else "")
    assert [found.id for found in journal.views.asked()] == [T] * waits
    assert event.body["by"]


def test_a_wish_is_gone_once_it_is_carried_out(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    journal.append(*leading_to(State.RUNNING, T))
    words.retry(journal, T, "try the other way")
    journal.append(about("attempt.cancelled", T, 1, why="retry"), about("asked.retry", T, comment="again"))
    ticket = journal.views.ticket(T)
    assert ticket is not None
    assert (ticket.card.state, ticket.card.asked, ticket.comment) == ("backlog", "", "again")
    journal.append(about("ticket.ready", T), started(T, 2), about("attempt.landed", T, 2, commit="c" * 40))
    words.rollback(journal, T)
    journal.append(about("ticket.rolled-back", T, commit="d" * 40))
    assert journal.views.asked() == []
    words.restore(journal, T)
    journal.append(about("ticket.restored", T, branch="ticket/back"))
    assert journal.views.asked() == [] and "ticket/back" in journal.views.board()[0].note


@pytest.mark.parametrize("gone", [True, False])
def test_a_retry_needs_a_file_that_loads(tmp_path: Path, gone: bool) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    journal.append(*leading_to(State.FAILED, T))
    journal.append(about("ticket.removed", T) if gone else broken(T))
    with pytest.raises(words.Refused, match=f"tickets/{T}.yaml"):
        words.retry(journal, T)
    journal.append(admitted(T))
    words.retry(journal, T)
    assert journal.views.board()[0].state == "backlog"


def test_approving_takes_exactly_what_was_shown(tmp_path: Path) -> None:
    journal, body = Journal.open(tmp_path / "journal.db"), proposed(T).body
    journal.append(*leading_to(State.REVIEW, T))
    before = journal.head()
    for digest in ("", body["digest"][:-1], body["digest"].upper(), "0" * 64):
        with pytest.raises(words.Stale, match="look at it again"):
            words.approve(journal, body["id"], digest)
        with pytest.raises(words.Stale):
            words.deny(journal, body["id"], digest, "no")
    for unknown in ("", "abc", "*", "zzzzzz", body["id"] + "0"):
        with pytest.raises(words.Refused, match="no proposal"):
            words.approve(journal, unknown, body["digest"])
    assert journal.head() == before
    event = words.approve(journal, body["id"][:6], body["digest"], by="me")
    assert event.body["digest"] == body["digest"] and event.body["id"] == body["id"]
    found = journal.views.proposal(body["id"])
    assert found is not None and (found.state, found.by) == ("approved", "me")
    for again in (lambda: words.approve(journal, body["id"], body["digest"]),
                  lambda: words.deny(journal, body["id"], body["digest"], "no")):  # fmt: skip
        with pytest.raises(words.Refused, match="approved already, by me"):
            again()


@pytest.mark.parametrize("reason", ["", "  ", "\n\t"])
def test_a_deny_needs_a_reason(tmp_path: Path, reason: str) -> None:
    journal, body = Journal.open(tmp_path / "journal.db"), proposed(T).body
    journal.append(*leading_to(State.REVIEW, T))
    with pytest.raises(words.Refused, match="reason"):
        words.deny(journal, body["id"], body["digest"], reason)
    assert len(journal.views.inbox()) == 1
    words.deny(journal, body["id"], body["digest"], " too large ", by="me")
    found = journal.views.proposal(body["id"])
    assert found is not None and (found.state, found.reason) == ("denied", "too large")


def test_two_approvals_differ_by_their_nonce(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    journal.append(*leading_to(State.REVIEW, T), *leading_to(State.REVIEW, "TICKET-002"))
    nonces = {words.approve(journal, p.id, p.digest).body["nonce"] for p in journal.views.inbox()}
    assert len(nonces) == 2


def test_the_inbox_puts_the_most_severe_first_then_the_oldest(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    journal.append(*leading_to(State.RUNNING, T))
    for kind in ("question", "start", "merge", "network", "core", "question", "unheard-of"):
        journal.append(proposed(T, kind=kind, about=f"{kind} {journal.head()[0]}"))
    kinds = [found.kind for found in journal.views.inbox()]
    assert kinds == ["core", "network", "merge", "start", "question", "question", "unheard-of"]
    questions = [found for found in journal.views.inbox() if found.kind == "question"]
    assert questions[0].changed < questions[1].changed
    assert len(journal.views.inbox()) == 7


def test_an_unknown_ticket_is_refused(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    for word in ALLOWED:
        with pytest.raises(words.Refused, match="no ticket TICKET-9"):
            word(journal, "TICKET-9")
