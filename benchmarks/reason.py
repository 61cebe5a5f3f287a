"""How well the reasoner solves puzzles: `python benchmarks/reason.py --task sudoku6` prints one JSON object.

Data are made by the recipe, training is the product's own (a preset of configs/training/, the loop in a
process of its own, one thread), and what is told is measured on the held-out side, disjoint by canonical
form. Budgets and curves are in core-minutes, CPU time of training alone, so they hold under load. The best
checkpoint is chosen by the first held-out rows (`assess.rows` of the preset); what is told of it is measured
on the rows behind them, which chose nothing. Points of the curve are of the rows that choose.

`exact` is the share of held-out puzzles of which every cell is right after the usual refinement steps. With
`--ablate` the same budget is given to the preset with one thing taken away or exchanged at a time; `full` is
the reference in the same run. The reference figures of other systems are in docs/reasoner.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
TASKS: dict[str, tuple[str, str, int, dict[str, Any]]] = {  # preset, recipe, rows, options
    "sudoku4": ("hrm-sudoku4", "puzzle/sudoku", 19_000, {"size": 4, "difficulty": "any"}),
    "sudoku6": ("hrm-sudoku6", "puzzle/sudoku", 22_300, {"size": 6, "difficulty": "any"}),
    "sudoku9": ("hrm-sudoku9", "puzzle/sudoku", 22_300, {"size": 9, "difficulty": "easy"}),
    "maze": ("hrm-maze9", "puzzle/maze", 22_300, {"size": 9, "least": 12}),
}
THOUGHT = 250  # held-out rows on which more thought is measured, of the first seed
ABLATIONS: dict[str, dict[str, Any]] = {
    "full": {},
    "no hierarchy": {"ablate": ["hierarchy"]},
    "two networks": {"networks": 2},
    "no recursion": {"ablate": ["recursion"]},
    "no deep supervision": {"ablate": ["deep_supervision"]},
    "no halting": {"ablate": ["halting"]},
    "one-step gradient": {"gradient": "one_step"},
    "token MLP": {"mixing": ["tokens"]},
    "attention": {"mixing": ["attention"]},
    "lines": {"mixing": ["lines"]},
    "no augmentation": {"augment": "none"},
    "nothing revealed": {"reveal": 0.0},
}


def child(folder: Path, module: str, request: dict[str, Any]) -> dict[str, Any]:
    """Do a run in a process of its own, at normal priority; its result."""
    folder.mkdir(parents=True)
    (folder / "request.json").write_text(json.dumps(request))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    code = f"import sys, pathlib, {module} as work; sys.exit(work.main(pathlib.Path(sys.argv[1])))"
    command = [sys.executable, "-c", code, str(folder)]
    subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True)
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    if not result["ok"]:
        sys.exit(f"{module} failed: {result['error']}")
    return result


def curve(folder: Path) -> list[tuple[float, float]]:
    """Core-minutes and held-out exact at each assessment."""
    points, exact = [], 0.0
    for line in (folder / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["type"] == "metric" and event["name"] == "exact" and event["split"] == "heldout":
            exact = event["value"]
        if event["type"] == "metric" and event["name"] == "core_seconds":
            points.append((round(event["value"] / 60, 3), round(exact, 4)))
    return points


def measured(best: Path, data: Path, rows: int, thought: bool) -> dict[str, Any]:
    """The best checkpoint on held-out rows: as usual, with more steps, and with noisy attempts."""
    import torch

    from datagen import load
    from model import learners
    from model.hrm import rollouts
    from model.hrm.learner import HrmLearner

    torch.set_num_threads(1)
    learner, meta = learners.restore(best)
    assert isinstance(learner, HrmLearner)
    columns = load.columns(data, "test")
    with torch.no_grad():
        chose = int(meta.config["assess"]["rows"])
        if len(columns["key"]) <= chose:
            sys.exit(f"all {len(columns['key'])} held-out rows choose a checkpoint: give more --rows")
        others = {name: columns[name][chose:][:rows] for name in ("question", "answer")}
        prepared = learner.prepare(others)
        found: dict[str, Any] = {"step": meta.step, "heldout_rows": len(prepared["question"])}
        found |= learner.assess(prepared, rows)
        if thought:
            question, answer = prepared["question"][:THOUGHT], prepared["answer"][:THOUGHT].long()

            def exact(**how: Any) -> float:
                said = rollouts.solve(learner, question, **how).answer
                return round(float((said == answer).all(1).float().mean()), 4)

            usual = learner.config.steps
            found["exact_by_steps"] = {n: exact(steps=n) for n in (1, 2, 4, 8, 16)}
            if learner.net.halt is not None:
                found["exact_by_attempts"] = {
                    n: exact(steps=usual, attempts=n, noise=0.3, seed=1) for n in (1, 2, 4, 8)
                }
    found["parameters"] = sum(each.numel() for each in learner.parameters())
    return found


def trained(
    folder: Path, config: dict[str, Any], data: Path, seed: int, rows: int, thought: bool
) -> dict[str, Any]:
    """Train with this configuration and measure what came of it."""
    request = {
        "schema": 1,
        "learner": "hrm",
        "config": config,
        "data": str(data),
        "seed": seed,
        "device": "cpu",
    }
    result = child(folder, "model.train", request)
    points, best = curve(folder), (folder / result["artifact"]["path"]).parent
    found = {"seed": seed, "core_minutes": round(result["metrics"]["core_seconds"] / 60, 3)}
    found |= {"steps": result["metrics"]["steps"], **measured(best, data, rows, thought), "curve": points}
    return found


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", choices=TASKS, default="sudoku4")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--core-minutes", type=float, default=0.25)
    parser.add_argument("--rows", type=int, help="of the data set, both sides together")
    parser.add_argument("--heldout", type=int, default=1000, help="held-out rows that are measured")
    parser.add_argument("--assessments", type=int, help="steps between two points of the curve")
    parser.add_argument("--ablate", nargs="*", choices=ABLATIONS, help="all of them where none is named")
    given = parser.parse_args()
    preset, recipe, rows, options = TASKS[given.task]
    config = yaml.safe_load((ROOT / "configs" / "training" / f"{preset}.yaml").read_text())
    config.pop("steps", None)
    config["core_minutes"] = given.core_minutes
    if given.assessments:
        config["assess"]["every"] = given.assessments
    ways = ["full"] if given.ablate is None else given.ablate or list(ABLATIONS)
    out: dict[str, Any] = {"task": given.task, "core_minutes": given.core_minutes, "ways": {}}
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "data"
        request = {"schema": 1, "recipe": recipe, "seed": 1, "count": given.rows or rows, "options": options}
        child(made, "datagen.run", request)
        for way in ways:
            own = {**config, "model": config["model"] | ABLATIONS[way]}
            runs = [
                trained(
                    Path(scratch) / way / str(seed),
                    own,
                    made / "data",
                    seed,
                    given.heldout,
                    way == "full" and seed == given.seeds[0],
                )
                for seed in given.seeds
            ]
            middle = statistics.median(run["exact"] for run in runs)
            out["ways"][way] = {"median_exact": middle, "runs": runs}
    if len(ways) > 1 and "full" in ways:
        full = out["ways"]["full"]["median_exact"]
        out["against_full"] = {
            way: round(each["median_exact"] - full, 4) for way, each in out["ways"].items() if way != "full"
        }
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
