"""From a version of the core and a memory to a candidate: taught, measured, and written.

One function a task teaches a copy and says what that did (`_board`, `_scene`); all else is the same for both.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from datagen import files
from datagen.runlog import RunLog
from model import checkpoint
from model.adapt import guard, methods
from model.adapt.boards import BoardMemory
from model.adapt.boards_for_good import consolidate_boards
from model.errors import ModelError, RequestError
from model.hrm.board_part import BoardPart
from model.hrm.learner import HrmLearner
from model.hrm.scene import SceneReasoner
from model.learner import Learner
from model.mind import core as cores
from model.mind import records
from model.part import Memory, Part, Question
from model.reflect import calibration, heldout

if TYPE_CHECKING:
    from model.consolidate import Request

CANDIDATE, DIFFERENCE, EFFECTS = "candidate", "difference.json", "effects.json"
ROWS = 500  # held-out rows of the old task, and new boards
SCENE_ROWS = 4000
CALIBRATED = 240  # rows that the new calibration is fitted and measured on


@dataclass(frozen=True)
class Effect:
    """One measure on rows that were not taught, before and after."""

    task: str
    measure: str
    before: float
    after: float
    rows: int


def make(run_dir: Path, asked: Request) -> tuple[dict[str, float], str]:
    """Do the work of a request; the metrics and the candidate's digest. ModelError says why not."""
    torch.set_num_threads(1)
    where = Path(asked.core)
    home, digest = where.parents[2], where.name
    core = cores.open_core(home, digest)
    record, memory, opened = _given(core, asked)
    with RunLog(run_dir) as log:
        log.emit("phase", name="consolidate", resumed=False)

        def tell(step: int, gone: float) -> None:
            log.progress(round(100 * min(gone, 1.0)), 100, "percent")

        with guard.unchanged(opened.learner):
            scratch = guard.scratch(opened.learner)
            if isinstance(scratch, HrmLearner) and isinstance(memory, BoardMemory):
                made, effects = _board(opened, scratch, memory, asked, tell)
            elif isinstance(scratch, SceneReasoner):
                made, effects = _scene(opened, scratch, memory, asked, tell)
            else:
                raise RequestError(f"a part of {opened.task} can't be taught by a memory")
            log.emit("phase", name="measure", resumed=False)
            calibrated, more = _calibrated(opened, made, asked.seed)
            effects += more
            difference = _difference(opened.learner, made)
    _write(run_dir, where, core, opened, made, record, calibrated)
    files.replace(run_dir / DIFFERENCE, _text(difference))
    files.replace(run_dir / EFFECTS, _text([asdict(each) for each in effects]))
    again = cores.open_core(home, digest)  # every file against the digest once more
    if again.parts[asked.part].sealed != opened.sealed:
        raise ModelError("the core changed while it was copied: nothing of this run counts")
    sha256 = hashlib.sha256((run_dir / CANDIDATE / cores.INDEX).read_bytes()).hexdigest()
    return _metrics(effects), sha256


def _given(core: cores.Core, asked: Request) -> tuple[records.Record, Memory, cores.Opened]:
    if asked.part not in core.parts or core.parts[asked.part].part is None:
        raise RequestError(f"this core has no part {asked.part!r} that takes questions")
    opened = core.parts[asked.part]
    folder = Path(asked.memory)
    try:
        record = records.read(folder)
    except records.RecordBroken as error:
        raise RequestError(str(error)) from None
    if record.part != asked.part or record.core != core.digest:
        raise RequestError(f"the memory {record.name} was made over another core: open it, then retry")
    held = records.arrays(folder, record)
    if held is None:
        raise RequestError(f"what the memory {record.name} learned is missing: ask it a question, then retry")
    assert opened.part is not None
    try:
        memory = methods.build(record.method, opened.part)
        memory.hold(held)
    except ValueError as error:
        raise RequestError(f"the memory {record.name} does not fit this core: {error}") from None
    return record, memory, opened


def _board(
    opened: cores.Opened, scratch: HrmLearner, memory: BoardMemory, asked: Request, tell: Any
) -> tuple[Learner, list[Effect]]:
    """A reasoner over boards; new rows are boards made by a solver under the rule that the memory found."""
    old = _rows(opened, ROWS, asked.seed)
    taught = consolidate_boards(
        scratch, memory, core_seconds=asked.core_seconds, rows=ROWS, tell=lambda done: tell(0, done)
    )
    made = taught.learner.eval()
    assert opened.part is not None
    parts: tuple[Part, Part] = opened.part, BoardPart(made)
    told = [(np.frombuffer(each, np.int64), said) for each, said in memory.told.items()]
    sets: list[tuple[str, Sequence[Any]]] = [
        (f"old: {opened.name}", list(zip(*(each.numpy() for each in old), strict=True))),
        ("new: made under the memory's rule", list(zip(*(each.numpy() for each in taught.new), strict=True))),
        ("corrected boards", told),
    ]
    effects = []
    for task, rows in sets:
        if rows:
            before, after = (_exact(part, rows) for part in parts)
            effects.append(Effect(task, "exact", before, after, len(rows)))
    return made, effects


def _scene(
    opened: cores.Opened, scratch: SceneReasoner, memory: Memory, asked: Request, tell: Any
) -> tuple[Learner, list[Effect]]:
    """A reasoner over pictures; new rows are fresh scenes that the memory answers."""
    from model.adapt.concepts import Concepts
    from model.adapt.words_for_good import consolidate_words

    if not isinstance(memory, Concepts):
        raise RequestError(f"a memory of {memory.method} teaches the core nothing: it is there to compare")
    found = consolidate_words(
        scratch, memory, seed=asked.seed, core_seconds=asked.core_seconds, rows=SCENE_ROWS, tell=tell
    )
    effects = [Effect(each.task, each.measure, each.before, each.after, each.rows) for each in found]
    return scratch.eval(), effects


