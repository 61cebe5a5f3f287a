"""A training run: from `request.json` to checkpoints, metrics and `result.json`, by the run protocol.

Killed at any moment and started again on the same folder, it goes on from its newest whole checkpoint to
the very numbers of a run that was never stopped. A TERM makes it write a checkpoint and end as interrupted.
Torch is loaded only after the threads are settled, so nothing here loads it at the top.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from datagen import runlog
from datagen.errors import DataError
from model import config, data, ddp, devices
from model.errors import ModelError

_INTERRUPTED = 143


def main(run_dir: Path) -> int:
    """Do or go on with the run of this folder; 0 when its result is good, 1 when it is an error."""
    try:
        asked = config.read(run_dir)
    except ModelError as error:
        return failed(run_dir, error)
    if asked.devices == 1:
        return work(run_dir)
    runlog.drop_failure(run_dir)
    status = ddp.launch(run_dir, asked.devices, asked.config.threads)
    if status == _INTERRUPTED:
        raise SystemExit(_INTERRUPTED)
    if status and not (run_dir / runlog.RESULT).exists():
        return failed(
            run_dir, ModelError("a process of the run ended without a word; output.log may tell why")
        )
    return status


def work(run_dir: Path, *, several: bool = False) -> int:
    """The run itself, in this process: all of it, or as one of several ranks."""
    ours = not several or os.environ.get("RANK") == "0"
    try:
        if ours:
            runlog.drop_failure(run_dir)
        asked = config.read(run_dir)
        data.look(asked.data)
        devices.prepare_environment(asked.config.threads)
        from model import loop

        ended = loop.train(run_dir, asked, several=several)
    except (ModelError, DataError, OSError) as error:
        return failed(run_dir, error) if ours else _told(error)
    except ModuleNotFoundError as error:
        return failed(run_dir, lacking(error)) if ours else _told(lacking(error))
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        line = "memory ran out; take a smaller batch, or the same with accumulate: 2 and more"
        return failed(run_dir, ModelError(f"{line} ({str(error).splitlines()[0]})")) if ours else _told(error)
    if not ended:
        # By an exception that the host lets through: an interrupted run has no result, and is gone on with.
        raise SystemExit(_INTERRUPTED)
    return 0


def failed(run_dir: Path, error: Exception) -> int:
    """Leave one clear line as the result; 1."""
    _told(error)
    try:
        runlog.give_up(run_dir, error)
    except OSError as second:
        print(f"could not write {runlog.RESULT}: {runlog.explain(second)}", file=sys.stderr)
    return 1


def lacking(error: ModuleNotFoundError) -> ModelError:
    """What to do where the extra is not installed."""
    return ModelError(f"training needs {error.name or error}: pip install 'jetbox[model]'")


def _told(error: Exception) -> int:
    print(runlog.explain(error), file=sys.stderr)
    return 1


def _out_of_memory(error: Exception) -> bool:
    text = str(error)
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text
