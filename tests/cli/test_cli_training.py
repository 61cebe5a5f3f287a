"""`train`, `eval` and `runs`: the same child runs as tickets', followed, stopped and taken up by hand."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from bare_machine import without_extras
from cli_doubles import environment, jetbox
from scripted_wing import DOUBLES, scripted, tiny

from orchestrator import runs
from orchestrator.cli import app, models

PROGRAM = """
import sys; sys.path.append(sys.argv[1])
from scripted_wing import scripted
from orchestrator.cli import app
scripted(setattr)
sys.exit(app.run(sys.argv[2:]))
"""

Says = Callable[..., tuple[int, str, str]]


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Says:
    """The command line in this process, on doubles: exit code, output, errors."""
    scripted(monkeypatch.setattr)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = app.run(list(arguments))
        return int(code), out.getvalue(), err.getvalue()

    return run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set, as far as the doubles look at it."""
    folder = tmp_path / "rows/data"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"content_sha256": "a" * 64, "count": 20}))
    return folder.parent


def config(folder: Path, **model: Any) -> str:
    """A configuration's file."""
    path = folder / "tiny.yaml"
    path.write_text(json.dumps(tiny(**model)))
    return str(path)


def test_a_model_is_trained_without_a_ticket_and_each_run_has_a_folder(
    says: Says, data: Path, tmp_path: Path
) -> None:
    ask = ("train", config(tmp_path), "--data", str(data), "--set", "optimizer.lr=0.5", "--steps", "12")
    code, out, _ = says(*ask)
    assert code == 0 and "Made runs/tiny/1/checkpoints/step-00000012/checkpoint.json" in out
    assert "100 %  train, 12 of 12 steps, loss" in out
    request = json.loads((tmp_path / "runs/tiny/1/request.json").read_text())
    assert request["config"]["optimizer"] == {"lr": 0.5} and request["config"]["steps"] == 12
    code, out, _ = says(*ask, "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and {line["type"] for line in lines[:-1]} >= {
        "phase",
        "metric",
        "progress",
        "checkpoint",
    }
    found = models.schema("train")
    assert found is not None
    jsonschema.validate(lines[-1], found)
    assert lines[-1]["run"].endswith("runs/tiny/2") and lines[-1]["ok"]


def test_a_run_that_was_cut_off_goes_on_by_resume_alone(says: Says, data: Path, tmp_path: Path) -> None:
    run = tmp_path / "cut"
    request = {
        "schema": 1,
        "learner": "hrm",
        "config": tiny(pace=0.05),
        "data": str(data / "data"),
        "seed": 0,
    }
    runs.start(run, "scripted_training", request)
    while not list(run.glob("checkpoints/step-*/checkpoint.json")):
        time.sleep(0.02)
    runs.stop(run, 0.0)
    code, _, err = says("train", config(tmp_path), "--data", str(data), "--run", str(run))
    assert code == 2 and "--resume" in err
    code, _, err = says("train", config(tmp_path), "--run", str(run), "--resume")
    assert code == 2 and "alone" in err
    code, out, _ = says("train", "--run", str(run), "--resume")
    assert code == 0 and "Made" in out
    phases = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines() if "phase" in line]
    assert [phase["resumed"] for phase in phases] == [False, True]


