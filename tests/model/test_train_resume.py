"""A run that is killed and started again comes to the very numbers of one that never stopped."""

from __future__ import annotations

import json
import random
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_runs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from model import checkpoint, config, loop, train  # noqa: E402

OFTEN = {"seconds": 1e-6}


class Killed(BaseException):
    """The end of a process without a word, in this process."""


def tensors(run_dir: Path, name: str) -> dict[str, Any]:
    last = json.loads((run_dir / "checkpoints.json").read_text())["last"]
    return dict(load_file(run_dir / "checkpoints" / last / name))


def assert_same_end(run: Path, other: Path) -> None:
    assert tiny_runs.curves(run) == tiny_runs.curves(other)
    for name in ("model.safetensors", "train.safetensors"):
        here, there = tensors(run, name), tensors(other, name)
        assert here.keys() == there.keys()
        assert [key for key in here if not torch.equal(here[key], there[key])] == []
    mine, theirs = tiny_runs.result(run), tiny_runs.result(other)
    for name in tiny_runs.MEASURED[1:]:
        mine["metrics"].pop(name), theirs["metrics"].pop(name)
    assert mine["ok"] and mine["metrics"] == theirs["metrics"]


def killed_at(steps: list[int], run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do a run that dies before these steps, and within the writing of a checkpoint at some of them."""
    one, written, left = loop.Session._one, checkpoint._write, sorted(set(steps))

    def step(self: loop.Session, progress: float) -> None:
        if left and self._now.step >= left[0]:
            left.pop(0)
            raise Killed
        one(self, progress)

    def write(path: Path, tensors: Any) -> dict[str, Any]:
        if left and left[0] % 3 == 0 and path.name == checkpoint.TRAIN and str(left[0]) in path.parent.name:
            left.pop(0)
            path.write_bytes(b"half of it")
            raise Killed
        return written(path, tensors)

    def removed(path: Path, **how: Any) -> None:
        if not isinstance(sys.exc_info()[1], Killed):  # the dead tidy nothing up
            remove(path, **how)

    remove = shutil.rmtree
    with monkeypatch.context() as patch:
        patch.setattr(loop.Session, "_one", step)
        patch.setattr(checkpoint, "_write", write)
        patch.setattr(shutil, "rmtree", removed)
        while left:
            with pytest.raises(Killed):
                train.main(run_dir)
    assert train.main(run_dir) == 0


VARIETIES: dict[str, dict[str, Any]] = {
    "adamw": {},
    "muon, in parts": {"optimizer": {"name": "muon", "lr": 0.01}, "accumulate": 2},
    "adam-atan2, not averaged": {"optimizer": {"name": "adam-atan2", "lr": 0.01, "average": 0.0}},
    "bf16, metrics each third step": {"precision": "bf16"},
}


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("variety", VARIETIES)
def test_killed_at_any_step_a_run_ends_in_the_same_numbers(
    variety: str, tmp_path: Path, sums: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = VARIETIES[variety]
    monkeypatch.setattr(config.Config, "log_every", 3 if "third" in variety else 1)
    tiny_runs.request(tmp_path / "whole", sums, **over)
    assert train.main(tmp_path / "whole") == 0
    tiny_runs.request(tmp_path / "killed", sums, checkpoint=OFTEN, **over)
    dice = random.Random(variety)
    killed_at([1, 10, 39, *dice.sample(range(2, 39), 4)], tmp_path / "killed", monkeypatch)
    assert len(tiny_runs.events(tmp_path / "killed", "phase")) > 6
    assert_same_end(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.usefixtures("tiny")
def test_without_the_feeds_numbers_a_resumed_run_would_differ(
    tmp_path: Path, sums: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison has teeth: whatever is left out of a checkpoint shows."""
    from model.feed import RowFeed
    from model.optim import Average, Stepper

    tiny_runs.request(tmp_path / "whole", sums)
    assert train.main(tmp_path / "whole") == 0
    for owner in (RowFeed, Stepper, Average):
        run = tmp_path / owner.__name__
        tiny_runs.request(run, sums, checkpoint=OFTEN)
        with monkeypatch.context() as patch:
            patch.setattr(owner, "restore", lambda self, state: None)
            killed_at([13], run, patch)
        assert tiny_runs.curves(run) != tiny_runs.curves(tmp_path / "whole"), owner


@pytest.mark.skipif(sys.platform == "win32", reason="there is no TERM to ask a process with")
@pytest.mark.usefixtures("tiny")
def test_a_real_child_is_killed_and_terminated_and_goes_on(tmp_path: Path, sums: Path) -> None:
    """Each child comes to step 20 and waits there, so that the signals meet it in the middle of a step."""
    hold, killed = tmp_path / "hold", tmp_path / "killed"
    for name in ("whole", "killed"):
        tiny_runs.request(tmp_path / name, sums, model={"hold": str(hold)}, checkpoint=OFTEN)
    assert train.main(tmp_path / "whole") == 0
    hold.touch()
    process = tiny_runs.start(killed, tmp_path / "packages")
    tiny_runs.until(lambda: len(tiny_runs.events(killed, "checkpoint")) == 20 or process.poll() is not None)
    process.kill()
    assert process.communicate() == ("", None) and process.returncode == -signal.SIGKILL
    assert not (killed / "result.json").exists()

    process = tiny_runs.start(killed, tmp_path / "packages")
    tiny_runs.until(lambda: bool(resumed(killed)) or process.poll() is not None)
    process.terminate()
    hold.unlink()
    assert process.communicate() == ("", None) and process.returncode == 143
    assert not (killed / "result.json").exists()  # interrupted: it can be gone on with
    steps = [each["step"] for each in tiny_runs.events(killed, "checkpoint")]
    assert len(steps) > 20 and max(steps) < 40

    assert train.main(killed) == 0
    assert [each["step"] for each in resumed(killed)] == [20, max(steps)]
    assert_same_end(tmp_path / "whole", killed)


def resumed(run_dir: Path) -> list[dict[str, Any]]:
    """The starts that went on from a checkpoint."""
    return [each for each in tiny_runs.events(run_dir, "phase") if each.get("resumed")]


@pytest.mark.usefixtures("tiny")
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    where=st.floats(0, 1),
    bit=st.integers(0, 7),
    name=st.sampled_from(["model", "train", "meta"]),
    cut=st.booleans(),
)
def test_a_checkpoint_with_a_flipped_bit_or_cut_short_is_refused_and_the_one_before_taken(
    where: float, bit: int, name: str, cut: bool, damaged: Path
) -> None:
    run = damaged.parent / "run"
    shutil.rmtree(run, ignore_errors=True)
    for step in (39, 40):
        shutil.copytree(
            damaged / "checkpoints" / checkpoint.name(step), run / "checkpoints" / checkpoint.name(step)
        )
    file = {"model": checkpoint.WEIGHTS, "train": checkpoint.TRAIN, "meta": checkpoint.META}[name]
    path = run / "checkpoints" / checkpoint.name(40) / file
    data = bytearray(path.read_bytes())
    at = min(len(data) - 2, int(where * len(data)))  # the last byte of JSON is a newline, which means nothing
    data[at] ^= 1 << bit
    path.write_bytes(data[:at] if cut else data)
    found = checkpoint.newest(run)
    assert found.meta is not None and found.meta.step == 39
    assert len(found.refused) == 1 and str(path.parent) in found.refused[0]


