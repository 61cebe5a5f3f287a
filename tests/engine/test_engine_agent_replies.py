"""Replies and repositories that are out to break an agent: each is answered, and none stops it for ever."""

from __future__ import annotations

import errno
import json
import threading
from pathlib import Path

import pytest
from lab import Lab, until
from scripted_models import Scripted, body, last, plan, talked, verdict, whole

from orchestrator.agent import replies, verbs
from orchestrator.models.base import Chosen, NoModel
from orchestrator.providers.base import ProviderError, Request
from state import durable, words

NEW = whole("new.txt", "hello\n")
NO_PLAN = {"with": {"plan": False}}


def told(lab: Lab, *replies: str, **keys: object) -> str:
    """What a model is told after the last of these replies, before it does the work."""
    script = Scripted([*replies, NEW, "DONE"])
    lab.models = script
    lab.ticket("TICKET-1", **{**body(**NO_PLAN), **keys})
    lab.run()
    notes = [e.body["note"] for e in lab.events("TICKET-1", "ticket.note")]
    assert len(script.requests) == len(replies) + 2, (notes, talked(script.requests[-1]))
    assert lab.asks("TICKET-1").subject["changed"] == ["new.txt"], talked(script.requests[-1])
    assert not notes
    return last(script.requests[len(replies)])


def call(name: str, **arguments: str) -> str:
    """A tool call, in which any character can be escaped."""
    return json.dumps({"name": name, "arguments": arguments})


# Words that no system call takes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        "SEARCH a\0b",
        "RUN echo a\0b",
        "READ a\0b",
        call("search", pattern="a\0b"),
        call("run", command="echo \0"),
        call("search", pattern="\ud800"),
        call("run", command="echo \ud800"),
        call("edit", path="a\ud800.txt", content="x\n"),
        call("edit", path="a.txt", content="\ud800\n"),
        "DONE \ud800",
        "RUN \x0c",
        "SEARCH -e --help",
    ],
)
def test_a_reply_that_no_system_takes_is_answered(lab: Lab, reply: str) -> None:
    script = Scripted([reply, NEW, "DONE"])
    lab.models = script
    lab.ticket("TICKET-1", **body(**NO_PLAN))
    lab.run()
    assert not [e.body["note"] for e in lab.events("TICKET-1", "ticket.note")]
    assert lab.asks("TICKET-1").subject["changed"] == ["new.txt"]


@pytest.mark.parametrize(
    "planned",
    ['{"subtasks": [{"title": "\\ud800"}]}', '{"subtasks": [{"title": " "}]}', "{}", "[" * 5000, "", "no"],
)
def test_a_planner_of_no_use_costs_its_tries_and_the_goal_is_worked_on(lab: Lab, planned: str) -> None:
    lab.models = Scripted([planned] * 3 + [NEW, "DONE"])
    lab.ticket("TICKET-1", **body())
    lab.run()
    assert not [e.body["note"] for e in lab.events("TICKET-1", "ticket.note")]
    assert lab.asks("TICKET-1")


@pytest.mark.parametrize("kind", ["truncated", "length", "empty", "parse", "chant"])
def test_a_critic_that_fails_holds_nothing_up(lab: Lab, kind: str) -> None:
    lab.models = Scripted([plan("A", "B"), ProviderError(kind, "so it is"), NEW, "DONE", "DONE"])  # type: ignore[arg-type]
    lab.ticket("TICKET-1", **body())
    lab.run()
    assert lab.asks("TICKET-1")


def test_an_object_in_a_planners_prose_is_not_taken_for_the_plan(lab: Lab) -> None:
    script = Scripted(
        ['The set {} and {"a": 1} come first.\n' + plan("A", "B"), verdict(), NEW, "DONE", "DONE"]
    )
    lab.models = script
    lab.ticket("TICKET-1", **body())
    lab.run()
    assert "1. A\n2. B" in str(script.requests[2].messages[1].content)


# Files ------------------------------------------------------------------------------------------------


def test_an_ignored_file_is_said_to_be_none_of_the_change(lab: Lab) -> None:
    lab.commit({".gitignore": "*.log\n"})
    said = told(lab, whole("a.log", "x\n"))
    assert "a.log" in said
    assert "ignore" in said


def test_a_link_is_not_written_through_and_said_to_be_one_when_read(lab: Lab) -> None:
    (lab.root / "link").symlink_to("mine.txt")
    lab.commit({"link": "mine\n"})
    assert lab.git("ls-files", "-s", "link").startswith("120000")
    script = Scripted(["READ link", whole("link", "x\n"), NEW, "DONE"])
    lab.models = script
    lab.ticket("TICKET-1", **body(**NO_PLAN))
    lab.run()
    assert "link to mine.txt" in last(script.requests[1])
    assert "was not changed" in last(script.requests[2])
    assert lab.asks("TICKET-1").subject["changed"] == ["new.txt"]


