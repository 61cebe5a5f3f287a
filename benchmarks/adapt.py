"""What memories of boards learn from corrections: `python benchmarks/adapt.py` prints one JSON object.

A reasoner over 6 x 6 Sudoku is trained (or taken: `--core`, a checkpoint's folder) and sealed. Boards under
another rule are made, the corrections and the boards that are measured from seeds of their own; which 64
corrections, and which odd boxes or digits, is drawn by the seed. `asked` is the exact share where the memory
is asked by name, `by_itself` where it has to claim the question first; `old` is the core's own task while the
memory is on, `off` with it off.

`--reference FOLDER` runs a plain reasoner beside it (`plain_adapt.py`; the folder keeps its weights). Trained
on ordinary boards, it learns the same rules from 512 examples and from the 64 corrections, in as many
seconds, and is measured on the same boards.

Rules: `boxes` (3 x 2 in place of 2 x 3), `odd` (irregular boxes), `diagonals` (both, beside all that holds
already), `digits` (answers are written in other digits). Seconds are CPU time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from reason import ROOT, child  # beside this file

RULES = ("boxes", "odd", "diagonals", "digits")
SIZE, CORRECTIONS, EXAMPLES = 6, 64, 512


def core_of(scratch: Path, minutes: float) -> Path:
    """A reasoner trained in this run; its best checkpoint."""
    config = yaml.safe_load((ROOT / "configs" / "training" / "hrm-sudoku6.yaml").read_text())
    config.pop("steps", None)
    config["core_minutes"] = minutes
    options = {"size": SIZE, "difficulty": "any"}
    made = {"schema": 1, "recipe": "puzzle/sudoku", "seed": 1, "count": 22_300, "options": options}
    child(scratch / "data", "datagen.run", made)
    request = {"schema": 1, "learner": "hrm", "config": config, "data": str(scratch / "data" / "data")}
    result = child(scratch / "core", "model.train", request | {"seed": 1, "device": "cpu"})
    return (scratch / "core" / str(result["artifact"]["path"])).parent


def boards(rule: str, seed: int, start: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Questions and answers [N, 36] under a rule; odd boxes are the first that can be filled."""
    from datagen.errors import RequestError
    from datagen.puzzles import ruled

    lines, own = ruled.lines(SIZE), ruled.boxes(SIZE, 2, 3)
    units = np.concatenate((lines, own))
    if rule == "boxes":
        units = np.concatenate((lines, ruled.boxes(SIZE, 3, 2)))
    elif rule == "diagonals":
        units = np.concatenate((units, ruled.diagonals(SIZE)))
    elif rule == "odd":
        for draw in range(seed * 100, seed * 100 + 100):
            units = np.concatenate((lines, ruled.odd_boxes(SIZE, 2, 3, draw)))
            try:
                ruled.make(units, SIZE, 0, 0, 1)
                break
            except RequestError:
                continue
    made = ruled.make(units, SIZE, seed, start, start + count)
    question, answer = (made[name].astype(np.int64) for name in ("question", "answer"))
    if rule == "digits":
        names = np.random.default_rng(seed).permutation(SIZE) + 1
        answer = np.concatenate(([0], names))[answer]
    return question, answer


