"""What a model is accepted by: a check holds for a run that deserves it, and fails for one that does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil
import pytest
from lab import Lab, until
from scripted_wing import scripted, tiny
from training_lab import ready, train

from orchestrator import engine as engine_module
from orchestrator import run_checks, runs, side_runs
from orchestrator.kinds import train as train_kind
from orchestrator.run_checks import judge_offline
from orchestrator.training import short_runs
from orchestrator.training.short_runs import Broken, Trace, cut, differences
from state.run_folder import Result

UNHELD = run_checks.Taken(None, "nothing holds a run here")


@pytest.fixture(autouse=True)
def doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model wing's doubles, and short runs that are short."""
    scripted(monkeypatch.setattr)
    monkeypatch.setattr(engine_module, "PARKED", 0.1)
    monkeypatch.setattr(short_runs, "SPAN", 0.5)
    monkeypatch.setattr(short_runs, "_EVERY", 0.03)


def trained(lab: Lab, accept: Any, **model: Any) -> str:
    """The state of a ticket that trains, once its checks were taken."""
    ready(lab, pace=0.01, **model)
    train(lab, accept=accept)
    lab.run()
    lab.approve("TICKET-2", "start")
    lab.run()
    return lab.state("TICKET-2")


def summary(lab: Lab, name: str, id_: str = "TICKET-2") -> str:
    """What a receipt says."""
    outcomes = lab.events(id_, "action.outcome")
    return next(str(e.body["result"]["summary"]) for e in outcomes if e.body["result"].get("name") == name)


def test_a_sound_run_passes_every_check_and_leaves_nothing_beside_it(lab: Lab) -> None:
    checks = ["resumes", "deterministic", "offline", "provenance", {"metric": "exact", "min": 0.9}]
    assert trained(lab, checks) == "landed", lab.note("TICKET-2")
    assert set(lab.receipts("TICKET-2").values()) == {True}
    assert len(lab.receipts("TICKET-2")) == 5
    assert "killed at step" in summary(lab, "resumes") and "coincide" in summary(lab, "resumes")
    assert "tries from inside were refused" in summary(lab, "offline")
    assert "held-out rows, best checkpoint" in summary(lab, "exact at least 0.9")
    assert [path.name for path in lab.workspace.runs.glob("TICKET-2/*")] == ["1"]
    lab.intact()


@pytest.mark.parametrize(
    ("fault", "check", "said"),
    [
        ({"drifts": True}, "resumes", "resumed, it is another"),
        ({"anew": True}, "resumes", "it began anew"),
        ({"noise": True}, "deterministic", "made twice, it differs"),
        ({"phones": True}, "offline", "it tried to use the network"),
    ],
)
def test_a_run_that_does_not_keep_a_promise_is_found_out(
    lab: Lab, fault: dict[str, Any], check: str, said: str
) -> None:
    assert trained(lab, [check], **fault) == "failed"
    assert said in lab.note("TICKET-2")
    lab.intact()


def test_a_check_begins_only_when_the_run_of_an_engine_that_was_killed_has_ended(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(lab)
    lab.run()
    data = lab.workspace.run("TICKET-1", 1) / "data"
    folder, lives = lab.workspace.runs / "TICKET-2" / "1-again" / "whole", []
    request = {"config": tiny(pace=5.0), "learner": "hrm", "seed": 0, "data": str(data)}
    runs.start(folder, train_kind.MODULE, request)
    until((folder / "process.json").exists, "its process")
    process = psutil.Process(json.loads((folder / "process.json").read_bytes())["pid"])
    assert process.is_running()

    def ended(run_dir: Path, *_: Any) -> Result:
        lives.append((process.is_running() and process.status() != "zombie", run_dir.exists()))
        return Result(ok=False, error="enough")

    monkeypatch.setattr(side_runs, "ended", ended)
    with pytest.raises(Broken, match="enough"):
        short_runs.whole(folder, train_kind.MODULE, request, None)  # type: ignore[arg-type]  # nobody asks
    assert lives == [(False, False)]


def test_a_checkpoint_that_names_other_data_has_no_provenance(lab: Lab) -> None:
    assert trained(lab, [{"human": "Well?"}, "provenance"]) == "waiting"
    path = Path(lab.root, _artifact(lab))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data": {"content_sha256": "0" * 64}}))
    lab.approve("TICKET-2", "question")
    lab.run()
    assert lab.state("TICKET-2") == "failed"
    assert "names other data" in lab.note("TICKET-2")


def test_a_checkpoint_that_is_not_the_one_the_run_made_has_no_provenance(lab: Lab) -> None:
    assert trained(lab, [{"human": "Well?"}, "provenance"]) == "waiting"
    path = Path(lab.root, _artifact(lab))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"learner": "better"}))
    lab.approve("TICKET-2", "question")
    lab.run()
    assert lab.state("TICKET-2") == "failed"
    assert "was changed" in lab.note("TICKET-2")


