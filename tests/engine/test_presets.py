"""Configurations are read strictly and changed where they can be; an estimate is believed where it may be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestrator.training import presets, sizing
from orchestrator.training.options import EvalOptions, TrainOptions
from orchestrator.training.presets import BadConfig, changed, pairs, parse
from orchestrator.training.resolve import configured
from state.run_folder import Artifact, Result

TINY = {"learner": "hrm", "model": {"hidden": 8}, "batch": 4, "steps": 10, "optimizer": {"lr": 0.1}}
ASKED = {"model": "hrm", "config": "hrm-sudoku4", "data": "TICKET-1"}


def test_what_is_known_here_of_a_configuration_is_what_the_loop_takes() -> None:
    config = pytest.importorskip("model.config")
    assert set(config.Config.model_fields) == presets.KEYS
    groups = {"optimizer": config.Optimizer, "assess": config.Assess, "checkpoint": config.Checkpoints}
    assert {name: set(model.model_fields) for name, model in groups.items()} == presets.GROUPS


def test_every_shipped_configuration_is_read_here_and_by_the_loop() -> None:
    config = pytest.importorskip("model.config")
    assert presets.names()
    for name in presets.names():
        assert config.config(presets.shipped(name)).learner in ("hrm", "jepa")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "a.yaml"),
        (b"- 1", "expected the map"),
        (b"learner: hrm\nlearner: jepa", "learner"),
        (b"learner: hrm\nbatch: 1\nbatsh: 2", "did you mean 'batch'"),
        (b"learner: hrm\noptimizer: {wieght_decay: 1}", "did you mean 'weight_decay'"),
        (b"learner: hrm\nassess: 3", "assess is the number 3"),
        (b"batch: 1", "learner is missing"),
        (b"learner: &a hrm\nabout: *a", "a.yaml:1"),
        (b"!!python/object:os.system x", "a.yaml:1"),
        (b"\xff\xfe", "a.yaml"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_in_one_line(text: bytes, said: str) -> None:
    with pytest.raises(BadConfig) as refused:
        parse(text, "a.yaml")
    assert said in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "key", ["", ".", "model", "model.", "steps.x", "learner", "optimizer", "optimizer.lr.x", "x.y"]
)
def test_a_key_that_cannot_be_is_refused(key: str) -> None:
    with pytest.raises(BadConfig):
        changed(TINY, {key: 1})


def test_changes_leave_what_they_change_alone() -> None:
    before = json.dumps(TINY)
    found = changed(TINY, {"optimizer.lr": 0.2, "model.grid.rows": 4, "compile": True})
    assert (found["optimizer"]["lr"], found["model"]["grid"]["rows"], found["compile"]) == (0.2, 4, True)
    assert json.dumps(TINY) == before


def test_pairs_are_read_as_a_ticket_would_be() -> None:
    assert pairs(["optimizer.lr=1e-4", "model.mixing=[units]", "compile=true", "precision=no"]) == {
        "optimizer.lr": 1e-4,
        "model.mixing": ["units"],
        "compile": True,
        "precision": "no",
    }
    for wrong in ("lr", "=3", "a=[", "a=*b"):
        with pytest.raises(BadConfig):
            pairs([wrong])


def test_a_tickets_length_takes_the_place_of_the_configurations() -> None:
    options = TrainOptions.model_validate(
        {**ASKED, "time": "90s", "set": {"batch": 2}, "ablate": ["halting"]}
    )
    found = configured(dict(TINY), options, {"batch": 1})
    assert found["core_minutes"] == 1.5 and "steps" not in found
    assert found["batch"] == 1 and found["model"]["ablate"] == ["halting"]
    with pytest.raises(BadConfig, match="no length"):
        configured({"learner": "hrm"}, TrainOptions.model_validate(ASKED), {})


@pytest.mark.parametrize(
    "options",
    [
        {"config": "../x.yaml"},
        {"config": "/etc/passwd"},
        {"config": ".git/config"},
        {"data": "somewhere"},
        {"steps": 3, "time": "1m"},
        {"time": "soon"},
        {"seed": -1},
        {"device": "tpu"},
        {"wings": 2},
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any]) -> None:
    TrainOptions.model_validate(ASKED)
    with pytest.raises(ValidationError):
        TrainOptions.model_validate({**ASKED, **options})


def test_a_baseline_lies_in_the_repository() -> None:
    asked = {"suite": "maze", "model": ["TICKET-1", "TICKET-2"], "data": "TICKET-3"}
    assert EvalOptions.model_validate(asked).seeds == [0, 1, 2]
    for wrong in ("../b.json", "/b.json", "C:/b.json"):
        with pytest.raises(ValidationError):
            EvalOptions.model_validate({**asked, "baseline": wrong})


# What an estimate says ------------------------------------------------------------------------------------


def told(folder: Path, body: Any, **metrics: float) -> dict[str, Any]:
    """What is believed of an estimate that wrote this."""
    (folder / "lighter.json").write_bytes(body if isinstance(body, bytes) else json.dumps(body).encode())
    made = Result(ok=True, metrics=metrics, artifact=Artifact("lighter.json", "0" * 64))
    return sizing._told(made, folder, {"learner": "hrm"})


def test_lighter_ways_are_told_by_what_they_change(tmp_path: Path) -> None:
    config = {**TINY, "accumulate": 1}
    lighter = {**config, "accumulate": 2, "model": {"hidden": 4}}
    body = {
        "device": "cuda:0",
        "config": config,
        "lighter": [{"config": lighter, "bytes": 5, "about": "less"}],
    }
    found = told(tmp_path, body, bytes=9, free=7)
    assert found["lighter"] == [{"set": {"accumulate": 2, "model.hidden": 4}, "bytes": 5, "about": "less"}]
    assert changed(config, found["lighter"][0]["set"]) == lighter
    assert (found["device"], found["bytes"], found["free"]) == ("cuda:0", 9, 7)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[" * 100_000,
        b"[]",
        {"config": 3},
        {"config": {"learner": "jepa"}},
        b"{" + b" " * (1 << 20) + b"}",
    ],
)
def test_an_estimate_that_cannot_be_believed_is_refused(tmp_path: Path, body: Any) -> None:
    with pytest.raises(BadConfig):
        told(tmp_path, body, bytes=9, free=7)
    with pytest.raises(BadConfig):
        told(tmp_path, {"config": TINY})  # names no bytes


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)


@given(JSON)
def test_whatever_stands_as_a_lighter_way_only_ones_that_can_be_chosen_are_kept(found: Any) -> None:
    lighter = sizing._lighter(found, TINY)
    assert lighter is None or changed(TINY, lighter["set"])
    inside = sizing._lighter({"config": found, "bytes": 1}, TINY)
    assert inside is None or changed(TINY, inside["set"])
