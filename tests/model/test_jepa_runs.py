"""A JEPA in the real loop: made data, a real child, and the breaker that ends what has collapsed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from few_scenes import TINY
from tiny_runs import child, events, request

from model import learners

TINY_RUN: dict[str, Any] = {
    "learner": "jepa",
    "device": "cpu",
    "batch": 32,
    "steps": 40,
    "assess": {"every": 20, "rows": 48},
    "optimizer": {"name": "adamw", "lr": 0.01, "warmup": 1},
    "breaker": {"warmup": 0, "floors": {"spread": {"at_least": 0.1, "after": 40}, "rank": {"at_least": 4.0}}},
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set of the product's recipe, made by the product's run."""
    folder = tmp_path_factory.mktemp("scenes")
    asked = {"schema": 1, "recipe": "image/scenes", "seed": 3, "count": 160}
    (folder / "request.json").write_text(json.dumps(asked))
    status, output = child(folder, folder, "datagen")
    assert status == 0, output
    return folder / "data"


def _run(folder: Path, data: Path, objective: str) -> tuple[int, dict[str, Any]]:
    request(folder, data, **TINY_RUN, model={**TINY, "objective": objective, "gaussian": 0.2})
    status, output = child(folder, folder)
    assert (folder / "result.json").exists(), output
    return status, json.loads((folder / "result.json").read_text())


def test_a_run_without_a_remedy_collapses_and_the_breaker_ends_it(tmp_path: Path, scenes: Path) -> None:
    status, result = _run(tmp_path, scenes, "none")
    assert status == 1 and not result["ok"]
    assert "spread" in result["error"] and "\n" not in result["error"]
    last = events(tmp_path, "breaker")[-1]
    assert last["state"] == "open" and last["rule"] == "floor" and last["numbers"]["value"] < 0.1


def test_the_same_run_with_sigreg_ends_well_and_can_be_used_from_its_checkpoint_alone(
    tmp_path: Path, scenes: Path
) -> None:
    status, result = _run(tmp_path, scenes, "sigreg")
    assert status == 0 and result["ok"]
    assert result["metrics"]["spread"] > 0.1 and result["metrics"]["rank"] > 4
    learner, _ = learners.restore((tmp_path / result["artifact"]["path"]).parent)
    words = learner.words()  # type: ignore[operator]  # of a JEPA
    assert "object" in words.decode(words.encode(["two objects"], 4)[0])
