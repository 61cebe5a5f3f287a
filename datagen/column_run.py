"""A run of a recipe of columns: shards made here or by worker processes, then read once more and counted.

The bytes in `data/` and `result.json` are the same for any number of workers and after any interruption.
"""

from __future__ import annotations

import hashlib
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from datagen import columns, files, manifest, recipe, resume, runlog, sheet
from datagen.columns import Totals
from datagen.errors import DataError, RecipeError, RequestError
from datagen.manifest import MANIFEST, Column, Manifest, Shard, shard_name
from datagen.recipe import ColumnRecipe
from datagen.request import Request
from datagen.resume import DATA
from datagen.runlog import RunLog

MAX_SHARD = 1 << 30  # bytes: a shard is made in memory
_BATCH_BYTES, _BATCH_ROWS = 1 << 25, 2048  # made at once, between two looks at the clock
_LAST = 10.0  # seconds for a worker to end that has closed its output
SHEET = "sheet.png"


@dataclass(frozen=True)
class Job:
    """All that making a shard takes."""

    recipe: ColumnRecipe
    asked: Request  # its options are complete
    columns: dict[str, Column]
    data: Path
    source: str

    @property
    def version(self) -> str:
        """The recipe's, and what was given to it: shards of other images are not taken up again."""
        return f"{self.recipe.version}|{self.source}" if self.source else self.recipe.version

    def name(self, number: int) -> str:
        """The file of a shard."""
        return shard_name(number, "columns")


def job(run_dir: Path, chosen: ColumnRecipe, asked: Request) -> Job:
    """The request of a run folder, checked; `asked` has its options complete."""
    source = ""
    if isinstance(chosen, recipe.Given):
        chosen, source = chosen.bind(run_dir, asked.seed, asked.count)
    kinds = columns.spec(chosen.name, chosen.columns(asked.options))
    largest = -(-asked.count // asked.shards) * columns.row_bytes(kinds)
    if largest > MAX_SHARD:
        needed = -(-asked.count * columns.row_bytes(kinds) // MAX_SHARD)
        raise RequestError(f"a shard would take {largest / 2**30:.1f} GiB: use at least {needed + 1} shards")
    return Job(chosen, asked, kinds, run_dir / DATA, source)


def generate(run_dir: Path, chosen: ColumnRecipe, asked: Request) -> None:
    """Do or go on with the run; its last words are the manifest and the result."""
    work = job(run_dir, chosen, asked)
    kept = resume.kept(run_dir, asked, work.version, "columns")
    resume.tidy(run_dir, kept, complete=len(kept) == asked.shards)
    shards = {number: kept[work.name(number)] for number in range(asked.shards) if work.name(number) in kept}
    done = sum(shard.rows for shard in shards.values())
    with RunLog(run_dir) as log:
        if work.source:
            log.emit("phase", name="generate", resumed=bool(kept), source=work.source)
        else:
            log.emit("phase", name="generate", resumed=bool(kept))

        def made(number: int, shard: Shard) -> None:
            shards[number] = shard
            where = f"{DATA}/{shard.path}"
            log.checkpoint(path=where, sha256=shard.sha256, rows=shard.rows, key=asked.key(work.version))

        def rows(count: int) -> None:
            nonlocal done
            done += count
            log.progress(done, asked.count, "rows")

        todo = [number for number in range(asked.shards) if number not in shards]
        if asked.workers > 1 and len(todo) > 1:
            _by_workers(run_dir, todo, min(asked.workers, len(todo)), rows, made)
        else:
            for number in todo:
                made(number, make(work, number, rows))
        ordered = tuple(shards[number] for number in range(asked.shards))
        totals = _count(work, ordered)
        text = _manifest(work, ordered, totals).encode()
        files.replace(work.data / MANIFEST, text)
        sha256 = hashlib.sha256(text).hexdigest()
        log.emit("artifact", path=f"{DATA}/{MANIFEST}", sha256=sha256, title=f"Manifest of {chosen.name}")
        picture = sheet.png(work.data)
        files.replace(run_dir / SHEET, picture)
        digest = hashlib.sha256(picture).hexdigest()
        log.emit("artifact", path=SHEET, sha256=digest, title=f"Samples of {chosen.name}")
    distinct = totals.distinct()
    metrics: dict[str, int | float] = {"rows": asked.count, "distinct": distinct}
    metrics |= {"duplicates": asked.count - distinct, "test_rows": totals.splits()["test"]}
    runlog.succeed(run_dir, metrics, f"{DATA}/{MANIFEST}", sha256)


def make(work: Job, number: int, rows: Callable[[int], None]) -> Shard:
    """Make one shard and put it in its place; `rows` is told of each batch."""
    start, stop = work.asked.ranges()[number]
    arrays = columns.empty(work.columns, stop - start)
    step = max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, columns.row_bytes(work.columns))))
    for begin in range(start, stop, step):
        end = min(begin + step, stop)
        batch = _batch(work, begin, end)
        for name, array in batch.items():
            arrays[name][begin - start : end - start] = array
        rows(end - begin)
    return columns.write(work.data / work.name(number), work.columns, arrays, stop - start)


