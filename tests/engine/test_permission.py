"""New programs and named hosts wait for a person before anything starts; an answer holds for them alone."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from lab import Lab
from play import KNOWN, WORLD, Play

from orchestrator.actions import Close, Prepare, Propose, Verify, Void, Wait
from orchestrator.checks import resolve
from orchestrator.permission import permission
from orchestrator.unknown import UNTOLD
from orchestrator.world import World

URL = "curl -o a.txt https://a.example/x"


@pytest.mark.parametrize(
    "spec",
    [
        {"with": {"steps": ["nmap"]}},
        {"with": {"steps": ["one", {"run": "ls | nmap", "ok": [0, 1]}]}},
        {"accept": [{"run": "nmap"}]},
        {"rollback": {"sh": "nmap"}},
        {"rollback": "sh: nmap"},
    ],
)
def test_a_new_program_is_asked_for_wherever_the_ticket_names_it(spec: dict[str, Any]) -> None:
    play = Play(**spec)
    world = replace(WORLD, known=KNOWN | {"ls"})
    ask = play.next(world)
    assert isinstance(ask, Propose)
    assert (ask.kind, ask.summary) == ("start", "uses new programs: nmap")
    assert ask.subject["new"] == {"programs": ["nmap"]}
    play.carry_out(ask)
    assert play.next(world) == Wait(None)
    play.answer()
    assert isinstance(play.next(world), Prepare)


def test_a_named_check_is_looked_through() -> None:
    play = Play(accept=["speed"])
    checks = resolve(["speed"], {"speed": {"run": "nmap"}})
    ask = permission(play.now, checks, WORLD, ())
    assert isinstance(ask, Propose) and ask.subject["new"] == {"programs": ["nmap"]}


def test_known_programs_ask_nothing_and_an_unknown_set_knows_none() -> None:
    assert isinstance(Play().next(), Prepare)
    assert not World(base=None, revision="").known
    ask = Play().next(replace(WORLD, known=frozenset()))
    assert isinstance(ask, Propose) and ask.subject["new"] == {"programs": ["lint", "one", "two"]}


def test_what_cannot_be_read_is_asked_for() -> None:
    ask = Play(**{"with": {"steps": ["one 'open"]}}).next()
    assert isinstance(ask, Propose) and ask.subject["new"] == {"programs": [UNTOLD]}


def test_a_start_that_is_wanted_anyway_is_one_question_with_the_new_programs() -> None:
    play = Play(approve=["start"], **{"with": {"steps": ["nmap"]}})
    ask = play.next()
    assert isinstance(ask, Propose)
    assert ask.summary == "start: something to be done; uses new programs: nmap"
    play.carry_out(ask)
    play.answer()
    assert isinstance(play.next(), Prepare)


def test_a_named_host_is_asked_for_with_the_exact_commands_and_opens_nothing() -> None:
    world = replace(WORLD, known=KNOWN | {"curl"})
    play = Play(**{"with": {"steps": ["one", URL]}})
    ask = play.next(world)
    assert isinstance(ask, Propose)
    assert ask.kind == "network"
    assert ask.summary == (
        "names a.example: commands run without a network whatever you say; fetch what it needs yourself,"
        " then approve"
    )
    assert ask.subject["hosts"] == ["a.example"]
    assert ask.subject["commands"] == [URL]
    assert ask.subject["purpose"] == "something to be done"
    assert (ask.subject["bytes"], ask.subject["inside"]) == (None, "none")
    play.carry_out(ask)
    assert play.next(world) == Wait(None)
    play.answer()
    assert isinstance(play.next(world), Prepare)


def test_a_ticket_that_asks_for_the_network_is_asked_about_even_without_a_host() -> None:
    ask = Play(approve=["network"]).next()
    assert isinstance(ask, Propose)
    assert (ask.kind, ask.subject["hosts"]) == ("network", [])


@pytest.mark.parametrize("which", [0, 1])
def test_a_no_to_either_question_fails_the_ticket_with_its_reason(which: int) -> None:
    play = Play(**{"with": {"steps": [URL]}})
    for _ in range(which):
        play.carry_out(play.next())
        play.answer()
    play.carry_out(play.next())
    play.answer("denied", reason="not that")
    decision = play.next()
    assert isinstance(decision, Close)
    assert (decision.state, decision.why) == ("failed", "denied: not that")


@pytest.mark.parametrize("answered", [False, True])
def test_a_changed_check_or_a_program_no_longer_known_asks_again_in_the_middle_of_the_work(
    answered: bool,
) -> None:
    play = Play(**{"with": {"steps": ["nmap"]}})
    play.carry_out(play.next())
    first = play.now.word("start")
    assert first is not None
    if answered:
        play.answer()
        play.act(play.until(Verify))
    less = replace(WORLD, known=KNOWN - {"lint"})
    decision = play.next(less)
    if not answered:
        assert decision == Void(first.id, "what it names has changed: it is asked again")
        play.carry_out(decision)
        decision = play.next(less)
    assert isinstance(decision, Propose)
    assert decision.subject["new"] == {"programs": ["lint", "nmap"]}
    play.carry_out(decision)
    assert play.next(less) == Wait(None), "the old answer was taken for the new question"
    play.answer()
    assert not isinstance(play.next(less), (Propose, Wait))


def test_a_question_that_nothing_asks_any_more_is_taken_back() -> None:
    play = Play(accept=[{"run": "one"}], **{"with": {"steps": ["nmap"]}})
    play.carry_out(play.next())
    world = replace(WORLD, known=KNOWN | {"nmap"})
    decision = play.next(world)
    assert isinstance(decision, Void)
    play.carry_out(decision)
    assert isinstance(play.next(world), Prepare)


def test_a_yes_to_the_start_is_no_yes_to_the_network() -> None:
    play = Play(approve=["start"], **{"with": {"steps": ["one https://a.example"]}})
    play.carry_out(play.next())
    play.answer()
    ask = play.next()
    assert isinstance(ask, Propose) and ask.kind == "network"


# In a repository -------------------------------------------------------------------------------------


def test_the_question_survives_a_restart_and_nothing_of_the_ticket_ran_before_the_yes(lab: Lab) -> None:
    lab.ticket("TICKET-1", "test -e a.txt || no-such-program-here; echo 1 > a.txt")
    lab.run()
    asked = lab.asks("TICKET-1", "start")
    assert lab.state("TICKET-1") == "waiting"
    assert asked.subject["new"] == {"programs": ["no-such-program-here"]}
    assert not lab.events("TICKET-1", "action.")
    lab.run()
    assert [p.id for p in lab.inbox()] == [asked.id]
    assert not lab.events("TICKET-1", "action.")
    lab.approve("TICKET-1", "start")
    lab.run()
    assert lab.state("TICKET-1") == "review"
    lab.approve("TICKET-1")
    lab.run()
    assert lab.state("TICKET-1") == "landed"
    lab.intact()


def test_a_yes_to_the_network_is_kept_and_lets_the_ticket_go_on_without_one(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo https://a.example > a.txt")
    lab.run()
    asked = lab.asks("TICKET-1", "network")
    assert asked.subject["hosts"] == ["a.example"]
    lab.approve("TICKET-1", "network")
    lab.run()
    assert lab.state("TICKET-1") == "review"
    (word,) = lab.events("TICKET-1", "proposal.approved")
    assert word.body["id"] == asked.id


def test_an_edited_ticket_asks_again(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo https://a.example > a.txt")
    lab.run()
    first = lab.asks("TICKET-1", "network")
    lab.approve("TICKET-1", "network")
    lab.ticket("TICKET-1", "echo https://b.example > a.txt")
    lab.run()
    second = lab.asks("TICKET-1", "network")
    assert (second.subject["hosts"], lab.state("TICKET-1")) == (["b.example"], "waiting")
    assert second.id != first.id


def test_a_changed_check_of_the_project_asks_again(lab: Lab) -> None:
    lab.commit({"checks.yaml": "quick:\n  run: test -d .\n"})
    lab.ticket("TICKET-1", "echo 1 > a.txt", accept=["quick"], approve=["start"])
    lab.run()
    lab.approve("TICKET-1", "start")
    lab.commit({"checks.yaml": "quick:\n  run: no-such-program-here\n"})
    lab.run()
    assert lab.asks("TICKET-1", "start").subject["new"] == {"programs": ["no-such-program-here"]}
    assert lab.state("TICKET-1") == "waiting"


def test_a_merge_names_the_files_that_steer_others(lab: Lab) -> None:
    lab.ticket("TICKET-1", "mkdir .github; echo 1 > .github/ci.yml; echo 1 > a.txt")
    lab.run()
    assert lab.asks("TICKET-1").subject["notable"] == [".github/ci.yml"]


def test_looking_through_the_commands_costs_no_time_that_is_felt() -> None:
    play = Play(
        **{"with": {"steps": [f"python tools/change.py --part {n} | tee part{n}.txt" for n in range(200)]}}
    )
    world = replace(WORLD, known=KNOWN | {"python", "tee"})
    play.next(world)  # reads the lines
    began = time.process_time()
    for _ in range(20):
        play.next(world)
    assert (time.process_time() - began) / 20 < 0.1  # some 0.4 ms where this was measured
