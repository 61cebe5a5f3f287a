"""How well does the reasoner over pictures answer, and does it know when?

    python benchmarks/ask.py [--core-minutes 4] [--jepa-core-minutes 4] [--seeds 0 1 2] [--keep DIR]
        [--jepa CHECKPOINT --data DIR] [--without drawn seeing]

Scenes, a JEPA and, for each seed, a reasoner over its frozen encoder are trained by the product's own loop
with its presets; held-out questions that chose no checkpoint are measured by the suite `questions`, beside
who never sees the picture. `--without` leaves out what the data say of the pictures beyond question and
answer: questions drawn from what stands there (`drawn`), being told what stands where (`seeing`). Without
options it is a check that all of it works, too short for good figures. CPU time; prints one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import see
import torch

from datagen import load
from datagen.scenes import words
from model import learners
from model.hrm.scene_part import ScenePart
from model.part import Question
from model.suites import Options, asking

_TIMED = 60  # questions, one at a time


def reasoner(
    folder: Path, data: Path, encoder: Path, core_minutes: float, seed: int, without: list[str]
) -> Path:
    """A run of the loop, where there is none yet; the folder of its best checkpoint."""
    if not (folder / "result.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        body = see.config("hrm-scenes", core_minutes, {})
        request = {"schema": 1, "learner": "hrm", "config": body, "data": str(data), "encoder": str(encoder)}
        (folder / "request.json").write_text(json.dumps({**request, "seed": seed, "device": "cpu"}))
        with (folder / "output.log").open("w") as log:
            child = [sys.executable, __file__, "--child", str(folder), "--without", *without]
            subprocess.run(child, cwd=see.ROOT, stdout=log, stderr=log, check=False)
    result = json.loads((folder / "result.json").read_text())
    if not result["ok"]:
        sys.exit(f"{folder}: {result['error']}")
    return (folder / result["artifact"]["path"]).parent


def child(folder: Path, without: list[str]) -> int:
    """A training in this process, without what is to be left out of the rows to learn from."""
    from model import train
    from model.hrm.scene import SceneReasoner

    prepare = SceneReasoner.prepare
    gone = {"drawn": ("drawn", "drawn_target"), "seeing": ("stands",)}
    names = {name for each in without for name in gone[each]}

    def fewer(self: SceneReasoner, columns: Any) -> dict[str, torch.Tensor]:
        return {name: each for name, each in prepare(self, columns).items() if name not in names}

    SceneReasoner.prepare = fewer  # type: ignore[method-assign]
    return train.main(folder)


def measured(checkpoint: Path, data: Path, seed: int) -> dict[str, Any]:
    """The suite on all held-out rows that chose nothing, and the CPU time of an answer."""
    learner, meta = learners.restore(checkpoint)
    rows = {name: each[meta.config["assess"]["rows"] :] for name, each in load.columns(data, "test").items()}
    found = asking.measure(learner, rows, seed, Options(rows=len(rows["key"])))
    part = ScenePart(asking.reasoner(learner))
    texts = words.texts(rows["question"][:_TIMED])
    times = []
    for image, text in zip(rows["image"], texts, strict=False):
        began = time.process_time()
        part.answer([Question(image=image, text=text)])
        times.append(time.process_time() - began)
    return {
        **found.metrics,
        "held_out": len(rows["key"]),
        "answer_ms": round(1000 * float(np.median(times)), 2),
        "core_minutes": round(float(meta.memory["core_seconds"]) / 60, 3),
        "parameters": sum(each.numel() for each in learner.parameters() if each.requires_grad),
    }


def main() -> None:
    """Train, measure, print one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--core-minutes", type=float, default=0.2)
    parser.add_argument("--jepa-core-minutes", type=float, default=0.2)
    parser.add_argument("--rows", type=int, default=8000, help="scenes, where none are given")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--jepa", type=Path, help="a JEPA's checkpoint, in place of a fresh one")
    parser.add_argument("--data", type=Path, help="the data that it learned from")
    parser.add_argument("--without", nargs="*", default=[], choices=["drawn", "seeing"])
    parser.add_argument("--keep", type=Path, help="runs stay in this folder, and are gone on with")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.child:
        sys.exit(child(asked.child, asked.without))
    if (asked.jepa is None) != (asked.data is None):
        parser.error("give both --jepa and --data, or neither")
    with contextlib.ExitStack() as stack:
        folder = (asked.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))).resolve()
        data, jepa = asked.data, asked.jepa
        if jepa is None:
            data = see.data_set(folder / "scenes", asked.rows)
            body = see.config("jepa-scenes", asked.jepa_core_minutes, {})
            jepa = see.train(folder / "jepa", data, body, 0)["checkpoint"]
        runs = []
        for seed in asked.seeds:
            name = "-".join(["reasoner", *asked.without, str(seed)])
            place = reasoner(
                folder / name, data.resolve(), jepa.resolve(), asked.core_minutes, seed, asked.without
            )
            runs.append(measured(place, data, seed))
            print(seed, runs[-1], file=sys.stderr, flush=True)
        names = [name for name, value in runs[0].items() if value is not None]
        middle = {
            name: statistics.median(run[name] for run in runs if run[name] is not None) for name in names
        }
    print(json.dumps({"without": asked.without, "seeds": asked.seeds, "median": middle, "runs": runs}))


if __name__ == "__main__":
    main()
