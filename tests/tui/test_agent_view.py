"""What is told of an agent is what the journal says, whatever it says, and news costs what the news is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import agents
import pytest

from state.agent_view import AgentView, agent, ledger
from state.events import Event, New


def of(story: agents.Agent) -> AgentView:
    return agent(story.journal.events(), "TICKET-7", 1)


def test_turns_tokens_and_time_are_counted_against_the_budgets(tmp_path: Path) -> None:
    story = agents.working(tmp_path)
    view = of(story)
    assert view.turns == (4, 30) and view.tokens == (4 * (3120 + 412), 200_000)
    begun = view.last.started if view.last else 0
    much, allowed = view.time(begun + 10_000)
    assert (round(much, 3), allowed) == (4 * 11.5 + 2 * 0.2 + 10, 20 * 60)
    assert view.running is not None and view.running.number == 5
    assert view.model == ("qwen3:14b", "") and view.subtasks == (agents.ONE[3:], agents.TWO[3:])
    story.close()


def test_a_grant_allows_as_much_again_of_its_own_budget_alone_and_an_open_or_stale_one_nothing(
    tmp_path: Path,
) -> None:
    story = agents.working(tmp_path)
    one = story.ask("TICKET-7", "question", "more turns?", budget="turns", grants=1)
    two = story.ask("TICKET-7", "question", "more time?", budget="time", grants=1)
    assert of(story).turns.allowed == 30
    for name in (one, two):
        story.journal.append(New("proposal.approved", {"id": name}, "TICKET-7", 1))
    view = of(story)
    assert view.turns.allowed == 60 and view.time(0).allowed == 2400 and view.tokens.allowed == 200_000
    story.journal.append(New("proposal.stale", {"id": one, "why": "x"}, "TICKET-7", 1))
    assert of(story).turns.allowed == 30
    story.close()


def test_folding_the_news_gives_what_folding_everything_gives(tmp_path: Path) -> None:
    story = agents.working(tmp_path)
    events = list(story.journal.events())
    bit = AgentView("TICKET-7", 1)
    for end, event in enumerate(events, 1):
        bit.apply(event)
        assert vars(bit) == vars(agent(events[:end], "TICKET-7", 1))
    story.close()


def test_news_of_a_long_attempt_reads_only_the_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story = agents.working(tmp_path)
    views, view, read = story.journal.views, AgentView("TICKET-7", 1), list[int]()
    assert view.more(views) and not view.more(views)
    look = type(views).events_at

    def counted(self: Any, seqs: list[int]) -> list[Event]:
        read.extend(seqs)
        return look(self, seqs)

    monkeypatch.setattr(type(views), "events_at", counted)
    story.did("TICKET-7", agents.ONE, "read", "calc/parse.py", "40 lines")
    assert view.more(views) and len(read) == 2
    story.close()


def test_another_attempt_and_another_ticket_are_not_this_one(tmp_path: Path) -> None:
    story = agents.working(tmp_path)
    assert not agent(story.journal.events(), "TICKET-7", 2).there
    assert not agent(story.journal.events(), "TICKET-8", 1).there
    story.close()


JUNK: list[Any] = [
    None,
    3,
    -1,
    True,
    "x",
    [],
    {},
    [None, {"a": 1}],
    {"prompt": -5},
    {"subtasks": [1, {}]},
    1e400,
]


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_bodies_of_any_shape_are_told_and_break_nothing(junk: Any) -> None:
    keys = ("result", "args", "spec", "subject", "seconds", "status", "key", "intent", "id")
    inner = (
        "usage",
        "plan",
        "verdict",
        "verb",
        "reply",
        "ledger",
        "rung",
        "why",
        "role",
        "malformed",
        "budget",
    )
    bodies: list[dict[str, Any]] = [{key: junk} for key in keys]
    for key in inner:
        bodies += [{"result": {key: junk}}, {"args": {key: junk}}, {"spec": {key: junk}}]
    view = AgentView("TICKET-1", 1)
    types = ("attempt.started", "action.intent", "action.outcome", "proposal.opened", "proposal.approved")
    for seq, body in enumerate(bodies):
        for type_ in types:
            at = {"key": "call:1", "intent": seq, **body}
            view.apply(Event(seq, 1000, "TICKET-1", 1, type_, at))
    told = (view.turns, view.tokens, view.time(5), view.rung, view.why, view.ledger, view.model, view.last)
    assert all(each is not None for each in told)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"[]", b"{}", b'{"v": 2}', b"[" * 100_000, json.dumps({"v": 1, "parts": 3}).encode(),
     json.dumps({"v": 1, "parts": [{"name": 4, "tokens": -1}, 5], "estimated": "x"}).encode()],
    ids=range(8),
)  # fmt: skip
def test_a_ledger_is_read_or_refused_and_never_believed(data: bytes) -> None:
    try:
        found = ledger(data)
    except (ValueError, RecursionError):
        return
    assert all(part.tokens >= 0 and isinstance(part.name, str) for part in found.parts)