def test_data_that_was_changed_after_the_training_has_no_provenance(lab: Lab) -> None:
    assert trained(lab, [{"human": "Well?"}, "provenance"]) == "waiting"
    shard = next((lab.workspace.run("TICKET-1", 1) / "data").glob("shard-*"))
    shard.write_bytes(shard.read_bytes()[:-10])
    lab.approve("TICKET-2", "question")
    lab.run()
    assert lab.state("TICKET-2") == "failed"
    assert "the data set of TICKET-1" in lab.note("TICKET-2")


def _artifact(lab: Lab) -> str:
    """The checkpoint that a run at rest has made."""
    outcome = next(e for e in lab.events("TICKET-2", "action.outcome") if e.body["key"] == "run")
    return str(outcome.body["result"]["artifact"]["path"])


def test_what_cannot_be_checked_is_unknown_and_a_person_is_asked(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_checks, "judge_offline", lambda *_: UNHELD)
    assert trained(lab, ["offline", {"metric": "exact", "min": 0.5}]) == "waiting"
    asked = lab.asks("TICKET-2", "question")
    assert "offline: nothing holds a run here" in asked.summary
    assert not lab.receipts("TICKET-2")["offline", "artifact"]
    lab.approve("TICKET-2", "question")
    lab.run()
    assert lab.state("TICKET-2") == "landed"


def test_an_unknown_check_that_a_person_does_not_accept_ends_the_attempt(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_checks, "judge_offline", lambda *_: UNHELD)
    assert trained(lab, ["offline"]) == "waiting"
    lab.deny("TICKET-2", "not without it", "question")
    lab.run()
    assert lab.state("TICKET-2") == "failed"


# Evaluation ------------------------------------------------------------------------------------------


def evaluated(lab: Lab, accept: Any, id_: str = "TICKET-3", **options: Any) -> str:
    """The state of a ticket that measures TICKET-2's model."""
    asked = {"suite": "sudoku", "model": "TICKET-2", "data": "TICKET-1", **options}
    lab.ticket(id_, kind="eval", accept=accept, **{"with": asked})
    lab.run()
    return lab.state(id_)


def baseline(value: float) -> str:
    """A baseline's file."""
    return json.dumps(
        {"schema": 1, "suite": "sudoku", "metrics": {"exact": {"value": value, "tolerance": 0.01}}}
    )


def test_an_evaluation_is_accepted_by_the_mean_over_its_seeds_and_by_its_baseline(lab: Lab) -> None:
    trained(lab, [{"metric": "exact", "min": 0.5}])
    lab.commit({"held.json": baseline(0.1), "lost.json": baseline(5.0)})
    checks = [{"metric": "exact", "min": 0.5}, "regression", "deterministic", "provenance", "offline"]
    assert evaluated(lab, checks, seeds=[0, 1], baseline="held.json") == "landed", lab.note("TICKET-3")
    assert "(mean over 2 seeds, spread" in summary(lab, "exact at least 0.5", "TICKET-3")
    assert set(lab.receipts("TICKET-3").values()) == {True}
    request = json.loads((lab.workspace.run("TICKET-3", 1) / "request.json").read_bytes())
    assert request["models"] == [str(Path(lab.root, lab.attempts("TICKET-2")[-1].artifact["path"]).parent)]
    assert evaluated(lab, ["regression"], "TICKET-4", baseline="lost.json") == "failed"
    assert "fell behind the baseline" in lab.note("TICKET-4")
    assert evaluated(lab, ["regression"], "TICKET-5") == "waiting"
    assert "names no baseline" in lab.asks("TICKET-5", "question").summary
    lab.intact()


