"""What a person hears of, and in how many words: nothing severe is lost, and nothing floods."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.alerts import (
    EVERY,
    LIMITS,
    RANK,
    TYPES,
    VIOLATIONS,
    WORDS,
    Alert,
    Line,
    Severity,
    Throttle,
    alert,
    at_most,
    digest,
)
from state.events import TYPES as ALL_TYPES
from state.events import Event
from state.views import Proposal

SEVERE, NEEDS_YOU, DONE, INFO = Severity


def told(type_: str, *proposals: str, **body: Any) -> Alert | None:
    """The alert of an event of TICKET-7, whose merge proposals are in these states."""
    found = [
        Proposal("p", "merge", "TICKET-7", 2, "d", "s", {}, "", state, "", "", 0, None, 0)
        for state in proposals
    ]
    ticket = "" if type_.startswith("engine.") else "TICKET-7"
    return alert(Event(9, 0, ticket, 2, type_, body), found)


SPOKEN = [
    ("engine.paused", {"why": "disk full"}, SEVERE, "engine paused: disk full"),
    ("engine.isolation", {"isolation": "none"}, SEVERE, "no sandbox"),
    ("engine.resumed", {}, INFO, "goes on"),
    ("proposal.opened", {"kind": "core", "summary": "update"}, SEVERE, "asks you (core): update"),
    ("proposal.opened", {"kind": "network", "summary": "reach"}, SEVERE, "asks you (network): reach"),
    ("proposal.opened", {"kind": "start", "summary": "train"}, NEEDS_YOU, "asks you (start): train"),
    ("proposal.opened", {"kind": "question", "summary": "why"}, NEEDS_YOU, "asks you (question): why"),
    ("merge.proposed", {"kind": "merge", "summary": "1 file"}, NEEDS_YOU, "asks you (merge): 1 file"),
    ("proposal.stale", {"why": f"{VIOLATIONS['proposal.stale']}: forged"}, SEVERE, "not accepted: forged"),
    (
        "ticket.rollback-refused",
        {"why": f"{VIOLATIONS['ticket.rollback-refused']}: forged"},
        SEVERE,
        "not accepted: forged",
    ),
    ("attempt.failed", {"why": f"{VIOLATIONS['attempt.failed']}: a"}, SEVERE, "outside its paths: a"),
    ("action.outcome", {"title": "make", "result": {"why": f"was ended: {LIMITS[0]}"}}, SEVERE, "memory"),
    ("action.outcome", {"title": "undo", "result": {"why": LIMITS[1]}}, SEVERE, "grew"),
    ("action.outcome", {"title": "t", "receipt": {"summary": f"was ended: {LIMITS[1]}"}}, SEVERE, "grew"),
    ("attempt.landed", {"commit": "c"}, DONE, "TICKET-7 landed"),
    ("attempt.failed", {"why": "red"}, DONE, "TICKET-7 failed: red"),
    ("attempt.cancelled", {"why": "by you"}, INFO, "by you"),
    ("attempt.waiting", {"why": "no model"}, INFO, "no model"),
    ("ticket.broken", {"problems": ["line 1"]}, INFO, "line 1"),
    ("ticket.rolled-back", {"commit": "c"}, INFO, "rolled back"),
    ("ticket.rollback-refused", {"why": "it ended with 1"}, INFO, "not rolled back: it ended with 1"),
    ("ticket.restored", {"branch": "b", "note": ""}, INFO, "brought back: b"),
]


@pytest.mark.parametrize("type_, body, severity, text", SPOKEN)
def test_each_thing_has_its_severity(type_: str, body: Any, severity: Severity, text: str) -> None:
    found = told(type_, **body)
    assert found is not None and found.severity is severity and text in found.text
    assert found.seq == 9 and found.what in WORDS
    assert (found.what == "severe") == (severity is SEVERE)


def test_no_other_event_is_spoken_of() -> None:
    """Readers ask the journal for these types alone: one that is missing there would never be heard."""
    assert {type_ for type_, *_ in SPOKEN} == TYPES <= ALL_TYPES.keys()
    body = {"why": "x", "note": "x", "kind": "merge", "isolation": "none", "result": {"why": LIMITS[0]}}
    for type_ in ALL_TYPES.keys() - TYPES:
        assert told(type_, **body) is None, type_


@pytest.mark.parametrize(
    "type_, body",
    [
        ("proposal.stale", {"why": "the base has moved"}),
        ("ticket.note", {"note": "needs a model"}),
        ("action.outcome", {"result": {"why": "ended with 1"}}),
        ("action.outcome", {"result": None}),
        ("action.outcome", {"receipt": {"summary": "exit 1"}, "result": {"why": LIMITS[0]}}),
        ("engine.isolation", {"isolation": "bubblewrap"}),
    ],
)
def test_everyday_outcomes_are_not_spoken_of(type_: str, body: Any) -> None:
    assert told(type_, **body) is None


def test_to_fail_on_the_way_to_the_base_is_severe_unless_a_person_wanted_it() -> None:
    for states in (["used"], ["stale"], ["stale", "approved"]):
        found = told("attempt.failed", *states, why="the branch is gone")
        assert found is not None and found.severity is SEVERE, states
    denied = told("attempt.failed", "stale", "denied", why="denied: no")
    assert denied is not None and denied.severity is DONE


@given(st.text(max_size=20_000))
def test_an_alert_is_one_short_line_whatever_it_is_about(text: str) -> None:
    found = told("attempt.failed", why=text)
    assert found is not None and len(found.text) <= 200 and len(found.text.splitlines()) <= 1


# The throttle ----------------------------------------------------------------------------------------

WHATS = {SEVERE: ["severe"], NEEDS_YOU: ["asks"], DONE: ["landed", "failed"], INFO: ["waits", "broken"]}
KINDS = [(severity, what) for severity, whats in WHATS.items() for what in whats]


def alerts(kinds: list[tuple[Severity, str]], start: int = 1) -> list[Alert]:
    return [Alert(s, what, f"alert {n}", "", n) for n, (s, what) in enumerate(kinds, start)]


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(KINDS), max_size=12),
            st.floats(-100, 100, allow_nan=False),  # seconds until then: clocks jump
        ),
        max_size=30,
    )
)
def test_nothing_is_lost_and_what_is_severe_comes_at_once(batches: Any) -> None:
    throttle, now, seq = Throttle(), 1000.0, 1
    lines: list[tuple[float, Line]] = []
    for kinds, pause in batches:
        now += pause
        batch = alerts(kinds, seq)
        seq += len(batch)
        out = throttle.offer(batch, now)
        at_once = [line for line in out if line.severe]
        assert [line.text for line in at_once] == [a.text for a in batch if a.severity is SEVERE]
        assert out[: len(at_once)] == at_once, "before the digest"
        lines += [(now, line) for line in out]
        if (wait := throttle.wait(now)) is not None:
            assert 0 < wait <= EVERY
    later = now + EVERY + 1
    lines += [(later, line) for line in throttle.due(later)]
    assert throttle.wait(later) is None and not throttle.due(now + 10 * EVERY)
    assert sum(line.count for _, line in lines) == seq - 1
    digests = [line for _, line in lines if not line.severe]
    assert [line.seq for line in digests] == sorted({line.seq for line in digests}), "in order"
    for severity in (lambda line: line.severe, lambda line: not line.severe):
        of_one = [line.seq for _, line in lines if severity(line)]
        assert of_one == sorted(of_one)


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.floats(0, 20)), max_size=60))
def test_between_two_digests_lie_thirty_seconds(steps: Any) -> None:
    throttle, now, last = Throttle(), 0.0, float("-inf")
    for (severity, what), pause in steps:
        now += pause
        for line in throttle.offer([Alert(severity, what, "x")], now):
            if not line.severe:
                assert now - last >= EVERY
                last = now


def test_a_burst_of_ten_thousand_is_a_handful_of_lines_in_bounded_memory() -> None:
    throttle, lines = Throttle(), []
    quiet = [kind for kind in KINDS if kind[0] is not SEVERE]
    for n in range(10_000):  # over a minute and a half
        severity, what = quiet[n % len(quiet)]
        lines += throttle.offer([Alert(severity, what, f"{n}" * 20, "", n + 1)], n * 0.01)
    lines += throttle.due(200.0)
    assert sum(line.count for line in lines) == 10_000
    assert len(lines) <= 6
    held = [value for name, value in vars(throttle).items() if name != "_worst"]
    assert len(repr(held)) < 1000


def test_a_digest_names_what_needs_a_person_first() -> None:
    assert digest({"landed": 3, "asks": 1}) == "1 waits for you, 3 landed"
    assert digest({"asks": 2, "broken": 1}) == "2 wait for you, 1 does not load"
    throttle = Throttle()
    assert [line.text for line in throttle.offer(alerts([(DONE, "landed")]), 0.0)] == ["alert 1"]
    assert not throttle.offer(alerts([(DONE, "landed")] * 2 + [(NEEDS_YOU, "asks")]), 1.0)
    (line,) = throttle.due(31.0)
    assert (line.text, line.count, line.severity) == ("1 waits for you, 2 landed", 3, NEEDS_YOU)


# For whoever tells slowly ----------------------------------------------------------------------------


@given(
    st.lists(st.builds(Line, st.sampled_from(Severity), st.text(max_size=3), st.integers(1, 9)), max_size=40),
    st.integers(1, 5),
)
def test_at_most_so_many_lines_and_no_count_lost(lines: list[Line], most: int) -> None:
    lines = [
        Line(line.severity, line.text, line.count, line.count * (line.severity is SEVERE), n)
        for n, line in enumerate(lines)
    ]
    out = lines
    for _ in range(2):  # what stands for many can itself be counted in
        out = at_most(out, most)
        assert len(out) <= most
    assert sum(line.count for line in out) == sum(line.count for line in lines)
    assert sum(line.severe for line in out) == sum(line.severe for line in lines)
    ranks = [RANK[line.severity] for line in out]
    if any(line.severe for line in lines):
        assert ranks[0] == RANK[SEVERE], "what is severe comes first"