def fresh(rule: str, seed: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Boards of a rule to measure on: none of them is among the seed's examples."""
    question, answer = boards(rule, seed, 10_000, rows)
    seen = {each.tobytes() for each in boards(rule, seed, 0, EXAMPLES)[0]}
    new = [each for each, row in enumerate(question) if row.tobytes() not in seen]
    return question[new], answer[new]


def tried(core: Any, rule: str, method: str, seed: int, seconds: float, rows: int) -> dict[str, Any]:
    """One memory, taught and measured."""
    from model.adapt import guard, methods
    from model.part import Lesson, Question, settled

    asked, wanted = boards(rule, seed, 0, CORRECTIONS)
    new = list(zip(*fresh(rule, seed, rows), strict=True))
    old = list(zip(*boards("none", 99, 0, rows), strict=True))

    def exact(said: list[Any], rows: list[Any]) -> float:
        return round(float(np.mean([np.array_equal(a, b) for a, (_, b) in zip(said, rows, strict=True)])), 4)

    def questions(rows: list[Any]) -> list[Question]:
        return [Question(cells=each) for each, _ in rows]

    with guard.unchanged(core.learner) as before:
        off = [each.said for each in core.answer(questions(old))]
        found: dict[str, Any] = {"seed": seed, "corrections": CORRECTIONS}
        found["before"] = exact([each.said for each in core.answer(questions(new))], new)
        memory = methods.build(method, core, seed)
        learned = memory.learn(
            [Lesson(Question(cells=q), a) for q, a in zip(asked, wanted, strict=True)], seconds
        )
        found["asked"] = exact([each.said for each in memory.answer(questions(new))], new)
        mixed = settled(memory, core, questions(new))
        found["by_itself"] = exact([each.said for each, _ in mixed], new)
        mixed = settled(memory, core, questions(old))
        found["old"] = exact([each.said for each, _ in mixed], old)
        found["old_claimed"] = round(float(np.mean([own for _, own in mixed])), 4)
        again = [each.said for each in core.answer(questions(old))]
        found["off"] = exact(again, old)
        found["off_bit_equal"] = all(np.array_equal(a, b) for a, b in zip(off, again, strict=True))
        found["core_sha256"] = before[:16]
    found["core_seconds"] = round(learned.seconds, 2)
    found["numbers"] = memory.numbers
    parameters = sum(each.numel() for each in core.learner.parameters())
    found["share_of_core"] = round(memory.numbers / parameters, 4)
    found["facts"] = dict(learned.facts)
    return found


def against(plain: Any, rule: str, given: argparse.Namespace) -> dict[str, Any]:
    """What the plain reasoner learns of the rule in each way, from many examples and from the corrections."""
    found: dict[str, Any] = {}
    for way in plain.ways:
        for count in (EXAMPLES, CORRECTIONS):
            runs = []
            for seed in given.seeds:
                new = fresh(rule, seed, given.rows)
                runs.append(plain.tried(boards(rule, seed, 0, count), new, way, seed, given.seconds))
                print(json.dumps({"rule": rule, **runs[-1]}), file=sys.stderr, flush=True)
            middle = {
                name: statistics.median(run[name] for run in runs) for name in ("exact", "voted", "old")
            }
            found[f"{way} from {count}"] = middle | {"runs": runs}
    return found


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--core", type=Path, help="a checkpoint of a reasoner over 6 x 6 boards")
    parser.add_argument("--core-minutes", type=float, default=0.4, help="of training, where no core is given")
    parser.add_argument("--rules", nargs="+", choices=RULES, default=["boxes"])
    parser.add_argument("--methods", nargs="+", default=["relations"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--seconds", type=float, default=28.0, help="of CPU time for learning, at most")
    parser.add_argument("--rows", type=int, default=200, help="boards of either kind that are measured")
    parser.add_argument("--reference", type=Path, help="run a plain reasoner too; keep its weights here")
    parser.add_argument("--reference-minutes", type=float, default=4.0, help="of its training")
    given = parser.parse_args()
    if given.reference and "digits" in given.rules:
        parser.error("--reference is for rules under which the digits' names may be exchanged")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import plain_adapt  # beside this file
    import torch

    from model import learners
    from model.adapt import guard
    from model.hrm.board_part import BoardPart
    from model.hrm.learner import HrmLearner

    torch.set_num_threads(1)
    out: dict[str, Any] = {"corrections": CORRECTIONS, "rows": given.rows, "rules": {}}
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.core or core_of(Path(scratch), given.core_minutes)
        learner, meta = learners.restore(folder)
    if not isinstance(learner, HrmLearner):
        parser.error("--core is no reasoner over boards")
    guard.seal(learner, "boards")
    core = BoardPart(learner)
    out["core"] = {"step": meta.step, "parameters": sum(each.numel() for each in learner.parameters())}
    plain = None
    if given.reference:
        plain = plain_adapt.Plain(given.reference, given.reference_minutes, boards("none", 99, 0, given.rows))
        out["reference"] = plain.facts
    for rule in given.rules:
        out["rules"][rule] = {}
        for method in given.methods:
            runs = [tried(core, rule, method, seed, given.seconds, given.rows) for seed in given.seeds]
            middle = {
                name: statistics.median(run[name] for run in runs)
                for name in ("before", "asked", "by_itself", "old", "off", "core_seconds", "numbers")
            }
            out["rules"][rule][method] = middle | {"runs": runs}
            told = {"rule": rule, "method": method, **middle}
            print(json.dumps(told), file=sys.stderr, flush=True)
        if plain is not None:
            out["rules"][rule]["reference"] = against(plain, rule, given)
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
