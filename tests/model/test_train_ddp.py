"""Several processes train as one with the batch of them all, and go on as exactly.

One run is made by the real child, which starts its ranks itself. The others are forked from here, where
torch is loaded already.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_runs

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from model import ddp, loop, train  # noqa: E402

QUIET = {"model": {"noise": 0.0}, "steps": 30}
PAIR = {**QUIET, "batch": 8, "devices": 2}
forked = pytest.mark.skipif(sys.platform != "linux", reason="the ranks are forked")


def rank(number: int, run: Path, meeting: str, dies_at: int) -> None:
    """One of two processes; rank 0 dies without a word before a step, where that is asked."""
    os.environ.update({"RANK": str(number), "WORLD_SIZE": "2", ddp.RENDEZVOUS: meeting})
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    one = loop.Session._one

    def step(self: loop.Session, progress: float) -> None:
        if number == 0 and self._now.step == dies_at:
            os._exit(9)
        one(self, progress)

    loop.Session._one = step  # type: ignore[method-assign]
    os._exit(train.work(run, several=True))


def two(run: Path, dies_at: int = -1) -> list[int | None]:
    """Do a run with two processes; their exit statuses."""
    fork = multiprocessing.get_context("fork")
    meeting = str(run.parent / f"{run.name}-{dies_at}")
    both = [fork.Process(target=rank, args=(number, run, meeting, dies_at)) for number in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join(120)
        if each.exitcode is None:
            each.kill()
            each.join()
    return [each.exitcode for each in both]


@forked
@pytest.mark.usefixtures("tiny")
def test_two_processes_learn_what_one_learns_with_the_double_batch(tmp_path: Path, sums: Path) -> None:
    tiny_runs.request(tmp_path / "two", sums, **PAIR)
    tiny_runs.request(tmp_path / "one", sums, **QUIET, batch=16)
    assert two(tmp_path / "two") == [0, 0]
    assert train.main(tmp_path / "one") == 0
    one, pair = tiny_runs.curves(tmp_path / "one"), tiny_runs.curves(tmp_path / "two")
    assert one.keys() == pair.keys() and len(one) > 100
    for key, value in one.items():
        if key[0] != "error":  # a root of a mean is not the mean of the roots
            assert pair[key] == pytest.approx(value, rel=2e-3, abs=1e-5), key
    last = "checkpoints/step-00000030/model.safetensors"
    here, there = load_file(tmp_path / "one" / last), load_file(tmp_path / "two" / last)
    for name, value in here.items():
        torch.testing.assert_close(there[name], value, rtol=1e-3, atol=1e-5)


@forked
@pytest.mark.usefixtures("tiny")
def test_two_processes_of_which_one_was_killed_go_on_exactly_but_not_as_one(
    tmp_path: Path, sums: Path
) -> None:
    noisy = {**PAIR, "model": {"noise": 0.1}, "steps": 12, "accumulate": 2}
    for name in ("whole", "killed"):
        tiny_runs.request(tmp_path / name, sums, **noisy, checkpoint={"seconds": 1e-6})
    assert two(tmp_path / "whole") == [0, 0]
    killed = two(tmp_path / "killed", dies_at=7)
    assert killed[0] == 9 and killed[1] != 0
    tiny_runs.request(tmp_path / "killed", sums, **{**noisy, "devices": 1}, checkpoint={"seconds": 1e-6})
    assert train.main(tmp_path / "killed") == 1
    assert "another number of processes" in tiny_runs.result(tmp_path / "killed")["error"]
    tiny_runs.request(tmp_path / "killed", sums, **noisy, checkpoint={"seconds": 1e-6})
    assert two(tmp_path / "killed") == [0, 0]
    resumed = [each for each in tiny_runs.events(tmp_path / "killed", "phase") if each.get("resumed")]
    assert [each["step"] for each in resumed] == [7]
    assert_same(tmp_path / "whole", tmp_path / "killed", 12)


@forked
@pytest.mark.usefixtures("tiny")
def test_the_real_child_starts_the_processes_itself(tmp_path: Path, sums: Path) -> None:
    short = {**PAIR, "steps": 5, "assess": {"every": 5, "rows": 10}}
    for name in ("child", "forked"):
        tiny_runs.request(tmp_path / name, sums, **short)
    status, output = tiny_runs.child(tmp_path / "child", tmp_path / "packages")
    if status and "can't talk to each other" in output:
        pytest.skip(output)  # no namespace, no loopback of its own: the run has said so
    assert status == 0, output
    assert two(tmp_path / "forked") == [0, 0]
    assert_same(tmp_path / "child", tmp_path / "forked", 5)


def assert_same(run: Path, other: Path, last: int) -> None:
    assert tiny_runs.curves(run) == tiny_runs.curves(other)
    for name in ("model", "train"):
        path = f"checkpoints/step-{last:08d}/{name}.safetensors"
        here, there = load_file(run / path), load_file(other / path)
        assert here.keys() == there.keys()
        assert [key for key in here if not torch.equal(here[key], there[key])] == []
    assert {key.partition(".")[0] for key in here} >= {"rank0", "rank1"}


@pytest.mark.parametrize(("first", "status"), [("pass", 0), ("raise SystemExit(1)", 1)])
def test_a_rank_that_never_ends_is_waited_for_only_so_long_after_the_first(
    first: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ddp, "_TOGETHER", 0.2)
    monkeypatch.setattr(ddp, "_AFTER", 0.2)
    ranks = [
        subprocess.Popen([sys.executable, "-c", code]) for code in (first, "import time; time.sleep(600)")
    ]
    try:
        assert ddp._await(ranks, []) == status
        assert ranks[1].poll() is None  # `launch` ends it
    finally:
        for each in ranks:
            each.kill()
            each.wait()


def test_where_processes_can_have_no_socket_the_run_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*given: object, **named: object) -> None:
        raise RuntimeError("[enforce fail] socket: Operation not permitted")

    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("torch.distributed.init_process_group", refused)
    with pytest.raises(ddp.NoRanks, match="use devices: 1"):
        ddp.Ranks("cpu")


@pytest.mark.skipif(sys.platform == "win32", reason="a parent is killed here")
def test_ranks_do_not_outlive_the_process_that_started_them(tmp_path: Path) -> None:
    """It held the run's lock for them: once it is gone, another may work in the folder."""
    code = "import threading, time; from model import ddp;"
    code += "threading.Thread(target=ddp._end_with_parent).start(); time.sleep(280)"
    process = subprocess.Popen([sys.executable, "-P", "-c", code], stdin=subprocess.PIPE)
    assert process.poll() is None and process.stdin
    process.stdin.close()
    assert process.wait(270) == 1
