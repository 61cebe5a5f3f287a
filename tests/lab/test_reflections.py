"""Reflections: appended whole, read in spite of a torn line, bounded, and never with a question in them."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from mind_doubles import CIRCLE, SOLVED

from state import reflections
from state.reflections import Reflection

REPLY: dict[str, Any] = {
    "answer": "red",
    "by": "core",
    "probability": 0.9,
    "abstained": False,
    "consistency": {"cycles": 1.0, "variants": 0.5},
    "trace": [{"answer": "red", "change": 0.1, "halt": 0.9, "doubt": 0.1}],
}


def made(**over: Any) -> Reflection:
    return replace(reflections.of_answer(CIRCLE, REPLY, "5c" * 32), **over)


def test_what_is_written_is_read_again_newest_first(tmp_path: Path) -> None:
    one, two = made(), made(answer=SOLVED)
    reflections.write(tmp_path, one)
    reflections.write(tmp_path, two)
    assert reflections.read(tmp_path) == [two, one]
    assert reflections.read(tmp_path, 1) == [two]
    assert reflections.find(tmp_path, one.id) == [one]


@pytest.mark.parametrize("torn", [b'{"id": "1a', b"\xff\xfe", b"[" * 5000, b'{"schema": 2}', b'"text"'])
def test_a_torn_or_hostile_line_is_passed_over_and_the_next_is_whole(torn: bytes, tmp_path: Path) -> None:
    reflections.write(tmp_path, made())
    path = next((tmp_path / "reflections").iterdir())
    with path.open("ab") as file:
        file.write(torn)
    reflections.write(tmp_path, made())
    assert len(reflections.read(tmp_path)) == 2


def test_the_same_question_has_the_same_digest_and_another_another(tmp_path: Path) -> None:
    other = {**CIRCLE, "question": "what shape is the red object?"}
    one, two, three = (reflections.of_answer(asked, REPLY, "") for asked in (CIRCLE, CIRCLE, other))
    assert one.question == two.question != three.question
    assert "circle" not in json.dumps(asdict(replace(one, trace=[])))


def test_a_line_is_bounded_by_leaving_the_trace_out(tmp_path: Path) -> None:
    long = [{"answer": [1] * 4096, "change": 0.1, "halt": None, "doubt": 0.2}] * 64
    reflections.write(tmp_path, made(answer=SOLVED, trace=long))
    found = reflections.read(tmp_path)
    assert found[0].answer == SOLVED and found[0].trace == []
    assert (tmp_path / "reflections").stat() and all(
        path.stat().st_size <= reflections.MOST_LINE for path in (tmp_path / "reflections").iterdir()
    )


def test_a_month_has_two_files_at_most_and_old_months_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflections, "MOST_FILE", 2000)
    monkeypatch.setattr(reflections, "MOST_MONTHS", 2)
    month = 31 * 24 * 3600 * 1000
    first = 1_700_000_000_000
    for number in range(4):
        for _ in range(12):
            reflections.write(tmp_path, made(at=first + number * month))
    names = sorted(path.name for path in (tmp_path / "reflections").iterdir())
    assert names == ["2024-01.jsonl", "2024-01.old.jsonl", "2024-02.jsonl", "2024-02.old.jsonl"] or (
        {name[:7] for name in names} == {"2024-01", "2024-02"}
    )
    assert sum(path.stat().st_size for path in (tmp_path / "reflections").iterdir()) < 4 * 4000


def test_numbers_that_are_none_are_none(tmp_path: Path) -> None:
    odd = reflections.of_answer(CIRCLE, {**REPLY, "probability": float("nan"), "consistency": "x"}, "")
    assert odd.probability is None and odd.consistency.cycles is None
    reflections.write(tmp_path, odd)
    assert reflections.read(tmp_path) == [odd]


def test_ids_sort_by_time() -> None:
    one = reflections.new_id()
    time.sleep(0.002)
    assert one < reflections.new_id()


def test_the_schema_is_that_of_a_line(tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    from orchestrator.cli import models

    schema = models.schema("reflection")
    assert schema is not None
    jsonschema.validate(asdict(made()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**asdict(made()), "kind": "thought"}, schema)
