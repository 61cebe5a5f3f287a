"""Training tickets: asked before they start, bounded in memory, taken up wherever they were cut off."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lab as lab_module
import pytest
import training_lab
from lab import Lab, until
from scripted_wing import scripted, tiny
from training_lab import pid, ready, stepped, train

from orchestrator import engine as engine_module
from orchestrator import runs
from orchestrator.kinds import train as train_kind
from orchestrator.models.base import Nobody
from orchestrator.training import sizing
from state import words


@pytest.fixture(autouse=True)
def doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model wing's doubles; what waits for the world is looked at often."""
    scripted(monkeypatch.setattr)
    monkeypatch.setattr(lab_module, "PROGRAM", training_lab.PROGRAM)
    monkeypatch.setattr(engine_module, "PARKED", 0.1)


def begun(lab: Lab, **model: Any) -> None:
    """TICKET-2 has been approved and an engine beside this works on it."""
    ready(lab, **model)
    train(lab, set={"model.pace": 0.02})


def test_a_run_starts_only_after_a_person_has_seen_what_would_run(lab: Lab) -> None:
    ready(lab)
    train(lab, seed=5, steps=12)
    lab.run()
    assert lab.state("TICKET-2") == "waiting"
    asked = lab.asks("TICKET-2", "start")
    shown, request = asked.subject["training"], asked.subject["request"]
    manifest = json.loads((lab.workspace.run("TICKET-1", 1) / "data/manifest.json").read_bytes())
    assert shown["data sha256"] == manifest["content_sha256"]
    assert shown["length"] == "12 steps" and "12 steps" in asked.summary
    assert "of memory" in shown["memory"] or "free memory" in shown["memory"]
    assert shown["configuration from"] == lab.tip()
    assert request["seed"] == 5 and request["config"]["steps"] == 12
    assert not lab.workspace.run("TICKET-2", 1).exists()
    lab.approve("TICKET-2", "start")
    lab.run()
    assert lab.state("TICKET-2") == "landed", lab.note("TICKET-2")
    asked_of_child = json.loads((lab.workspace.run("TICKET-2", 1) / "request.json").read_bytes())
    assert asked_of_child == request
    wanted = json.loads((lab.workspace.run("TICKET-2", 1) / "thresholds.json").read_bytes())
    assert wanted == {"schema": 1, "metrics": {"exact": {"min": 0.5, "max": None}}}
    assert lab.attempts("TICKET-2")[-1].artifact["path"].endswith("checkpoint.json")
    lab.intact()


def test_what_was_approved_runs_though_the_configuration_was_changed_since(lab: Lab) -> None:
    ready(lab)
    train(lab)
    lab.run()
    lab.approve("TICKET-2", "start")
    lab.commit({"tiny.yaml": json.dumps(tiny() | {"steps": 999})})
    lab.run()
    assert lab.state("TICKET-2") == "landed", lab.note("TICKET-2")
    request = json.loads((lab.workspace.run("TICKET-2", 1) / "request.json").read_bytes())
    assert request["config"]["steps"] == 30


def test_data_that_was_changed_between_the_approval_and_the_start_is_not_used(lab: Lab) -> None:
    ready(lab)
    train(lab)
    lab.run()
    lab.approve("TICKET-2", "start")
    manifest = lab.workspace.run("TICKET-1", 1) / "data/manifest.json"
    manifest.write_bytes(manifest.read_bytes() + b" ")
    lab.run()
    assert lab.state("TICKET-2") == "failed"
    assert "was changed after" in lab.note("TICKET-2")
    assert not (lab.workspace.run("TICKET-2", 1) / "process.json").exists()


