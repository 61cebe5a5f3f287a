"""A short run over one request: parsed strictly, and ended with a result or one clear line, never a trace.

For runs that are made anew when they are cut off: calibration, consolidation. Nothing heavy is loaded here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from datagen import files, runlog
from datagen.errors import DataError
from model.devices import prepare_environment
from model.errors import ModelError, RequestError

REQUEST = "request.json"
_MOST = 1 << 16  # bytes of a request
Asked = TypeVar("Asked", bound=BaseModel)


class Made(NamedTuple):
    """What a run has made."""

    metrics: dict[str, float]
    artifact: str  # below the run's folder
    sha256: str


def do(run_dir: Path, kind: type[Asked], work: Callable[[Path, Asked], Made]) -> int:
    """Do the work of this folder's request; 0 when its result is good, 1 when it is an error."""
    prepare_environment(1)
    try:
        runlog.drop_failure(run_dir)
        made = work(run_dir, _request(run_dir, kind))
        runlog.succeed(run_dir, {**made.metrics}, made.artifact, made.sha256)
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


def _request(run_dir: Path, kind: type[Asked]) -> Asked:
    try:
        with files.open_regular(run_dir / REQUEST) as file:
            return kind.model_validate(json.loads(file.read(_MOST)))
    except OSError as error:
        raise RequestError(f"{REQUEST} can't be read: {error.strerror or error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise RequestError(f"{REQUEST}: {where}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{REQUEST} is not JSON: {error}") from None
