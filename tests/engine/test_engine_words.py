"""A person's words reach what runs, in every state, and limits hold."""

from __future__ import annotations

import time

import psutil
import pytest
from lab import Lab, until

from orchestrator import engine as engine_module
from state import words

SLEEP = "sleep 1000 & sleep 1000"


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for the world is looked at more often than every two seconds."""
    monkeypatch.setattr(engine_module, "PARKED", 0.1)


def test_cancel_ends_a_command_and_its_children_soon(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo half > half.txt", SLEEP)
    with lab.engine():
        until(lambda: len(lab.processes()) >= 3, "the command and its children")
        began = time.monotonic()
        lab.say(words.cancel, "TICKET-1")
        until(lambda: not lab.processes(), "their end")
        assert time.monotonic() - began < 10  # ends within 3 seconds; the rest is for a machine that is busy
        lab.wait("TICKET-1", "cancelled")
    assert lab.show("half.txt", "refs/jetbox/trash/TICKET-1/1") == "half\n"
    lab.intact()


def test_cancel_ends_a_check_that_runs(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo 1 > a.txt", accept=[{"run": SLEEP}])
    with lab.engine():
        until(lambda: any(e.body["task"] == "Checks" for e in lab.events("TICKET-1", "action.intent")))
        lab.say(words.cancel, "TICKET-1")
        lab.wait("TICKET-1", "cancelled")
    lab.intact()


@pytest.mark.parametrize("state", ["review", "waiting", "backlog"])
def test_cancel_ends_what_waits(lab: Lab, state: str) -> None:
    accept = [{"run": "true"}, *([{"human": "Well?"}] if state == "waiting" else [])]
    lab.ticket("TICKET-1", "echo 1 > a.txt", accept=accept, needs=["TICKET-0"] if state == "backlog" else [])
    lab.ticket("TICKET-0", "false")
    lab.run()
    assert lab.state("TICKET-1") == state
    lab.say(words.cancel, "TICKET-1")
    lab.run()
    assert lab.state("TICKET-1") == "cancelled"
    assert lab.inbox() == []
    lab.intact()


def test_a_cancel_between_the_look_and_the_start_starts_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.ticket("TICKET-1", "echo 1 > a.txt")
    real = engine_module.start_block

    def slow(*args: object) -> object:
        lab.say(words.cancel, "TICKET-1")
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(engine_module, "start_block", slow)
    lab.run()
    assert lab.state("TICKET-1") == "cancelled"
    assert not lab.events("TICKET-1", "attempt.started")
    assert not lab.events("TICKET-1", "action")


def test_retry_of_a_failed_ticket_is_a_new_attempt_with_the_comment(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo 1 > a.txt; test -e mended")
    lab.run()
    assert lab.state("TICKET-1") == "failed"
    lab.commit({"mended": ""})
    lab.say(words.retry, "TICKET-1", "it is there now")
    lab.run()
    assert lab.state("TICKET-1") == "review"
    assert lab.events("TICKET-1", "attempt.started")[-1].body["comment"] == "it is there now"
    assert lab.card("TICKET-1").attempt == 2


def test_retry_of_a_running_ticket_ends_it_first_and_keeps_the_comment(lab: Lab) -> None:
    lab.ticket("TICKET-1", f"test -e mended || {{ {SLEEP}; }}; echo 1 > a.txt")
    with lab.engine():
        until(lambda: lab.processes(), "the command")
        lab.commit({"mended": ""})
        lab.say(words.retry, "TICKET-1", "look again")
        lab.asks("TICKET-1")
    first, second = lab.attempts("TICKET-1")
    assert (first.state, second.number) == ("cancelled", 2)
    assert lab.events("TICKET-1", "attempt.started")[-1].body["comment"] == "look again"
    assert not lab.processes()


def test_no_more_tickets_work_at_once_than_allowed(lab: Lab) -> None:
    lab.write({"jetbox.yaml": "parallel: 2\n"})
    box = lab.root / ".git" / "working"
    box.mkdir()
    for n in range(6):
        mine = f"{box}/$JETBOX_TICKET"
        step = f"touch {mine}; ls {box} | wc -l >> {box}.counts; sleep 0.15; rm {mine}"
        lab.ticket(f"TICKET-{n}", step)
    lab.run()
    assert all(lab.state(f"TICKET-{n}") == "landed" for n in range(6))
    counts = [int(line) for line in (lab.root / ".git" / "working.counts").read_text().split()]
    assert max(counts) == 2


def test_the_limit_holds_for_tickets_that_go_on_by_a_persons_word_too(lab: Lab) -> None:
    lab.write({"jetbox.yaml": "parallel: 1\n"})
    box = lab.root / ".git" / "working"
    box.mkdir()
    for n in range(4):
        mine = f"{box}/$JETBOX_TICKET"
        step = f"touch {mine}; ls {box} | wc -l >> {box}.counts; sleep 0.15; rm {mine}"
        lab.ticket(f"TICKET-{n}", step, approve=["start"])
    lab.run()
    assert not list(box.iterdir())
    for n in range(4):
        lab.approve(f"TICKET-{n}", "start")
    with lab.engine():
        for n in range(4):
            lab.wait(f"TICKET-{n}", "landed")
    counts = [int(line) for line in (lab.root / ".git" / "working.counts").read_text().split()]
    assert counts == [1, 1, 1, 1]


def test_needs_are_landed_first_and_a_failed_one_is_named(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo 1 > one.txt")
    lab.ticket("TICKET-2", "test -f one.txt && echo 2 > two.txt", needs=["TICKET-1"])
    lab.ticket("TICKET-3", "echo 3 > three.txt", needs=["TICKET-2", "TICKET-4"])
    lab.ticket("TICKET-4", "false")
    lab.run()
    assert [lab.state(f"TICKET-{n}") for n in (1, 2, 3, 4)] == ["review", "backlog", "backlog", "failed"]
    lab.approve("TICKET-1")
    lab.run()
    assert lab.state("TICKET-2") == "review"
    lab.approve("TICKET-2")
    lab.run()
    assert (lab.state("TICKET-3"), lab.note("TICKET-3")) == ("backlog", "needs TICKET-4")


@pytest.mark.parametrize("when", ["idle", "0 3 * * *"])
def test_a_ticket_that_is_not_for_now_is_not_started_and_says_so(lab: Lab, when: str) -> None:
    lab.ticket("TICKET-1", "echo 1 > a.txt", when=when)
    lab.run()
    assert lab.state("TICKET-1") == "ready"
    assert when in lab.note("TICKET-1")
    assert not lab.attempts("TICKET-1")


def test_nothing_runs_before_the_start_is_approved(lab: Lab) -> None:
    marker = lab.root / ".git" / "ran"
    lab.ticket("TICKET-1", f"touch {marker}", approve=["start"])
    lab.run()
    assert lab.state("TICKET-1") == "waiting"
    assert not lab.events("TICKET-1", "action")
    assert not lab.workspace.worktrees.exists()
    lab.approve("TICKET-1", "start")
    lab.run()
    assert marker.exists()
    assert lab.state("TICKET-1") == "landed"


def test_a_denied_start_runs_nothing_and_fails_with_the_reason(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo 1 > a.txt", approve=["start"])
    lab.run()
    lab.deny("TICKET-1", "not today", "start")
    lab.run()
    assert (lab.state("TICKET-1"), lab.note("TICKET-1")) == ("failed", "denied: not today")
    assert not any(e.body["action"] == "Command" for e in lab.events("TICKET-1", "action.intent"))


def test_a_spent_budget_ends_the_command_asks_and_goes_on_with_a_yes(lab: Lab) -> None:
    more = lab.root / ".git" / "more"
    long = f"test -e {more} || {{ {SLEEP}; }}; echo 2 > b.txt"
    lab.ticket("TICKET-1", "echo 1 > a.txt", long, budget={"time": "3s"})
    lab.run()
    question = lab.asks("TICKET-1", "question")
    assert "3s" in question.summary
    assert lab.state("TICKET-1") == "waiting"
    assert not lab.processes()
    more.touch()
    lab.approve("TICKET-1", "question")
    lab.run()
    assert lab.state("TICKET-1") == "review"
    outcomes = lab.events("TICKET-1", "action.outcome")
    assert [e.body["status"] for e in outcomes if e.body["key"] == "step:0"] == ["done"], (
        "what was done before the budget ended was done again"
    )


def test_a_budget_that_is_not_raised_fails_with_the_reason(lab: Lab) -> None:
    lab.ticket("TICKET-1", SLEEP, budget={"time": "1s"})
    lab.run()
    lab.deny("TICKET-1", "long enough", "question")
    lab.run()
    assert (lab.state("TICKET-1"), lab.note("TICKET-1")) == ("failed", "denied: long enough")
    lab.intact()


def test_a_check_over_the_budget_asks_as_well(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo 1 > a.txt", accept=[{"run": SLEEP}], budget={"time": "1s"})
    lab.run()
    lab.asks("TICKET-1", "question")
    assert not lab.processes()


def test_a_daemon_ends_with_the_command_that_started_it(lab: Lab) -> None:
    pid = lab.root / ".git" / "daemon"
    daemon = f"setsid sh -c 'echo $$ > {pid}; exec sleep 1000' >/dev/null 2>&1 < /dev/null &"
    lab.ticket("TICKET-1", f"{daemon} while ! test -s {pid}; do sleep 0.02; done; echo 1 > a.txt")
    lab.run()
    assert lab.state("TICKET-1") == "review"
    assert not psutil.pid_exists(int(pid.read_text())), "a daemon outlived its command"


def test_waiting_tickets_and_an_idle_engine_write_nothing(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo 1 > a.txt")
    lab.ticket("TICKET-2", "echo 1 > b.txt", accept=[{"run": "true"}, {"human": "Well?"}])
    lab.ticket("TICKET-3", "echo 1 > c.txt", needs=["TICKET-1"])
    lab.ticket("TICKET-4", "true", when="idle")
    with lab.engine():
        lab.wait("TICKET-1", "review")
        lab.wait("TICKET-2", "waiting")
        lab.wait_note("TICKET-4", "idle")
        quiet = lab.events()
        looks = time.monotonic() + 2  # twenty looks at what is parked
        while time.monotonic() < looks:
            time.sleep(0.1)
        assert lab.events() == quiet