def test_a_denied_start_ends_the_attempt_and_the_next_is_told_why(lab: Lab) -> None:
    ready(lab)
    train(lab)
    lab.run()
    lab.deny("TICKET-2", "too long a run", "start")
    lab.run()
    assert lab.state("TICKET-2") == "failed" and "too long a run" in lab.note("TICKET-2")
    lab.say(words.retry, "TICKET-2")
    lab.run()
    started = lab.events("TICKET-2", "attempt.started")
    assert "too long a run" in started[-1].body["comment"]
    lab.approve("TICKET-2", "start")
    lab.run()
    assert lab.state("TICKET-2") == "landed"
    assert lab.workspace.run("TICKET-2", 2).is_dir()
    lab.intact()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"config": "gone.yaml"}, "gone.yaml is not in the repository"),
        ({"config": "no-such-preset"}, "no configuration 'no-such-preset'"),
        ({"model": "jepa"}, "tiny.yaml is for hrm"),
        ({"set": {"optimiser.lr": 1}}, "did you mean 'optimizer'"),
        ({"set": {"optimizer.rate": 1}}, "'rate' is no key here"),
        ({"set": {"model.nonsense": 1}}, "nonsense: is no key here"),
        ({"encoder": "TICKET-1"}, "TICKET-1 has landed no trained model"),
    ],
)
def test_a_request_that_cannot_be_fails_with_a_line_before_anyone_is_asked(
    lab: Lab, options: dict[str, Any], said: str
) -> None:
    ready(lab)
    train(lab, **options)
    lab.run()
    assert lab.state("TICKET-2") == "failed"
    assert said in lab.note("TICKET-2")
    assert not lab.proposals("TICKET-2")


def test_what_does_not_fit_is_asked_about_and_never_made_lighter_silently(lab: Lab) -> None:
    ready(lab, row=10**13)  # 80 TB in all, 10 TB for one row
    train(lab)
    lab.run()
    asked = lab.asks("TICKET-2", "question")
    assert "80000.0 GB" in asked.summary
    options = asked.subject["options"]
    assert options[0].startswith("accumulate=2, batch=4 (40000.0 GB)")
    assert not [p for p in lab.proposals("TICKET-2") if p.kind == "start"]
    lab.say(words.answer, asked.id, asked.digest, options[0])
    lab.run()
    again = lab.asks("TICKET-2", "question")  # half is still too much: asked anew, with the next lighter ones
    assert "40000.0 GB" in again.summary
    lab.say(words.answer, again.id, again.digest, "model.rwo")
    lab.run()
    told = lab.asks("TICKET-2", "question")
    assert "cannot be used" in told.summary
    lab.say(words.answer, told.id, told.digest, "model.row=1000")
    lab.run()
    shown = lab.asks("TICKET-2", "start").subject["training"]
    assert shown["you chose"] == {"batch": 4, "accumulate": 2, "model.row": 1000}
    assert shown["batch"] == 4
    lab.approve("TICKET-2", "start")
    lab.run()
    assert lab.state("TICKET-2") == "landed", lab.note("TICKET-2")
    lab.intact()


def test_a_run_outlives_a_killed_engine_and_is_adopted_by_the_next(lab: Lab) -> None:
    ready(lab)
    train(lab, set={"model.pace": 0.1})
    lab.run()
    lab.approve("TICKET-2", "start")
    engine = lab.spawn()
    stepped(lab, 2)
    run = pid(lab)
    lab.kill(engine)
    os.kill(run, 0)
    lab.run()
    assert lab.state("TICKET-2") == "landed", lab.note("TICKET-2")
    assert json.loads((lab.workspace.run("TICKET-2", 1) / "process.json").read_bytes())["pid"] == run
    assert len([e for e in lab.events("TICKET-2", "action.intent") if e.body["key"] == "run"]) == 1
    lab.intact()


def test_a_run_that_is_killed_and_told_to_end_goes_on_from_its_checkpoint(lab: Lab) -> None:
    ready(lab)
    train(lab, set={"model.pace": 0.05})
    lab.run()
    lab.approve("TICKET-2", "start")
    with lab.engine():
        stepped(lab, 2)
        os.kill(pid(lab), signal.SIGKILL)
        stepped(lab, 8)
        os.kill(pid(lab), signal.SIGTERM)
        lab.wait("TICKET-2", "landed")
    phases = [
        json.loads(line)
        for line in (lab.workspace.run("TICKET-2", 1) / "events.jsonl").read_text().splitlines()
        if '"phase"' in line
    ]
    assert [phase["resumed"] for phase in phases] == [False, True, True]
    lab.intact()


