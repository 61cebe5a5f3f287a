"""The ledger of memory keeps its promises whatever is asked in whatever order. Time is only counted here."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.models.ledger import (
    IMPATIENT,
    LINGER,
    PATIENCE,
    Hold,
    Ledger,
    Load,
    Refuse,
    Room,
    Unload,
    Use,
    Wait,
    Want,
    admit,
)

GB = 10**9
LESS = "(24.0 GB less 1.0 GB that stay free)"
ROOM = Room(24 * GB, 24 * GB, GB)


def step(
    want: Want, *holds: Hold, queue: tuple[Want, ...] = (), policy: str = "serial", now: float = 0.0
) -> object:
    used = sum(each.bytes for each in holds)
    room = Room(ROOM.total, ROOM.total - used, ROOM.reserve)
    return admit(want, holds, (*queue, want), room, policy, now)  # type: ignore[arg-type]


def wants(who: str = "a", gigabytes: float = 10, number: int = 1, **more: object) -> Want:
    return Want(who, "model", int(gigabytes * GB), 8192, number=number, **more)  # type: ignore[arg-type]


def holds(who: str, gigabytes: float = 10, what: str = "model", **more: object) -> Hold:
    return Hold(who, what, int(gigabytes * GB), **{"context": 8192, "last": -1e9, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (step(wants()), Load()),
        (step(wants(), holds("a")), Use()),
        (step(wants(), holds("a", busy=3)), Use()),
        (step(wants(), holds("a", context=4096)), Unload(("a",))),
        (step(wants(), holds("a", context=4096, busy=1)), Wait("a answers for another ticket")),
        (step(wants(), holds("a", moves="coming")), Wait("a is being loaded")),
        (step(wants(), holds("a", moves="going")), Wait("a is being unloaded")),
        (step(wants(), holds("b")), Unload(("b",))),
        (step(wants(), holds("b", moves="coming", busy=1)), Wait("b is being loaded")),
        (step(wants(), holds("b", busy=1)), Wait("b answers for another ticket")),
        (step(wants(), holds("b", busy=1), policy="packed"), Load()),
        (step(wants(), holds("b", 20), policy="packed"), Unload(("b",))),
        (step(wants(), holds("b", 6, last=5.0), holds("c", 9), policy="packed", now=99), Unload(("c",))),
        (step(wants(), holds("run", 4, what="run", busy=1)), Wait("run holds the memory")),
        (step(wants("a", 24)), Refuse(f"a needs 24.0 GB, and 23.0 GB can be used {LESS}")),
        (step(wants(), holds("run", 4, what="run", busy=1), policy="packed"), Load()),
        (step(wants(), holds("run", 20, what="run", busy=1), policy="packed"), Wait("run holds the memory")),
        (step(Want("r", "run", GB, number=1), holds("a"), now=99), Unload(("a",))),
        (step(Want("r", "run", GB, number=1), holds("a"), policy="packed", now=99), Load()),
        (step(Want("r", "run", 20 * GB, number=1), holds("a"), policy="packed", now=99), Unload(("a",))),
        (step(Want("r", "run", GB, number=1), holds("a", busy=1)), Wait("a answers for another ticket")),
    ],
)  # fmt: skip
def test_who_gets_in_is_a_table(made: object, expected: object) -> None:
    assert made == expected


def test_memory_that_other_programs_hold_is_waited_for_and_said() -> None:
    found = admit(wants(), (), (wants(),), Room(24 * GB, 5 * GB, GB), "serial", 0.0)
    assert found == Wait("a needs 10.0 GB, other programs leave 4.0 GB", crowded=True)


def test_an_idle_model_stays_a_moment_for_the_ticket_that_used_it() -> None:
    just = holds("b", last=100.0, by=7)
    assert isinstance(step(wants(by=8, since=100.0), just, now=100 + LINGER / 2), Wait)
    assert step(wants(by=7, since=100.0), just, now=100 + LINGER / 2) == Unload(("b",))  # its own next step
    assert step(wants(by=8, since=100.0), just, now=101 + LINGER) == Unload(("b",))


def test_what_waits_for_the_resident_model_goes_first_but_not_for_ever() -> None:
    resident = holds("b")
    other = wants("b", number=2)
    assert isinstance(step(wants(), resident, queue=(other,)), Wait)
    assert step(wants(passed=PATIENCE), resident, queue=(other,)) == Unload(("b",))
    assert step(wants(), resident, queue=(other,), now=IMPATIENT) == Unload(("b",))
    late = wants("b", number=9)
    assert step(late, resident, queue=(wants(passed=PATIENCE - 1),)) == Use()
    assert isinstance(step(late, resident, queue=(wants(passed=PATIENCE),)), Wait)


@dataclass
class Play:
    """A made-up engine: tickets that call models one after the other, on a clock that is only counted."""

    ledger: Ledger
    rng: random.Random
    tickets: dict[int, list[tuple[str, int]]]  # who -> (model, ticks that a call takes) for each call
    sizes: dict[str, int]
    now: float = 0.0
    waiting: dict[int, int] = field(default_factory=dict)  # ticket -> number in the queue
    since: dict[int, float] = field(default_factory=dict)
    calls: dict[int, tuple[Want, float]] = field(default_factory=dict)  # ticket -> what runs, until when
    moving: dict[str, tuple[float, int, bool]] = field(default_factory=dict)  # model -> until, for whom, in?
    longest: float = 0.0
    switches: int = 0
    refused: int = 0

    def run(self, most: float = 20_000.0) -> None:
        while any(self.tickets.values()) or self.calls or self.moving:
            assert self.now < most, f"nothing ends: {self.ledger.holds} {self.ledger.queue}"
            self._tick()
            self._check()
            self.now += 0.5

    def _tick(self) -> None:
        for who, (until, _, coming) in list(self.moving.items()):
            if self.now >= until:
                del self.moving[who]
                if coming:
                    self.ledger.arrived("model", who, ok=True)
                else:
                    self.ledger.gone(who, ok=True)
        for ticket, (want, until) in list(self.calls.items()):
            if self.now >= until and want.who not in self.moving:
                del self.calls[ticket]
                self.ledger.answered(want, self.now)
        idle = [each for each in self.tickets if each not in self.calls]
        self.rng.shuffle(idle)
        for ticket in idle:
            self._ask(ticket)

    def _ask(self, ticket: int) -> None:
        left = self.tickets[ticket]
        if not left or any(each[1] == ticket for each in self.moving.values()):
            return
        who, ticks = left[0]
        want = Want(who, "model", self.sizes[who], 8192, by=ticket)
        if ticket not in self.waiting:
            self.waiting[ticket] = self.ledger.enter(want, self.now)
            self.since[ticket] = self.now
        before = {each.who: each for each in self.ledger.holds}
        held = sum(each.bytes for each in self.ledger.holds)
        found = self.ledger.step(self.waiting[ticket], Room(24 * GB, 24 * GB - held, GB), self.now)
        if isinstance(found, Unload):
            for name in found.names:
                assert not before[name].busy and not before[name].moves, "taken out while it answers"
                self.moving[name] = (self.now + 1, ticket, False)
        elif isinstance(found, (Use, Load)):
            if isinstance(found, Load):
                self.switches += 1
                self.moving[who] = (self.now + 5, ticket, True)
            self.calls[ticket] = (want, self.now + ticks + (5 if isinstance(found, Load) else 0))
            self._done(ticket)
        elif isinstance(found, Refuse):
            self.refused += 1
            self.ledger.leave(self.waiting[ticket])
            self._done(ticket)

    def _done(self, ticket: int) -> None:
        del self.waiting[ticket]
        self.longest = max(self.longest, self.now - self.since.pop(ticket))
        self.tickets[ticket].pop(0)

    def _check(self) -> None:
        resident = [each for each in self.ledger.holds if each.what == "model"]
        if self.ledger.policy == "serial":
            assert len(resident) <= 1
        assert sum(each.bytes for each in resident) <= 23 * GB


MODELS = st.sampled_from(["a", "b", "c", "d"])
TICKETS = st.lists(
    st.lists(st.tuples(MODELS, st.integers(1, 30)), min_size=1, max_size=12), min_size=1, max_size=6
)
SIZES = st.fixed_dictionaries({each: st.integers(1, 26) for each in "abcd"})


@settings(max_examples=120, deadline=None)
@given(TICKETS, SIZES, st.sampled_from(["serial", "packed"]), st.integers(0, 2**32))
def test_every_call_is_answered_within_bounds_and_no_promise_breaks(
    tickets: list[list[tuple[str, int]]], sizes: dict[str, int], policy: str, seed: int
) -> None:
    play = Play(
        Ledger(policy),  # type: ignore[arg-type]
        random.Random(seed),
        {number: list(calls) for number, calls in enumerate(tickets)},
        {name: size * GB for name, size in sizes.items()},
    )
    too_large = sum(sizes[name] > 23 for calls in tickets for name, _ in calls)
    play.run()
    assert play.refused == too_large
    # Nobody waits longer than its own patience and that of each one before it in the queue, with their loads.
    assert play.longest <= len(tickets) * (IMPATIENT + 2 * (30 + 5 + 1 + LINGER))


def test_two_tickets_with_two_models_do_not_load_anew_for_each_call() -> None:
    calls = 40
    play = Play(
        Ledger("serial"), random.Random(1),
        {0: [("a", 2)] * calls, 1: [("b", 2)] * calls}, {"a": 10 * GB, "b": 10 * GB},
    )  # fmt: skip
    play.run()
    assert play.switches <= 2 * (calls // PATIENCE + 2)  # each call for itself would be 80


def test_a_run_gets_the_memory_although_calls_keep_coming() -> None:
    ledger, now = Ledger("packed"), 0.0
    first = ledger.enter(wants("a", by=1), now)
    assert ledger.step(first, ROOM, now) == Load()
    ledger.arrived("model", "a", ok=True)
    run = ledger.enter(Want("train", "run", 20 * GB), now)
    used = 0
    for _ in range(1000):
        now += 1.0
        found = ledger.step(run, ROOM, now)
        if isinstance(found, Load):
            break
        if isinstance(found, Unload):
            ledger.gone("a", ok=True)
            continue
        next_ = ledger.enter(wants("a", by=1), now)
        if ledger.step(next_, ROOM, now) == Use():
            used += 1
        else:
            ledger.leave(next_)
        ledger.answered(wants("a", by=1), now)  # the call before it has ended
    else:
        raise AssertionError("the run never got in")
    assert used <= PATIENCE
    ledger.arrived("run", "train", ok=True)
    waits = ledger.enter(wants("a"), now)
    assert ledger.step(waits, ROOM, now) == Wait("train holds the memory")
    ledger.release("train")
    assert ledger.step(waits, ROOM, now) == Load()


def test_what_a_server_says_replaces_what_was_believed_but_of_models_that_answer() -> None:
    ledger = Ledger("packed")
    for who in ("here/a", "here/b", "there/c"):
        number = ledger.enter(wants(who, 2), 0.0)
        assert ledger.step(number, ROOM, 0.0) == Load()
        ledger.arrived("model", who, ok=True)
    ledger.answered(wants("here/b"), 1.0)
    ledger.answered(wants("there/c"), 1.0)
    ledger.found([Hold("here/d", "model", 3 * GB, 4096)], frozenset(("here",)))
    assert {each.who for each in ledger.holds} == {"here/a", "there/c", "here/d"}  # a answers still


def test_one_that_could_not_be_loaded_or_unloaded_leaves_the_ledger_as_it_was() -> None:
    ledger = Ledger("serial")
    number = ledger.enter(wants("a"), 0.0)
    ledger.step(number, ROOM, 0.0)
    ledger.arrived("model", "a", ok=False)
    assert ledger.holds == ()
    number = ledger.enter(wants("a"), 0.0)
    ledger.step(number, ROOM, 0.0)
    ledger.arrived("model", "a", ok=True)
    ledger.answered(wants("a"), 0.0)
    assert ledger.drop("a")
    ledger.gone("a", ok=False)
    assert [each.moves for each in ledger.holds] == [""]


def test_a_run_that_is_there_already_is_in_whatever_fits_and_keeps_models_out() -> None:
    ledger = Ledger("packed")
    ledger.adopt("run TICKET-1", 900, wall=5)
    assert [(each.who, each.what, each.bytes, each.busy) for each in ledger.holds] == [
        ("run TICKET-1", "run", 900, 1)
    ]
    number = ledger.enter(Want("ollama/a", "model", 10), 0.0)
    found = ledger.step(number, Room(total=100, free=0, reserve=0), 0.0)
    assert isinstance(found, Wait) and "run TICKET-1 holds the memory" in found.why
    ledger.release("run TICKET-1")
    assert isinstance(ledger.step(number, Room(total=100, free=100, reserve=0), 0.0), Load)
