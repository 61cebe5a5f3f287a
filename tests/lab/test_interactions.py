"""Interactions are kept only where the person said so, as a data set of their own that training can read."""

from __future__ import annotations

from pathlib import Path

import pytest
from mind_doubles import BOARD, CIRCLE, mind, workspace

from datagen import load, manifest, rows
from orchestrator.lab import interactions
from state.journal import Journal
from state.workspace import Workspace


def say(place: Workspace, on: bool) -> None:
    journal = Journal.open(place.journal)
    interactions.say(journal, on, "ada")
    journal.close()


def ask(place: Workspace, times: int = 1) -> None:
    with mind(place) as one:
        for _ in range(times):
            one.ask("reason", **BOARD)
            one.ask("correct", **CIRCLE, answer="crimson")


def test_nothing_is_kept_unless_the_person_says_so(tmp_path: Path) -> None:
    place = workspace(tmp_path)
    ask(place)
    assert not interactions.folder(place).exists() and interactions.count(place) == 0


def test_what_is_kept_is_a_data_set_of_provenance_interaction(tmp_path: Path) -> None:
    place = workspace(tmp_path)
    say(place, True)
    ask(place)
    found = manifest.read(interactions.folder(place))
    assert found.provenance == "interaction" and found.count == 2
    kept = list(load.read(interactions.folder(place)))
    assert [row["family"] for row in kept] == ["answer", "correction"]
    assert kept[1]["target"] == "crimson" and "circle" in kept[1]["input"]
    assert not any(rows.problem(row) for row in kept)


def test_a_mind_that_is_open_heeds_the_word_at_once(tmp_path: Path) -> None:
    place = workspace(tmp_path)
    with mind(place) as one:
        one.ask("reason", **BOARD)
        say(place, True)
        one.ask("reason", **BOARD)
        say(place, False)
        one.ask("reason", **BOARD)
    assert interactions.count(place) == 1


def test_shards_are_closed_and_the_whole_still_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interactions, "SHARD", 3)
    place = workspace(tmp_path)
    for number in range(8):
        interactions.keep(place, {**CIRCLE, "question": f"how many? {number}"}, {"answer": "one"}, None)
    kept = list(load.read(interactions.folder(place)))
    assert len(kept) == 8 and len({row["id"] for row in kept}) == 8
    assert len(list(interactions.folder(place).glob("shard-*"))) == 3


def test_a_crash_between_rows_and_manifest_is_mended_by_the_next_row(tmp_path: Path) -> None:
    place = workspace(tmp_path)
    interactions.keep(place, CIRCLE, {"answer": "red"}, None)
    before = (interactions.folder(place) / "manifest.json").read_bytes()
    interactions.keep(place, CIRCLE, {"answer": "red"}, "crimson")
    (interactions.folder(place) / "manifest.json").write_bytes(before)  # killed in between
    interactions.keep(place, BOARD, {"answer": [1]}, None)
    assert [row["family"] for row in load.read(interactions.folder(place))] == [
        "answer",
        "correction",
        "answer",
    ]


def test_forgotten_is_gone(tmp_path: Path) -> None:
    place = workspace(tmp_path)
    interactions.keep(place, CIRCLE, {"answer": "red"}, None)
    assert interactions.forget(place) == 1
    assert not interactions.folder(place).exists()


def test_the_fields_are_those_of_every_data_set() -> None:
    assert interactions._FIELDS == rows.FIELDS