def test_a_run_that_finds_the_disk_full_is_no_failure_and_goes_on_when_there_is_room(lab: Lab) -> None:
    ready(lab)
    train(lab, steps=20, set={"model.full": 9})
    lab.run()
    lab.approve("TICKET-2", "start")
    with lab.engine():
        lab.wait("TICKET-2", "landed")
    assert "disk full" in lab.events(type_="engine.paused")[0].body["why"]
    events = [
        json.loads(line)
        for line in (lab.workspace.run("TICKET-2", 1) / "events.jsonl").read_text().splitlines()
    ]
    assert [event["resumed"] for event in events if event["type"] == "phase"] == [False, True]
    steps = [e["step"] for e in events if e["type"] == "metric" and e.get("split") == "train"]
    assert steps == list(range(1, 21))  # nothing was learnt twice
    assert len(lab.attempts("TICKET-2")) == 1
    lab.intact()


def test_deaths_count_only_where_nothing_was_reached_between_them(lab: Lab) -> None:
    ready(lab)
    lab.commit({"dies.yaml": json.dumps(tiny(die=3) | {"checkpoint": {"seconds": 60}})})
    train(lab, config="dies.yaml")
    lab.run()
    lab.approve("TICKET-2", "start")
    lab.run()
    assert lab.state("TICKET-2") == "failed"
    assert "died 3 times" in lab.note("TICKET-2")
    train(lab, "TICKET-3", set={"model.pace": 0.04})
    lab.run()
    lab.approve("TICKET-3", "start")
    with lab.engine():
        for step in (2, 6, 10, 14, 18):  # five deaths, and each time it had come further
            stepped(lab, step, "TICKET-3")
            os.kill(pid(lab, "TICKET-3"), signal.SIGKILL)
        lab.wait("TICKET-3", "landed")


