"""The engine fetches what a run needs from the ComfyUI on this machine, and tells where there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lab import Lab
from scripted_comfyui import ScriptedComfyUI

from orchestrator import comfyui


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comfyui, "POLL", 0.01)


def images(lab: Lab, where: str, **more: Any) -> None:
    """A ticket for six images of the ComfyUI that listens there, which the person has listed."""
    port = int(where.rpartition(":")[2])
    (Path.home() / "jetbox").mkdir(exist_ok=True)
    (Path.home() / "jetbox/config.yaml").write_text(f"servers: ['127.0.0.1:{port}']\n")
    what = {"recipe": "image/comfyui", "count": 6, "shards": 2, "options": {"port": port}}
    lab.ticket(
        "TICKET-1", kind="datagen", accept=["schema", "deterministic", "provenance"], **{"with": what}, **more
    )


def manifest(lab: Lab) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((lab.workspace.run("TICKET-1", 1) / "data/manifest.json").read_text())
    return body


def test_images_are_fetched_before_the_run_and_made_again_from_what_was_given(lab: Lab) -> None:
    with ScriptedComfyUI() as double:
        images(lab, double.where)
        lab.run()
        assert lab.state("TICKET-1") == "landed", lab.note("TICKET-1")
        assert len(double.prompts) == 6, "the second making asked for nothing"
        assert manifest(lab)["source"].startswith(
            f"ComfyUI 0.3.76 on {double.where}, small.safetensors, images "
        )


def test_without_a_comfyui_the_ticket_lands_and_the_manifest_says_what_drew(lab: Lab) -> None:
    with ScriptedComfyUI() as double:
        where = double.where
    images(lab, where)
    lab.run()
    assert lab.state("TICKET-1") == "landed", lab.note("TICKET-1")
    assert manifest(lab)["source"] == f"no ComfyUI on {where}: drawn procedurally"
    told = [event.body["note"] for event in lab.events() if event.type == "ticket.note"]
    assert f"no ComfyUI on {where}: drawn procedurally" in told


def test_one_that_dies_in_the_middle_fails_the_ticket_with_a_line_to_act_on(lab: Lab) -> None:
    with ScriptedComfyUI(faults={3: "dies"}) as double:
        images(lab, double.where)
        lab.run()
    assert lab.state("TICKET-1") == "failed"
    assert "stopped after 3 of 6 images" in lab.note("TICKET-1")
    assert "then retry" in lab.note("TICKET-1")
