"""A training goes back to a checkpoint that it kept: the very bytes, nothing deleted, told in both places."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import scripted_core
from core_lab import CoreLab

from orchestrator.cli.app import run as jetbox
from state import run_back
from state.lock import Lock
from state.run_back import chosen, kept, roll_back
from state.run_events import Tail
from state.run_folder import result
from state.run_view import RunReader
from state.words import Refused

STEPS = (100, 200, 300, 400)


@pytest.fixture
def run(lab: CoreLab) -> Path:
    """A training that ended after four checkpoints, the third the best."""
    folder = lab.workspace.run("TICKET-001", 1)
    events: list[dict[str, Any]] = []
    for step in STEPS:
        made = scripted_core.checkpoint(
            folder / "checkpoints" / f"step-{step:08d}", f"weights {step}".encode()
        )
        body = json.loads((made / "checkpoint.json").read_text())
        ended = {"warm": "step-00000200"} if step >= 200 else {}
        body["memory"] = {"best": {"step": min(step, 300), "metrics": {}}, "phases": ended}
        (made / "checkpoint.json").write_text(json.dumps(body))
        events.append({"type": "metric", "name": "loss", "value": 1 / step, "step": step, "split": "train"})
    head = {"v": 1, "t": 0.0, "at": ""}
    lines = [json.dumps({**head, **each}) for each in events]
    (folder / "events.jsonl").write_text("\n".join(lines) + "\n" + '{"v": 1, "torn')
    roles = {
        "version": 1,
        "best": "step-00000300",
        "last": "step-00000400",
        "phases": {"warm": "step-00000200"},
    }
    (folder / "checkpoints.json").write_text(json.dumps(roles))
    (folder / "request.json").write_text('{"schema": 1, "learner": "hrm"}')
    made = {"path": "checkpoints/step-00000300/checkpoint.json", "sha256": "0" * 64}
    (folder / "result.json").write_text(json.dumps({"v": 1, "ok": True, "metrics": {}, "artifact": made}))
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def back(lab: CoreLab, run: Path, to: str = "") -> int:
    with lab.journal() as journal:
        return roll_back(journal, lab.workspace, run, to, "tester").step


def test_it_goes_back_to_the_very_bytes_and_what_came_later_is_in_the_trash(lab: CoreLab, run: Path) -> None:
    before = files_of(run / "checkpoints/step-00000200")
    later = files_of(run / "checkpoints/step-00000400")
    assert back(lab, run, "200") == 200
    assert [each.step for each in kept(run)] == [200, 100]
    assert files_of(run / "checkpoints/step-00000200") == before
    (trash,) = (run / "trash").iterdir()
    assert files_of(trash / "checkpoints/step-00000400") == later
    assert result(run) is None and (trash / "result.json").is_file()  # so that it goes on when it is started
    roles = json.loads((run / "checkpoints.json").read_text())
    assert roles == {
        "version": 1, "best": "step-00000200", "last": "step-00000200", "phases": {"warm": "step-00000200"},
    }  # fmt: skip


def test_it_is_told_in_the_runs_events_and_in_the_journal(lab: CoreLab, run: Path) -> None:
    back(lab, run, "phase:warm")
    told = [each for each in Tail(run).read() if each["type"] == "phase"]
    assert told[0]["name"] == "rolled back" and told[0]["step"] == 200
    assert RunReader(run).read().went_back == 201
    (event,) = lab.events(type_="run.rolled-back")
    assert (event.ticket, event.attempt, event.body["step"], event.body["by"]) == (
        "TICKET-001",
        1,
        200,
        "tester",
    )


@pytest.mark.parametrize(
    ("to", "step"),
    [("", 300), ("best", 300), ("last", 400), ("100", 100), ("step:200", 200), ("step-00000200", 200),
     ("phase:warm", 200), ("warm", 200)],
)  # fmt: skip
def test_what_is_meant_is_a_step_a_phase_or_the_best(run: Path, to: str, step: int) -> None:
    assert chosen(run, to).step == step


@pytest.mark.parametrize("to", ["250", "phase:cold", "../x", "-1", "1e2", ""])
def test_what_is_not_there_is_refused_and_nothing_moves(lab: CoreLab, run: Path, to: str) -> None:
    if not to:  # altered: the best one
        (run / "checkpoints/step-00000300/model.safetensors").write_bytes(b"altered")
    before = sorted(path for path in run.rglob("*") if path.name != "run.lock")
    with pytest.raises(Refused):
        back(lab, run, to)
    assert sorted(path for path in run.rglob("*") if path.name != "run.lock") == before


def test_a_run_at_work_is_left_alone(lab: CoreLab, run: Path) -> None:
    lock = Lock(run / "run.lock")
    assert lock.acquire()
    try:
        with pytest.raises(Refused, match="at work"):
            back(lab, run, "100")
    finally:
        lock.release()
    assert len(kept(run)) == 4 and result(run) is not None


def test_what_landed_is_not_moved_from_under_others(lab: CoreLab, run: Path) -> None:
    from state.events import New

    spec = {"kind": "train", "goal": "a trained model", "accept": ["resumes"]}
    admitted = {"path": "tickets/TICKET-001.yaml", "spec": spec, "needs": [], "revision": "r"}
    started = {"revision": "r", "spec": spec, "base_ref": "", "base": "", "branch": ""}
    artifact = {"path": "runs/TICKET-001/1/checkpoints/step-00000300/checkpoint.json", "sha256": "0" * 64}
    with lab.journal() as journal:
        journal.append(
            New("ticket.admitted", admitted, "TICKET-001"),
            New("ticket.ready", {}, "TICKET-001"),
            New("attempt.started", started, "TICKET-001", 1),
            New("attempt.landed", {"artifact": artifact}, "TICKET-001", 1),
        )
    with pytest.raises(Refused, match="has landed step 300"):
        back(lab, run, "200")
    assert back(lab, run, "300") == 300


def _taken_back_but_killed(lab: CoreLab, run: Path, nth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own, which is gone at its nth rename."""
    rename, count = Path.rename, 0

    def killed(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count == nth:
            os._exit(9)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", killed)
    try:
        roll_back(None, lab.workspace, run, "100")
    finally:
        os._exit(0)


@pytest.mark.skipif(sys.platform == "win32", reason="a fork, to be killed at one instruction")
def test_killed_anywhere_it_stands_at_a_whole_checkpoint_and_doing_it_again_ends_the_same(
    lab: CoreLab, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for nth in range(1, 6):
        pid = os.fork()
        if not pid:
            _taken_back_but_killed(lab, run, nth, monkeypatch)
        os.waitpid(pid, 0)
        left = [each.step for each in kept(run)]
        assert left == [step for step in reversed(STEPS) if step <= left[0]]
    assert back(lab, run, "100") == 100
    assert json.loads((run / "checkpoints.json").read_text())["last"] == "step-00000100"
    moved = sorted(path.name for path in (run / run_back.TRASH).glob("*/checkpoints/*"))
    assert moved == ["step-00000200", "step-00000300", "step-00000400"]


def test_the_command_line_takes_a_run_back(
    lab: CoreLab, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(lab.root)
    assert jetbox(["runs", "rollback", "TICKET-001", "--to", "200"]) == 0
    assert "step 200 again" in capsys.readouterr().out
    assert jetbox(["runs", "rollback", "TICKET-001", "--to", "300"]) == 1
    assert "the steps 200, 100 are kept" in capsys.readouterr().err
