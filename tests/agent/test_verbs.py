"""Replies become verbs as models really write them; what may be incomplete or another's is refused."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written_replies import written

from orchestrator.agent.replies import MOST, parse
from orchestrator.agent.verbs import Ask, Block, Done, Edit, Malformed, Read, Run, Search, Verb

MARKS = "<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n"
A_TO_B = Edit("a.py", (Block("a\n", "b\n"),))
X = Edit("a.py", whole="x = 1\n")


@pytest.mark.parametrize(
    ("reply", "verb"),
    [
        ("READ a.py", Read("a.py")),
        ("READ a.py:10-40", Read("a.py", 10, 40)),
        ("READ a.py:10", Read("a.py", 10, 10)),
        ("READ a.py:10-", Read("a.py", 10, 0)),
        ("READ a.py lines 10-40", Read("a.py", 10, 40)),
        ("READ `a.py` (lines 10 to 40)", Read("a.py", 10, 40)),
        ("READ a.py#L10-L40", Read("a.py", 10, 40)),
        ("READ a.py:40-10", Read("a.py", 10, 40)),
        ("**READ** ./src//a.py", Read("src/a.py")),
        ("READ: src\\a.py", Read("src/a.py")),
        ('READ "my notes.txt"', Read("my notes.txt")),
        ("READ [a.py](a.py)", Read("a.py")),
        ('READ(path="a.py")', Read("a.py")),
        ("READ\na.py", Read("a.py")),
        ("1. READ a.py\n2. EDIT a.py\n3. RUN pytest", Read("a.py")),
        ("I have to look first.\r\n\r\nREAD a.py\r\n", Read("a.py")),
        ("I should read the file.\n\nread src/a.py", Read("src/a.py")),
        ("<think>EDIT or READ b.py?\nREAD b.py\n</think>\nREAD a.py", Read("a.py")),
        ("READ b.py would help.\n</think>\n\nREAD a.py", Read("a.py")),
        ("SEARCH def parse", Search("def parse")),
        ("### SEARCH: `def parse`", Search("def parse")),
        ('- SEARCH "a b"', Search("a b")),
        ("RUN pytest -q", Run("pytest -q")),
        ("`RUN ls | wc`", Run("ls | wc")),
        ("RUN `pytest -q`", Run("pytest -q")),
        ("RUN echo `date` | wc", Run("echo `date` | wc")),
        ("RUN $ ls *.py", Run("ls *.py")),
        ("RUN\n```bash\ncd src\nls\n```", Run("cd src\nls")),
        ("RUN ```\nls\n```", Run("ls")),
        ("RUN a \\\n  b\nDONE", Run("a \\\n  b")),
        ("RUN cat > x <<'EOF'\nREAD y\nEOF\nDONE", Run("cat > x <<'EOF'\nREAD y\nEOF")),
        ("run: pytest", Run("pytest")),
        ("DONE both tests pass", Done("both tests pass")),
        ("done", Done("")),
        ("**Done:** it holds", Done("it holds")),
        (
            "ASK Which one?\n- The first\n- The second (recommended)",
            Ask("Which one?", ("The first", "The second"), 1),
        ),
        ("ASK\nWhich one?\n1. A\n2. **B** (Recommended)\n", Ask("Which one?", ("A", "**B**"), 1)),
        ("ASK May I?", Ask("May I?")),
    ],
)
def test_an_action_is_found_however_it_is_dressed(reply: str, verb: Verb) -> None:
    assert parse(reply) == verb


@pytest.mark.parametrize(
    "reply",
    [
        "EDIT a.py\n```python\nx = 1\n```",
        "**EDIT** `a.py`:\n\nHere it is:\n\n```\nx = 1\n```\n\nDONE it is set",
        "### EDIT: ./a.py\n~~~py\nx = 1\n~~~",
        "edit a.py\n``````\nx = 1\n``````",
        "EDIT a.py ```python\nx = 1\n```",
        "EDIT a.py (new file)\n```python\nx = 1",
        "```\nEDIT a.py\n```python\nx = 1\n```\n```",
        "```\nEDIT a.py\nx = 1\n```",
        "````\nEDIT a.py\n```\nx = 1\n```\n````\n",
        "EDIT\na.py\n```\nx = 1\n```",
        "- EDIT a.py\n  ```\n  x = 1\n  ```",
        "EDIT a.py\r\n```\r\nx = 1\r\n```\r\nDONE\r\n",
        "1. EDIT a.py\n2. DONE\n\nEDIT a.py\n```\nx = 1\n```",
        json.dumps({"name": "write_file", "arguments": {"path": "a.py", "content": "x = 1\n"}}),
        json.dumps({"name": "edit", "arguments": json.dumps({"path": "a.py", "content": "x = 1\n"})}),
        "```json\n"
        + json.dumps([{"function": {"name": "EDIT", "arguments": {"path": "a.py", "content": "x = 1\n"}}}]),
        "<function=edit><parameter=path>\na.py\n</parameter><parameter=content>\nx = 1\n\n</parameter>",
    ],
)
def test_a_whole_file_is_read_from_its_fence(reply: str) -> None:
    assert parse(reply) == X


@pytest.mark.parametrize(
    "reply",
    [
        "EDIT a.py\n" + MARKS,
        "EDIT a.py\n```python\n" + MARKS + "```\nDONE",
        "EDIT a.py\n```python\na.py\n" + MARKS + "```",
        "a.py\n```python\n" + MARKS + "```",
        "```python a.py\n" + MARKS + "```",
        "**a.py**\n" + MARKS,
        "EDIT a.py\n<<<<< ORIGINAL\na\n=====\nb\n>>>>> UPDATED",
        "EDIT a.py\n<<<<<<< search\na\n========\nb\n>>>>>> replace:\n",
        "EDIT a.py\n  <<<<<<< SEARCH\n  a\n  =======\n  b\n  >>>>>>> REPLACE",
        "EDIT a.py\n" + MARKS + "\nb.py\n```\n" + MARKS + "```",
        json.dumps(
            {"name": "str_replace", "arguments": {"path": "a.py", "old_str": "a\n", "new_str": "b\n"}}
        ),
        json.dumps({"tool": "replace_in_file", "args": {"path": "a.py", "diff": MARKS}}),
    ],
)
def test_blocks_are_read_in_every_usual_form(reply: str) -> None:
    assert parse(reply) == A_TO_B


def test_blocks_keep_their_order_and_a_longer_mark_holds_lines_like_marks() -> None:
    text = "T\n=======\n"
    reply = f"EDIT a.rst\n{MARKS}<<<<<<<<< SEARCH\n{text}=========\nU\n{text}>>>>>>>>> REPLACE\n"
    assert parse(reply) == Edit("a.rst", (Block("a\n", "b\n"), Block(text, "U\n" + text)))


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ("", "empty"),
        ("I would start with the tests.", "no action"),
        ("Search for the function and then read the rest.", "no action"),
        ("x = 1 is set here:\n```python\nx = 1\n```", "EDIT path/to/file"),
        ("a.py\n```python\nx = 1\n```", "EDIT path/to/file"),  # a snippet in prose looks the same
        ("EDIT a.py\nDONE all is set", "no fence and no block"),
        ("EDIT a.py\n```\nx = 1\n\nDONE it is set", "not closed"),
        ("EDIT the file\n```\nx\n```\nDONE", "is no path"),
        ("EDIT a.md\n```md\na\n```\nb\n```\nc\n```", "````"),
        ("EDIT a.py\n```\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-a\n+b\n```", "diffs are not taken"),
        ("EDIT a.py\n```diff\n-a\n+b\n```", "<<<<<<< SEARCH"),
        ("*** Begin Patch\n*** Update File: a.py\n@@\n-a\n+b", "Diffs are not taken"),
        ("EDIT a.py\n<<<<<<< SEARCH\na\n>>>>>>> REPLACE", "no ======= line"),
        ("EDIT a.py\n<<<<<<< SEARCH\na\n=======\nb\n```", "not closed"),
        ("EDIT a.py\n<<<<<<< SEARCH\na\n=======\nb\n=======\nc\n>>>>>>> REPLACE", "nine signs"),
        ("EDIT a.py\n```\nimport os\n" + MARKS + "```", "other lines as well"),
        ("EDIT ../a.py\n```\nx\n```", "`..`"),
        ("EDIT src/../../a.py\n```\nx\n```", "`..`"),
        ("EDIT src/\n```\nx\n```", "folder"),
        ("READ /etc/passwd", "absolute"),
        ("READ C:\\a.py", "absolute"),
        ("READ ~/a.py", "absolute"),
        (MARKS, "no line `EDIT"),
        ("RUN", "missing"),
        ("RUN cat > a.py <<EOF\nx = 1\n", "not complete"),
        ("ASK Which?\n" + "- x\n" * 9, "too many"),
        (json.dumps({"name": "edit", "arguments": {"path": "a.py"}}), "not show clearly"),
        (json.dumps({"name": "read", "arguments": {"path": "/a.py"}}), "absolute"),
    ],
)
def test_what_is_not_clear_is_refused_with_the_right_form(reply: str, says: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(reply)
    assert says in str(caught.value)
    assert any(
        form in str(caught.value) for form in ("READ path", "EDIT path", "RUN command", "ASK the question")
    )


@pytest.mark.parametrize(
    "broken", ["EDIT a.py", "EDIT a.py\n<<<<<<< SEARCH\na\n=======\nb", "EDIT a b.py\n```\nx\n```"]
)
@pytest.mark.parametrize("after", ["DONE", "RUN pytest", "READ b.py"])
def test_what_follows_a_broken_edit_is_not_done_instead(broken: str, after: str) -> None:
    with pytest.raises(Malformed):
        parse(f"{broken}\n{after}")


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "",
                "x = 1",
                "    y",
                "```",
                "```python",
                "    ```",
                "READ a.py",
                "DONE",
                "EDIT b.py",
                "=======",
                "=====",
                *("<<<<<<< SEARCH", ">>>>>>> REPLACE", "# T", "</think>", "- a", "\tz", " "),
            ]
        ),
        st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20),
    ),
    min_size=1,
    max_size=12,
).map(lambda lines: "".join(line + "\n" for line in lines))


@settings(max_examples=100, deadline=None)
@given(text=LINES, after=st.sampled_from(["", "DONE it is\n", "\nThat is all.\n"]))
def test_a_whole_file_comes_back_as_it_was_written_or_is_refused(text: str, after: str) -> None:
    try:
        verb = parse(written(Edit("src/a.md", whole=text), "md") + after)
    except Malformed:
        assert any(sign in text for sign in ("```", "<<<<<"))  # only then may there be doubt
        return
    blocks = isinstance(verb, Edit) and verb.blocks  # a file that is nothing but blocks reads as blocks
    assert verb == Edit("src/a.md", whole=text) or (blocks and text.lstrip().startswith("<<<<<<< SEARCH"))


@settings(max_examples=100, deadline=None)
@given(blocks=st.lists(st.tuples(LINES, LINES), min_size=1, max_size=3))
def test_blocks_come_back_as_they_were_written_or_are_refused(blocks: list[tuple[str, str]]) -> None:
    edit = Edit("a.py", tuple(Block(*pair) for pair in blocks))
    try:
        assert parse(written(edit)) == edit
    except Malformed:
        assert any(sign in text for pair in blocks for text in pair for sign in ("<<<<<", "=====", ">>>>>"))


@settings(max_examples=100, deadline=None)
@given(
    st.text(max_size=200)
    | st.lists(st.sampled_from(["EDIT", "READ a", "```", "{", '"name":', "\n", MARKS, " "])).map("".join)
)
def test_any_text_is_a_verb_or_malformed(text: str) -> None:
    try:
        verb = parse(text)
    except Malformed as fault:
        assert str(fault)
        return
    if isinstance(verb, Read | Edit):
        assert not verb.path.startswith("/") and ".." not in verb.path.split("/")


@pytest.mark.parametrize(
    "piece",
    [
        *("`", "```\n", "~~~\n", "<<<<<<< SEARCH\n", "=======\n", MARKS, "<<<<<< SEARCH\na\n>>>>> REPLACE\n"),
        *(
            " ",
            "\t\n",
            "EDIT ",
            "EDIT a\n",
            "EDIT a\n```\n",
            "EDIT a b ```\n",
            "READ x y\n",
            "RUN\n",
            "ASK x\n",
        ),
        *(
            "{",
            "[",
            '{"name":"edit",',
            "<think>",
            "</think>\n",
            "- x\n",
            "*",
            "# ",
            "a:1-",
            "(",
            "\\\n",
            "<<EOF ",
        ),
        *('"', "> ", "<parameter=a>"),
    ],
)
@pytest.mark.parametrize("before", ["", "EDIT a.py\n", "EDIT a.py\n```\n", "RUN ", "READ ", "ASK "])
def test_hostile_replies_take_time_in_step_with_their_length(piece: str, before: str) -> None:
    def seconds(size: int) -> float:
        text = before + piece * (size // len(piece))
        start = time.process_time()
        with contextlib.suppress(Malformed):
            parse(text)
        return time.process_time() - start

    # quadratic time would be a hundred times as much, and minutes for a megabyte
    small = max(seconds(20_000), 0.01)
    assert seconds(200_000) < 40 * small


def test_a_megabyte_is_read_and_more_is_refused() -> None:
    text = "x = 1\n" * 170_000
    assert parse(f"EDIT a.py\n```\n{text}```") == Edit("a.py", whole=text)
    with pytest.raises(Malformed):
        parse("x" * (MOST + 1))
