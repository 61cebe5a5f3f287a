"""Reports of runs: `report/report.md` with pictures, `report.txt` for a terminal, `report.json` last.

`report.json` names every file with its title and SHA-256; each is an `artifact` event too. A report never
fails a run: whatever goes wrong with it is an `alert`, and the run's result is the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from datagen.runlog import RunLog

if TYPE_CHECKING:
    from model.report.document import Document, Written
    from model.report.evaluation import Evaluated

FOLDER, INDEX, SCHEMA = "report", "report.json", 1


def write(run_dir: Path, log: RunLog) -> Path | None:
    """The report of a training run, from its folder, before its result; where `report.json` is, or None."""

    def make() -> Document:
        from model.report.training import document

        return document(run_dir)

    made = _written(run_dir, log, make)
    return made.path if made else None


def write_evaluation(run_dir: Path, log: RunLog, about: Evaluated) -> Written:
    """Write the report of an evaluation; where pictures fail, `report.json` still names the figures."""

    def make() -> Document:
        from model.report.evaluation import document

        return document(about)

    return _written(run_dir, log, make) or _index(run_dir, "Evaluation", [])


def _written(run_dir: Path, log: RunLog, make: Callable[[], Document]) -> Written | None:
    try:
        made = make()
        files = made.write(run_dir / FOLDER)
        index = _index(run_dir, made.title, files)
    except Exception as error:  # the boundary: a report is beside the matter, and must not fail the run
        line = " ".join(f"{type(error).__name__}: {error}".split())[:400]
        log.emit("alert", level="warn", message=f"the report could not be made: {line}")
        return None
    for each in [*files, index]:
        where = each.path.relative_to(run_dir).as_posix()
        log.emit("artifact", path=where, sha256=each.sha256, title=each.title)
    return index


def _index(run_dir: Path, title: str, files: list[Written]) -> Written:
    """Write `report.json`: all files of the report, and the figures of an evaluation beside them."""
    from model.report.document import put

    named = [(each.path, each.sha256, each.title) for each in files]
    for name, called in (("metrics.json", "Figures"), ("baseline.json", "These figures as a baseline")):
        path = run_dir / name
        if path.is_file():
            from datagen.manifest import digest

            named.append((path, digest(path), called))
    body = {
        "schema": SCHEMA,
        "title": title,
        "files": [
            {"path": path.relative_to(run_dir).as_posix(), "sha256": sha256, "title": called}
            for path, sha256, called in named
        ],
    }
    (run_dir / FOLDER).mkdir(exist_ok=True)
    text = json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
    return put(run_dir / FOLDER / INDEX, text, "The report's files")
