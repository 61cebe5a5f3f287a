"""Several processes train as one with the batch of them all, and go on as exactly."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import tiny_runs

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from model import ddp, train  # noqa: E402

QUIET = {"model": {"noise": 0.0}, "steps": 30}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, sums: Path) -> Path:
    """A run of two processes that was killed and gone on with; its log says whether the two could meet."""
    root = tmp_path_factory.mktemp("pair")
    run = root / "two"
    tiny_runs.request(run, sums, **QUIET, batch=8, devices=2, checkpoint={"seconds": 1e-6})
    process = tiny_runs.start(run, root / "packages")
    tiny_runs.until(lambda: len(tiny_runs.events(run, "checkpoint")) >= 5 or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    status, output = tiny_runs.child(run, root / "packages")
    if status and "can't talk to each other" in output:
        pytest.skip(output)
    assert status == 0, output
    return run


@pytest.mark.usefixtures("tiny")
def test_two_processes_learn_what_one_learns_with_the_double_batch(
    pair: Path, tmp_path: Path, sums: Path
) -> None:
    tiny_runs.request(tmp_path / "one", sums, **QUIET, batch=16)
    assert train.main(tmp_path / "one") == 0
    one, two = tiny_runs.curves(tmp_path / "one"), tiny_runs.curves(pair)
    assert one.keys() == two.keys() and len(one) > 100
    for key, value in one.items():
        if key[0] != "error":  # a root of a mean is not the mean of the roots
            assert two[key] == pytest.approx(value, rel=2e-3, abs=1e-5), key
    last = "checkpoints/step-00000030/model.safetensors"
    here, there = load_file(tmp_path / "one" / last), load_file(pair / last)
    for name, value in here.items():
        torch.testing.assert_close(there[name], value, rtol=1e-3, atol=1e-5)


def test_two_processes_that_were_killed_go_on_exactly(pair: Path, tmp_path: Path, sums: Path) -> None:
    assert sum(each.get("resumed") is True for each in tiny_runs.events(pair, "phase")) >= 1
    run = tmp_path / "whole"
    tiny_runs.request(run, sums, **QUIET, batch=8, devices=2, checkpoint={"seconds": 1e6})
    assert tiny_runs.child(run, tmp_path / "packages")[0] == 0
    assert tiny_runs.curves(run) == tiny_runs.curves(pair)
    for name in ("model", "train"):
        here, there = (
            load_file(each / f"checkpoints/step-00000030/{name}.safetensors") for each in (run, pair)
        )
        assert here.keys() == there.keys() and all(torch.equal(here[key], there[key]) for key in here)


@pytest.mark.usefixtures("tiny")
def test_a_run_of_two_is_not_gone_on_with_by_one(pair: Path, sums: Path) -> None:
    (pair / "result.json").unlink()
    tiny_runs.request(pair, sums, **QUIET, batch=8, checkpoint={"seconds": 1e-6})
    assert train.main(pair) == 1
    assert "another number of processes" in tiny_runs.result(pair)["error"]


def test_where_processes_can_have_no_socket_the_run_says_so(
    tmp_path: Path, sums: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv(ddp.RENDEZVOUS, str(tmp_path / "no" / "such" / "folder"))
    monkeypatch.setattr("torch.distributed.init_process_group", _refused)
    with pytest.raises(ddp.NoRanks, match="use devices: 1"):
        ddp.Ranks("cpu")


def _refused(*given: object, **named: object) -> None:
    raise RuntimeError("[enforce fail] socket: Operation not permitted")
