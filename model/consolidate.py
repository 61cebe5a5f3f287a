"""A consolidation run: what a working memory learned, taught to a copy of the core and measured.

Started by the run protocol (`python -P -m orchestrator.child RUN_DIR model.consolidate`) with {"schema": 1,
"core": folder of a version, "part": NAME, "memory": folder of a memory, "seed": N, "core_seconds": S}. It
writes `candidate/` (a version of the core that nobody uses yet), `difference.json` (what changed, by layer),
`effects.json` (each task before and after, on held-out rows), and `result.json` last. The version that it
reads is sealed while it works, and read again at the end: not a byte of it has changed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from datagen import files, runlog
from datagen.errors import DataError
from model.devices import prepare_environment
from model.errors import ModelError, RequestError

REQUEST = "request.json"
_MOST = 1 << 16  # bytes of a request


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
    prepare_environment(1)
    try:
        runlog.drop_failure(run_dir)
        asked = _asked(run_dir)
        from model.adapt import candidate

        metrics, sha256 = candidate.make(run_dir, asked)
        runlog.succeed(run_dir, {**metrics}, "candidate/core.json", sha256)
    except (ModelError, DataError, OSError, ValueError) as error:
        print(runlog.explain(error), file=sys.stderr)
        runlog.give_up(run_dir, error)
        return 1
    except ImportError as error:
        line = f"{error.name or error} is missing: pip install 'jetbox[model]'"
        print(line, file=sys.stderr)
        runlog.fail(run_dir, line)
        return 1
    return 0


def _asked(run_dir: Path) -> Request:
    try:
        with files.open_regular(run_dir / REQUEST) as file:
            return Request.model_validate(json.loads(file.read(_MOST)))
    except OSError as error:
        raise RequestError(f"{REQUEST} can't be read: {error.strerror or error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise RequestError(f"{REQUEST}: {where}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{REQUEST} is not JSON: {error}") from None
