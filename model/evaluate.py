"""An evaluation run: from `request.json` to figures over seeds, a report, and `result.json` last.

Started by the run protocol (`python -P -m orchestrator.child RUN_DIR model.evaluate`). Stopped at any moment
and started again it goes on: what one model gave with one seed is a file in `cells/` that is kept. Only
held-out rows are read. What is heavy is loaded after the environment is settled.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from datagen import runlog
from datagen.errors import DataError
from model.devices import prepare_environment
from model.errors import ModelError

_MANY_CORES = 8


def main(run_dir: Path) -> int:
    """Do or go on with the evaluation of this folder; 0 when its result is good, 1 when it is an error."""
    threads = 4 if (os.cpu_count() or 1) >= _MANY_CORES else 1
    prepare_environment(threads)
    try:
        from model.suites.conduct import conduct
    except ImportError as error:
        return _failed(run_dir, f"{error.name or error} is missing: pip install 'jetbox[model]'")
    try:
        runlog.drop_failure(run_dir)
        conduct(run_dir, threads)
    except (ModelError, DataError, OSError, ValueError) as error:
        print(runlog.explain(error), file=sys.stderr)
        runlog.give_up(run_dir, error)
        return 1
    return 0


def _failed(run_dir: Path, line: str) -> int:
    line = " ".join(line.split())
    print(line, file=sys.stderr)
    runlog.fail(run_dir, line)
    return 1
