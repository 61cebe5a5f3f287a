"""A consolidation run: what a working memory learned, taught to a copy of the core and measured.

Started by the run protocol (`python -P -m orchestrator.child RUN_DIR model.consolidate`) with {"schema": 1,
"core": folder of a version, "part": NAME, "memory": folder of a memory, "seed": N, "core_seconds": S}. It
writes `candidate/` (a version of the core that nobody uses yet), `difference.json` (what changed, by layer),
`effects.json` (each task before and after, on held-out rows), and `result.json` last. The version that it
reads is sealed while it works, and read again at the end: not a byte of it has changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from model import job


class Request(BaseModel):
    """What a consolidation is asked for."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    schema_: Literal[1] = Field(alias="schema")
    core: str
    part: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
    memory: str
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    core_seconds: Annotated[float, Field(ge=1.0, le=86_400.0, strict=False)] = 60.0


def main(run_dir: Path) -> int:
    """Do the run; 0 when its result is good, 1 when it is an error."""
    return job.do(run_dir, Request, _made)


def _made(run_dir: Path, asked: Request) -> job.Made:
    from model.adapt import candidate  # loads torch, after the threads are settled

    metrics, sha256 = candidate.make(run_dir, asked)
    return job.Made(metrics, "candidate/core.json", sha256)
