"""A person's hands in an agent's worktree: whenever they take it over, what they did there is what counts."""

from __future__ import annotations

import threading

import pytest
from lab import Lab, until
from scripted_models import Scripted, body, last, plan, talked, whole

from orchestrator.providers.base import ProviderError, Request
from state import words

NEW = whole("new.txt", "hello\n")
NO_PLAN = {"with": {"plan": False}}


def by_hand(lab: Lab, text: str = "by hand\n") -> None:
    """Do the work in the worktree and hand it back."""
    (lab.workspace.worktree("TICKET-1", 1) / "new.txt").write_text(text)
    lab.say(words.hand_back, "TICKET-1")


def asks_its_questions(lab: Lab) -> list[str]:
    return [event.body["summary"] for event in lab.events("TICKET-1", "proposal.opened")]


def at_work(lab: Lab, action: str) -> None:
    """Until an action of this sort has begun."""
    intents = lambda: lab.events("TICKET-1", "action.intent")  # noqa: E731
    until(lambda: any(event.body["action"] == action for event in intents()), action)


@pytest.mark.parametrize("phase", ["command", "check"])
def test_what_a_person_does_after_cutting_off_a_command_or_a_check_is_kept(lab: Lab, phase: str) -> None:
    """A cut-off action is undone before its next try, and must not take the person's work with it."""
    waits = "test -e go || sleep 1000"
    accept = [{"run": f"{waits}; test -f new.txt"}] if phase == "check" else [{"run": "test -f new.txt"}]
    lab.models = Scripted([f"RUN {waits}"] if phase == "command" else [whole("go.txt", "x\n"), "DONE"])
    lab.ticket("TICKET-1", **body(accept=accept, **NO_PLAN))
    with lab.engine():
        at_work(lab, "Act" if phase == "command" else "Verify")
        until(lambda: lab.processes(), "the command")
        lab.say(words.take_over, "TICKET-1")
        lab.wait_note("TICKET-1", "you have taken it over")
        (lab.workspace.worktree("TICKET-1", 1) / "go").write_text("")
        by_hand(lab)
        lab.approve("TICKET-1")
        lab.wait("TICKET-1", "landed")
    assert lab.show("new.txt") == "by hand\n"
    assert len(lab.models.requests) == (1 if phase == "command" else 2)
    lab.intact()


def test_a_worktree_taken_during_the_first_call_is_checked_without_asking_the_model_again(lab: Lab) -> None:
    at, go = threading.Event(), threading.Event()

    def reply(_: Request, __: int) -> str:
        at.set()
        assert go.wait(30)
        return plan("Never heard of")

    script = Scripted(reply)
    lab.models = script
    lab.ticket("TICKET-1", **body())
    with lab.engine():
        assert at.wait(30)
        lab.say(words.take_over, "TICKET-1")
        go.set()
        lab.wait_note("TICKET-1", "you have taken it over")
        by_hand(lab)
        lab.approve("TICKET-1")
        lab.wait("TICKET-1", "landed")
    assert lab.show("new.txt") == "by hand\n"
    assert len(script.requests) == 1


@pytest.mark.parametrize("changed", ["other.txt", "no file"])
def test_work_by_hand_that_is_red_goes_to_the_model_and_asks_nothing_without_end(
    lab: Lab, changed: str
) -> None:
    """The agent was stuck; a person took over without answering, and what they did is red too."""
    script = Scripted(lambda _, before: "DONE")
    lab.models = script
    lab.ticket("TICKET-1", **body(**NO_PLAN))
    lab.run()
    assert asks_its_questions(lab) == [lab.asks("TICKET-1", "question").summary]
    before = len(script.requests)
    lab.say(words.take_over, "TICKET-1")
    lab.run()
    if changed == "other.txt":
        (lab.workspace.worktree("TICKET-1", 1) / changed).write_text("by hand\n")
    lab.say(words.hand_back, "TICKET-1")
    with lab.engine():
        until(lambda: len(script.requests) > before or len(asks_its_questions(lab)) > 3, "the next call")
    assert len(asks_its_questions(lab)) <= 3
    assert f"changed: {changed}" in str(talked(script.requests[before]))


def test_a_person_who_does_the_work_of_a_dead_server_is_not_asked_about_it(lab: Lab) -> None:
    lab.models = Scripted([ProviderError("mid-stream", "it broke off")] * 3)
    lab.ticket("TICKET-1", **body(**NO_PLAN))
    lab.run()
    lab.asks("TICKET-1", "question")
    lab.say(words.take_over, "TICKET-1")
    lab.run()
    by_hand(lab)
    lab.run()
    assert not [asked for asked in lab.inbox() if asked.kind == "question"]
    lab.approve("TICKET-1")
    lab.run()
    assert lab.show("new.txt") == "by hand\n"


def test_a_worktree_taken_while_its_merge_is_open_lands_what_the_person_left(lab: Lab) -> None:
    lab.models = Scripted([NEW, "DONE"])
    lab.ticket("TICKET-1", **body(**NO_PLAN))
    lab.run()
    lab.asks("TICKET-1")
    lab.say(words.take_over, "TICKET-1")
    lab.run()
    by_hand(lab)
    lab.run()
    lab.approve("TICKET-1")
    lab.run()
    assert lab.show("new.txt") == "by hand\n"
    lab.intact()


def test_nothing_is_handed_back_that_was_not_taken(lab: Lab) -> None:
    lab.models = Scripted([NEW, "DONE"])
    lab.ticket("TICKET-1", **body(**NO_PLAN))
    lab.run()
    with pytest.raises(words.Refused, match="not been taken over"):
        lab.say(words.hand_back, "TICKET-1")
    for _ in range(2):
        lab.say(words.take_over, "TICKET-1")
    lab.say(words.hand_back, "TICKET-1")
    with pytest.raises(words.Refused, match="not been taken over"):
        lab.say(words.hand_back, "TICKET-1")


def test_a_data_set_has_no_worktree_to_take(lab: Lab) -> None:
    lab.data("TICKET-1", accept=[{"human": "Is it good?"}])
    lab.run()
    with pytest.raises(words.Refused, match="no worktree"):
        lab.say(words.take_over, "TICKET-1")


def test_a_worktree_that_a_command_takes_away_is_there_again(lab: Lab) -> None:
    script = Scripted([NEW, 'RUN rm -rf "$PWD" .git', "READ new.txt", "DONE"])
    lab.models = script
    lab.ticket("TICKET-1", **body(**NO_PLAN))
    lab.run()
    if lab.asks("TICKET-1").subject["changed"] != ["new.txt"]:
        assert "There is no file" in last(script.requests[3])
