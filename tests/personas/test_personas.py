"""Personas: what is shipped teaches what is parsed, a project's file counts first, a fault has its place."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator import personas
from orchestrator.agent import plan, replies, verbs
from orchestrator.kinds.base import installed
from tickets.load import load_text
from tickets.problems import TicketError

SHIPPED = sorted(personas.names(None))
FILE = """\
describe: says hello
model: quick
prompt:
  role: You greet.
  format: "{verbs}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "personas"
    made.mkdir()
    return made


def problems(folder: Path, text: str) -> list[str]:
    (folder / "own.yaml").write_text(text)
    with pytest.raises(TicketError) as refused:
        personas.load("own", folder)
    return [str(problem) for problem in refused.value.problems]


def test_ten_are_shipped_and_the_agent_s_own_are_among_them() -> None:
    assert len(SHIPPED) == 10
    assert {"planner", "critic", "coder", "frontend"} <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_prompt_is_complete_short_and_the_same_each_time(name: str) -> None:
    persona = personas.load(name, None)
    prompt = personas.render(persona, 120)
    assert prompt == personas.render(persona, 120)
    assert "{verbs}" not in prompt and "{whole_file}" not in prompt
    assert len(prompt) < 4_000
    assert prompt.startswith(persona.prompt.role.strip()) and "# Your reply" in prompt
    assert not re.search(r"\b20\d\d-\d\d|\b\d\d:\d\d\b|TICKET-\d", prompt), "no clock, no id"
    assert not re.search(r"(?i)\b(gpt|qwen|llama|claude|gemma)\b", prompt), "a persona knows no model"
    assert persona.examples and len(persona.prompt.constraints) <= 10


@pytest.mark.parametrize("name", SHIPPED)
def test_a_prompt_is_the_same_in_another_process(name: str) -> None:
    code = "import sys; from orchestrator.personas import *; print(render(load(sys.argv[1], None)), end='')"
    done = subprocess.run([sys.executable, "-c", code, name], capture_output=True, check=True)
    assert done.stdout.decode() == personas.render(personas.load(name, None))


@pytest.mark.parametrize("name", sorted(personas.working(None)))
def test_an_example_of_an_agent_is_one_action_that_the_parser_takes(name: str) -> None:
    persona = personas.load(name, None)
    for example in persona.examples:
        verb = replies.parse(example.reply)
        if isinstance(verb, verbs.Edit):
            assert verb.whole, "what is shown is right whatever the longest file is"
            assert verb.path not in example.user.splitlines(), "and so it is a new file"


def test_both_forms_of_an_edit_that_are_taught_can_be_parsed() -> None:
    taught = re.findall(r"^EDIT path\n```\n.*?\n```$", personas.VERBS, re.DOTALL | re.MULTILINE)
    whole, blocks = (replies.parse(each) for each in taught)
    assert isinstance(whole, verbs.Edit) and isinstance(blocks, verbs.Edit)
    assert whole.whole and not whole.blocks
    assert [(b.search.strip(), b.replace.strip()) for b in blocks.blocks] == [
        ("lines as they stand", "lines that come in their place")
    ]
    for verb in ("READ", "SEARCH", "RUN", "EDIT", "DONE", "ASK"):
        assert re.search(rf"^{verb} ", personas.VERBS, re.MULTILINE)


def test_the_longest_file_that_is_rewritten_whole_is_the_model_s() -> None:
    coder = personas.load("coder", None)
    assert "at most 80 lines" in personas.render(coder, 80)
    assert "at most 300 lines" in personas.render(coder, 300)


@pytest.mark.parametrize(
    ("name", "form"), [("planner", plan.Plan), ("critic", plan.Verdict), ("reviewer", plan.Verdict)]
)
def test_what_a_schema_asks_for_is_what_is_read(name: str, form: Any) -> None:
    persona = personas.load(name, None)
    schema = persona.schema_ or {}
    assert next(iter(schema["properties"])) == "reason", "the reason is written before the answer"
    assert set(schema["properties"]) == set(form.model_fields)
    for example in persona.examples:
        plan.read(example.reply, form)
        value = json.loads(example.reply)
        assert list(value) == list(schema["properties"]) and set(schema["required"]) == set(value)


def test_a_plan_has_at_most_as_many_subtasks_as_are_read() -> None:
    subtasks = (personas.load("planner", None).schema_ or {})["properties"]["subtasks"]
    plan.Plan.model_validate({"reason": "", "subtasks": [{"title": "a"}] * subtasks["maxItems"]})


