"""The mind: a core that is verified and never changes, memories that are never torn, clear refusals."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import numpy as np
import tiny_core
import torch
from tiny_core import ByHeart

from datagen import files
from model.errors import CoreChanged
from model.mind import memories, records, request, serve
from model.mind.core import CoreRefused, open_core
from model.mind.errors import MindRefused
from model.mind.memories import Memories
from model.mind.session import Session
from model.reflect import calibration

CELLS = [1, 0, 0, 0, 0, 0, 3, 0, 0, 4, 0, 0, 0, 0, 0, 2]
OTHER = [0, 2, 0, 0, 0, 0, 3, 0, 0, 4, 0, 0, 0, 0, 0, 1]
RIGHT = [1, 3, 2, 4, 4, 2, 3, 1, 2, 4, 1, 3, 3, 1, 4, 2]
ASKED = {"part": "four", "cells": CELLS}


@contextlib.contextmanager
def alone(name: str) -> Iterator[bool]:
    yield True


@contextlib.contextmanager
def taken(name: str) -> Iterator[bool]:
    yield False


@pytest.fixture(autouse=True)
def by_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memories, "methods", tiny_core)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tiny_core.core(tmp_path, four=tiny_core.trained(tmp_path / "run"))
    return tmp_path


def digest_of(home: Path) -> str:
    return next((home / "core" / "versions").iterdir()).name


def session(home: Path, digest: str = "") -> Session:
    core = open_core(home, digest or digest_of(home))
    return Session(core, Memories(home / "memories", core, alone))


def ask(one: Session, do: str = "reason", **fields: Any) -> dict[str, Any]:
    line = json.dumps({"id": 1, "do": do, **(fields or ASKED)}).encode()
    return one.answer(request.parse(line))


def plain(reply: dict[str, Any]) -> dict[str, Any]:
    """An answer but for how long it took."""
    return {name: value for name, value in reply.items() if name != "seconds"}


# The core --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["core.json", "parts/four/checkpoint.json", "parts/four/model.safetensors"])
@pytest.mark.parametrize("how", ["altered", "missing", "link"])
def test_a_core_of_which_a_file_is_not_what_it_was_is_refused(which: str, how: str, home: Path) -> None:
    digest = digest_of(home)
    path = home / "core" / "versions" / digest / which
    data = path.read_bytes()
    path.unlink()
    if how == "altered":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif how == "link":
        (home / "elsewhere").write_bytes(data)
        path.symlink_to(home / "elsewhere")
    with pytest.raises(CoreRefused):
        open_core(home, digest)


@pytest.mark.parametrize("digest", ["", "..", "../../etc", "5c" * 32, "Z" * 64])
def test_a_digest_that_names_no_version_is_refused(digest: str, home: Path) -> None:
    with pytest.raises(CoreRefused):
        open_core(home, digest)


def test_a_core_file_edited_under_a_running_mind_changes_no_answer_and_is_refused_by_the_next(
    home: Path,
) -> None:
    one, digest = session(home), digest_of(home)
    before = plain(ask(one))
    path = home / "core" / "versions" / digest / "parts" / "four" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-20:] = b"\x41" * 20
    path.write_bytes(data)
    assert plain(ask(one)) == before
    with pytest.raises(CoreRefused):
        session(home, digest)


def test_weights_that_were_written_to_in_memory_end_a_correction(home: Path) -> None:
    one = session(home)
    opened = one.core.parts["four"]
    with torch.no_grad():
        next(opened.learner.parameters()).add_(1.0)
    with pytest.raises(CoreChanged):
        ask(one, "correct", **ASKED, answer=RIGHT)
    line = json.dumps({"id": 7, "do": "correct", **ASKED, "answer": RIGHT}).encode()
    reply, sound = serve._reply(one, line)
    assert (reply["id"], reply["ok"], reply["reason"], sound) == (7, False, "core", False)


# Memories --------------------------------------------------------------------------------------------------


def test_a_correction_is_learned_and_the_core_stays_bit_for_bit(home: Path) -> None:
    one = session(home)
    sealed = one.core.parts["four"].unchanged()
    reply = ask(one, "correct", **ASKED, answer=RIGHT)
    assert reply["core_unchanged"] is True and reply["before"]["by"] == "core"
    assert reply["after"]["answer"] == RIGHT and reply["after"]["by"] == "default"
    assert reply["memory"]["lessons"] == reply["memory"]["right"] == reply["memory"]["recurring"] == 1
    assert one.core.parts["four"].unchanged() == sealed


def test_with_the_memory_off_answers_are_bit_equal_to_those_before_it(home: Path) -> None:
    one = session(home)
    boards = [CELLS, OTHER, [0] * 16]
    before = [plain(ask(one, part="four", cells=cells, trace=True)) for cells in boards]
    ask(one, "correct", **ASKED, answer=RIGHT)
    assert ask(one)["by"] == "default"
    off = [plain(ask(one, part="four", cells=cells, trace=True, memory="off")) for cells in boards]
    ask(one, "memory", op="off", name="default")
    switched = [plain(ask(one, part="four", cells=cells, trace=True)) for cells in boards]
    assert before == off == switched


def test_what_a_memory_does_not_claim_the_core_answers_as_if_it_were_not_there(home: Path) -> None:
    one = session(home)
    before = plain(ask(one, part="four", cells=OTHER))
    ask(one, "correct", **ASKED, answer=RIGHT)
    assert plain(ask(one, part="four", cells=OTHER)) == before


def test_a_memory_is_held_to_one_half_and_not_to_what_was_measured_of_the_core(home: Path) -> None:
    one = session(home)
    one._maps["four"] = calibration.Calibration(one._maps["four"].curves, 0.9)
    ask(one, "correct", **ASKED, answer=RIGHT)
    told = ask(one, "reflect")
    assert told["by"] == "default" and 0.5 <= told["probability"] < 0.9
    assert not told["abstained"] and told["reflection"]["bound"] == 0.5


def test_a_second_mind_sees_what_the_first_was_taught_and_learns_nothing_again(home: Path) -> None:
    first, second = session(home), session(home)
    ask(second)
    ask(first, "correct", **ASKED, answer=RIGHT)
    learned = ByHeart.learnings
    assert ask(second)["answer"] == RIGHT and ByHeart.learnings == learned
    ask(second, "memory", op="forget", name="default")
    assert ask(first)["by"] == "core"


def test_lessons_given_to_two_minds_in_turn_are_all_kept(home: Path) -> None:
    first, second = session(home), session(home)
    ask(first, "correct", **ASKED, answer=RIGHT)
    ask(second, "correct", part="four", cells=OTHER, answer=RIGHT)
    ask(first, "correct", part="four", cells=[0] * 16, answer=RIGHT)
    assert ask(second, "memory", op="list")["memories"][0]["lessons"] == 3


def test_while_another_mind_learns_a_correction_is_refused_and_answers_go_on(home: Path) -> None:
    one = session(home)
    one.memories._alone = taken
    with pytest.raises(MindRefused, match="another mind"):
        ask(one, "correct", **ASKED, answer=RIGHT)
    assert ask(one)["by"] == "core"


def test_the_same_question_taught_again_has_the_new_answer(home: Path) -> None:
    one = session(home)
    ask(one, "correct", **ASKED, answer=RIGHT[::-1])
    reply = ask(one, "correct", **ASKED, answer=RIGHT)
    assert reply["memory"]["lessons"] == 1 and reply["after"]["answer"] == RIGHT


def test_copy_drop_last_and_forget(home: Path) -> None:
    one = session(home)
    ask(one, "correct", **ASKED, answer=RIGHT)
    ask(one, "correct", part="four", cells=OTHER, answer=RIGHT)
    copied = ask(one, "memory", op="copy", name="default", to="kept")["memories"]
    assert [(each["name"], each["on"], each["lessons"]) for each in copied] == [
        ("default", True, 2),
        ("kept", False, 2),
    ]
    assert ask(one, "memory", op="drop-last", name="default")["memories"][0]["lessons"] == 1
    assert ask(one, part="four", cells=OTHER)["by"] == "core"
    assert ask(one, part="four", cells=OTHER, memory="kept")["by"] == "kept"
    ask(one, "memory", op="forget", name="default")
    assert not (home / "memories" / "default").exists()


def test_a_memory_over_another_version_learns_again_and_says_so_until_then(home: Path) -> None:
    one, before = session(home), digest_of(home)
    ask(one, "correct", **ASKED, answer=RIGHT)
    after = tiny_core.core(home, four=tiny_core.trained(home / "other", seed=1))
    two = session(home, after)
    listed = ask(two, "memory", op="list")["memories"][0]
    assert listed["stale"] and listed["core"] == before and listed["recurring"] == 0
    learned = ByHeart.learnings
    assert two.memories.refreshed() and not two.memories.refreshed()
    assert ByHeart.learnings == learned + 1
    listed = ask(two, "memory", op="list")["memories"][0]
    assert not listed["stale"] and listed["core"] == after
    assert ask(two)["by"] == "default"


def test_a_version_that_has_the_same_part_needs_no_learning_again(home: Path) -> None:
    one = session(home)
    ask(one, "correct", **ASKED, answer=RIGHT)
    other = tiny_core.trained(home / "other", seed=1)
    again = tiny_core.core(home, four=home / "run" / "checkpoints" / "step-00000001", five=other)
    learned = ByHeart.learnings
    two = session(home, again)
    assert ask(two)["by"] == "default" and ByHeart.learnings == learned


def test_minds_over_two_versions_do_not_take_turns_in_learning(home: Path) -> None:
    one = session(home)
    ask(one, "correct", **ASKED, answer=RIGHT)
    two = session(home, tiny_core.core(home, four=tiny_core.trained(home / "other", seed=1)))
    for _ in range(3):
        ask(one)
        ask(two)
    learned = ByHeart.learnings
    for _ in range(3):
        ask(one)
        ask(two)
        one.memories.refreshed()
        two.memories.refreshed()
    assert ByHeart.learnings == learned


@pytest.mark.parametrize("nth", range(1, 6))
def test_killed_at_any_write_a_memory_is_the_old_one_or_the_new(
    nth: int, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = session(home)
    ask(one, "correct", **ASKED, answer=RIGHT)
    old = one.memories.listed()[0]["digest"]
    writes = 0
    real = files.replace

    class Killed(BaseException):
        pass

    def replace(path: Path, data: bytes) -> None:
        nonlocal writes
        writes += 1
        if writes * 2 - 1 == nth:
            raise Killed
        real(path, data)
        if writes * 2 == nth:
            raise Killed

    monkeypatch.setattr(files, "replace", replace)
    with contextlib.suppress(Killed):
        ask(one, "correct", part="four", cells=OTHER, answer=RIGHT)
    monkeypatch.undo()
    monkeypatch.setattr(memories, "methods", tiny_core)
    after = session(home)
    told = after.memories.listed()[0]
    assert told["lessons"] in (1, 2) and (told["digest"] == old) is (told["lessons"] == 1)
    assert ask(after)["answer"] == RIGHT
    assert ask(after, part="four", cells=OTHER)["by"] == ("default" if told["lessons"] == 2 else "core")


@pytest.mark.parametrize("how", ["gone", "altered", "of another memory"])
def test_arrays_that_are_not_what_was_learned_are_learned_again(how: str, home: Path) -> None:
    ask(session(home), "correct", **ASKED, answer=RIGHT)
    path = next((home / "memories" / "default").glob("*.safetensors"))
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(b"x" * 80 if how == "altered" else path.read_bytes()[:-1] + b"\x01")
    one = session(home)
    assert one.memories.listed()[0]["stale"]
    assert ask(one)["answer"] == RIGHT and ask(one)["by"] == "default"


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b'{"schema": 9}', b"[" * 100_000, b'{"schema": 1}', b"\xff"],
)
def test_a_broken_memory_harms_nobody_is_told_and_can_be_forgotten(text: bytes, home: Path) -> None:
    one = session(home)
    (home / "memories" / "bad").mkdir(parents=True)
    (home / "memories" / "bad" / "memory.json").write_bytes(text)
    assert ask(one)["by"] == "core"
    with pytest.raises(MindRefused) as caught:
        ask(one, **ASKED, memory="bad")
    assert caught.value.reason == "memory"
    ask(one, "memory", op="forget", name="bad")
    assert not (home / "memories" / "bad").exists()


def test_a_memory_of_a_part_that_is_gone_says_so_and_answers_nothing(home: Path) -> None:
    ask(session(home), "correct", **ASKED, answer=RIGHT)
    digest = tiny_core.core(home, five=home / "run" / "checkpoints" / "step-00000001")
    one = session(home, digest)
    told = one.memories.listed()[0]
    assert "no part" in told["fault"]
    assert ask(one, part="five", cells=CELLS)["by"] == "core"
    assert not one.memories.refreshed()


def test_a_memory_that_cant_learn_again_is_told_and_the_core_answers(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(session(home), "correct", **ASKED, answer=RIGHT)
    next((home / "memories" / "default").glob("*.safetensors")).unlink()

    def learn(*given: object) -> None:
        raise ValueError("these lessons say nothing")

    monkeypatch.setattr(ByHeart, "learn", learn)
    one = session(home)
    assert serve._refreshed(one) and not serve._refreshed(one)
    assert ask(one)["by"] == "core"
    assert "say nothing" in one.memories.listed()[0]["fault"]
    with pytest.raises(MindRefused, match="say nothing"):
        ask(one, **ASKED, memory="default")
    monkeypatch.undo()
    monkeypatch.setattr(memories, "methods", tiny_core)
    assert ask(one, "correct", **ASKED, answer=RIGHT)["after"]["by"] == "default"


def test_the_digest_of_a_memory_is_not_of_its_switch(home: Path) -> None:
    one = session(home)
    ask(one, "correct", **ASKED, answer=RIGHT)
    before = one.memories.listed()[0]["digest"]
    assert ask(one, "memory", op="off", name="default")["memories"][0]["digest"] == before
    assert records.read(home / "memories" / "default").digest == before


# Requests --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"part": "five", "cells": CELLS},
        {"part": "four"},
        {"part": "four", "cells": "1000"},
        {"part": "four", "cells": CELLS[:-1]},
        {"part": "four", "cells": [*CELLS[:-1], 5]},
        {"part": "four", "cells": [*CELLS[:-1], -1]},
        {"part": "four", "cells": [*CELLS[:-1], True]},
        {"part": "four", "cells": [*CELLS[:-1], 1.5]},
        {"part": "four", "cells": [*CELLS[:-1], 10**30]},
        {"part": "four", "cells": CELLS, "memory": 7},
        {"part": "four", "cells": CELLS, "memory": "../x"},
        {"part": "four", "cells": CELLS, "trace": "yes"},
        {"part": ["four"], "cells": CELLS},
    ],
)
def test_a_question_that_is_none_is_refused_in_a_line(fields: dict[str, Any], home: Path) -> None:
    with pytest.raises(MindRefused) as caught:
        ask(session(home), **fields)
    assert caught.value.reason in ("request", "memory") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [b"", b"\n", b"x", b"[]", b'{"id": true, "do": "status"}', b'{"id": 1, "do": "erase"}', b"[" * 9999],
)
def test_a_line_that_is_no_request_is_refused_and_the_loop_goes_on(line: bytes, home: Path) -> None:
    reply, sound = serve._reply(session(home), line)
    assert reply["ok"] is False and reply["reason"] == "request" and sound


def test_a_correction_needs_an_answer_of_the_right_kind(home: Path) -> None:
    one = session(home)
    for answer in (None, "red", RIGHT[:-1], [99999999] * 16):
        with pytest.raises(MindRefused):
            ask(one, "correct", **ASKED, answer=answer)
    assert one.memories.listed() == []


def test_an_answer_has_the_fields_of_the_protocol(home: Path) -> None:
    one = session(home)
    short, long = ask(one), ask(one, "reflect")
    fields = {
        "answer",
        "probability",
        "abstained",
        "unknown",
        "by",
        "others",
        "doubts",
        "consistency",
        "trace",
        "seconds",
    }
    assert short.keys() == fields and long.keys() == fields | {"reflection"}
    assert short["trace"] == [] and len(long["trace"]) == 8
    assert short["consistency"]["cycles"] is None and 0 <= long["consistency"]["variants"] <= 1
    assert len(short["doubts"]) == 16 and np.isfinite(short["doubts"]).all()
    json.dumps(long, allow_nan=False)


def test_a_part_says_what_it_takes_and_gives_an_example(home: Path) -> None:
    one = session(home)
    told = ask(one, "status", x=1)["parts"][0]
    assert (told["rows"], told["columns"], told["box_rows"], told["blank"]) == (4, 4, 2, 0)
    assert told["tokens"] == [".", "1", "2", "3", "4"]
    found = ask(one, "example", part="four", seed=5)
    again = ask(one, "example", part="four", seed=5)
    assert found == again and found["question"]["cells"] != found["answer"]
    assert all(a in (0, b) for a, b in zip(found["question"]["cells"], found["answer"], strict=True))
    ask(one, **found["question"])
