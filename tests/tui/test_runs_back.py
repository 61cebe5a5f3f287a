"""A training is taken back from the runs' screen to a checkpoint that it kept, after a question, and told."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import seeds
from scripted_run import ScriptedRun

from state.journal import Journal
from state.lock import Lock
from state.run_folder import LOCK
from state.workspace import Workspace

STEPS = (100, 200, 300)
EVIL = "\x1b[2J\u202e"


def training(root: Path) -> Path:
    """A run that was stopped, with three checkpoints; its folder."""
    story = seeds.Story(root)
    story.admit("TICKET-103", "Fit a small reasoner", "train")
    story.start("TICKET-103")
    story.close()
    folder = Workspace(root).run("TICKET-103", 1)
    run = ScriptedRun(folder, begun=seeds.NOW / 1000)
    run.begin()
    run.learn(0, 300, every=20)
    for step in STEPS:
        place = folder / "checkpoints" / f"step-{step:08}"
        place.mkdir(parents=True)
        files = {name: f"{name} {step}".encode() for name in ("model.safetensors", "train.safetensors")}
        for name, data in files.items():
            (place / name).write_bytes(data)
        sums = {name: {"sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}
        memory = {"best": {"step": 200}, "phases": {}}
        (place / "checkpoint.json").write_text(json.dumps({"files": sums, "memory": memory}))
    roles = {
        "version": 1,
        "best": "step-00000200",
        "last": "step-00000300",
        "phases": {EVIL: "step-00000100"},
    }
    (folder / "checkpoints.json").write_text(json.dumps(roles))
    return folder


def steps(folder: Path) -> list[int]:
    return sorted(int(each.name[5:]) for each in (folder / "checkpoints").iterdir())


def told(root: Path) -> list[Any]:
    journal = Journal.read(Workspace(root).journal)
    try:
        return [event.body["step"] for event in journal.events(types=("run.rolled-back",))]
    finally:
        journal.close()


async def listed(driver: Any) -> None:
    await driver.press("3")
    await driver.settle(lambda: driver.screen.row is not None and driver.screen.row.glance is not None)
    await driver.press("b")


async def test_it_is_taken_back_after_a_question_and_that_is_written_down(
    cockpit: Any, tmp_path: Path
) -> None:
    folder = training(tmp_path)
    weights = (folder / "checkpoints/step-00000100/model.safetensors").read_bytes()
    async with cockpit(tmp_path, size=(80, 24)) as driver:
        await listed(driver)
        text = driver.text()
        assert "step 300" in text and "the best" in text and "\x1b" not in text and "\u202e" not in text
        await driver.press("down", "enter")
        assert "Back to step 100?" in driver.text()
        await driver.press("enter")
        assert steps(folder) == [100, 200, 300] and not told(tmp_path), "enter alone means no"
        await driver.press("b", "down", "enter", "y")
        await driver.settle(lambda: "is back at step 100" in driver.text())
    assert steps(folder) == [100] and told(tmp_path) == [100]
    assert (folder / "checkpoints/step-00000100/model.safetensors").read_bytes() == weights
    assert len(list((folder / "trash").rglob("step-*"))) == 2, "nothing is deleted"


async def test_an_altered_checkpoint_is_refused_with_its_reason(cockpit: Any, tmp_path: Path) -> None:
    folder = training(tmp_path)
    (folder / "checkpoints/step-00000200/model.safetensors").write_bytes(b"other")
    async with cockpit(tmp_path, size=(160, 40)) as driver:
        await listed(driver)
        await driver.press("enter", "y")
        await driver.settle(lambda: "was altered" in getattr(driver.app.context.said, "text", ""))
    assert steps(folder) == [100, 200, 300] and not told(tmp_path)


async def test_a_run_at_work_and_one_without_checkpoints_are_left_alone(cockpit: Any, tmp_path: Path) -> None:
    folder = training(tmp_path)
    with Lock(folder / LOCK):
        async with cockpit(tmp_path, size=(160, 40)) as driver:
            await listed(driver)
            assert "is at work: stop it first" in driver.text() and driver.screen.sheet is None
    for step in STEPS:
        (folder / "checkpoints" / f"step-{step:08}").rename(folder / f"gone-{step}")
    async with cockpit(tmp_path, size=(160, 40)) as driver:
        await listed(driver)
        assert "has kept no checkpoint" in driver.text() and driver.screen.sheet is None