def test_the_project_s_own_file_counts_before_the_shipped_one(folder: Path) -> None:
    (folder / "coder.yaml").write_text(FILE)
    (folder / "greeter.yaml").write_text(FILE)
    assert personas.load("coder", folder).describe == "says hello"
    assert personas.load("coder", None).describe != "says hello"
    assert set(personas.installed(folder)) == {*SHIPPED, "greeter"}
    assert personas.roles(["coder", "planner", "nobody"], folder) == {"quick", "planner"}


def test_a_persona_that_replies_with_json_works_on_no_ticket(folder: Path) -> None:
    (folder / "greeter.yaml").write_text(FILE)
    (folder / "broken.yaml").write_text("describe: [")
    (folder / "plain.yaml").write_text(FILE.replace('"{verbs}"', "One line."))
    working = personas.working(folder)
    assert {"coder", "writer", "greeter", "broken"} <= working
    assert not {"planner", "critic", "classifier", "reviewer", "plain"} & working


def test_a_fault_is_told_with_its_place(folder: Path) -> None:
    assert problems(folder, FILE.replace("model: quick", "model: Qwen3:8b"))[0].startswith(
        "personas/own.yaml:2:8: model: "
    )
    assert "own.yaml:1:1: modle:" in problems(folder, f"modle: x\n{FILE}")[0]
    assert "own.yaml:6:7: think: " in problems(folder, f"{FILE}think: 3\n".replace('s}"\n', 's}"\n', 1))[
        0
    ].replace("6:8", "6:7")
    assert "describes no object" in problems(folder, f"{FILE}schema: {{type: string}}\n")[0]
    assert "prompt.format" in problems(folder, FILE.replace('  format: "{verbs}"\n', ""))[0]


@pytest.mark.parametrize("text", ["", "[]", "a: &a [*a]", "describe: \x00", "x" * 300_000, "describe: ]["])
def test_what_is_no_persona_is_refused(folder: Path, text: str) -> None:
    assert problems(folder, text)


@pytest.mark.parametrize("name", ["../coder", "/etc/passwd", "", "a/b", "x" * 500, "coder.yaml"])
def test_a_name_leads_to_no_other_file(folder: Path, name: str) -> None:
    with pytest.raises(TicketError):
        personas.load(name, folder)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(TicketError, match=r"there is architect.*did you mean 'coder'\?"):
        personas.load("codr", None)


def test_a_prompt_of_a_user_s_is_taken_word_by_word(folder: Path) -> None:
    (folder / "own.yaml").write_text(FILE.replace("You greet.", '"Say {name} and {0}."'))
    assert personas.render(personas.load("own", folder)).startswith("Say {name} and {0}.\n")


@pytest.mark.parametrize(
    ("think", "usual", "more", "wanted"),
    [
        ("auto", True, True, True),
        ("auto", "low", "high", "low"),
        ("never", True, True, False),
        ("never", "medium", "high", "low"),
        ("never", None, None, None),
        ("always", False, True, True),
        ("always", "low", "high", "high"),
        ("high", "low", "medium", "high"),
        ("high", False, True, True),
        ("always", None, None, None),
    ],
)
def test_a_persona_thinks_as_far_as_the_model_can(think: str, usual: Any, more: Any, wanted: Any) -> None:
    persona = personas.load("coder", None).model_copy(update={"think": think})
    assert personas.thinks(persona, usual, more) == wanted


def test_a_ticket_names_a_persona_that_works_on_tickets(folder: Path) -> None:
    (folder / "greeter.yaml").write_text(FILE)
    known = personas.working(folder)

    def told(name: str) -> list[str]:
        text = f"kind: run\ngoal: Say hello to all\npersona: {name}\naccept: [x]\nwith: {{steps: [ls]}}\n"
        try:
            load_text(text.encode(), "tickets/TICKET-001.yaml", installed(), None, known)
        except TicketError as error:
            return [str(problem) for problem in error.problems]
        return []

    assert told("coder") == told("greeter") == []
    assert told("codr")[0].startswith(
        "tickets/TICKET-001.yaml:3:10: persona: is 'codr', no persona that works"
    )
    assert "did you mean 'coder'?" in told("codr")[0]
    assert "planner" not in told("planner")[0].partition("expected")[2]


def test_a_persona_that_cannot_be_used_is_told_in_one_line(folder: Path) -> None:
    (folder / "own.yaml").write_text(FILE.replace("model: quick", "model: 7"))
    assert personas.fault(["coder", "planner"], folder) is None
    assert (personas.fault(["coder", "own"], folder) or "").startswith("personas/own.yaml:2:8: model: ")
    assert "nobody knows 'x'" in (personas.fault(["x"], folder) or "")
