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
from typing import Any

from datagen import files, manifest, recipe, request, rows, runlog
from datagen.distinct import Distinct
from datagen.errors import DataError, RecipeError
from datagen.manifest import MANIFEST, Manifest, Shard, shard_name
from datagen.recipe import Recipe
from datagen.request import Request
from datagen.runlog import RunLog

DATA = "data"
_BATCH = 200  # rows between two looks at the clock


def main(run_dir: Path) -> int:
    """Do or go on with the run of this folder; 0 when its result is good, 1 when it is an error."""
    try:
        _generate(run_dir)
    except (DataError, OSError) as error:
        line = runlog.explain(error)
        print(line, file=sys.stderr)
        try:
            runlog.fail(run_dir, line)
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
    data = run_dir / DATA
    data.mkdir(exist_ok=True)
    kept = _kept(run_dir, asked, chosen)
    _tidy(run_dir, data, kept, complete=len(kept) == asked.shards)
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


def _kept(run_dir: Path, asked: Request, chosen: Recipe) -> dict[str, Shard]:
    """The shards of this very request that are whole, by name."""
    key = asked.key(chosen.version)
    wanted = {f"{DATA}/{shard_name(n)}": stop - start for n, (start, stop) in enumerate(asked.ranges())}
    recorded = {
        event["path"]: event.get("sha256")
        for event in runlog.checkpoints(run_dir)
        if event.get("key") == key and event.get("path") in wanted
    }
    kept = {}
    for where, sha256 in recorded.items():
        path = run_dir / where
        if path.is_file() and manifest.digest(path) == sha256:
            kept[path.name] = Shard(path.name, wanted[where], path.stat().st_size, sha256)
    return kept


def _tidy(run_dir: Path, data: Path, kept: dict[str, Shard], *, complete: bool) -> None:
    """Remove what an interrupted or different run left: a word on rows not there, halves, other shards."""
    for path in data.glob(".*.tmp"):
        path.unlink()
    if not complete:  # first of all: no word on rows that are about to go
        (run_dir / runlog.RESULT).unlink(missing_ok=True)
        (data / MANIFEST).unlink(missing_ok=True)
    for path in data.glob("shard-*.jsonl"):
        if path.name not in kept:
            path.unlink()


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
