"""A `code` ticket, from its plan to its landing, with a model whose replies are scripted."""

from __future__ import annotations

import threading

import pytest
from lab import Lab, until
from scripted_models import Scripted, body, last, plan, talked, verdict, whole

from orchestrator.providers.base import ProviderError, Request
from state import words
from state.events import Event, New

NEW = whole("new.txt", "hello\n")


def calls(lab: Lab, ticket: str = "TICKET-1") -> list[dict]:  # type: ignore[type-arg]
    """The results of all calls that ended."""
    outcomes = lab.events(ticket, "action.outcome")
    return [e.body["result"] for e in outcomes if e.body["key"].startswith("call:")]


def test_a_ticket_is_planned_criticised_done_checked_and_landed(lab: Lab) -> None:
    lab.models = Scripted([plan("Write the file"), verdict(), NEW, "DONE it is there"])
    lab.ticket("TICKET-1", **body())
    lab.run()
    lab.approve("TICKET-1")
    lab.run()
    assert lab.state("TICKET-1") == "landed"
    assert lab.show("new.txt") == "hello\n"
    assert [call["purpose"] for call in calls(lab)] == ["plan", "critique", "act", "act"]
    lab.intact()


def test_a_prompt_is_the_one_before_it_with_more_at_its_end(lab: Lab) -> None:
    script = Scripted(["READ mine.txt", "SEARCH first", "RUN true", NEW, "DONE"])
    lab.models = script
    lab.ticket("TICKET-1", **body(**{"with": {"plan": False}}))
    lab.run()
    for before, after in zip(script.requests, script.requests[1:], strict=False):
        assert talked(after)[: len(talked(before))] == talked(before)
    assert "mine" in last(script.requests[1])
    assert "shared.txt:1:first" in last(script.requests[2])
    assert "exit 0" in last(script.requests[3])


def test_red_output_goes_back_and_the_model_tries_again(lab: Lab) -> None:
    script = Scripted([whole("other.txt", "x\n"), "DONE", NEW, "DONE"])
    lab.models = script
    lab.ticket("TICKET-1", **body(accept=[{"run": "ls new.txt"}], **{"with": {"plan": False}}))
    lab.run()
    assert "exit 2" in last(script.requests[2])
    assert "No such file" in last(script.requests[2])
    assert lab.asks("TICKET-1").subject["changed"] == ["new.txt", "other.txt"]


def test_a_critics_finding_sends_the_plan_back_once(lab: Lab) -> None:
    script = Scripted([plan("A"), verdict("no test"), plan("B"), verdict("no test"), NEW, "DONE"])
    lab.models = script
    lab.ticket("TICKET-1", **body())
    lab.run()
    assert "no test" in str(talked(script.requests[2]))
    assert "B" in str(talked(script.requests[4]))
    assert lab.asks("TICKET-1")


def test_a_subtask_holds_when_its_probe_does(lab: Lab) -> None:
    script = Scripted(
        [plan(("One", "ls one"), ("Two", "ls new.txt")), verdict(), "DONE", whole("one", "1\n"), "DONE",
         "DONE", NEW, "DONE"]
    )  # fmt: skip
    lab.models = script
    lab.ticket("TICKET-1", **body())
    lab.run()
    assert "No file has been changed yet" in last(script.requests[3])
    assert "subtask 2 of 2: Two" in last(script.requests[5])
    assert "No such file" in last(script.requests[6])
    assert lab.asks("TICKET-1")


def test_a_question_waits_for_its_answer(lab: Lab) -> None:
    script = Scripted(["ASK Which name?\n- new.txt (recommended)\n- old.txt", NEW, "DONE"])
    lab.models = script
    lab.ticket("TICKET-1", **body(**{"with": {"plan": False}}))
    lab.run()
    found = lab.asks("TICKET-1", "question")
    assert found.subject["options"] == ["new.txt", "old.txt"]
    lab.say(words.answer, found.id, found.digest, "new.txt")
    lab.run()
    assert "The person answers: new.txt" in last(script.requests[1])
    assert lab.asks("TICKET-1")


def test_a_denied_merge_goes_on_with_the_reason(lab: Lab) -> None:
    script = Scripted([NEW, "DONE", whole("new.txt", "better\n"), "DONE"])
    lab.models = script
    lab.ticket("TICKET-1", **body(**{"with": {"plan": False}}))
    lab.run()
    lab.deny("TICKET-1", "say it better")
    assert lab.state("TICKET-1") == "running", "it is at work again, and nothing waits for the person"
    lab.run()
    assert "does not accept the change: say it better" in last(script.requests[2])
    lab.approve("TICKET-1")
    lab.run()
    assert lab.show("new.txt") == "better\n"
    assert len(lab.attempts("TICKET-1")) == 1


