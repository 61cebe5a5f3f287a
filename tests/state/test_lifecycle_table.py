"""One table of states: the code's, the documentation's and the journal's are the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from state_doubles import ROOT, about, admitted, broken, leading_to, proposed, started

from state.events import TYPES, New
from state.journal import Journal
from tickets import lifecycle
from tickets.lifecycle import ENDED, LIVE, PROPOSALS, TABLE, Answer, State, Trigger, step

T = "TICKET-001"


def test_the_documentation_shows_the_tables_of_the_code() -> None:
    page = (ROOT / "docs" / "lifecycle.md").read_text(encoding="utf-8")
    assert lifecycle.as_markdown() in page
    assert lifecycle.proposals_as_markdown() in page
    for state in (*State, *Answer):
        assert f"| `{state}` |" in page, f"the page does not say what {state} promises"


def test_every_trigger_is_an_event_and_every_state_can_be_reached_and_left() -> None:
    assert set(map(str, Trigger)) <= TYPES.keys()
    assert {event for _, event in PROPOSALS} <= TYPES.keys()
    reached = {State.BROKEN, State.BACKLOG} | set(TABLE.values())
    assert reached == set(State)
    assert {state for state, _ in TABLE} == set(State)
    assert LIVE.isdisjoint(ENDED)


def event(trigger: Trigger) -> New:
    """An event of this type that fits the attempt and the proposal of `leading_to`."""
    name = proposed(T).body["id"]
    match trigger:
        case Trigger.ADMITTED:
            return admitted(T)
        case Trigger.BROKEN:
            return broken(T)
        case Trigger.STARTED:
            return started(T)
        case Trigger.ASKED:
            return proposed(T, kind="question", about="other")
        case Trigger.PROPOSED:
            return proposed(T)
        case Trigger.ANSWERED | Trigger.DENIED | Trigger.STALE:
            return about(trigger, T, 1, id=name, digest="d", by="me", nonce="n", why="moved", reason="no")
        case Trigger.BLOCKED:
            return about(trigger, T, needs=["TICKET-002"])
        case Trigger.ROLLED_BACK:
            return about(trigger, T, commit="c" * 40)
        case Trigger.CANCEL | Trigger.RETRY | Trigger.READY:
            return about(trigger, T, by="me")
        case _:
            return about(trigger, T, 1, why="so")


@pytest.mark.parametrize("state", State)
def test_the_journal_walks_the_whole_table(tmp_path: Path, state: State) -> None:
    for trigger in Trigger:
        with_proposal = trigger in (Trigger.ANSWERED, Trigger.DENIED, Trigger.STALE)
        if with_proposal and (state, trigger) not in TABLE:
            continue  # there is no open proposal then: the proposals' table stops it before
        journal = Journal.open(tmp_path / f"{trigger}.db")
        journal.append(*leading_to(state, T))
        if state is State.WAITING and with_proposal:
            journal.append(about("attempt.resumed", T, 1), proposed(T, kind="question"))
        card = journal.views.board()[0]
        assert card.state == state
        journal.append(event(trigger))
        card = journal.views.board()[0]
        assert card.state == step(state, trigger), trigger
        for attempt in journal.views.attempts(T):
            if state in LIVE:
                assert attempt.state == card.state, f"the attempt says otherwise after {trigger}"
            if trigger is Trigger.ROLLED_BACK:
                assert attempt.state == state, "what landed has landed"
        assert journal.view_fault() is None
        journal.close()


@pytest.mark.parametrize("state", Answer)
def test_proposals_move_by_their_table_alone(tmp_path: Path, state: Answer) -> None:
    name = proposed(T).body["id"]

    def word(type_: str) -> New:
        return about(type_, T, 1, id=name, digest="d", by="me", reason="no", why="moved", nonce="n")

    way = {
        Answer.OPEN: [],
        Answer.APPROVED: ["proposal.approved"],
        Answer.DENIED: ["proposal.denied"],
        Answer.STALE: ["proposal.stale"],
        Answer.USED: ["proposal.approved", "proposal.used"],
    }[state]
    for type_ in sorted(t for t in TYPES if t.startswith("proposal.") or t == "merge.proposed"):
        if type_ == "proposal.opened":
            continue  # the same as merge.proposed, but for the ticket's state
        journal = Journal.open(tmp_path / f"{type_}.db")
        journal.append(*leading_to(State.REVIEW, T), *map(word, way))
        found = journal.views.proposal(name)
        assert found is not None and found.state == state
        journal.append(proposed(T) if type_ == "merge.proposed" else word(type_))
        found = journal.views.proposal(name)
        assert found is not None and found.state == PROPOSALS.get((state, type_), state), type_
        journal.close()


def test_the_end_of_an_attempt_voids_what_is_open_and_nothing_else(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    journal.append(*leading_to(State.REVIEW, T), *leading_to(State.REVIEW, "TICKET-002"))
    journal.append(about("attempt.cancelled", T, 1, why="stopped"))
    assert [found.state for found in journal.views.proposals(T, 1)] == ["stale"]
    assert [found.ticket for found in journal.views.inbox()] == ["TICKET-002"]


def test_a_late_event_about_an_attempt_that_is_over_changes_nothing_of_the_ticket(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    journal.append(*leading_to(State.FAILED, T), about("asked.retry", T), about("ticket.ready", T))
    journal.append(started(T, 2))
    before = journal.views.board()[0]
    for type_ in ("attempt.landed", "attempt.failed", "attempt.waiting", "action.progress"):
        journal.append(about(type_, T, 1, why="late", fraction=0.9))
        assert journal.views.board()[0]._replace(changed=before.changed) == before, type_
    assert [attempt.state for attempt in journal.views.attempts(T)] == ["failed", "running"]
    assert journal.views.attempts(T)[0].why == "red"


def test_new_content_under_an_approved_id_has_to_be_approved_again(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    journal.append(*leading_to(State.RUNNING, T), proposed(T, about="old", id_="same"))
    journal.append(about("proposal.approved", T, 1, id="same", digest="x", by="me", nonce="n"))
    journal.append(proposed(T, about="new", id_="same"))
    found = journal.views.proposal("same")
    assert found is not None and (found.state, found.by) == ("open", "")


def test_an_edited_ticket_shows_its_new_checks(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    journal.append(broken(T))
    journal.append(admitted(T, accept=["standard", "offline", "resumes"]))
    assert journal.views.board()[0].unknown == 3
