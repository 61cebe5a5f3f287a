"""The real learners in the loop: they train, resume exactly, fit their estimate, and are restored."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_runs

torch = pytest.importorskip("torch")

import evaluated  # noqa: E402

from model import checkpoint, learners, loop, train  # noqa: E402

SMALL: dict[str, dict[str, Any]] = {
    "hrm": {
        "vocabulary": 5,
        "grid": {"rows": 4, "columns": 4, "box_rows": 2, "box_columns": 2},
        "hidden": 16,
        "layers": 1,
        "l_cycles": 2,
    },
    "jepa": {
        "latent": 16,
        "vision": {"size": 16, "patch": 8, "width": 16, "depth": 1, "heads": 2},
        "text": {"width": 16, "depth": 1, "heads": 2, "length": 8, "vocabulary": 64},
        "tasks": {"cross": 1.0, "words": 1.0, "patches": 1.0},
        "hidden": 16,
    },
}
MIDDLE: dict[str, dict[str, Any]] = {
    "hrm": {
        **SMALL["hrm"],
        "vocabulary": 10,
        "grid": {"rows": 9, "columns": 9},
        "mixing": ["tokens"],
        "hidden": 192,
    },
    "jepa": {
        "vision": {"size": 32, "patch": 4, "width": 128, "depth": 3, "heads": 4},
        "text": {"width": 96, "depth": 1, "heads": 4, "length": 16, "vocabulary": 64},
    },
}


def arrays(learner: str, model: dict[str, Any], rows: int = 120) -> dict[str, Any]:
    """Columns of the right form with nothing to learn in them: the loop does not mind."""
    rng = np.random.default_rng(1)
    if learner == "hrm":
        cells, most = model["grid"]["rows"] * model["grid"]["columns"], model["vocabulary"]
        return {
            "question": rng.integers(0, most, (rows, cells)).astype(np.uint8),
            "answer": rng.integers(1, most, (rows, cells)).astype(np.uint8),
        }
    words = ["a red circle", "a blue star", "a small red star", "two large blue circles"]
    texts = [words[n].encode() for n in rng.integers(0, len(words), rows)]
    caption = np.array([np.frombuffer(text.ljust(32, b"\0"), np.uint8) for text in texts])
    size = model["vision"]["size"]
    return {"image": rng.integers(0, 256, (rows, size, size, 3)).astype(np.uint8), "caption": caption}


class Killed(BaseException):
    """The end of a process without a word, in this process."""


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("learner", SMALL)
def test_a_real_learner_goes_on_exactly_and_is_restored_as_it_was_assessed(
    learner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tiny_runs.data_set(tmp_path / "data", arrays=arrays(learner, SMALL[learner]))
    over = {"model": SMALL[learner], "batch": 12, "steps": 12, "assess": {"every": 4, "rows": 12}}
    for name in ("whole", "killed"):
        tiny_runs.request(tmp_path / name, data, learner=learner, **over, checkpoint={"seconds": 1e-6})
    assert train.main(tmp_path / "whole") == 0, (tmp_path / "whole" / "result.json").read_text()
    one = loop.Session._one

    def dies(self: loop.Session, progress: float) -> None:
        if self._now.step == 7:
            raise Killed
        one(self, progress)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(loop.Session, "_one", dies)
        train.main(tmp_path / "killed")
    assert train.main(tmp_path / "killed") == 0
    assert tiny_runs.curves(tmp_path / "killed") == tiny_runs.curves(tmp_path / "whole")
    last = tmp_path / "whole" / "checkpoints" / checkpoint.name(12)
    twin = tmp_path / "killed" / "checkpoints" / checkpoint.name(12)
    for name in (checkpoint.WEIGHTS, checkpoint.TRAIN):
        assert (last / name).read_bytes() == (twin / name).read_bytes()

    restored, meta = learners.restore(last)
    held = restored.prepare({k: v[9::10] for k, v in arrays(learner, SMALL[learner]).items()})
    with torch.no_grad():
        again = restored.assess(held, 12)
    assert again["loss"] == pytest.approx(meta.metrics["loss"], rel=1e-5)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("freeze", [["encoder"], []])
def test_a_reasoner_over_pictures_goes_on_exactly(
    freeze: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = evaluated.model(tmp_path / "jepa", "jepa", evaluated.few_scenes.TINY, recipe="image/scenes")
    vision = evaluated.few_scenes.TINY["vision"]
    model = {"task": "scene", "vision": vision, "freeze": freeze, "hidden": 16, "heads": 2, "layers": 1}
    data = tiny_runs.data_set(tmp_path / "data", arrays=pictures(32))
    over = {"model": model, "batch": 12, "steps": 8, "assess": {"every": 4, "rows": 12}}
    for name in ("whole", "killed"):
        body = tiny_runs.request(
            tmp_path / name, data, learner="hrm", **over, checkpoint={"seconds": 1e-6}
        ) | {"encoder": str(encoder)}
        (tmp_path / name / "request.json").write_text(json.dumps(body))
    assert train.main(tmp_path / "whole") == 0, (tmp_path / "whole" / "result.json").read_text()
    one = loop.Session._one

    def dies(self: loop.Session, progress: float) -> None:
        if self._now.step == 5:
            raise Killed
        one(self, progress)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(loop.Session, "_one", dies)
        train.main(tmp_path / "killed")
    assert train.main(tmp_path / "killed") == 0
    assert tiny_runs.curves(tmp_path / "killed") == tiny_runs.curves(tmp_path / "whole")
    ends = [tmp_path / name / "checkpoints" / checkpoint.name(8) for name in ("whole", "killed")]
    for name in (checkpoint.WEIGHTS, checkpoint.TRAIN):
        assert len({(end / name).read_bytes() for end in ends}) == 1
    shutil.rmtree(encoder)
    other = {**evaluated.few_scenes.TINY, "vision": {**vision, "width": 16}}
    evaluated.model(tmp_path / "other", "jepa", other).rename(encoder)  # another lies in the encoder's place
    restored, meta = learners.restore(ends[0])
    held = restored.prepare({name: each[9::10] for name, each in pictures(32).items()})
    with torch.no_grad():
        assert restored.assess(held, 12)["loss"] == pytest.approx(meta.metrics["loss"], rel=1e-5)


def pictures(size: int, rows: int = 120) -> dict[str, Any]:
    """Pictures, a question and an answer each, with nothing to learn in them."""
    rng = np.random.default_rng(2)
    asked = [text.ljust(24, b"\0") for text in (b"what colour is it?", b"what shape is it?")]
    said = [text.ljust(8, b"\0") for text in (b"red", b"blue", b"star")]
    return {
        "image": rng.integers(0, 256, (rows, size, size, 3)).astype(np.uint8),
        "question": np.array([np.frombuffer(asked[n % 2], np.uint8) for n in range(rows)]),
        "answer": np.array([np.frombuffer(said[n % 3], np.uint8) for n in range(rows)]),
    }


@pytest.mark.skipif(sys.platform == "win32", reason="the peak includes pages that Windows counts otherwise")
@pytest.mark.parametrize("learner", MIDDLE)
def test_the_estimate_is_within_thirty_percent_of_the_peak(learner: str, tmp_path: Path) -> None:
    data = tiny_runs.data_set(tmp_path / "data", arrays=arrays(learner, MIDDLE[learner], 300))
    over = {"model": MIDDLE[learner], "batch": 96, "steps": 2, "assess": {"every": 2, "rows": 8}}
    run = tmp_path / "run"
    tiny_runs.request(run, data, learner=learner, **over)
    code = "import sys, pathlib; from model import train; sys.exit(train.main(pathlib.Path(sys.argv[1])))"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-P", "-c", code, str(run)], check=True, env=environment, timeout=290)
    (told,) = (each for each in tiny_runs.events(run, "phase") if each["name"] == "train")
    peak = json.loads((run / "result.json").read_text())["metrics"]["memory_bytes"]
    assert told["estimated_bytes"] == pytest.approx(peak, rel=0.3)
    assert peak > 350 * 2**20  # there is something to estimate beside the libraries


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system's own peak is asked")
def test_the_peak_of_a_run_is_not_that_of_who_started_it() -> None:
    ballast = b"x" * 600_000_000  # resident here while the child is started
    code = "import torch; from model import devices; print(devices.peak_bytes(torch.device('cpu')))"
    told = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=200
    )
    assert int(told.stdout) < len(ballast)