def _rows(opened: cores.Opened, rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Fresh rows of the part's own recipe, of the side that no training takes."""
    made = heldout.fresh(opened.meta, rows, seed + 7)
    question, answer = (torch.from_numpy(made[name].astype(np.int64)) for name in ("question", "answer"))
    return question, answer


def _exact(part: Part, rows: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    answers = part.answer([Question(cells=np.asarray(asked)) for asked, _ in rows])
    return float(
        np.mean([np.array_equal(one.said, said) for one, (_, said) in zip(answers, rows, strict=True)])
    )


def _calibrated(opened: cores.Opened, made: Learner, seed: int) -> tuple[dict[str, Any] | None, list[Effect]]:
    """A calibration of the candidate where the part had one, and both on the same rows."""
    part = cores.part_of(made)
    if opened.calibration is None or part is None or opened.part is None:
        return None, []
    cases = heldout.cases(heldout.fresh(opened.meta, CALIBRATED, seed + 8), opened.task)
    origin = str(opened.meta.data.get("recipe", ""))
    looked = [list(heldout.observed(each, cases, origin)) for each in (opened.part, part)]
    had = calibration.parse(opened.calibration)
    was = np.array([had.probability(*signs) for signs, _ in looked[0]])
    now = np.array([hit for _, hit in looked[1]])
    fitted, said = calibration.folded([signs for signs, _ in looked[1]], now)
    before = calibration.measure(was, np.array([hit for _, hit in looked[0]]), had.bound)
    after = calibration.measure(said, now, fitted.bound)
    figures = {name: round(value, 6) for name, value in after.items() if value is not None}
    off = float(before["ece"] or 0), float(after["ece"] or 0)
    effects = [Effect(f"old: {opened.name}", "ece", *off, len(cases))]
    return fitted.body() | figures | {"rows": len(cases)}, effects


def _difference(before: Learner, after: Learner) -> list[dict[str, Any]]:
    """What changed, by name: weights and kept buffers, and the rules of a reasoner over boards."""
    old, new = before.state_dict(), after.state_dict()
    found = []
    for name in sorted(new):
        tensor = new[name].detach().double()
        was = old[name].detach().double() if name in old and old[name].shape == tensor.shape else None
        moved = tensor - (torch.zeros_like(tensor) if was is None else was)
        length = 0.0 if was is None else float(was.norm())
        change = float(moved.norm())
        found.append(
            {
                "layer": name,
                "shape": list(tensor.shape),
                "before": length,
                "change": change,
                "share": change / length if length else float(change > 0),
                "largest": float(moved.abs().max()) if moved.numel() else 0.0,
            }
        )
    if isinstance(before, HrmLearner) and isinstance(after, HrmLearner):
        had = len(before.config.rules)
        for number, rule in enumerate(after.config.rules[had:], had + 1):
            cells = sum(map(len, rule.units))
            shape, size = [len(rule.units), max(map(len, rule.units))], cells**0.5
            name = f"rule {number}: which cells share a unit"
            row = {"before": 0.0, "change": size, "share": 1.0, "largest": 1.0}
            found.append({"layer": name, "shape": shape, **row})
    return found


def _write(
    run_dir: Path,
    where: Path,
    core: cores.Core,
    opened: cores.Opened,
    made: Learner,
    record: records.Record,
    calibrated: dict[str, Any] | None,
) -> None:
    """The candidate's folder, `core.json` last."""
    folder = run_dir / CANDIDATE
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was cut off
    before = cores.index(where.parents[2], core.digest)
    parts: dict[str, Any] = {}
    for name, told in before["parts"].items():
        target = folder / cores.PARTS / name
        if name != opened.name:
            target.mkdir(parents=True)
            for each in told["files"]:
                files.replace(target / each, (where / cores.PARTS / name / each).read_bytes())
            parts[name] = told
            continue
        meta = replace(opened.meta, config=_config(opened.meta.config, made), phase="consolidate")
        checkpoint.save_weights(target, meta, made.state_dict())
        sums = {each: checkpoint.sha256_of(target / each) for each in (checkpoint.META, checkpoint.WEIGHTS)}
        parts[name] = {**told, "files": sums, "calibration": calibrated}
    body = {
        "schema": cores.SCHEMA,
        "parent": core.digest,
        "made": {
            "by": "consolidation",
            "part": opened.name,
            "memory": record.name,
            "memory_digest": record.digest,
        },
        "parts": parts,
    }
    files.replace(folder / cores.INDEX, _text(body))


def _config(config: dict[str, Any], made: Learner) -> dict[str, Any]:
    """The checkpoint's configuration, with the rules that a reasoner over boards has now."""
    if not isinstance(made, HrmLearner):
        return config
    rules = made.config.model_dump(mode="json")["rules"]
    return {**config, "model": {**config["model"], "rules": rules}}


def _metrics(effects: Sequence[Effect]) -> dict[str, float]:
    """Exact on old and on new tasks, before and after, weighted by rows; corrected boards are neither."""
    found = {}
    for kind in ("old", "new"):
        rows = [each for each in effects if each.task.startswith(kind) and each.measure == "exact"]
        rows = rows or [each for each in effects if kind == "new" and each.measure == "exact"][-1:]
        whole = sum(each.rows for each in rows)
        for name in ("before", "after"):
            found[f"{kind}_{name}"] = round(sum(getattr(each, name) * each.rows for each in rows) / whole, 6)
    return found


def _text(body: Any) -> bytes:
    """Canonical JSON."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()
