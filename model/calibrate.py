"""A calibration run: how far a part's certainty can be believed, from `request.json` to `calibration.json`.

Started by the run protocol (`python -P -m orchestrator.child RUN_DIR model.calibrate`) with {"schema": 1,
"checkpoint": DIR, "data": DIR or null, "rows": N, "seed": N}. All rows fit the map; the metrics are of
what maps of four fifths of them say of the others. Without `data` the rows are made afresh.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from datagen import files, runlog
from model import job
from model.errors import ModelError

CALIBRATION = "calibration.json"


class Request(BaseModel):
    """What a calibration is asked for."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    schema_: Literal[1] = Field(alias="schema")
    checkpoint: str
    data: str | None = None
    """A data set whose held-out rows are taken."""
    rows: Annotated[int, Field(ge=40, le=200_000)] = 2000
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


def main(run_dir: Path) -> int:
    """Do the run; 0 when its result is good, 1 when it is an error."""
    return job.do(run_dir, Request, _made)


def _made(run_dir: Path, asked: Request) -> job.Made:
    metrics, body = _calibrated(run_dir, asked)
    text = json.dumps(body, sort_keys=True, allow_nan=False).encode() + b"\n"
    files.replace(run_dir / CALIBRATION, text)
    return job.Made(metrics, CALIBRATION, hashlib.sha256(text).hexdigest())


def _calibrated(run_dir: Path, asked: Request) -> tuple[dict[str, float], dict[str, Any]]:
    import numpy as np
    import torch

    from model.mind.core import part_at
    from model.reflect import calibration, heldout

    torch.set_num_threads(1)
    part, meta = part_at(Path(asked.checkpoint))
    if asked.data is not None:
        columns = heldout.given(Path(asked.data), asked.rows)
    else:
        columns = heldout.fresh(meta, asked.rows, asked.seed)
    cases = heldout.cases(columns, part.task)
    if len(cases) < calibration.FOLDS:
        raise ModelError("there are too few held-out rows to measure anything: make a larger data set")
    signs, right = [], []
    with runlog.RunLog(run_dir) as log:
        for number, (each, hit) in enumerate(
            heldout.observed(part, cases, str(meta.data.get("recipe", ""))), 1
        ):
            signs.append(each)
            right.append(hit)
            if number % 96 == 0 or number == len(cases):
                log.progress(number, len(cases), "questions")
    hits = np.array(right)
    fitted, said = calibration.folded(signs, hits)
    told = calibration.measure(said, hits, fitted.bound)
    metrics = {name: round(value, 6) for name, value in told.items() if value is not None}
    return metrics, fitted.body() | metrics | {"rows": len(cases)}
