"""Status events say what the journal says, fit their schema, and carry nothing that steers a terminal."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.actions import Merge
from orchestrator.alerts import status
from orchestrator.alerts.status import Standing, contract, moment
from orchestrator.cli.models import schema
from orchestrator.cli.telling import told
from state import words
from state.canonical import digest
from state.events import TYPES, New
from state.journal import Journal
from state.safe_text import safe
from tickets.lifecycle import LIVE, State

EVIL = '\x1b[2J\x07\u202e\u200b\x7f\x9b"\n\\ <ok> \ud800'
TEXT = st.one_of(st.just("plain"), st.just(EVIL), st.text(max_size=12))
TICKETS = st.sampled_from(["TICKET-1", "TICKET-2", "TICKET-3"])
RECORD = {
    "contract_version": 1, "level": 1, "authorized_by": "ann", "approved_at": "2030-01-01T00:00:00+00:00",
    "session_id": "ab", "scope": {"kind": "merge"}, "rollback_plan": {"how": "revert"}, "signoff": "a",
    "digest": "d", "nonce": "secret-nonce", "seal": "secret-seal",
}  # fmt: skip


def body_of(type_: str, ticket: str, text: str, number: int, proposal: str, record: Any) -> dict[str, Any]:
    """What the engine or a front would write, with this text wherever there is text."""
    spec = {"kind": "run", "goal": text, "accept": [{"run": "true"}]}
    subject = {"ticket": ticket, "text": text}
    anything = {"why": text, "note": text, "by": text, "comment": text, "pid": number, "attempt": 1}
    return {
        "ticket.admitted": {"path": text, "spec": spec, "revision": digest(spec), "needs": []},
        "ticket.broken": {"path": text, "problems": [text] * (number % 2)},
        "ticket.blocked": {"needs": [text], "note": text},
        "attempt.started": {"revision": "r", "spec": spec, "base_ref": text, "base": "b", "branch": text},
        "attempt.landed": {"commit": text, "artifact": {"path": text}, "why": ""},
        "action.intent": {"key": text, "task": "Checks" if number % 4 < 2 else "Work", "title": text},
        "action.progress": {"key": text, "fraction": 0.5, "eta": [1, 2] if number % 2 else None},
        "action.outcome": {
            "key": text, "task": "Work", "title": text, "intent": number, "status": "done", "output": "",
            "seconds": number / 7, "result": {"why": text, "metrics": {text: number, "nan": None}},
            **({"receipt": {"name": "true", "side": "branch", "passed": number % 3 > 0, "summary": text}}
               if number % 2 else {}),
        },
        "merge.proposed": {"id": proposal, "kind": "merge", "digest": digest(subject), "summary": text,
                           "subject": subject, "diff": ""},
        "proposal.opened": {"id": proposal, "kind": ["question", "core", "start"][number % 3],
                            "digest": digest(subject), "summary": text, "subject": subject},
        "proposal.approved": {"id": proposal, "digest": "d", "by": text, "nonce": "n", "contract": record},
        "proposal.denied": {"id": proposal, "digest": "d", "by": text, "reason": text},
        "proposal.stale": {"id": proposal, "why": text},
        "proposal.used": {"id": proposal},
        "ticket.rolled-back": {"commit": text},
        "ticket.rollback-refused": {"why": text},
        "ticket.restored": {"branch": text, "note": text},
        "engine.isolation": {"isolation": "none", "tried": [[text, False, text]]},
        "consent.given": {"by": text, "phrase": text, "session": number, "contract": record},
    }.get(type_, anything)  # fmt: skip


STEPS = st.lists(
    st.tuples(
        st.sampled_from(sorted(TYPES)), TICKETS, TEXT, st.integers(0, 99), st.sampled_from(["p1", "p2"]),
        st.sampled_from([RECORD, None, "no", {**RECORD, "signoff": 7}, {**RECORD, "scope": {EVIL: [EVIL]}}]),
    ),
    max_size=40,
)  # fmt: skip


@contextlib.contextmanager
def journal_in_a_folder() -> Iterator[Journal]:
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(Journal.open(Path(folder, "journal.db"))) as journal,
    ):
        yield journal


def news(steps: Any) -> Iterator[New]:
    """Each step's event, tickets admitted first; attempts are numbered as an engine does."""
    attempts = dict.fromkeys(("TICKET-1", "TICKET-2", "TICKET-3"), 0)
    for ticket in attempts:
        yield New("ticket.admitted", body_of("ticket.admitted", ticket, "goal", 0, "", None), ticket)
    for type_, ticket, text, number, proposal, record in steps:
        body = body_of(type_, ticket, text, number, f"{ticket}-{proposal}", record)
        if type_.startswith(("engine.", "consent.")):
            yield New(type_, body)
            continue
        attempts[ticket] += type_ == "attempt.started"
        own = type_.startswith(("attempt.", "action.", "proposal.", "merge."))
        late = number == 13  # a word about an attempt that is over
        yield New(type_, body, ticket, max(attempts[ticket] - late, 0) if own else 0)


