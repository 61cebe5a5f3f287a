"""An edit lands in the one place that is sure, or nowhere; what it leaves stays byte for byte."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written_replies import blocks_between, written

from orchestrator.agent.cascade import EditFails, apply
from orchestrator.agent.replies import parse
from orchestrator.agent.verbs import Block, Edit

OLD = b"""\
import os


def alpha(path, mode):
    # read all of it
    with open(path) as file:
        return file.read()


def beta(path, mode):
    value = os.stat(path)

    return value
"""


def edit(*blocks: tuple[str, str], path: str = "a.py") -> Edit:
    return Edit(path, tuple(Block(*block) for block in blocks))


def whole(text: str, path: str = "a.py") -> Edit:
    return Edit(path, whole=text)


def refusal(old: bytes | None, change: Edit) -> str:
    with pytest.raises(EditFails) as caught:
        apply(old, change)
    return str(caught.value)


READ = "        return file.read()\n"


OPEN = "    with open(path) as file:\n"
FIVE = "        return 5\n"
ALPHA = "def alpha(path, mode):\n"
VALUE = "    value = os.stat(path)\n"


@pytest.mark.parametrize(
    ("how", "search", "replace", "becomes"),
    [
        ("exact", OPEN + READ, OPEN + FIVE, FIVE),
        ("trailing whitespace", OPEN.rstrip() + "  \n" + READ, OPEN.rstrip() + "  \n" + FIVE, FIVE),
        ("indentation", OPEN[4:] + READ[4:], OPEN[4:] + "    x = 1\n" + READ[4:], "        x = 1\n" + READ),
        ("indentation", "\t" + OPEN[4:] + "\t\t" + READ[8:], "\t" + OPEN[4:] + "\t\treturn 5\n", FIVE),
        ("indentation", OPEN[4:] + READ, OPEN[4:] + FIVE, FIVE),  # the first line lost its own
        ("blank lines", OPEN + "\n" + READ, OPEN + "\n" + FIVE, FIVE),
        ("blank lines", "\n" + ALPHA + "\n\n    # read all of it\n" + OPEN + READ,
         "\n" + ALPHA + "\n\n    # read all of it\n" + OPEN + FIVE, FIVE),
        ("spacing", OPEN.replace(") ", " )  ") + READ, OPEN.replace(") ", " )  ") + FIVE, FIVE),
        ("comments", OPEN.rstrip() + "  # it\n" + READ, OPEN.rstrip() + "  # it\n" + FIVE, FIVE),
        ("characters", OPEN + READ.replace("n f", "n\u00a0f"), OPEN + FIVE, FIVE),
        ("one stale line", ALPHA + "    # read all of it\n    with open(path, mode) as file:\n" + READ,
         ALPHA + "    # read all of it\n    with open(path, mode) as file:\n" + FIVE, FIVE),
        ("one stale line", ALPHA + "    # read it\n" + OPEN + READ,
         ALPHA + "    # read it\n" + OPEN + FIVE, FIVE),
    ],
)  # fmt: skip
def test_what_a_model_remembers_roughly_stays_as_the_file_has_it(
    how: str, search: str, replace: str, becomes: str
) -> None:
    applied = apply(OLD, edit((search, replace)))
    assert (applied.data.decode(), applied.how) == (OLD.decode().replace(READ, becomes), how)


def test_a_blank_line_lost_in_search_alone_or_in_both_parts_is_kept() -> None:
    for wanted in (VALUE + "\n    return 5\n", VALUE + "    return 5\n"):
        applied = apply(OLD, edit((VALUE + "    return value\n", wanted)))
        assert applied.data == OLD.replace(b"return value", b"return 5")
    refusal(
        OLD, edit((VALUE + "    return value\n", VALUE + "    x = 1\n    return value\n"))
    )  # above or below?


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("closed", [True, False])
def test_endings_mark_and_final_newline_are_kept(ending: str, mark: bytes, closed: bool) -> None:
    def as_file(text: str) -> bytes:
        return mark + (text if closed else text.rstrip("\n")).replace("\n", ending).encode()

    old = as_file(OLD.decode())
    meant = as_file(OLD.decode().replace("    return value\n", "    return 5\n"))
    change = edit(("    return value\n", "    return 5\n"))
    assert apply(old, change).data == meant
    crlf = edit(("    return value\r\n", "    return 5\r\n"))
    assert apply(old, crlf).data == meant
    assert apply(old, whole(OLD.decode().replace("return value", "return 5"))).data == meant
    more = apply(old, edit(("    return value\n", "    return value\n\n\nx = 1\n"))).data
    assert more == as_file(OLD.decode() + "\n\nx = 1\n")


def test_mixed_endings_stay_where_they_are() -> None:
    old = b"a\r\nb\nc\rd\r\ne"
    assert apply(old, edit(("c\n", "c\nnew\n"))).data == b"a\r\nb\nc\rnew\rd\r\ne"
    assert apply(old, edit(("b\n", "B\n"))).data == b"a\r\nB\nc\rd\r\ne"
    assert apply(old, whole("a\nb\nC\nd\ne\n")).data == b"a\r\nb\nC\rd\r\ne"


def test_bytes_that_are_not_utf8_are_kept_and_none_are_made_up() -> None:
    old = "# gr\u00f6\u00dfe\nsize = 1\nname = 2  # \u00fc\n".encode("latin-1")
    seen = old.decode("utf-8", "replace").split("\n")
    change = edit(("\n".join(seen[:3]) + "\n", f"{seen[0]}\nsize = 5\n{seen[2]}\n"))
    assert apply(old, change).data == old.replace(b"= 1", b"= 5")
    assert "UTF-8" in refusal(old, edit(("size = 1\n", "size = 1  # \u00e9\n")))
    assert "not text" in refusal(b"a\0b\n", edit(("a\n", "b\n")))
    assert "no text file" in refusal(OLD, edit(("import os\n", "import os\ud800\n")))


def test_blocks_land_in_the_text_that_the_model_saw() -> None:
    old = b"a = 1\nb = 2\n"
    both = edit(
        ("a = 1\n", "a = 1\nb = 2\n"), ("b = 2\n", "b = 3\n")
    )  # the first puts in what the second finds
    assert apply(old, both).data == b"a = 1\nb = 2\nb = 3\n"
    follow = edit(("a = 1\n", "a = 7\n"), ("a = 7\n", "a = 8\n"))
    assert apply(old, follow).data == b"a = 8\nb = 2\n"


def test_all_blocks_or_none() -> None:
    said = refusal(OLD, edit(("import os\n", "import sys\n"), ("no such line\n", "x\n")))
    assert "block 2 of 2" in said


def test_an_ambiguous_block_is_refused_with_the_places() -> None:
    old = b"def a():\n    return 1\n\n\ndef b():\n    return 1\n"
    said = refusal(old, edit(("    return 1\n", "    return 2\n")))
    assert "2 places" in said and "2      return 1" in said and "6      return 1" in said and "def b" in said
    again = edit(("    return 1\n", "    return 2\n"), ("    return 1\n", "    return 2\n"))
    assert "2 places" in refusal(old, again)


def test_a_refusal_shows_the_nearest_real_lines_and_the_form() -> None:
    said = refusal(OLD, edit(("def beta(path):\n    value = os.lstat(path)\n", "x\n")))
    assert "10  def beta(path, mode):" in said and "<<<<<<< SEARCH" in said
    assert "nothing in it looks like it" in refusal(OLD, edit(("{{{{{{\n", "x\n")))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (edit(("import os\n", "import os\n")), "changes nothing"),
        (whole(OLD.decode()), "changes nothing"),
        (edit(("import sys\n", "import os\n")), "applied already"),
        (edit(("", "x = 1\n")), "exists already"),
        (edit(("\n\n", "x = 1\n")), "exists already"),
        (Edit("a.py"), "no block"),
        (whole(""), "RUN rm"),
        (whole("\n\n"), "RUN rm"),
        (edit(("    return value\n", "    # ... rest unchanged\n")), "stands for code"),
        (whole("import os\n\n\n# ... existing code ...\n"), "stands for code"),
        (whole("import os\n...\n"), "stands for code"),
        (whole("import os\n... rest of the file unchanged\n"), "stands for code"),
    ],
)
def test_an_edit_that_can_not_be_meant_is_refused(change: Edit, says: str) -> None:
    assert says in refusal(OLD, change)


@pytest.mark.parametrize(
    "line",
    [
        *(
            "// ... existing code ...",
            "# rest of the file unchanged",
            "/* ... */",
            "<!-- ... -->",
            "# ...",
            "// ...",
        ),
        *(
            "…",
            "# ... (other methods stay the same)",
            "-- the existing code here",
            "# Keep the rest of the class",
        ),
        "[...]",
    ],
)
def test_lines_that_stand_for_code_are_known_and_real_ones_are_left_alone(line: str) -> None:
    assert "stands for code" in refusal(None, whole(f"x = 1\n{line}\n", "a.js"))
    assert (
        apply(f"x = 1\n{line}\n".encode(), whole(f"x = 2\n{line}\n", "a.js")).data
        == f"x = 2\n{line}\n".encode()
    )


@pytest.mark.parametrize(
    "text",
    [
        "class A(Protocol):\n    def f(self) -> int:\n        ...\n",
        'def f():\n    """Do."""\n    ...\n',
        ">>> f(\n... )\n",
        "# The rest is up to the caller, who knows existing values.\n",
        "# see other.py\n",
        "x = [*rest, ...]\n",
    ],
)
def test_real_code_is_not_taken_for_an_elision(text: str) -> None:
    assert apply(None, whole(text)).data == text.encode()


def test_a_new_file_is_made_by_all_its_lines_or_by_an_empty_search() -> None:
    assert apply(None, whole("x = 1")).data == b"x = 1\n"
    assert apply(None, whole("")).data == b""
    assert apply(None, edit(("", "x = 1\n"))) == apply(None, whole("x = 1\n"))
    assert apply(b"", whole("x = 1\n")).data == b"x = 1\n"
    assert "no such file" in refusal(None, edit(("x\n", "y\n")))


def test_stray_fences_around_a_file_are_stripped_but_not_a_file_s_own() -> None:
    assert apply(None, whole("```python\nx = 1\n```\n")).data == b"x = 1\n"
    text = "```sh\nls\n```\n"
    assert apply(None, whole(text, "a.md")).data == text.encode()


def test_a_part_is_not_taken_for_the_whole_file() -> None:
    lines = [f"line_{n} = {n}" for n in range(60)]
    old = "".join(line + "\n" for line in lines).encode()
    assert "looks like a part" in refusal(old, whole("\n".join(lines[:10])))
    assert apply(old, whole("completely = 'new'\n")).data == b"completely = 'new'\n"
    with pytest.raises(EditFails, match="60 lines, too many"):
        apply(old, whole("\n".join(lines[:50])), whole_limit=40)


# Nothing lands in a wrong place ---------------------------------------------------------------------

BODY = "def {name}(path):\n    data = load(path)\n    check(data, {key})\n"
BODY += "    total = data.sum()\n    return total\n"


@pytest.mark.parametrize("lines", [slice(0, 5), slice(1, 5), slice(1, 4), slice(2, 5)])
def test_a_near_duplicate_is_not_changed_where_the_target_is_gone(lines: slice) -> None:
    mine = BODY.format(name="one", key="'a'").splitlines(keepends=True)[lines]
    change = edit(("".join(mine), "".join(mine).replace("total", "result")))
    other = BODY.format(name="two", key="'b'").encode()
    refusal(b"import x\n\n\n" + other, change)
    refusal(b"import x\n\n\n" + other + b"\n\n" + other.replace(b"two", b"three"), change)


@pytest.mark.parametrize(
    "search", ["    return total\n", "return total\n", "    return total  \n", "\n    return total\n"]
)
def test_a_short_block_is_not_found_in_two_places_nor_by_chance(search: str) -> None:
    both = BODY.format(name="one", key=1) + "\n\n" + BODY.format(name="two", key=2)
    refusal(both.encode(), edit((search, "    return 0\n")))
    refusal(b"if x:\n        return total\n", edit(("return total\n", "return 0\n")))


def test_a_stale_line_that_is_changed_itself_is_refused() -> None:
    search = "def alpha(path, mode):\n    # read all of it\n    with open(path, 'rb') as file:\n" + READ
    said = refusal(OLD, edit((search, search.replace("'rb'", "'rb', 0"))))
    assert "not so in the file" in said


def test_other_indentation_in_search_than_in_replace_is_refused() -> None:
    said = refusal(OLD, edit(("value = os.stat(path)\n", "        value = os.lstat(path)\n")))
    assert "indented differently" in said


SOURCES = sorted(Path(random.__file__).parent.glob("[a-h]*.py"))[:40]
LINE = st.sampled_from(
    ["x = 1", "    y = 2", "", "    ", "}", "pass", "    return x", "# a", "y=2", "x = 1  # a"]
)


@settings(max_examples=200, deadline=None)
@given(
    old=st.lists(LINE, min_size=1, max_size=12),
    at=st.integers(0, 11),
    count=st.integers(1, 4),
    new=st.lists(LINE, max_size=4),
    gone=st.booleans(),
)
def test_a_block_changes_its_own_lines_or_nothing(
    old: list[str], at: int, count: int, new: list[str], gone: bool
) -> None:
    at %= len(old)
    search = old[at : at + count]
    rows = "".join(line + "\n" for line in (old[:at] + old[at + count :] if gone else old))
    change = edit(("".join(x + "\n" for x in search), "".join(x + "\n" for x in new)))
    try:
        applied = apply(rows.encode(), change)
    except EditFails:
        return
    if applied.how == "exact":
        assert ("\n" + rows).count("\n" + "".join(x + "\n" for x in search)) >= 1
        assert applied.data.decode() in {
            rows[:n] + "".join(x + "\n" for x in new) + rows[n + len("".join(x + "\n" for x in search)) :]
            for n in range(len(rows))
        }
    if not gone and applied.how == "exact" and any(x.strip() for x in search):
        meant = old[:at] + new + old[at + count :]
        assert applied.data.decode() == "".join(x + "\n" for x in meant)


@pytest.mark.parametrize("number", range(8))
def test_changes_of_real_code_come_back_byte_for_byte(number: int) -> None:
    rng = random.Random(number)
    for source in SOURCES[number::8]:
        before = source.read_text(encoding="utf-8").splitlines()[:400]
        after = list(before)
        for _ in range(rng.randint(1, 5)):
            at = rng.randrange(len(after))
            match rng.randrange(4):
                case 0:
                    after[at : at + rng.randint(1, 4)] = []
                case 1:
                    after[at:at] = after[at : at + rng.randint(1, 6)]
                case 2:
                    after[at] += " + 1"
                case 3:
                    after[at:at] = ["", f"def made_{at}():", f"    return {at}", ""]
        if after == before:
            continue
        old, new = ("".join(x + "\n" for x in lines).encode() for lines in (before, after))
        blocks = Edit("src/a.py", tuple(blocks_between(before, after)))
        for change in (blocks, Edit("src/a.py", whole=new.decode())):
            verb = parse(written(change, "python"))
            assert isinstance(verb, Edit)
            assert apply(old, verb).data == new


@pytest.mark.parametrize("line", ["", "x", "    return value", "a b c d e f g h i j k"])
def test_hostile_files_and_blocks_take_time_in_step_with_their_length(line: str) -> None:
    def seconds(size: int) -> float:
        old = (f"{line}\n" * size).encode()
        start = time.process_time()
        for search in (f"{line}\n" * (size // 2) + "odd one out here\n", f"{line} \n" * (size // 2) + "x\n"):
            with pytest.raises(EditFails):
                apply(old, edit((search, f"{line}\n" * size + "y\n")))
        return time.process_time() - start

    small = max(seconds(2_000), 0.02)
    assert seconds(20_000) < 40 * small


# As it was shown ------------------------------------------------------------------------------------

SHOWN = b"def first():\n    return 1\n\n\ndef second():\n    value = 2\n    return value\n"
NOW = SHOWN.replace(b"value = 2", b"amount = 2")


def test_an_edit_made_for_an_earlier_state_is_carried_over_where_that_is_sure() -> None:
    block = Block(
        "def second():\n    value = 2\n    return value\n",
        "def second():\n    value = 2\n    return -value\n",
    )
    with pytest.raises(EditFails):
        apply(NOW, Edit("a.py", (block,)))
    made = apply(NOW, Edit("a.py", (block,)), seen=[b"", SHOWN])
    assert made.data == NOW.replace(b"return value", b"return -value")
    assert made.how == "as it was shown"


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(
            SHOWN.replace(b"    return value\n", b"    return 0\n"), id="what it replaces has changed"
        ),
        pytest.param(SHOWN.partition(b"\n\n\n")[0] + b"\n", id="all of it is gone"),
        pytest.param(
            SHOWN.replace(b"second", b"other").replace(b"value", b"thing"), id="most of it is another"
        ),
    ],
)
def test_an_edit_is_not_carried_to_where_it_was_not_meant(now: bytes) -> None:
    block = Block(
        "def second():\n    value = 2\n    return value\n",
        "def second():\n    value = 2\n    return -value\n",
    )
    with pytest.raises(EditFails):
        apply(now, Edit("a.py", (block,)), seen=[SHOWN])


def test_what_stood_twice_in_the_earlier_state_is_carried_nowhere() -> None:
    twice = b"a = 1\nb = 2\n\na = 1\nb = 2\n"
    with pytest.raises(EditFails):
        apply(
            b"a = 1\nb = 3\n\na = 1\nb = 4\n",
            Edit("a.py", (Block("a = 1\nb = 2\n", "a = 5\nb = 2\n"),)),
            seen=[twice],
        )


def test_an_insertion_between_lines_that_were_parted_is_refused() -> None:
    seen = b"one\ntwo\nthree\nfour\n"
    now = b"one\ntwo\nnew\nthree\nfore\n"
    block = Block("two\nthree\nfour\n", "two\nmine\nthree\nfour\n")
    with pytest.raises(EditFails):
        apply(now, Edit("a.txt", (block,)), seen=[seen])
