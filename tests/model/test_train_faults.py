"""What goes wrong around a run: data that can't be learned from, a full disk, too little memory."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

import full_disk
import pytest
import tiny_runs

torch = pytest.importorskip("torch")

from datagen import files  # noqa: E402
from model import checkpoint, config, devices, estimate, memory, train  # noqa: E402
from model.errors import RequestError, TooLittleMemory  # noqa: E402


def test_data_of_another_provenance_is_refused_by_the_real_child(tmp_path: Path) -> None:
    data = tiny_runs.data_set(tmp_path / "data", provenance="scraped")
    tiny_runs.request(tmp_path / "run", data)
    status, output = tiny_runs.child(tmp_path / "run", tmp_path / "packages")
    assert status == 1 and "'scraped'; only synthetic and interaction data is read" in output
    assert tiny_runs.result(tmp_path / "run") == {"v": 1, "ok": False, "error": output.strip()}


def test_data_without_a_held_out_row_is_refused_by_the_real_child(tmp_path: Path) -> None:
    data = tiny_runs.data_set(tmp_path / "data", rows=9)
    tiny_runs.request(tmp_path / "run", data)
    status, output = tiny_runs.child(tmp_path / "run", tmp_path / "packages")
    assert status == 1 and "has no row in its test part; make a larger data set" in output


def test_data_for_another_learner_is_refused_by_the_real_child(tmp_path: Path, sums: Path) -> None:
    model = {"vocabulary": 10, "grid": {"rows": 4, "columns": 4}, "mixing": ["tokens"]}
    tiny_runs.request(tmp_path / "run", sums, learner="hrm", model=model)
    status, output = tiny_runs.child(tmp_path / "run", tmp_path / "packages")
    assert status == 1, output
    error = tiny_runs.result(tmp_path / "run")["error"]
    assert "data of tiny/sums is not for this learner: " in error and "question" in error


@pytest.mark.parametrize("module", ["model.train", "model.estimate"])
def test_without_the_extra_the_real_child_says_what_to_install(
    module: str, tmp_path: Path, sums: Path
) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n")
    tiny_runs.request(tmp_path / "run", sums)
    status, output = tiny_runs.child(tmp_path / "run", packages, module)
    assert status == 1 and output == "training needs torch: pip install 'jetbox[model]'\n"


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "no manifest"])
def test_data_that_is_not_whole_is_refused(damage: str, tmp_path: Path) -> None:
    data = tiny_runs.data_set(tmp_path / "data")
    shard = data / "shard-00000.safetensors"
    text = bytearray(shard.read_bytes())
    if damage == "flip":
        text[-5] ^= 1
        shard.write_bytes(text)
    elif damage == "cut":
        shard.write_bytes(text[:-1])
    else:
        (shard if damage == "gone" else data / "manifest.json").unlink()
    tiny_runs.request(tmp_path / "run", data)
    assert train.main(tmp_path / "run") == 1
    assert str(data) in tiny_runs.result(tmp_path / "run")["error"]


@pytest.mark.usefixtures("tiny")
def test_on_a_full_disk_the_real_child_says_so_and_goes_on_when_there_is_room(
    tmp_path: Path, sums: Path
) -> None:
    run = tmp_path / "run"
    tiny_runs.request(run, sums, checkpoint={"seconds": 1e-6})
    full_disk.fill(tmp_path / "packages", 120_000)
    status, output = tiny_runs.child(run, tmp_path / "packages")
    assert status == 1 and "the disk is full: free some space, then retry" in output
    found = checkpoint.newest(run)
    assert found.meta is not None and found.meta.step > 0 and not found.refused
    assert train.main(run) == 0  # there is room
    resumed = [each for each in tiny_runs.events(run, "phase") if each.get("resumed")]
    assert resumed[-1]["step"] == found.meta.step


@pytest.mark.usefixtures("tiny")
def test_whichever_write_finds_the_disk_full_nothing_is_torn(
    tmp_path: Path, sums: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each third write in turn, half of its bytes there; then the run ends as if nothing had been."""
    real = files.write
    over: dict[str, Any] = {"steps": 3, "assess": {"every": 2, "rows": 30}, "checkpoint": {"seconds": 1e-6}}
    tiny_runs.request(tmp_path / "whole", sums, **over)
    count = 0

    def counted(file: BinaryIO, data: bytes) -> None:
        nonlocal count
        count += 1
        real(file, data)

    monkeypatch.setattr(files, "write", counted)
    assert train.main(tmp_path / "whole") == 0
    for number in range(0, count, 3):
        run, left = tmp_path / str(number), number

        def full(file: BinaryIO, data: bytes) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                real(file, bytes(data)[: len(data) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(file, data)

        tiny_runs.request(run, sums, **over)
        monkeypatch.setattr(files, "write", full)
        assert train.main(run) == 1
        assert checkpoint.newest(run).refused == []
        monkeypatch.setattr(files, "write", real)
        assert train.main(run) == 0
        assert tiny_runs.curves(run) == tiny_runs.curves(tmp_path / "whole")


@pytest.mark.usefixtures("tiny")
def test_a_run_that_would_not_fit_is_not_started_and_says_both_numbers_and_what_would(
    tmp_path: Path, sums: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "free_bytes", lambda device: 10 * 1024**2)
    tiny_runs.request(tmp_path / "run", sums, batch=4096, model={"hidden": 4096})
    assert train.main(tmp_path / "run") == 1
    error = tiny_runs.result(tmp_path / "run")["error"]
    assert "the run would take" in error and "there is room for" in error and " parts, " in error
    assert tiny_runs.events(tmp_path / "run", "metric") == []


@pytest.mark.usefixtures("tiny")
def test_the_estimate_is_told_without_a_step_and_its_lighter_ways_take_less(
    tmp_path: Path, sums: Path
) -> None:
    run = tmp_path / "run"
    tiny_runs.request(run, sums, batch=1024, model={"hidden": 2048})
    assert estimate.main(run) == 0
    told = tiny_runs.result(run)
    body = json.loads((run / told["artifact"]["path"]).read_text())
    assert (
        told["metrics"]["bytes"] == body["bytes"] == body["parts"]["total"] and told["metrics"]["fits"] == 1
    )
    assert 2 <= len(body["lighter"]) <= 3
    for way in body["lighter"]:
        assert way["bytes"] < body["bytes"] and way["about"]
        config.config(way["config"])  # complete, and ready to be asked for
    same = [way for way in body["lighter"] if way["config"]["model"] == {"hidden": 2048}]
    first = same[0]["config"]
    assert first["batch"] == 1024 and first["accumulate"] > 1  # the same batch, so the same learning
    assert body["lighter"][-1]["config"]["model"] == {"hidden": 1024}  # a smaller model comes last
    assert not (run / "checkpoints").exists()


def test_memory_is_counted_by_parts() -> None:
    import tiny_learner

    learner = tiny_learner.Tiny(6, 100, 0.0, 0)
    learning = 4 * sum(each.numel() for each in learner.parameters())

    def parts(**optimizer: Any) -> memory.Estimate:
        body = {"learner": "tiny", "batch": 8, "steps": 1, "precision": "fp32", "optimizer": optimizer}
        return memory.estimate(config.config(body), learner, (10, 20), 0, torch.device("cpu"))

    assert parts().weights == learning + 4 and parts().gradients == learning
    assert parts().optimizer == 2 * learning and parts(name="muon").optimizer == 2 * learning - 4 * 600
    assert parts().average == learning and parts(average=0).average == 0
    assert parts().activations == learner.activation_bytes(8)
    assert (parts().data, parts().loading) == (10, 20)


def test_a_width_that_can_not_be_built_is_no_lighter_way() -> None:
    import tiny_learner

    body = {"learner": "tiny", "batch": 1, "steps": 1, "model": {"hidden": 64}}

    def refuse(options: dict[str, Any]) -> Any:
        raise RequestError("its heads do not divide it")

    settings, learner = config.config(body), tiny_learner.Tiny(6, 64, 0.0, 0)

    def sized(each: config.Config, one: Any) -> memory.Estimate:
        return memory.estimate(each, one, (0, 0), 0, torch.device("cpu"))

    assert memory.lighter(settings, learner, 0, sized, refuse) == []
    with pytest.raises(TooLittleMemory, match="room for 0 MiB"):
        memory.check(sized(settings, learner), 0, torch.device("cpu"), list)
