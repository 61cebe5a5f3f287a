"""A calibration run: from a request to a file that the core takes in, or one clear line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import tiny_core

from model import calibrate
from model.reflect import calibration


def run(folder: Path, **asked: Any) -> dict[str, Any]:
    folder.mkdir()
    (folder / "request.json").write_text(json.dumps(asked))
    calibrate.main(folder)
    return dict(json.loads((folder / "result.json").read_text()))


def test_a_run_leaves_a_calibration_with_its_figures_and_says_them(tmp_path: Path) -> None:
    where = tiny_core.trained(tmp_path / "trained")
    (where / "train.safetensors").unlink()  # a consolidation writes none
    result = run(tmp_path / "run", schema=1, checkpoint=str(where), data=None, rows=60)
    assert result["ok"], result
    body = json.loads((tmp_path / "run" / "calibration.json").read_text())
    assert calibration.parse(body).fitted and body["rows"] == 60
    assert set(result["metrics"]) >= {"ece", "accuracy", "kept", "coverage"}
    assert body["ece"] == result["metrics"]["ece"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rows": 1}, "rows"),
        ({"schema": 2}, "schema"),
        ({"checkpoint": "nowhere"}, "can't be read"),
        ({"more": 1}, "more"),
    ],
)
def test_what_cant_be_is_one_line(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    where = tiny_core.trained(tmp_path / "trained")
    body = {"schema": 1, "checkpoint": str(where), "data": None, "rows": 60, **change}
    result = run(tmp_path / "run", **body)
    assert not result["ok"] and told in result["error"] and "\n" not in result["error"]


def test_an_altered_checkpoint_is_refused(tmp_path: Path) -> None:
    where = tiny_core.trained(tmp_path / "trained")
    path = where / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    result = run(tmp_path / "run", schema=1, checkpoint=str(where), rows=60)
    assert not result["ok"] and "altered" in result["error"]
