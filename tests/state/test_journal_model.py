"""The journal against a model in memory: random events, words, crashes and a second connection."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from state_doubles import about, admitted, broken, intent, outcome, proposed, started

from state import words
from state.events import New
from state.journal import Journal
from tickets.lifecycle import ENDED, LIVE, TABLE, State, Trigger, step

IDS = st.sampled_from(["TICKET-001", "TICKET-002", "TICKET-003"])
TEXT = st.text(max_size=20)  # NUL, quotes, line breaks and astral characters among it


class Model:
    """A ticket as a person would keep track of it."""

    def __init__(self, state: State) -> None:
        self.state, self.attempt = state, 0

    def see(self, trigger: Trigger, attempt: int = 0) -> None:
        if trigger is not Trigger.STARTED and attempt not in (0, self.attempt):
            return
        new = step(self.state, trigger)
        if trigger is Trigger.STARTED and new is not self.state:
            self.attempt = attempt
        self.state = new


class JournalMachine(RuleBasedStateMachine):
    """Whatever is written, by whom and however cut off: events are kept, states follow the table."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "journal.db"
        self.first, self.second = Journal.open(self.path), Journal.open(self.path)
        self.written: list[tuple[str, str, int, str]] = []
        self.tickets: dict[str, Model] = {}
        self.proposals: dict[str, tuple[str, int, str]] = {}  # open ones: ticket, attempt, digest
        self.number = 0

    def write(self, journal: Journal, *events: New) -> None:
        seen = {card.id: card.state for card in journal.views.board()}
        for event in journal.append(*events):
            self.written.append((event.type, event.ticket, event.attempt, repr(event.body)))
            self.learn(event.type, event.ticket, event.attempt, event.body.get("id", ""))
        if len(events) == 1 and events[0].type in set(Trigger):
            for card in journal.views.board():
                old = seen.get(card.id, card.state)
                moved = old != card.state
                assert not moved or TABLE[State(old), Trigger(events[0].type)] == card.state

    def learn(self, type_: str, ticket: str, attempt: int, id_: str = "") -> None:
        if type_ in ("ticket.admitted", "ticket.broken") and ticket not in self.tickets:
            self.tickets[ticket] = Model(State.BACKLOG if type_ == "ticket.admitted" else State.BROKEN)
            return
        if type_.startswith("proposal.") and type_ != "proposal.opened" and id_ not in self.proposals:
            return
        if type_ in ("proposal.approved", "proposal.denied", "proposal.stale"):
            del self.proposals[id_]
        if ticket in self.tickets and type_ in set(Trigger):
            self.tickets[ticket].see(Trigger(type_), attempt)
            if Trigger(type_) in (Trigger.LANDED, Trigger.FAILED, Trigger.CANCELLED):
                over = [
                    key for key, (whose, n, _) in self.proposals.items() if (whose, n) == (ticket, attempt)
                ]
                if attempt == self.tickets[ticket].attempt and self.tickets[ticket].state in ENDED:
                    for key in over:
                        del self.proposals[key]

    journals = st.sampled_from(["first", "second"])

    @rule(which=journals, ticket=IDS, goal=TEXT, loads=st.booleans())
    def file_changes(self, which: str, ticket: str, goal: str, loads: bool) -> None:
        self.write(getattr(self, which), admitted(ticket, goal=goal) if loads else broken(ticket, goal))

    @rule(
        which=journals, ticket=IDS, type_=st.sampled_from(["ticket.ready", "ticket.removed", "ticket.note"])
    )
    def engine_looks(self, which: str, ticket: str, type_: str) -> None:
        self.write(getattr(self, which), about(type_, ticket, note="a note"))

    @rule(which=journals, ticket=IDS)
    def start(self, which: str, ticket: str) -> None:
        attempt = self.tickets[ticket].attempt + 1 if ticket in self.tickets else 1
        self.write(getattr(self, which), started(ticket, attempt))

    @rule(
        which=journals,
        ticket=IDS,
        late=st.booleans(),
        type_=st.sampled_from(
            ["attempt.waiting", "attempt.resumed", "attempt.landed", "attempt.failed", "attempt.cancelled"]
        ),
    )
    def attempt_goes_on(self, which: str, ticket: str, late: bool, type_: str) -> None:
        attempt = self.tickets[ticket].attempt if ticket in self.tickets else 1
        self.write(getattr(self, which), about(type_, ticket, max(1, attempt - late), why="so"))

    @rule(which=journals, ticket=IDS, passed=st.booleans(), says=TEXT)
    def act(self, which: str, ticket: str, passed: bool, says: str) -> None:
        journal, attempt = getattr(self, which), 1
        if ticket in self.tickets:
            attempt = max(1, self.tickets[ticket].attempt)
        self.write(journal, intent(ticket, attempt))
        begun = journal.head()[0]
        self.write(journal, outcome(begun, ticket, attempt, check="standard", result={"said": says}))

    @rule(which=journals, ticket=IDS, kind=st.sampled_from(["merge", "question"]))
    def propose(self, which: str, ticket: str, kind: str) -> None:
        attempt = self.tickets[ticket].attempt if ticket in self.tickets else 1
        self.number += 1
        new = proposed(ticket, max(1, attempt), kind, about=str(self.number))
        self.write(getattr(self, which), new)
        self.proposals[new.body["id"]] = (ticket, max(1, attempt), new.body["digest"])

    @precondition(lambda self: self.proposals)
    @rule(which=journals, data=st.data(), yes=st.booleans(), stale=st.booleans())
    def answer(self, which: str, data: st.DataObject, yes: bool, stale: bool) -> None:
        id_ = data.draw(st.sampled_from(sorted(self.proposals)))
        digest = self.proposals[id_][2]
        journal = getattr(self, which)
        before = journal.head()
        try:
            if yes:
                event = words.approve(journal, id_, "other" if stale else digest, by="me")
            else:
                event = words.deny(journal, id_, "other" if stale else digest, "no", by="me")
        except words.Stale:
            assert stale and journal.head() == before
            return
        assert not stale
        self.written.append((event.type, event.ticket, event.attempt, repr(event.body)))
        self.learn(event.type, event.ticket, event.attempt, id_)

    @rule(which=journals, ticket=IDS, word=st.sampled_from([words.cancel, words.retry, words.rollback]))
    def say(self, which: str, ticket: str, word: object) -> None:
        journal = getattr(self, which)
        before = journal.head()
        try:
            event = word(journal, ticket, by="me")  # type: ignore[operator]
        except words.Refused as refused:
            assert str(refused) and journal.head() == before
            return
        self.written.append((event.type, event.ticket, event.attempt, repr(event.body)))
        self.learn(event.type, event.ticket, event.attempt)

    @rule(which=journals, ticket=IDS)
    def break_off(self, which: str, ticket: str) -> None:
        """Something fails between the events of one transaction: none of them is there."""
        journal = getattr(self, which)
        before = journal.head()
        for bad in (New("no.such.type", {}, ticket), New("ticket.blocked", {"needs": float("nan")}, ticket)):
            try:
                journal.append(admitted(ticket), bad)
                raise AssertionError("taken")
            except ValueError:
                assert journal.head() == before

    @rule()
    def crash(self) -> None:
        """The files as a kill leaves them, opened anew: log not folded in, index gone."""
        self.second.close()
        other = Path(tempfile.mkdtemp(dir=self.folder))
        for file in self.path.parent.glob("journal.db*"):
            if not file.name.endswith("-shm"):
                shutil.copyfile(file, other / file.name)
        self.first.close()
        self.path = other / "journal.db"
        self.first, self.second = Journal.open(self.path), Journal.open(self.path)

    @invariant()
    def events_are_kept_and_states_agree(self) -> None:
        if not hasattr(self, "first"):
            return
        for journal in (self.first, self.second):
            found = [(e.type, e.ticket, e.attempt, repr(e.body)) for e in journal.events()]
            assert found == self.written
            states = journal.views.states(sorted(self.tickets))
            assert states == {id_: str(model.state) for id_, model in self.tickets.items()}
            assert {card.id for card in journal.views.live()} == {
                id_ for id_, model in self.tickets.items() if model.state in LIVE
            }
            assert {found.id for found in journal.views.inbox()} == set(self.proposals)

    def teardown(self) -> None:
        if hasattr(self, "first"):
            assert self.first.fault() is None
            assert self.first.view_fault() is None, "folding again gives other views"
            self.first.close()
            self.second.close()
            shutil.rmtree(self.folder)


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