def test_a_run_that_died_is_not_started_again_on_other_files_than_were_approved(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(lab)
    train(lab, set={"model.die": 3})
    lab.run()
    lab.approve("TICKET-2", "start")
    manifest = lab.workspace.run("TICKET-1", 1) / "data" / "manifest.json"
    start, begun = runs.start, []

    def started(folder: Path, *asked: Any) -> None:
        start(folder, *asked)
        if folder.parent.name == "TICKET-2":
            begun.append(folder)
            until(lambda: not runs.alive(folder), "its death")
            manifest.write_bytes(manifest.read_bytes() + b"\n")

    monkeypatch.setattr(runs, "start", started)
    lab.run()
    assert lab.state("TICKET-2") == "failed"
    assert "was changed after the request was made" in lab.note("TICKET-2")
    assert len(begun) == 1


def test_the_encoder_is_approved_by_its_checksum(lab: Lab) -> None:
    ready(lab)
    train(lab)
    lab.run()
    lab.approve("TICKET-2", "start")
    lab.run()
    train(lab, "TICKET-3", encoder="TICKET-2")
    lab.run()
    shown = lab.asks("TICKET-3", "start").subject["training"]
    checkpoint = Path(shown["encoder"]) / "checkpoint.json"
    assert shown["encoder sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    lab.approve("TICKET-3", "start")
    checkpoint.write_bytes(checkpoint.read_bytes() + b"\n")
    lab.run()
    assert lab.state("TICKET-3") == "failed"
    assert "was changed after the request was made" in lab.note("TICKET-3")


def test_the_breakers_line_is_the_tickets(lab: Lab) -> None:
    ready(lab)
    train(lab, set={"model.trips": 7, "checkpoint.seconds": 0})
    lab.run()
    lab.approve("TICKET-2", "start")
    lab.run()
    assert lab.state("TICKET-2") == "failed"
    assert "stopped by the breaker: loss is nan at step 7" in lab.note("TICKET-2")
    assert any((lab.workspace.run("TICKET-2", 1) / "checkpoints").glob("step-*"))


def test_cancel_gives_a_run_the_time_for_a_last_checkpoint(lab: Lab) -> None:
    ready(lab)
    train(lab, set={"model.pace": 0.05, "checkpoint.seconds": 1000}, steps=1000)
    lab.run()
    lab.approve("TICKET-2", "start")
    folder = lab.workspace.run("TICKET-2", 1)
    with lab.engine():
        until(lambda: '"step": 3' in _read(folder / "events.jsonl"), "the third step")
        assert not (folder / "checkpoints").exists()
        lab.say(words.cancel, "TICKET-2")
        lab.wait("TICKET-2", "cancelled")
    assert len(list((folder / "checkpoints").glob("step-*/checkpoint.json"))) == 1
    lab.intact()


def _read(path: Any) -> str:
    return path.read_text() if path.exists() else ""


def test_a_cancelled_estimate_leaves_nothing_at_work(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizing, "MODULE", "scripted_training")  # one that takes long
    ready(lab)
    train(lab, set={"model.pace": 1.0})
    with lab.engine():
        until(lambda: list(lab.workspace.runs.glob("TICKET-2/1-estimate-0/process.json")), "the estimate")
        lab.say(words.cancel, "TICKET-2")
        lab.wait("TICKET-2", "cancelled")
    assert not list(lab.workspace.runs.glob("TICKET-2/*"))
    lab.intact()


def test_without_the_model_wing_a_ticket_waits_and_says_the_cure(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(lab)
    monkeypatch.setattr(train_kind, "MODELS", ("json", "no_such_library"))
    train(lab)
    lab.run()
    assert lab.state("TICKET-2") == "waiting"
    assert "pip install 'jetbox[model]'" in lab.note("TICKET-2")
    monkeypatch.setattr(train_kind, "MODELS", ())
    lab.run()
    lab.asks("TICKET-2", "start")


class Counted(Nobody):
    """The engine's side of a ledger: who held, adopted and released, in order; and whom it keeps waiting."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.full = False

    def hold(
        self, who: str, bytes_: int, stop: threading.Event, waits: Callable[[str], None] = lambda _: None
    ) -> bool:
        assert bytes_ > 0
        if self.full:
            waits("ollama/big answers for another ticket")
            stop.wait()
        self.said.append(("hold", who))
        return not stop.is_set()

    def adopt(self, who: str, bytes_: int) -> None:
        self.said.append(("adopt", who))

    def release(self, who: str) -> None:
        self.said.append(("release", who))


def test_a_run_has_the_memory_while_it_works_and_gives_it_back(lab: Lab) -> None:
    ready(lab)
    train(lab, accept=["deterministic"])
    lab.models = ledger = Counted()
    lab.run()
    assert not ledger.said
    lab.approve("TICKET-2", "start")
    lab.run()
    assert lab.state("TICKET-2") == "landed", lab.note("TICKET-2")
    held = [("hold", "run TICKET-2"), ("release", "run TICKET-2")]
    assert ledger.said == held * 2  # the run, and the check that runs it again


def test_a_run_that_an_engine_finds_at_work_is_taken_into_its_ledger(lab: Lab) -> None:
    ready(lab)
    train(lab, set={"model.pace": 0.1})
    lab.run()
    lab.approve("TICKET-2", "start")
    engine = lab.spawn()
    stepped(lab, 2)
    lab.kill(engine)
    lab.models = ledger = Counted()
    lab.run()
    assert lab.state("TICKET-2") == "landed", lab.note("TICKET-2")
    assert ledger.said == [("adopt", "run TICKET-2"), ("release", "run TICKET-2")]


def test_a_run_that_waits_for_memory_says_for_whom_and_can_be_cancelled(lab: Lab) -> None:
    ready(lab)
    train(lab)
    lab.run()
    lab.approve("TICKET-2", "start")
    lab.models = ledger = Counted()
    ledger.full = True
    with lab.engine():
        lab.wait_note("TICKET-2", "ollama/big answers for another ticket")
        lab.say(words.cancel, "TICKET-2")
        lab.wait("TICKET-2", "cancelled")
    assert not (lab.workspace.run("TICKET-2", 1) / "process.json").exists()
    lab.intact()