def _batch(work: Job, start: int, stop: int) -> columns.Arrays:
    """What the recipe gives for a range, held to its promise."""
    name = work.recipe.name
    try:
        made = work.recipe.make(work.asked.seed, start, stop, work.asked.options)
    except (DataError, OSError):
        raise
    except ModuleNotFoundError as error:
        raise RequestError(f"{name} needs {error.name}: pip install 'jetbox[model]'") from error
    except Exception as error:  # the code of another package: whatever it raises, the run says which rows
        kind = type(error).__name__
        raise RecipeError(f"recipe {name} failed at rows {start} to {stop - 1}: {kind}: {error}") from error
    columns.fits(name, work.columns, made, stop - start)
    return made


def _count(work: Job, shards: tuple[Shard, ...]) -> Totals:
    """Read all shards in order: what is told of the rows is told of what lies on disk."""
    totals = Totals(work.columns)
    for shard in shards:
        totals.add(columns.read(work.data / shard.path, work.columns, shard))
    if shared := totals.shared():
        raise RecipeError(f"recipe {work.recipe.name} puts {shared} problems on both sides of the split")
    return totals


def _manifest(work: Job, shards: tuple[Shard, ...], totals: Totals) -> Manifest:
    asked, chosen = work.asked, work.recipe
    return Manifest(
        schema=manifest.COLUMNS_SCHEMA,
        provenance="synthetic",
        recipe=chosen.name,
        recipe_version=chosen.version,
        seed=asked.seed,
        count=asked.count,
        parameters=asked.options,
        splits=totals.splits(),
        content_sha256=totals.content(),
        shards=shards,
        form="columns",
        columns=work.columns,
        legend=chosen.legend(asked.options) if isinstance(chosen, recipe.Described) else {},
        source=work.source,
    )


# Worker processes -----------------------------------------------------------------------------------

Made = Callable[[int, Shard], None]


def _by_workers(run_dir: Path, todo: list[int], count: int, rows: Callable[[int], None], made: Made) -> None:
    """Have processes make the shards: each is given the next number when it has finished one."""
    said: queue.SimpleQueue[tuple[int, dict[str, Any] | None]] = queue.SimpleQueue()
    command = [sys.executable, "-P", "-m", "datagen.worker", str(run_dir.absolute())]
    workers: list[subprocess.Popen[bytes]] = []
    rest = iter(todo)
    try:
        for index in range(count):
            worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            workers.append(worker)
            assert worker.stdout is not None
            threading.Thread(target=_listen, args=(index, worker.stdout, said), daemon=True).start()
            _ask(worker, next(rest))
        open_shards = len(todo)
        while open_shards:
            index, word = said.get()
            if word is None:
                status = _gone(workers[index])
                raise DataError(f"a worker process died (exit {status}); start the run again to go on")
            if "error" in word:
                raise DataError(str(word["error"]))
            if "rows" in word:
                rows(int(word["rows"]))
                continue
            made(int(word["number"]), Shard(**word["shard"]))
            open_shards -= 1
            if (number := next(rest, None)) is not None:
                _ask(workers[index], number)
    finally:
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.wait()
            for pipe in (worker.stdin, worker.stdout):
                if pipe is not None:
                    pipe.close()


def _gone(worker: subprocess.Popen[bytes]) -> int:
    """The exit status of a worker that says no more; one that lives on says nothing that is understood."""
    try:
        return worker.wait(_LAST)
    except subprocess.TimeoutExpired:
        worker.kill()
        return worker.wait()


def _ask(worker: subprocess.Popen[bytes], number: int) -> None:
    assert worker.stdin is not None
    try:
        worker.stdin.write(f"{number}\n".encode())
        worker.stdin.flush()
    except OSError:
        pass  # it died: its end of the other pipe says so


def _listen(index: int, lines: IO[bytes], said: queue.SimpleQueue[tuple[int, dict[str, Any] | None]]) -> None:
    try:
        for line in lines:
            said.put((index, json.loads(line)))
    except ValueError:
        pass  # the pipe was closed, or a line was cut off as the worker died
    said.put((index, None))