@pytest.fixture
def damaged(tmp_path: Path, sums: Path) -> Path:
    tiny_runs.request(tmp_path / "good", sums, checkpoint=OFTEN)
    assert train.main(tmp_path / "good") == 0
    return tmp_path / "good"


@pytest.mark.usefixtures("tiny")
def test_after_a_torn_checkpoint_the_run_says_so_and_ends_in_the_same_numbers(
    tmp_path: Path, sums: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("whole", "torn"):
        tiny_runs.request(tmp_path / name, sums, checkpoint=OFTEN)
    assert train.main(tmp_path / "whole") == 0
    one = loop.Session._one

    def dies(self: loop.Session, progress: float) -> None:
        if self._now.step == 25:
            raise Killed
        one(self, progress)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(loop.Session, "_one", dies)
        train.main(tmp_path / "torn")
    newest = tmp_path / "torn" / "checkpoints" / checkpoint.name(25)
    (newest / checkpoint.TRAIN).write_bytes(b"")
    assert train.main(tmp_path / "torn") == 0
    (alert,) = tiny_runs.events(tmp_path / "torn", "alert")
    assert "step-00000025" in alert["message"] and "an older one is taken" in alert["message"]
    assert_same_end(tmp_path / "whole", tmp_path / "torn")


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"batch": 8}, "another configuration"),
        ({"seed": 7}, "another seed"),
        ({"model": {"hidden": 8}}, "another configuration"),
    ],
)
def test_another_runs_checkpoint_is_refused_in_one_line(
    change: dict[str, Any], says: str, tmp_path: Path, sums: Path
) -> None:
    run = tmp_path / "run"
    tiny_runs.request(run, sums)
    assert train.main(run) == 0
    (run / "result.json").unlink()
    tiny_runs.request(run, sums, **change)
    assert train.main(run) == 1
    assert says in tiny_runs.result(run)["error"]