def test_a_person_takes_over_and_hands_back(lab: Lab) -> None:
    script = Scripted(["ASK What now?\n- a\n- b"])
    lab.models = script
    lab.ticket("TICKET-1", **body(**{"with": {"plan": False}}))
    lab.run()
    lab.say(words.take_over, "TICKET-1")
    lab.run()
    lab.wait_note("TICKET-1", "you have taken it over")
    (lab.workspace.worktree("TICKET-1", 1) / "new.txt").write_text("by hand\n")
    lab.say(words.hand_back, "TICKET-1")
    lab.run()
    lab.approve("TICKET-1")
    lab.run()
    assert lab.show("new.txt") == "by hand\n"


def test_a_dead_server_is_told_waited_for_and_nothing_is_lost(lab: Lab) -> None:
    script = Scripted([NEW, "DONE"])
    lab.models = script
    script.down = "no model server answers: start it"
    lab.ticket("TICKET-1", **body(**{"with": {"plan": False}}))
    lab.run()
    assert lab.note("TICKET-1") == script.down
    script.down = ""
    lab.run()
    assert lab.asks("TICKET-1")


def test_a_server_that_always_fails_asks_the_person_after_three_times(lab: Lab) -> None:
    def fails(_: Request, __: int) -> str:
        raise ProviderError("mid-stream", "it broke off")

    script = Scripted(fails)
    lab.models = script
    lab.ticket("TICKET-1", **body(**{"with": {"plan": False}}))
    lab.run()
    found = lab.asks("TICKET-1", "question")
    assert "it broke off" in found.summary
    assert len(script.requests) == 3
    lab.say(words.answer, found.id, found.digest, "try again")
    lab.run()
    assert len(script.requests) == 6
    found = lab.asks("TICKET-1", "question")
    lab.say(words.answer, found.id, found.digest, "give it up")
    lab.run()
    assert lab.state("TICKET-1") == "failed"


def test_an_agent_that_gets_nowhere_climbs_the_ladder_and_asks(lab: Lab) -> None:
    script = Scripted(lambda request, before: "DONE")
    lab.models = script
    lab.ticket("TICKET-1", **body(**{"with": {"plan": False}}))
    lab.run()
    found = lab.asks("TICKET-1", "question")
    assert found.summary.startswith("stuck: ")
    rungs = [call["rung"] for call in calls(lab)]
    assert max(rungs) >= 3
    assert rungs == sorted(rungs)
    assert len(rungs) < 30
    lab.say(words.answer, found.id, found.digest, "give it up")
    lab.run()
    assert lab.state("TICKET-1") == "failed"


def test_who_chooses_the_best_checkpoint_gets_it(lab: Lab) -> None:
    """After the ladder's own step back the agent has done more; the answer takes that away again."""

    def reply(_: Request, before: int) -> str:
        return "DONE" if before % 2 else whole("junk.txt", f"{before}\n")

    lab.models = Scripted(reply)
    lab.ticket("TICKET-1", **body(budget={"turns": 200}, **{"with": {"plan": False}}))
    lab.run()
    found = lab.asks("TICKET-1", "question")
    assert found.summary.startswith("stuck: ")
    answered = lab.say(words.answer, found.id, found.digest, found.subject["options"][0])
    lab.run()
    (back,) = [e for e in lab.events("TICKET-1", "action.outcome") if e.body["key"] == f"back:{answered.seq}"]
    assert back.body["result"]["checkpoint"] == found.subject["best"]
    first = next(e for e in lab.events("TICKET-1", "action.intent") if e.seq > answered.seq)
    assert first.body["action"] == "Back", "before anything else is asked of the model"


def test_a_comment_is_heard_before_the_next_turn(lab: Lab) -> None:
    at, go = threading.Event(), threading.Event()

    def reply(_: Request, before: int) -> str:
        if before == 0:
            at.set()
            assert go.wait(30)
            return "READ mine.txt"
        return [NEW, "DONE"][min(before, 2) - 1]

    script = Scripted(reply)
    lab.models = script
    lab.ticket("TICKET-1", **body(**{"with": {"plan": False}}))
    with lab.engine():
        assert at.wait(30)
        lab.say(words.comment, "TICKET-1", "mind the tests")
        go.set()
        lab.asks("TICKET-1")
    assert "The person says: mind the tests" in last(script.requests[1])


def test_a_new_program_is_not_run_but_answered(lab: Lab) -> None:
    script = Scripted(["RUN frobnicate --all", "RUN curl http://example.org", NEW, "DONE"])
    lab.models = script
    lab.ticket("TICKET-1", **body(**{"with": {"plan": False}}))
    lab.run()
    assert "Not run: it uses frobnicate" in last(script.requests[1])
    assert "no network" in last(script.requests[2])
    assert lab.asks("TICKET-1")


