"""The whole way with the real model wing: data, an approved start, training, checks, a measurement."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lab import Lab

from orchestrator import engine as engine_module
from orchestrator.training import short_runs

pytest.importorskip("torch")
pytest.importorskip("safetensors")

TINY = {
    "learner": "hrm",
    "model": {
        "vocabulary": 5,
        "grid": {"rows": 4, "columns": 4, "box_rows": 2, "box_columns": 2},
        "hidden": 16,
        "layers": 1,
        "heads": 2,
        "h_cycles": 1,
        "l_cycles": 1,
        "halt_steps": 2,
        "augment": "sudoku",
    },
    "batch": 8,
    "steps": 24,
    "precision": "fp32",
    "optimizer": {"name": "adamw", "lr": 0.004, "warmup": 2, "average": 0.9},
    "assess": {"every": 8, "rows": 32},
}


@pytest.mark.timeout(1500)  # eight processes that load torch, on a machine that may be busy with training
def test_a_reasoner_is_trained_accepted_and_measured(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "PARKED", 0.1)
    monkeypatch.setattr(short_runs, "SPAN", 1.0)
    monkeypatch.setattr(short_runs, "_EVERY", 0.05)
    lab.commit({"tiny.yaml": json.dumps(TINY)})
    made = {"recipe": "puzzle/sudoku", "seed": 7, "count": 400, "shards": 1, "options": {"size": 4}}
    lab.ticket("TICKET-1", kind="datagen", accept=[{"metric": "rows", "min": 400}], **{"with": made})
    asked = {"model": "hrm", "config": "tiny.yaml", "data": "TICKET-1", "seed": 3, "device": "cpu"}
    checks = ["resumes", "provenance", {"metric": "cells", "min": 0.2}]
    lab.ticket("TICKET-2", kind="train", accept=checks, **{"with": asked})
    measured = {"suite": "sudoku", "model": "TICKET-2", "data": "TICKET-1", "seeds": [0, 1], "rows": 16}
    accept = [{"metric": "cells", "min": 0.01}, "provenance"]
    lab.ticket("TICKET-3", kind="eval", accept=accept, **{"with": measured})
    lab.run()
    proposal = lab.asks("TICKET-2", "start")
    assert "free memory" in proposal.summary
    assert proposal.subject["request"]["config"]["optimizer"]["clip"] == 1.0  # complete, defaults included
    lab.approve("TICKET-2", "start")
    lab.run()
    assert lab.state("TICKET-2") == "landed", lab.note("TICKET-2")
    assert lab.state("TICKET-3") == "landed", lab.note("TICKET-3")
    assert set(lab.receipts("TICKET-2").values()) == set(lab.receipts("TICKET-3").values()) == {True}
    report = Path(lab.root, lab.attempts("TICKET-3")[-1].artifact["path"])
    assert report.is_file()
    lab.intact()
