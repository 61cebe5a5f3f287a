"""A recorded attempt is gone through again, whatever happened in it; the first difference is named."""

from __future__ import annotations

import shutil

import pytest
from lab import Lab, until
from scripted_models import Scripted, body, plan, verdict, whole

from orchestrator import config
from orchestrator.agent.replay import Step, replay
from orchestrator.checks import resolve
from orchestrator.git import Repo
from orchestrator.service import author
from state import words

NEW = whole("new.txt", "hello\n")
NO_PLAN = {"with": {"plan": False}}


def again(lab: Lab) -> list[Step]:
    """The last attempt once more."""
    number = lab.card("TICKET-1").attempt
    events = [event for event in lab.events("TICKET-1") if event.attempt == number]
    started = next(event for event in events if event.type == "attempt.started")
    settings, repo = config.load(lab.workspace), Repo.open(lab.root)
    checks = resolve(started.body["spec"]["accept"], settings.checks)
    known = settings.policy.programs
    return list(replay(lab.workspace, repo, events, checks, author(repo), known))


def same(lab: Lab, calls: int) -> None:
    steps = again(lab)
    assert not [step for step in steps if step.fault]
    assert sum(step.key.startswith("call:") for step in steps) == calls


def test_an_attempt_that_was_planned_denied_asked_taken_over_and_landed(lab: Lab) -> None:
    lab.models = Scripted(
        [plan("Write it"), verdict("too short"), plan("Write it", "Look"), verdict(), NEW, "DONE",
         "ASK What?\n- a\n- b", "RUN echo 2 > two", "DONE", whole("new.txt", "better\n"), "DONE", "DONE"]
    )  # fmt: skip
    lab.ticket("TICKET-1", **body(accept=[{"run": "test -f new.txt && ! test -f bad"}]))
    lab.run()
    found = lab.asks("TICKET-1", "question")
    lab.say(words.answer, found.id, found.digest, "a")
    lab.run()
    lab.deny("TICKET-1", "say it better")
    lab.run()
    lab.asks("TICKET-1")
    lab.say(words.take_over, "TICKET-1")
    lab.run()
    (lab.workspace.worktree("TICKET-1", 1) / "bad").write_text("by hand\n")
    lab.say(words.hand_back, "TICKET-1")
    lab.models = Scripted(["RUN rm bad", "DONE"])
    lab.run()
    lab.approve("TICKET-1")
    lab.run()
    assert lab.state("TICKET-1") == "landed"
    same(lab, 13)


def test_an_attempt_that_was_cut_off_in_a_command_and_taken_over(lab: Lab) -> None:
    lab.models = Scripted([NEW, "RUN echo x > half; test -e go || sleep 1000", "DONE"])
    lab.ticket("TICKET-1", **body(**NO_PLAN))
    with lab.engine():
        until(lambda: lab.processes(), "the command")
    with lab.engine():
        until(lambda: lab.processes(), "the command again")
        lab.say(words.take_over, "TICKET-1")
        lab.wait_note("TICKET-1", "you have taken it over")
        lab.say(words.hand_back, "TICKET-1")
        lab.asks("TICKET-1")
    same(lab, 2)


def test_an_attempt_in_a_repository_of_sha256(lab: Lab) -> None:
    shutil.rmtree(lab.root / ".git")
    lab.git("init", "-q", "-b", "main", "--object-format=sha256")
    lab.git("config", "user.name", "A User")
    lab.git("config", "user.email", "user@localhost")
    lab.commit({"mine.txt": "mine\n"})
    lab.models = Scripted(["READ mine.txt", NEW, "DONE"])
    lab.ticket("TICKET-1", **body(**NO_PLAN))
    lab.run()
    assert lab.asks("TICKET-1")
    same(lab, 3)


def test_an_attempt_that_began_at_a_stage(lab: Lab) -> None:
    stages = [{"goal": f"Make the file {name}", "check": f"test -f {name}"} for name in ("one", "new.txt")]
    lab.models = Scripted(
        [
            whole("one", "1\n"),
            "DONE",
            whole("new.txt", "wrong\n"),
            "DONE",
            whole("new.txt", "right\n"),
            "DONE",
        ]
    )
    lab.ticket("TICKET-1", **body(**{"with": {"stages": stages}}))
    lab.run()
    lab.say(words.retry, "TICKET-1", stage=2)
    lab.run()
    same(lab, 2)


def test_a_stage_whose_files_are_gone_from_git_begins_at_the_first_and_says_so(lab: Lab) -> None:
    stages = [{"goal": f"Make the file {name}", "check": f"test -f {name}"} for name in ("one", "new.txt")]
    lab.models = Scripted(
        [whole("one", "1\n"), "DONE", NEW, "DONE", whole("one", "1\n"), "DONE", NEW, "DONE"]
    )
    lab.ticket("TICKET-1", **body(**{"with": {"stages": stages}}))
    lab.run()
    lab.say(words.cancel, "TICKET-1")
    lab.run()
    for ref in lab.git("for-each-ref", "--format=%(refname)", "refs/jetbox").split():
        lab.git("update-ref", "-d", ref)
    lab.git("reflog", "expire", "--expire=now", "--all")
    lab.git("gc", "-q", "--prune=now")
    lab.say(words.retry, "TICKET-1", stage=2)
    lab.run()
    assert lab.asks("TICKET-1").subject["changed"] == ["new.txt", "one"]
    notes = [e.body["note"] for e in lab.events("TICKET-1", "ticket.note")]
    assert [note for note in notes if "not in git any more" in note]


def test_going_back_in_an_attempt_that_began_at_a_stage_keeps_the_stages_before(lab: Lab) -> None:
    stages = [{"goal": f"Make the file {name}", "check": f"test -f {name}"} for name in ("one", "new.txt")]
    lab.models = Scripted([whole("one", "1\n"), "DONE", NEW, "DONE"])
    lab.ticket("TICKET-1", **body(budget={"turns": 200}, **{"with": {"stages": stages}}))
    lab.run()
    lab.say(words.retry, "TICKET-1", stage=2)
    lab.models = Scripted(lambda _, n: "DONE" if n % 2 else whole("junk.txt", f"{n}\n"))
    lab.run()
    lab.asks("TICKET-1", "question")
    backs = [e for e in lab.events("TICKET-1", "action.outcome") if e.body["key"].startswith("back:")]
    assert backs
    for back in backs:
        assert lab.show("one", back.body["result"]["checkpoint"]["commit"]) == "1\n"


@pytest.mark.parametrize("text", ["describe: [\n", None])
def test_a_persona_that_has_changed_is_the_first_difference(lab: Lab, text: str | None) -> None:
    from orchestrator.personas import _FOLDER

    lab.models = Scripted([NEW, "DONE"])
    lab.ticket("TICKET-1", **body(**NO_PLAN))
    lab.run()
    shipped = (_FOLDER / "coder.yaml").read_text()
    own = lab.workspace.personas / "coder.yaml"
    own.parent.mkdir()
    own.write_text(text or shipped.replace("programmer", "gardener", 1))
    (step,) = again(lab)
    assert step.key == "call:1"
    assert ("personas/coder.yaml:" if text else "gardener") in step.fault
