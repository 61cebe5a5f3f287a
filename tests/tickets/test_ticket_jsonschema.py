"""The JSON Schema is valid, agrees with the loader, and templates pass both."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from test_load import CODE_EXAMPLE, TRAIN_EXAMPLE
from ticket_doubles import KINDS, Kind, Strict, load

from tickets.jsonschema import ticket_schema
from tickets.load import load_text
from tickets.problems import TicketError
from tickets.templates import template

SCHEMA = ticket_schema(KINDS)
VALIDATOR = Draft202012Validator(SCHEMA)

FULL = {
    "kind": "run",
    "goal": "Do something good",
    "accept": [
        "standard",
        {"run": "x", "red": True},
        {"metric": "m", "max": 1},
        {"file": "a/b", "contains": "c"},
        {"judge": "good?", "min": 0.5},
        {"human": "good?"},
    ],
    "needs": ["TICKET-001"],
    "labels": ["M0"],
    "when": "0 3 * * 1-5",
    "persona": "coder",
    "paths": ["src/**"],
    "constraints": ["no new dependency"],
    "with": {"steps": ["make", {"run": "make test", "ok": [0, 1]}]},
    "risks": [{"risk": "a", "then": "b"}],
    "rollback": {"sh": "make undo"},
    "budget": {"time": "1h30m", "turns": 3, "tokens": 1000, "vram": "22GB", "usd": 1.5},
    "approve": ["core", "network"],
    "notes": "why",
}


def accepts(document):
    try:
        load(json.dumps(document))
    except TicketError:
        return False
    return True


def test_the_schema_is_a_schema_and_knows_all_fifteen_keys():
    Draft202012Validator.check_schema(SCHEMA)
    assert len(SCHEMA["properties"]) == 15
    assert set(SCHEMA["properties"]) == set(FULL)
    assert all("description" in each for each in SCHEMA["properties"].values())
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_examples_and_every_key_pass_both():
    for text in (CODE_EXAMPLE, TRAIN_EXAMPLE):
        assert list(VALIDATOR.iter_errors(load(text).spec)) == []
    assert accepts(FULL)
    assert list(VALIDATOR.iter_errors(FULL)) == []


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "rnu"},
        {"goal": "short"},
        {"goal": 12345678},
        {"accept": []},
        {"accept": [{"run": "x", "rde": True}]},
        {"accept": [{"metric": "m"}]},
        {"accept": [{"metric": "m", "min": 1, "max": 2}]},
        {"accept": [{"run": "x", "human": "y"}]},
        {"with": {}},
        {"with": {"steps": [{"rn": "x"}]}},
        {"kind": "code", "with": {}, "accept": [{"human": "good?"}]},
        {"needs": ["TICKET-X"]},
        {"needs": ["TICKET-1", "TICKET-1"]},
        {"approve": ["strat"]},
        {"budget": {"time": "90"}},
        {"budget": {"time": None}},
        {"rollback": "undo"},
        {"persona": "../x"},
        {"paths": ["/etc"]},
        {"labels": None},
        {"goall": "x"},
    ],
)
def test_what_editors_mark_the_loader_refuses_too(change):
    document = FULL | change
    assert not VALIDATOR.is_valid(document)
    assert not accepts(document)


VALUES = st.sampled_from(
    [
        None,
        True,
        0,
        1,
        -1,
        1.5,
        "",
        " ",
        "x",
        "run",
        "code",
        "datagen",
        "TICKET-001",
        "now",
        "idle",
        "1h",
        "5GB",
        "revert",
        "phase:1",
        "sh: x",
        "standard",
        "merge",
        "Do something good",
        [],
        {},
        ["x"],
        ["x", "x"],
        [1],
        {"run": "x"},
        {"sh": "x"},
        {"metric": "m", "min": 1},
        {"steps": ["x"]},
        {"recipe": "a", "count": 3},
    ]
)


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_a_mutated_ticket_is_never_marked_by_the_schema_and_loaded_all_the_same(data):
    document = copy.deepcopy(FULL)
    for _ in range(data.draw(st.integers(1, 3))):
        spot = document
        while True:
            keys = list(spot) if isinstance(spot, dict) else list(range(len(spot)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            inner = spot[key]
            if isinstance(inner, dict | list) and inner and data.draw(st.booleans()):
                spot = inner
                continue
            match data.draw(st.sampled_from(["set", "drop", "add"])):
                case "set":
                    spot[key] = copy.deepcopy(data.draw(VALUES))
                case "drop":
                    del spot[key]
                case "add" if isinstance(spot, dict):
                    spot[data.draw(st.sampled_from(["min", "red", "extra", "sh", "ok"]))] = copy.deepcopy(
                        data.draw(VALUES)
                    )
                case _:
                    spot.append(copy.deepcopy(data.draw(VALUES)))
            break
    if not VALIDATOR.is_valid(document):
        assert not accepts(document)


# Templates


GOALS = [
    "Do something good",
    "12:30 is the time",
    "no: a # b",
    'say "hi" \\ there',
    "[x] {y}, *z &q !t",
    "- a list item",
    "1234567890",
    "nullnull null",
    "ünïcode 💥 goal",
    "'single quoted'",
    "trailing colon:",
]


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("goal", GOALS)
def test_a_template_loads_and_keeps_the_goal_to_the_letter(kind, goal):
    text = template(kind, goal, KINDS[kind])
    loaded = load_text(text.encode(), "tickets/TICKET-001.yaml", KINDS)
    assert loaded.ticket.goal == goal
    assert loaded.ticket.kind == kind
    assert VALIDATOR.is_valid(loaded.spec)


def test_a_template_fills_in_what_the_kind_must_have():
    class Inner(Strict):
        word: str
        size: float

    class Options(Strict):
        mode: str
        level: int
        deep: Inner
        names: list[str]
        quick: bool
        limit: int = 7

    text = template("own", "Do something good", Kind("own", Options, output="artifact"))
    assert "  # limit: 7\n" in text
    assert "human:" in text
    loaded = load_text(text.encode(), "TICKET-001.yaml", {"own": Kind("own", Options)})
    assert loaded.options.model_dump()["deep"].keys() == {"word", "size"}


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=8, max_size=40))
def test_any_goal_is_kept_or_refused(goal):
    try:
        text = template("run", goal, KINDS["run"])
    except TicketError as error:
        assert all(problem.field in ("goal", "ticket") for problem in error.problems)
        return
    assert load(text).ticket.goal == goal


def test_a_goal_that_no_ticket_may_have_is_refused():
    with pytest.raises(TicketError, match="expected at least 8"):
        template("run", "short", KINDS["run"])
    for goal in ("lone \ud800 half", "stray \udc80 byte", "escape \x1b[31m red", "two\nlines here"):
        with pytest.raises(TicketError):
            template("run", goal, KINDS["run"])