def test_a_binary_file_is_not_changed(lab: Lab) -> None:
    lab.commit({"a.bin": "a\0b"})
    assert "was not changed" in told(lab, whole("a.bin", "x\n"))


def test_a_folder_that_is_read_is_listed(lab: Lab) -> None:
    lab.commit({"src/a.py": "1\n", "src/b/c.py": "2\n"})
    said = told(lab, "READ src")
    assert "src/a.py" in said
    assert "src/b/c.py" in said


def test_lines_are_counted_as_editors_count_them(lab: Lab) -> None:
    lab.commit({"odd.txt": "one\x0cone\u2028one\x85one\r\ntwo\nthree\n"})
    said = told(lab, "READ odd.txt:2-2")
    assert "lines 2 to 2 of 3:\n```\ntwo\n```" in said


def test_lines_behind_the_end_are_said_not_to_be_there(lab: Lab) -> None:
    assert "has 1 line" in told(lab, "READ mine.txt:50-60")


def test_a_search_of_several_lines_says_that_it_is_for_one(lab: Lab) -> None:
    assert "one line" in told(lab, "SEARCH\n```\nmine\nfirst\n```")


def test_what_a_command_changes_outside_the_paths_has_to_be_taken_back(lab: Lab) -> None:
    script = Scripted(
        [NEW, "RUN echo x > mine.txt; echo y > stray", "DONE", "RUN echo mine > mine.txt; rm stray", "DONE"]
    )
    lab.models = script
    lab.ticket("TICKET-1", **body(paths=["new.*"], **NO_PLAN))
    lab.run()
    assert "mine.txt, stray" in last(script.requests[2])
    assert "mine.txt, stray" in last(script.requests[3])
    assert lab.asks("TICKET-1").subject["changed"] == ["new.txt"]


def test_what_git_cannot_hold_is_undone_and_told(lab: Lab) -> None:
    said = told(
        lab,
        "RUN "
        + "python3 - <<E\nimport os\nfor _ in range(2500): os.mkdir('d'); os.chdir('d')\nopen('f', 'w')\nE",
    )
    assert "what git cannot hold" in said


@pytest.mark.parametrize(
    "path",
    ["tickets/TICKET-9.yaml", "jetbox.yaml", "models.yaml", "personas/coder.yaml", ".github/workflows/a.yml"],
)
def test_a_change_of_what_steers_jetbox_or_others_is_pointed_out(lab: Lab, path: str) -> None:
    lab.models = Scripted([NEW, whole(path, "x: 1\n"), "DONE"])
    lab.ticket("TICKET-1", **body(**NO_PLAN))
    lab.run()
    assert lab.asks("TICKET-1").subject["notable"] == [path]


# An update, a persona, a model that goes --------------------------------------------------------------


@pytest.mark.parametrize("now", [verbs.Malformed("no"), verbs.Run("rm -rf /"), verbs.Done("x")])
def test_a_reply_that_an_update_reads_differently_is_not_done_and_told(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, now: object
) -> None:
    real, seen = replies.parse, list[str]()

    def parse(text: str) -> verbs.Verb:
        if "SEARCH first" in text:
            seen.append(text)
            if len(seen) > 1:
                if isinstance(now, Exception):
                    raise now
                return now  # type: ignore[return-value]
        return real(text)

    monkeypatch.setattr(replies, "parse", parse)
    assert "was not done" in told(lab, "SEARCH first")


def persona(lab: Lab, text: str) -> Path:
    path = lab.workspace.personas / "coder.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_a_persona_that_breaks_before_its_call_is_waited_for(lab: Lab) -> None:
    class Breaks(Scripted):
        def obstacle(self, roles: frozenset[str]) -> str | None:
            if lab.workspace.worktree("TICKET-1", 1).is_dir():
                persona(lab, "describe: [\n")  # after it was looked at
            return None

    script = Breaks([NEW, "DONE"])
    lab.models = script
    lab.ticket("TICKET-1", **body(**NO_PLAN))
    lab.run()
    assert "personas/coder.yaml:" in lab.note("TICKET-1")
    assert lab.state("TICKET-1") == "waiting"
    assert not script.requests
    (lab.workspace.personas / "coder.yaml").unlink()
    lab.models = Scripted([NEW, "DONE"])
    lab.run()
    assert lab.asks("TICKET-1")


def test_a_model_that_goes_between_the_look_and_the_choice_is_asked_about_after_some_tries(lab: Lab) -> None:
    class Gone(Scripted):
        def choose(self, role: str, larger: int = 0) -> Chosen:
            raise NoModel("it was deleted")

    lab.models = Gone([])
    lab.ticket("TICKET-1", **body(**NO_PLAN))
    lab.run()
    assert "it was deleted" in lab.asks("TICKET-1", "question").summary