def test_a_resume_that_can_not_be_leaves_the_run_as_it_was(says: Says, tmp_path: Path) -> None:
    run = tmp_path / "measured"
    run.mkdir()
    (run / "request.json").write_text(json.dumps({"schema": 1, "suite": "sudoku"}))
    (run / "result.json").write_text('{"v": 1, "ok": false, "error": "the disk was full"}')
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    code, _, err = says("train", "--run", str(run), "--resume")
    assert code == 2 and "of this kind" in err
    code, _, err = says("eval", "sudoku", "--run", str(run), "--resume")
    assert code == 2 and "alone" in err
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(data: Path, tmp_path: Path) -> None:
    made = config(tmp_path, pace=0.05)
    command = ["train", made, "--data", str(data), "--run", "mine", "--set", "checkpoint.seconds=1000"]
    with subprocess.Popen(
        [sys.executable, "-P", "-c", PROGRAM, str(DOUBLES), *command, "--steps", "1000"],
        cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as program:  # fmt: skip
        until = time.monotonic() + 60
        events = tmp_path / "mine/events.jsonl"
        while not (events.exists() and '"step": 3' in events.read_text()):
            assert time.monotonic() < until and program.poll() is None
            time.sleep(0.02)
        program.send_signal(signal.SIGINT)
        _, err = program.communicate(timeout=60)
    assert program.returncode == 130
    assert "jetbox train --run mine --resume" in err
    assert not runs.alive(tmp_path / "mine")
    assert len(list(tmp_path.glob("mine/checkpoints/step-*/checkpoint.json"))) == 1


def test_a_run_that_fails_is_told_in_one_line_and_by_its_exit_code(
    says: Says, data: Path, tmp_path: Path
) -> None:
    code, _, err = says("train", config(tmp_path, fail="no learner of that kind"), "--data", str(data))
    assert code == 1 and "no learner of that kind" in err and "runs/tiny/1" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "hrm-sudoku"], "did you mean 'hrm-sudoku"),
        (["train", "gone.yaml", "--data", "rows"], "no file gone.yaml"),
        (["train", "tiny.yaml"], "name the data set"),
        (["train", "tiny.yaml", "--data", "."], "no data set in ."),
        (["train", "tiny.yaml", "--data", "rows", "--set", "optimzer.lr=1"], "did you mean 'optimizer'"),
        (["train", "tiny.yaml", "--data", "rows", "--set", "lr"], "KEY=VALUE"),
        (["train", "tiny.yaml", "--data", "rows", "--time", "fast"], "expected a duration"),
        (["train", "tiny.yaml", "--data", "rows", "--device", "tpu"], "auto, cpu, cuda or mps"),
        (["train", "--run", "rows", "--resume"], "holds no run"),
        (["eval"], "scenes, questions, sudoku or maze"),
        (["eval", "sudoku", "--data", "rows"], "--model DIR"),
        (["eval", "sudoku", "--data", "rows", "--model", "rows"], "no trained model in rows"),
    ],
)
def test_wrong_use_is_told_with_what_to_do(
    says: Says, data: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    config(tmp_path)
    code, _, err = says(*arguments)
    assert code == 2 and said in err, err
    assert not (tmp_path / "runs").exists()


def test_a_model_is_measured_and_a_baseline_is_written_only_where_one_is_named(
    says: Says, data: Path, tmp_path: Path
) -> None:
    assert says("train", config(tmp_path), "--data", str(data))[0] == 0
    ask = ("eval", "sudoku", "--model", "runs/tiny/1", "--data", str(data), "--seeds", "0,1")
    code, out, _ = says(*ask)
    assert code == 0 and "exact" in out and "(spread" in out
    assert [path.name for path in tmp_path.rglob("held.json")] == []
    code, out, _ = says(*ask, "--write-baseline", "baselines/held.json")
    assert code == 0 and "commit it" in out
    held = tmp_path / "baselines/held.json"
    assert says(*ask, "--baseline", str(held))[0] == 0
    lost = json.loads(held.read_text())
    lost["metrics"]["exact"]["value"] += 1
    (tmp_path / "lost.json").write_text(json.dumps(lost))
    before = held.read_bytes()
    code, _, err = says(*ask, "--baseline", "lost.json")
    assert code == 1 and "fell behind the baseline" in err
    assert held.read_bytes() == before


def test_the_runs_are_listed_and_a_report_is_printed_safely(says: Says, data: Path, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert "No runs yet" in says("runs")[1]
    assert says("train", config(tmp_path), "--data", str(data))[0] == 0
    assert says("eval", "sudoku", "--model", "runs/tiny/1", "--data", str(data))[0] == 0
    out = says("runs")[1]
    assert "tiny/1" in out and "eval-sudoku/1" in out and "done" in out
    listed = json.loads(says("runs", "--json")[1])
    found = models.schema("runs")
    assert found is not None
    jsonschema.validate(listed, found)
    assert {line["kind"] for line in listed} == {"train", "eval"}
    code, out, _ = says("runs", "report", "eval-sudoku")
    assert code == 0 and "What was measured" in out and "\x1b" not in out
    code, _, err = says("runs", "report", "tiny")
    assert code == 1 and "no report" in err
    assert says("runs", "report", "TICKET-9")[0] == 1


def test_without_the_model_wing_the_verbs_say_the_cure(data: Path, tmp_path: Path) -> None:
    bare = without_extras(tmp_path / "bare")
    for arguments in (
        ["train", config(tmp_path), "--data", str(data)],
        ["train"],
    ):
        done = jetbox(*arguments, cwd=tmp_path, PYTHONPATH=bare)
        if len(arguments) > 1:
            assert done.returncode == 1 and "pip install 'jetbox[model]'" in done.stderr
        else:
            assert done.returncode == 0 and "hrm-sudoku4" in done.stdout
    assert not (tmp_path / "runs").exists()
    assert os.environ.get("PYTHONPATH") != bare