def test_an_edit_outside_the_paths_is_refused_at_once(lab: Lab) -> None:
    script = Scripted([whole("mine.txt", "x\n"), NEW, "DONE"])
    lab.models = script
    lab.ticket("TICKET-1", **body(paths=["new.*"], **{"with": {"plan": False}}))
    lab.run()
    assert "you may change only new.*" in last(script.requests[1])
    assert lab.asks("TICKET-1").subject["changed"] == ["new.txt"]


def test_turns_that_are_spent_ask_for_more(lab: Lab) -> None:
    script = Scripted(["READ mine.txt", "READ shared.txt", NEW, "DONE"])
    lab.models = script
    lab.ticket("TICKET-1", **body(budget={"turns": 2}, **{"with": {"plan": False}}))
    lab.run()
    assert len(script.requests) == 2
    found = lab.asks("TICKET-1", "question")
    assert "2 turns" in found.summary
    lab.approve("TICKET-1", "question")
    lab.run()
    assert lab.asks("TICKET-1")


def test_one_stage_is_tried_again_without_the_others(lab: Lab) -> None:
    stages = [
        {"goal": f"Make the file {name}", "check": f"test -f {name}"} for name in ("one", "two", "new.txt")
    ]
    script = Scripted(
        [whole("one", "1\n"), "DONE", whole("two", "2\n"), "DONE", whole("new.txt", "wrong\n"), "DONE",
         whole("new.txt", "right\n"), "DONE"]
    )  # fmt: skip
    lab.models = script
    lab.ticket("TICKET-1", **body(**{"with": {"stages": stages}}))
    lab.run()
    assert lab.asks("TICKET-1")
    lab.say(words.retry, "TICKET-1", "the third is wrong", stage=3)
    lab.run()
    assert len(script.requests) == 8
    assert "subtask 3 of 3" in last(script.requests[6])
    assert "the third is wrong" in str(talked(script.requests[6]))
    lab.approve("TICKET-1")
    lab.run()
    assert [lab.show(name) for name in ("one", "two", "new.txt")] == ["1\n", "2\n", "right\n"]
    assert len(lab.attempts("TICKET-1")) == 2
    lab.intact()


def test_a_stage_that_was_never_reached_begins_where_the_last_attempt_came_to(lab: Lab) -> None:
    stages = [{"goal": f"Make the file {name}", "check": f"test -f {name}"} for name in ("one", "new.txt")]
    lab.models = Scripted(
        [whole("one", "1\n"), "ASK What?\n- a\n- b", "DONE", whole("new.txt", "2\n"), "DONE"]
    )
    lab.ticket("TICKET-1", **body(**{"with": {"stages": stages}}))
    lab.run()
    lab.say(words.retry, "TICKET-1", stage=2)
    lab.run()
    assert lab.show("one", "ticket/TICKET-1-add-the-file-new-txt") is None


def test_a_kill_between_a_reply_and_its_outcome_asks_nobody_twice(lab: Lab) -> None:
    script = Scripted([NEW, "DONE"])
    lab.models = script
    lab.ticket("TICKET-1", **body(**{"with": {"plan": False}}))
    with pytest.raises(_Killed), lab.engine() as engine:
        real, shop = engine.journal.append, engine._shop

        def cut(*events: New) -> list[Event]:
            if any(e.type == "action.outcome" and e.body["key"] == "call:1" for e in events):
                raise _Killed
            return real(*events)

        object.__setattr__(shop, "write", cut)
        until(lambda: len(script.requests) == 1, "the call")
        until(lambda: engine._fault is not None or not engine._jobs, "the end of the ticket's thread")
        raise _Killed
    lab.run()
    assert len(script.requests) == 2
    lab.approve("TICKET-1")
    lab.run()
    assert lab.show("new.txt") == "hello\n"


class _Killed(Exception):
    """The engine was killed here."""


def test_an_edit_that_quotes_an_earlier_state_of_the_file_is_carried_over(lab: Lab) -> None:
    def block(search: str, replace: str) -> str:
        return f"EDIT new.txt\n```\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n```"

    lab.models = Scripted(
        [whole("new.txt", "alpha one\nbeta two\ngamma three\ndelta four\n"),
         block("alpha one", "ALPHA 1 and more"),
         block("alpha one\nbeta two\ngamma three\ndelta four", "alpha one\nbeta two\ngamma three\nDELTA 4"),
         "DONE"]
    )  # fmt: skip
    lab.ticket("TICKET-1", **body(**{"with": {"plan": False}}))
    lab.run()
    lab.approve("TICKET-1")
    lab.run()
    assert lab.show("new.txt") == "ALPHA 1 and more\nbeta two\ngamma three\nDELTA 4\n"