SCHEMA = jsonschema.Draft202012Validator(schema("event") or {})


@settings(max_examples=60, deadline=None)
@given(STEPS, st.sampled_from([1, 2, 256]))
def test_every_event_fits_the_schema_and_says_what_the_journal_says(steps: Any, remembered: int) -> None:
    with journal_in_a_folder() as journal, pytest.MonkeyPatch.context() as patch:
        patch.setattr(status, "REMEMBERED", remembered)
        standing = Standing(lambda ticket: journal.events(ticket=ticket))
        written = []
        for new in news(steps):
            (event,) = journal.append(new)
            line = standing.after(event).line()
            written.append(line)
            assert line.isascii() and line.endswith("\n") and line.count("\n") == 1
            value = json.loads(line)
            SCHEMA.validate(value)
            assert all(text == safe(text) for text in texts(value))
            assert "secret" not in line, "neither nonce nor seal"
            assert (value["seq"], value["event"]) == (event.seq, event.type)
            if event.ticket:
                found = journal.views.ticket(event.ticket)
                assert found is not None
                card, quality = found.card, value["qualityMetrics"]
                assert value["status"] == card.state
                assert [quality[name] for name in ("green", "red", "unknown")] == [*card[11:14]]
                assert (value["phase"] == "P4") == (card.state in ("landed", "failed", "cancelled"))
                assert (value["phase"] in ("P1", "P2", "P3")) == (card.state in LIVE)
        late = Standing(lambda ticket: journal.events(ticket=ticket))
        assert [late.after(event).line() for event in journal.events()] == written, "also from far behind"


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def story(journal: Journal, *types: str, ticket: str = "TICKET-1", record: Any = RECORD) -> list[Any]:
    """The status events of a ticket to which this happens, one after the other."""
    standing = Standing(lambda id_: journal.events(ticket=id_), size=lambda name: len(name))
    out = []
    for number, type_ in enumerate(("ticket.admitted", *types), 2):
        body = body_of(type_, ticket, "text", number, f"{ticket}-p", record)
        own = type_.startswith(("attempt.", "action.", "proposal.", "merge."))
        if type_ == "action.outcome":
            body |= {"output": "12345", "result": {"metrics": {"loss": 0.5, "steps": 7}}}
        events = journal.append(New(type_, body, ticket, 1 if own else 0))
        out.append(standing.after(events[0]))
    return out


LIFE = (
    "ticket.ready", "attempt.started", "action.intent", "action.outcome", "action.intent", "action.outcome",
    "merge.proposed", "proposal.approved", "attempt.landed",
)  # fmt: skip


def test_a_life_goes_through_the_phases_and_adds_up() -> None:
    with journal_in_a_folder() as journal:
        found = story(journal, *LIFE)
    assert [event.phase for event in found] == ["P0", "P0", "P1", "P2", "P2", "P1", "P1", "P3", "P3", "P4"]
    assert [event.run_id for event in found] == ["TICKET-1"] * 2 + ["TICKET-1/1"] * 8
    last = found[-1]
    assert last.resource_usage.model_dump() == {"actions": 2, "seconds": 2.0, "output_bytes": 10}
    assert last.quality_metrics.metrics == {"loss": 0.5, "steps": 7.0}
    assert last.human_contract is not None and last.human_contract.authorized_by == "ann"
    assert [told.text for told in last.alerts] == ["TICKET-1 landed"]


def test_merging_and_checking_are_what_the_second_phase_looks_for() -> None:
    from orchestrator.actions import Rehearse, Verify

    assert {Merge.task, Verify.task, Rehearse.task} == status._CHECKING


def test_a_new_attempt_starts_from_nothing() -> None:
    with journal_in_a_folder() as journal:
        story(journal, *LIFE[:-1], "attempt.failed", "asked.retry", "ticket.ready")
        body = body_of("attempt.started", "TICKET-1", "text", 0, "", None)
        (event,) = journal.append(New("attempt.started", body, "TICKET-1", 2))
        found = Standing(lambda id_: journal.events(ticket=id_)).after(event)
    assert found.run_id == "TICKET-1/2" and found.human_contract is None
    assert found.resource_usage.actions == 0 and not found.quality_metrics.metrics


