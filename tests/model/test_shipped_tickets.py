"""The shipped chains of tickets can be trained: each configuration is one, and builds its learner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("torch")

from model import config, learners
from model.learner import DataInfo
from orchestrator.training import presets, resolve
from orchestrator.training.options import TrainOptions

BACKLOG = Path(__file__).resolve().parents[2] / "tickets" / "backlog"


def training() -> list[Any]:
    """Every shipped ticket that trains."""
    found = []
    for path in sorted(BACKLOG.glob("*/*.yaml")):
        body = yaml.safe_load(path.read_text())
        if body["kind"] == "train":
            found.append(pytest.param(body["with"], id=f"{path.parent.name}-{path.stem}"))
    return found


@pytest.mark.parametrize("options", training())
def test_a_shipped_ticket_asks_for_a_model_that_can_be_built(options: dict[str, Any]) -> None:
    asked = TrainOptions.model_validate(options)
    body = resolve.configured(presets.shipped(asked.config), asked, {})
    info = DataInfo("any", {}, {}, 64)
    learner = learners.build(asked.model, config.config(body).model, info, seed=0)
    assert learner.activation_bytes(2) > 0
    assert bool(asked.encoder) == hasattr(learner, "encoder")
    assert [each for each in learner.split().matrices if not each.requires_grad] == []