def test_a_model_that_was_changed_after_it_landed_is_not_measured(lab: Lab) -> None:
    trained(lab, [{"metric": "exact", "min": 0.5}])
    path = Path(lab.root, lab.attempts("TICKET-2")[-1].artifact["path"])
    path.write_bytes(path.read_bytes() + b" ")
    assert evaluated(lab, [{"metric": "exact", "min": 0.5}]) == "failed"
    assert "was changed after" in lab.note("TICKET-3")


# Pure --------------------------------------------------------------------------------------------------


def test_a_short_run_changes_nothing_but_its_length_and_its_pauses() -> None:
    request = {
        "seed": 3,
        "data": "/d",
        "config": tiny(a=1) | {"core_minutes": 9.0, "steps": None},
    }
    before = json.dumps(request)
    short = cut(request, 40)
    assert json.dumps(request) == before
    assert short["config"]["steps"] == 40 and "core_minutes" not in short["config"]
    assert short["config"]["model"] == {"a": 1} and short["seed"] == 3 and short["config"]["batch"] == 8


def test_any_one_value_or_weight_that_differs_is_a_difference() -> None:
    one = Trace({("train", "loss", 1): 0.5, ("heldout", "loss", 1): None}, {"model.safetensors": "a"}, 9)
    assert differences(one, one) == []
    for other in (
        Trace({**one.curve, ("train", "loss", 1): 0.5000001}, one.weights, 9),
        Trace({**one.curve, ("train", "loss", 2): 0.5}, one.weights, 9),
        Trace({("train", "loss", 1): 0.5}, one.weights, 9),
        Trace(one.curve, {"model.safetensors": "b"}, 9),
        Trace(one.curve, {}, 9),
        Trace(one.curve, one.weights, 8),
    ):
        assert len(differences(one, other)) == 1


def test_a_run_folder_without_weights_proves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Broken, match="no checkpoint"):
        short_runs.trace(tmp_path)
    (tmp_path / "checkpoints/step-00000009").mkdir(parents=True)
    (tmp_path / "checkpoints/step-00000009/checkpoint.json").write_text("{}")
    with pytest.raises(Broken, match="no weights"):
        short_runs.trace(tmp_path)


def test_offline_is_green_only_where_the_kernel_holds_and_nothing_was_tried() -> None:
    refused = {
        "the host's loopback, by Python": "refused",
        "the host's loopback, by the C library": "refused",
    }
    reached = {**refused, "the host's loopback, by the C library": "reached"}
    good = Result(ok=True)
    report: dict[str, Any] = {"held": "seccomp", "tried": refused, "still": refused, "refused": []}
    assert judge_offline(report, 0, good).passed is True
    assert judge_offline(report, 1, good).passed is False
    assert judge_offline({**report, "refused": ["socket.connect"]}, 0, good).passed is False
    assert judge_offline({**report, "still": {"a name": "reached"}}, 0, good).passed is False
    assert judge_offline(report, 0, Result(ok=False, error="no")).passed is False
    assert judge_offline({**report, "held": ""}, 0, good).passed is None
    assert judge_offline({**report, "tried": reached}, 1, good).passed is False
    assert judge_offline({**report, "held": "", "tried": reached}, 1, good).passed is None
    by_python = {**refused, "loopback, by Python": "reached"}
    assert judge_offline({**report, "held": "", "tried": by_python}, 1, good).passed is False
