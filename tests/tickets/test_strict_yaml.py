"""The YAML layer: YAML 1.2's scalars, everything odd refused, places exact, no input that surprises."""

import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tickets import strict_yaml
from tickets.strict_yaml import MOST_BYTES, MOST_LEVELS, read


@pytest.fixture(params=["libyaml", "pure"])
def parser(request, monkeypatch):
    if request.param == "pure":
        monkeypatch.setattr(strict_yaml, "EVENTS", yaml.BaseLoader)
    elif not yaml.__with_libyaml__:
        pytest.skip("PyYAML was built without libyaml")


def value(text):
    document = read(f"a: {text}\n".encode(), "f")
    assert document.problems == []
    return document.root.value["a"]


def faults(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return [(p.line, p.column, p.field, p.message.split(", expected")[0]) for p in read(raw, "f").problems]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1e-4", 1e-4),
        ("1.5E+3", 1500.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-0", 0),
        ("+7", 7),
        ("010", 10),
        ("0o17", 15),
        ("0x1f", 31),
        ("-0x1f", "-0x1f"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("12:30:45", "12:30:45"),
        ("0b11", "0b11"),
        ("2026-01-01", "2026-01-01"),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("true", True),
        ("True", True),
        ("TRUE", True),
        ("tRUE", "tRUE"),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("nUll", "nUll"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("=", "="),
        ("1e", "1e"),
        ("1.2.3", "1.2.3"),
        ("0.0e5", 0.0),
        ("0e999", 0.0),
        (str(2**63 - 1), 2**63 - 1),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(parser, text, meant):
    found = value(text)
    assert found == meant
    assert type(found) is type(meant)


@pytest.mark.parametrize(
    "text", [".inf", "-.Inf", ".NaN", "1e999", "-1e999", "1e-999", str(2**63), "9" * 5000, "0x" + "f" * 90]
)
def test_numbers_that_no_machine_holds_are_refused(parser, text):
    (fault,) = faults(f"a: {text}")
    assert fault[:3] == (1, 4, "a")
    assert value(f"'{text}'") == text


def test_the_merge_key_is_a_key_like_any_other(parser):
    assert read(b"<<: {a: 1}", "f").root.value == {"<<": {"a": 1}}


def test_all_that_is_odd_is_reported_at_once_and_in_place(parser):
    text = (
        "a: &x 1\n"
        "b: !!str 2\n"
        "a: 3\n"
        "c: [ok, *x]\n"
        "1: one\n"
        "true: {d: *x}\n"
        "? [k]\n"
        ": v\n"
        'e: "\\x1b[31m"\n'
        "f: {g: 1, g: 2}\n"
        "---\n"
        "second: document\n"
    )
    assert faults(text) == [
        (1, 4, "a", "has the anchor &x"),
        (2, 4, "b", "has the tag 'tag:yaml.org,2002:str'"),
        (3, 1, "a", "is a key for the second time (first on line 1)"),
        (4, 9, "c[1]", "is the alias *x"),
        (5, 1, "ticket", "has 1 as a key"),
        (6, 1, "ticket", "has true as a key"),
        (6, 11, "['?'].d", "is the alias *x"),
        (7, 3, "ticket", "has a list as a key"),
        (9, 4, "e", "has the control character U+001B as an escape"),
        (10, 11, "f.g", "is a key for the second time (first on line 10)"),
        (11, 1, "ticket", "starts a second document"),
    ]


def test_the_first_of_two_equal_keys_counts(parser):
    document = read(b"a: 1\na: {b: *x}\n", "f")
    assert document.root.value == {"a": 1}
    assert document.holes == set()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_places_count_characters_from_one(parser, end):
    text = end.join(["# ünïcode 💥", "é😀: 💥", '"😀": *a', "b:", "  - 💥 x", "  - {c: *d}"])
    assert [fault[:2] for fault in faults(text)] == [(3, 6), (6, 9)]


def test_places_of_keys_and_values_are_kept(parser):
    root = read(b"a:\n  bb: [x,  {c: y}]\n", "f").root
    inner = root.items["a"]
    assert root.keys["a"] == (1, 1)
    assert inner.keys["bb"] == (2, 3)
    assert (inner.line, inner.column) == (2, 3)
    listed = inner.items["bb"]
    assert [(node.line, node.column) for node in listed.items] == [(2, 8), (2, 12)]
    assert (listed.items[1].items["c"].line, listed.items[1].items["c"].column) == (2, 16)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b"a: x\x00y", (1, 5)),
        (b"a: 1\nb: \x1b[31m", (2, 4)),
        ("a: \u202ereversed".encode(), (1, 4)),
        ("a: b\u2028c d".encode(), (1, 5)),
        ("a: b\x85c".encode(), (1, 5)),
        ("a: \ufeff".encode(), (1, 4)),
        ("a: x\U000e0041".encode(), (1, 5)),
        (b"a: \xff", (1, 4)),
        ("é: 1\n".encode() + b"b: \xc3\x28", (2, 4)),
        (b"\xff\xfea\x00:\x00", (1, 1)),
        (b"a: \xed\xa0\x80", (1, 4)),
        (b"", (1, 1)),
        (b"# nothing\n", (1, 1)),
        (b"a: [1, 2\nb: 3\n", (2, 2)),
        (b"a: b: c", (1, 5)),
        (b"%YAML 1.1\n---\na: 1", (1, 1)),
        (b"%TAG ! tag:x,2000:\n---\na: 1", (1, 1)),
        (b'a: "\\UFFFFFFFF"', (1, 7)),
    ],
)
def test_what_is_no_text_or_no_yaml_is_refused_where_it_stands(parser, text, place):
    found = faults(text)
    assert len(found) == 1
    assert found[0][:2] == place


def test_escaped_surrogates_never_become_text(parser):
    assert faults('a: "\\ud83d"')


def test_a_byte_order_mark_and_an_explicit_1_2_are_fine():
    assert read("\ufeffa: 1".encode(), "f").problems == []
    assert read(b"%YAML 1.2\n---\na: 1\n...\n", "f").problems == []


def test_size_and_depth_are_limited_exactly(parser):
    start = b"a: "
    assert read(start + b"x" * (MOST_BYTES - 3), "f").problems == []
    assert read(start + b"x" * (MOST_BYTES - 2), "f").root is None
    assert read(b"[" * MOST_LEVELS + b"]" * MOST_LEVELS, "f").problems == []
    deep = read(b"[" * (MOST_LEVELS + 1) + b"]" * (MOST_LEVELS + 1), "f")
    assert deep.root is None
    assert (deep.problems[0].line, deep.problems[0].column) == (1, MOST_LEVELS + 1)


@pytest.mark.parametrize(
    "unit",
    [
        "[",
        "- ",
        "? ",
        "[? ,",
        "{a: ",
        "---\n",
        "%TAG ! x\n",
        "1",
        "&a ",
        "!a ",
        "*a ",
        "\\",
        "\x07",
        "k:\n",
        '"\n',
    ],
)
def test_repetition_costs_no_more_than_its_length(unit):
    began = time.process_time()
    read((unit * MOST_BYTES)[:MOST_BYTES].encode(), "f")
    assert time.process_time() - began < 10  # what is not linear takes minutes


def test_ten_to_the_ninth_laughs_are_not_expanded():
    lines = ["a: &a [x, x]"] + [
        f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]" for i in range(20)
    ]
    document = read("\n".join(lines).encode(), "f")
    assert len(document.problems) == 21 + 40
    assert document.root.value["u"] == [None, None]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_read_or_refused(data):
    document = read(data, "f")
    assert document.root is not None or document.problems


PIECES = [
    "a",
    "1",
    ": ",
    ":",
    "- ",
    "\n",
    "  ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "&x ",
    "*x",
    "!t ",
    "|",
    ">",
    "'",
    '"',
    "#",
    "?",
    "\t",
    "---",
    "é",
    "\\",
    "%",
    "~",
    "0x",
    ".5e",
]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join), st.booleans())
def test_random_yaml_is_read_or_refused_by_either_parser(text, pure):
    normal = strict_yaml.EVENTS
    strict_yaml.EVENTS = yaml.BaseLoader if pure else normal
    try:
        document = read(text.encode(), "f")
    finally:
        strict_yaml.EVENTS = normal
    assert document.root is not None or document.problems
    for problem in document.problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert str(problem).isprintable()