@pytest.mark.parametrize("record", [None, "text", 7, {}, {**RECORD, "contract_version": "1"}, [RECORD]])
def test_what_is_no_record_of_an_approval_is_not_shown_as_one(record: Any) -> None:
    assert contract(record) is None


def test_a_record_is_shown_without_what_steers_a_terminal() -> None:
    evil = {**RECORD, "signoff": EVIL, "scope": {EVIL: [EVIL, {EVIL: EVIL}], "n": 1}}
    found = contract(evil)
    assert found is not None and found.scope["n"] == 1
    shown = list(texts(found.model_dump()))
    assert len(shown) > 12 and all(text == safe(text) for text in shown)


def test_a_contract_ends_with_what_it_was_about() -> None:
    with journal_in_a_folder() as journal:
        found = story(journal, *LIFE[:-1], "proposal.stale")
    assert found[-2].human_contract is not None and found[-1].human_contract is None


LEADING = {
    State.BROKEN: None,
    State.BACKLOG: (),
    State.READY: LIFE[:1],
    State.RUNNING: LIFE[:2],
    State.WAITING: (*LIFE[:2], "proposal.opened"),
    State.REVIEW: (*LIFE[:2], "merge.proposed"),
    State.LANDED: (*LIFE[:2], "attempt.landed"),
    State.FAILED: (*LIFE[:2], "attempt.failed"),
    State.CANCELLED: (*LIFE[:2], "attempt.cancelled"),
}


@pytest.mark.parametrize("state", State)
def test_the_actions_offered_are_the_words_that_would_be_taken(state: State) -> None:
    with journal_in_a_folder() as journal:
        if (types := LEADING[state]) is None:
            body = {"path": "p", "problems": ["no goal"]}
            (event,) = journal.append(New("ticket.broken", body, "TICKET-1"))
            found = Standing(lambda id_: journal.events(ticket=id_)).after(event)
        else:
            found = story(journal, *types)[-1]
        assert found.status == state
        offered = {action.name for action in found.actions}
        open_ = journal.views.proposals("TICKET-1", 1)
        assert ({"approve", "deny"} <= offered) == any(proposal.state == "open" for proposal in open_)
        for name in ("cancel", "retry", "rollback", "restore"):
            taken = True
            try:
                decide(journal, name)
            except words.Refused:
                taken = False
            assert (name in offered) == taken, name
        for action in found.actions:
            assert action.command.startswith(f"jetbox {action.name} ")


def decide(journal: Journal, name: str) -> None:
    """Say a word, and take it back whatever comes of it."""

    class Back(BaseException):
        pass

    def transact(decision: Any) -> Any:
        decision(journal.views)
        raise Back

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "transact", transact)
        with contextlib.suppress(Back):
            getattr(words, name)(journal, "TICKET-1", by="tester")


def test_a_clock_that_nobody_can_have_had_is_no_error() -> None:
    for at in (0, -(10**18), 10**18, 1_780_000_000_123):
        assert moment(at).endswith("+00:00")
    assert moment(1_780_000_000_123) == "2026-05-28T20:26:40.123+00:00"


def test_a_thousand_tickets_are_not_remembered_all_at_once() -> None:
    with journal_in_a_folder() as journal:
        ids = [f"TICKET-{n}" for n in range(1000)]
        body = body_of("ticket.admitted", "T", "goal", 0, "", None)
        journal.append(*(New("ticket.admitted", body, id_) for id_ in ids))
        standing = Standing(lambda id_: journal.events(ticket=id_))
        for event in journal.events():
            standing.after(event)
        kept = standing._db.execute("SELECT count(*) FROM tickets").fetchone()[0]
        assert kept == status.REMEMBERED < 1000


def test_a_question_with_options_is_answered_wherever_it_is_told_how() -> None:
    subject = {"ticket": "TICKET-1", "question": "which?", "options": ["one", "two"], "recommended": 0}
    body = {"id": "q", "kind": "question", "digest": digest(subject), "summary": "which?", "subject": subject}
    with journal_in_a_folder() as journal:
        story(journal, *LIFE[:2])
        (event,) = journal.append(New("proposal.opened", body, "TICKET-1", 1))
        found = Standing(lambda id_: journal.events(ticket=id_)).after(event)
        assert {"answer", "deny"} <= {action.name for action in found.actions}
        with pytest.raises(words.Refused, match="choose one"):
            words.approve(journal, "q", digest(subject))
    assert "approve" not in {action.name for action in found.actions}
    assert "jetbox answer q" in told(event)
    assert "jetbox approve q" in told(replace(event, body=body | {"subject": {"ticket": "TICKET-1"}}))
