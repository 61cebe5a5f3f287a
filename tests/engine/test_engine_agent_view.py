"""What the fronts tell of an agent is what its engine holds to, after each event of a real run."""

from __future__ import annotations

from lab import Lab
from scripted_models import Scripted, body, plan, verdict, whole

from orchestrator import attempt as attempts
from orchestrator.agent.turns import OWN
from orchestrator.budget import spent
from state import words
from state.agent_view import AgentView, ledger
from state.blobs import Blobs
from state.stream import read

NEW = whole("new.txt", "hello\n")


def followed(lab: Lab) -> AgentView:
    """The picture of the whole run, which equals the engine's own state after every event."""
    view, real = AgentView("TICKET-1", 1), None
    for event in lab.events("TICKET-1"):
        view.apply(event)
        if event.attempt == 1:
            real = attempts.apply(real, event)
        if real is None:
            continue
        now = spent(real)
        assert (view.turns, view.tokens) == (now["turns"], now["tokens"]), event
        assert view.taken == real.taken, event
        if not real.pending:
            much, allowed = view.time(event.at)
            assert (round(much, 6), allowed) == (round(now["time"][0], 6), now["time"][1]), event
    return view


def test_budgets_plan_model_and_ledger_are_told_as_they_are(lab: Lab) -> None:
    lab.models = Scripted([plan("Write the file"), verdict(), "no action at all", NEW, "DONE it is there"])
    lab.ticket("TICKET-1", **body(budget={"turns": 3, "time": "20m", "tokens": 100_000}))
    lab.run()
    asked = lab.asks("TICKET-1", "question")
    lab.say(words.approve, asked.id, asked.digest)
    lab.run()
    lab.approve("TICKET-1")
    lab.run()
    assert lab.state("TICKET-1") == "landed"
    view = followed(lab)
    assert view.turns == (5, 6) and view.subtasks == ("Write the file",)
    assert view.model[0].startswith("scripted-")
    told = [call.says for call in view.calls.values()]
    assert told[:2] == ["a plan of 1 subtask", "the plan is good"] and told[2].startswith("no action in it")
    assert told[3:] == ["EDIT new.txt", "DONE it is there"]
    blobs = Blobs(lab.workspace.blobs)
    found = ledger(blobs.get(view.ledger))
    assert found.parts and found.estimated > 0 and found.context == 16_384
    last = view.last
    assert last is not None and blobs.get(last.reply).decode() == "DONE it is there" and last.prompt == 100


def test_the_stream_shows_who_is_asked_and_what_is_said(lab: Lab) -> None:
    seen: list[list[str]] = []

    def say(request: object, before: int) -> str:
        seen.append([piece.sort for piece in read(lab.workspace.stream("TICKET-1", 1))])
        return ["ASK Which?\n- a\n- b"][before]

    lab.models = Scripted(say)
    lab.ticket("TICKET-1", **body(**{"with": {"plan": False}}))
    lab.run()
    assert seen == [["call"]]
    assert [piece.sort for piece in read(lab.workspace.stream("TICKET-1", 1))] == ["call", "text"]


def test_who_answers_a_stuck_agent_by_taking_over_has_the_worktree_and_hands_it_back(lab: Lab) -> None:
    lab.models = Scripted(lambda request, before: "READ mine.txt")
    lab.ticket("TICKET-1", **body(**{"with": {"plan": False}}))
    lab.run()
    asked = lab.asks("TICKET-1", "question")
    assert asked.subject["options"] == list(OWN)
    lab.say(words.answer, asked.id, asked.digest, words.TAKES)
    lab.run()
    assert followed(lab).taken
    (lab.workspace.worktree("TICKET-1", 1) / "new.txt").write_text("by hand\n")
    lab.say(words.hand_back, "TICKET-1")
    lab.run()
    lab.approve("TICKET-1")
    lab.run()
    assert lab.show("new.txt") == "by hand\n" and not followed(lab).taken