# Room -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["notes", "constraints"])
def test_a_task_that_no_context_holds_is_said_and_asks_nobody_for_ever(lab: Lab, key: str) -> None:
    script = Scripted([NEW, "DONE"], context=2048)
    lab.models = script
    much = "much to know " * 700 if key == "notes" else ["mind this and that of it all"] * 200
    lab.ticket("TICKET-1", **body(**{key: much}, **NO_PLAN))
    lab.run()
    found = lab.asks("TICKET-1", "question")
    assert "2048 tokens" in found.summary
    assert "the task does not fit" in found.summary
    assert not script.requests
    lab.models = Scripted([NEW, "DONE"])
    lab.say(words.answer, found.id, found.digest, "try again")
    lab.run()
    assert lab.asks("TICKET-1")


def test_a_task_that_takes_most_of_a_context_is_worked_on_without_a_map(lab: Lab) -> None:
    script = Scripted([NEW, "DONE"], context=4096)
    lab.models = script
    lab.ticket("TICKET-1", **body(notes="mine.txt " * 500, **NO_PLAN))
    lab.run()
    assert lab.asks("TICKET-1")
    assert "# The repository" not in str(talked(script.requests[0]))


def test_a_long_file_is_not_taken_whole(lab: Lab) -> None:
    long = "".join(f"a line that is number {n}\n" for n in range(400))
    lab.commit({"long.txt": long})
    assert "too many to be written whole" in told(lab, whole("long.txt", f"{long}more\n"))


def test_a_long_output_leaves_room_for_the_rest_in_a_small_context(lab: Lab) -> None:
    lab.commit({"long.txt": "".join(f"a line that is number {n}\n" for n in range(2000))})
    script = Scripted(
        ["READ long.txt", "READ long.txt:300-700", "RUN cat long.txt", NEW, "DONE"], context=4096
    )
    lab.models = script
    lab.ticket("TICKET-1", **body(**NO_PLAN))
    lab.run()
    assert lab.asks("TICKET-1")
    for request in script.requests:
        size = sum(len(message.content) for message in request.messages)
        assert size / 3.2 + request.most < 4096
        assert request.most >= 512


def test_the_front_stays_the_same_through_everything_that_is_said(lab: Lab) -> None:
    """Comments, a denied merge, a question, hands, the ladder: what was sent is only ever added to."""
    first = ["READ mine.txt", "ASK What?\n- a\n- b", NEW, "DONE"]
    then = ["nothing of use", "RUN ls", whole("new.txt", "2\n"), "DONE", "SEARCH first", "DONE"]
    script = Scripted([*first, *then])
    lab.models = script
    lab.ticket("TICKET-1", **body(**NO_PLAN))
    lab.run()
    lab.say(words.comment, "TICKET-1", "mind the tests")
    found = lab.asks("TICKET-1", "question")
    lab.say(words.answer, found.id, found.digest, "a")
    lab.run()
    lab.deny("TICKET-1", "say it better")
    lab.run()
    lab.asks("TICKET-1")
    lab.say(words.take_over, "TICKET-1")
    lab.run()
    (lab.workspace.worktree("TICKET-1", 1) / "new.txt").unlink()
    lab.say(words.hand_back, "TICKET-1")
    lab.run()
    assert len(script.requests) >= 9
    for before, after in zip(script.requests, script.requests[1:], strict=False):
        assert talked(after)[: len(talked(before))] == talked(before)


def test_a_disk_that_is_full_when_a_reply_is_kept_costs_one_call(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, full = durable.replace, [OSError(errno.ENOSPC, "No space left on device")]

    def replace(path: Path, data: bytes) -> None:
        if path.parent == lab.workspace.flight("TICKET-1", 1) and full:
            raise full.pop()
        real(path, data)

    monkeypatch.setattr(durable, "replace", replace)
    script = Scripted([NEW, NEW, "DONE"])
    lab.models = script
    lab.ticket("TICKET-1", **body(**NO_PLAN))
    with lab.engine():
        lab.approve("TICKET-1")
        lab.wait("TICKET-1", "landed")
    assert lab.events(type_="engine.paused")
    assert script.requests[0].digest == script.requests[1].digest
    lab.intact()


def test_two_tickets_at_once_keep_their_conversations_apart(lab: Lab) -> None:
    both = threading.Barrier(2, timeout=30)

    def reply(request: Request, _: int) -> str:
        name = "one" if "one.txt" in request.messages[1].content else "two"
        assert ("two.txt" in str(talked(request))) == (name == "two")
        if len(request.messages) == 2:
            both.wait()
            return whole(f"{name}.txt", f"{name}\n")
        return "DONE"

    lab.models = Scripted(reply)
    for number, name in enumerate(("one", "two"), 1):
        lab.ticket(
            f"TICKET-{number}",
            **body(goal=f"Add the file {name}.txt", accept=[{"run": f"test -f {name}.txt"}], **NO_PLAN),
        )
    with lab.engine():
        until(lambda: len(lab.inbox() or ()) == 2, "both to be done")
    assert {each.subject["changed"][0] for each in lab.inbox()} == {"one.txt", "two.txt"}