@pytest.mark.usefixtures("tiny")
def test_a_run_goes_on_with_the_encoder_that_it_began_with_or_not_at_all(tmp_path: Path, sums: Path) -> None:
    run, encoder = tmp_path / "run", tmp_path / "encoder"
    encoder.mkdir()
    body = tiny_runs.request(run, sums) | {"encoder": str(encoder)}
    (run / "request.json").write_text(json.dumps(body))
    for text, status in (("one", 0), ("one", 0), ("another", 1)):
        (encoder / checkpoint.META).write_text(text)
        assert train.main(run) == status
        result = tiny_runs.result(run)
        (run / "result.json").unlink()
    assert "is of another encoder" in result["error"]
    (run / "request.json").write_text(json.dumps(body | {"encoder": None}))
    assert train.main(run) == 1
    assert "is of another encoder" in tiny_runs.result(run)["error"]


@pytest.mark.usefixtures("tiny")
def test_the_largest_seed_is_one_like_any_other(tmp_path: Path, sums: Path) -> None:
    tiny_runs.request(tmp_path / "run", sums, seed=2**63 - 1, steps=10)
    assert train.main(tmp_path / "run") == 0


@pytest.mark.usefixtures("tiny")
def test_another_versions_checkpoint_is_refused_in_one_line(tmp_path: Path, sums: Path) -> None:
    run = tmp_path / "run"
    tiny_runs.request(run, sums)
    assert train.main(run) == 0
    (run / "result.json").unlink()
    meta = run / "checkpoints" / checkpoint.name(40) / checkpoint.META
    meta.write_text(meta.read_text().replace('"version": 1', '"version": 2'))
    assert train.main(run) == 1
    assert "is of version 2; this is version 1" in tiny_runs.result(run)["error"]


@pytest.mark.usefixtures("tiny")
def test_the_best_the_last_and_the_end_are_kept_and_the_rest_by_bytes(tmp_path: Path, sums: Path) -> None:
    for keep_bytes in (0, 60_000):
        run = tmp_path / str(keep_bytes)
        tiny_runs.request(run, sums, checkpoint={"seconds": 1e-6, "keep_bytes": keep_bytes})
        assert train.main(run) == 0
        index = json.loads((run / "checkpoints.json").read_text())
        kept = {path.name for path in (run / "checkpoints").iterdir()}
        roles = {index["best"], index["last"], *index["phases"].values()}
        assert roles <= kept
        rest = [run / "checkpoints" / name for name in kept - roles]
        assert sum(checkpoint.size_of(path) for path in rest) <= keep_bytes
        assert bool(rest) == bool(keep_bytes)
        best = json.loads((run / "checkpoints" / index["best"] / "checkpoint.json").read_text())
        assert tiny_runs.result(run)["metrics"]["loss"] == best["metrics"]["loss"]
