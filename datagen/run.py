"""A data run: from `request.json` to `data/`, its manifest, and `result.json` last.

Stopped at any moment and started again on the same folder, it goes on: a shard with the checksum of its
checkpoint is kept, anything else is made again, and the bytes in `data/` and `result.json` are those of a
run that was never stopped. Nothing in them depends on time, machine, hash seed or earlier attempts.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from datagen import files, manifest, recipe, request, resume, rows, runlog
from datagen.distinct import Distinct
from datagen.errors import DataError, RecipeError, RequestError
from datagen.manifest import MANIFEST, Manifest, Shard, shard_name
from datagen.recipe import ColumnRecipe, Recipe
from datagen.request import Request
from datagen.resume import DATA
from datagen.runlog import RunLog

_BATCH = 200  # rows between two looks at the clock


def main(run_dir: Path) -> int:
    """Do or go on with the run of this folder; 0 when its result is good, 1 when it is an error."""
    try:
        _generate(run_dir)
    except (DataError, OSError) as error:
        line = runlog.explain(error)
        print(line, file=sys.stderr)
        try:
            runlog.give_up(run_dir, error)
        except OSError as second:
            print(f"could not write {runlog.RESULT}: {runlog.explain(second)}", file=sys.stderr)
        return 1
    return 0


@dataclass
class _Seen:
    """What all rows together come to, in order."""

    content: Any = field(default_factory=hashlib.sha256)
    inputs: Distinct = field(default_factory=Distinct)
    tasks: set[str] = field(default_factory=set)
    splits: Counter[str] = field(default_factory=Counter)

    def add(self, row: recipe.Row, line: bytes) -> None:
        self.content.update(line)
        self.inputs.add(row["input"])
        self.tasks.add(row["task"])
        self.splits[row["split"]] += 1


def _generate(run_dir: Path) -> None:
    runlog.drop_failure(run_dir)
    asked = request.read(run_dir)
    chosen = recipe.load(asked.recipe)
    asked = replace(asked, options=recipe.complete(chosen.options, asked.options))
    (run_dir / DATA).mkdir(exist_ok=True)
    if recipe.is_columns(chosen):
        _columns_run(run_dir, chosen, asked)
    else:
        _rows_run(run_dir, cast(Recipe, chosen), asked)


def _columns_run(run_dir: Path, chosen: ColumnRecipe, asked: Request) -> None:
    try:
        from datagen import column_run  # its libraries come with an extra
    except ModuleNotFoundError as error:
        raise RequestError(f"{asked.recipe} needs {error.name}: pip install 'jetbox[model]'") from error
    column_run.generate(run_dir, chosen, asked)


def _rows_run(run_dir: Path, chosen: Recipe, asked: Request) -> None:
    data = run_dir / DATA
    kept = resume.kept(run_dir, asked, chosen.version, "rows")
    resume.tidy(run_dir, kept, complete=len(kept) == asked.shards)
    seen, shards = _Seen(), []
    with RunLog(run_dir) as log:
        log.emit("phase", name="generate", resumed=bool(kept))
        for number, (start, stop) in enumerate(asked.ranges()):
            name = shard_name(number)
            if name in kept:
                _recount(data / name, seen)
                shards.append(kept[name])
                log.progress(stop, asked.count, "rows")
                continue
            made = _make(data / name, chosen, asked, (start, stop), seen, log)
            shards.append(made)
            where = f"{DATA}/{name}"
            log.checkpoint(path=where, sha256=made.sha256, rows=made.rows, key=asked.key(chosen.version))
        text = Manifest(
            schema=manifest.SCHEMA,
            provenance="synthetic",
            recipe=chosen.name,
            recipe_version=chosen.version,
            seed=asked.seed,
            count=asked.count,
            parameters=asked.options,
            splits={split: seen.splits[split] for split in rows.SPLITS},
            row_schema=rows.SCHEMA,
            content_sha256=seen.content.hexdigest(),
            shards=tuple(shards),
        ).encode()
        files.replace(data / MANIFEST, text)
        sha256 = hashlib.sha256(text).hexdigest()
        log.emit("artifact", path=f"{DATA}/{MANIFEST}", sha256=sha256)
    metrics: dict[str, int | float] = {
        "rows": asked.count,
        "duplicates": seen.inputs.duplicates(),
        "distinct_tasks": len(seen.tasks),
    }
    runlog.succeed(run_dir, metrics, f"{DATA}/{MANIFEST}", sha256)


def _make(
    path: Path, chosen: Recipe, asked: Request, span: tuple[int, int], seen: _Seen, log: RunLog
) -> Shard:
    """Write one shard, whole or not at all."""
    start, stop = span
    digest, size, done = hashlib.sha256(), 0, start
    with files.replacing(path) as file:
        for row in _rows(chosen, asked, start, stop):
            line = rows.encode(row)
            files.write(file, line)
            digest.update(line)
            seen.add(row, line)
            size += len(line)
            done += 1
            if done % _BATCH == 0:
                log.progress(done, asked.count, "rows")
    log.progress(stop, asked.count, "rows")
    return Shard(path.name, stop - start, size, digest.hexdigest())


def _rows(chosen: Recipe, asked: Request, start: int, stop: int) -> Iterator[recipe.Row]:
    """What the recipe gives for a range, held to its promise of exactly those rows."""
    index = start
    try:
        for row in chosen.rows(asked.seed, start, stop, asked.options):
            if row.get("id") != rows.row_id(chosen.name, asked.seed, index) or index >= stop:
                raise RecipeError(f"recipe {chosen.name} gave row {row.get('id')!r} in place of row {index}")
            yield row
            index += 1
    except (DataError, OSError):
        raise
    except Exception as error:  # the code of another package: whatever it raises, the run says which row
        name = type(error).__name__
        raise RecipeError(f"recipe {chosen.name} failed at row {index}: {name}: {error}") from error
    if index != stop:
        raise RecipeError(f"recipe {chosen.name} ended at row {index} of {stop}")


def _recount(path: Path, seen: _Seen) -> None:
    with path.open("rb") as lines:
        for line in lines:
            seen.add(json.loads(line), line)
