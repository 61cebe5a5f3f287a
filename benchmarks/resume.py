"""Kill training runs at random moments, go on with them, and compare with runs that were never stopped.

    python benchmarks/resume.py --kills 20

Real children by the run protocol, the real learners on data of their recipes, SIGKILL to the whole process
group: while it loads, steps, assesses, writes a checkpoint. Every metric at every step and all weights and
training state at the end must be the same to the bit. Prints one JSON object; status 1 where they differ.
Kills and steps are counted, no time is measured, so a busy machine changes nothing but the wait.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OF_THE_MACHINE = ("steps_per_second", "core_seconds", "memory_bytes")
DATA: dict[str, tuple[str, int, dict[str, Any]]] = {
    "hrm": ("puzzle/sudoku", 400, {"size": 4, "difficulty": "any"}),
    "jepa": ("image/scenes", 300, {}),
}
LEARNERS: dict[str, dict[str, Any]] = {
    "hrm": {
        "model": {
            "vocabulary": 5,
            "grid": {"rows": 4, "columns": 4, "box_rows": 2, "box_columns": 2},
            "hidden": 16,
            "l_cycles": 2,
            "augment": "sudoku",
            "reveal": 0.5,
        },
        "batch": 32,
        "optimizer": {"name": "adamw", "lr": 0.004, "warmup": 10, "average": 0.99},
    },
    "jepa": {
        "model": {
            "latent": 16,
            "vision": {"size": 32, "patch": 8, "width": 16, "depth": 1, "heads": 2},
            "text": {"width": 16, "depth": 1, "heads": 2, "length": 48, "vocabulary": 128},
            "tasks": {"cross": 1.0, "words": 1.0, "patches": 1.0},
            "hidden": 32,
        },
        "batch": 16,
        "optimizer": {"name": "muon", "lr": 0.002, "warmup": 10, "average": 0.98},
    },
}


def main() -> int:
    """Parse, attack, tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=2, help="of each learner's run (20 for the full size)")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--learner", choices=sorted(DATA), action="append")
    asked = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory(prefix="jetbox-resume-") as scratch:
        for learner in asked.learner or sorted(DATA):
            folder = Path(scratch) / learner
            found[learner] = attack(folder, learner, asked.kills, asked.steps, asked.seed)
    good = all(each["identical"] for each in found.values())
    print(
        json.dumps({"benchmark": "resume", "kills": asked.kills, "good": good, "learners": found}, indent=1)
    )
    return 0 if good else 1


def attack(folder: Path, learner: str, kills: int, steps: int, seed: int) -> dict[str, Any]:
    """One learner: a run that is left alone, and one that is not."""
    recipe, count, options = DATA[learner]
    data = folder / "data"
    data.mkdir(parents=True)
    request = {"schema": 1, "recipe": recipe, "seed": 3, "count": count, "options": options}
    (data / "request.json").write_text(json.dumps(request))
    finish(data, "datagen")
    config = {
        "learner": learner,
        "steps": steps,
        "precision": "auto",
        "assess": {"every": 20, "rows": 64},
        "breaker": {"warmup": steps},
        **LEARNERS[learner],
    }
    for name, seconds in (("whole", 1e6), ("killed", 0.2)):
        (folder / name).mkdir()
        told = {**config, "checkpoint": {"seconds": seconds}}
        body = {"schema": 1, "learner": learner, "config": told, "data": str(data / "data"), "seed": seed}
        (folder / name / "request.json").write_text(json.dumps({**body, "device": "cpu"}))
    finish(folder / "whole", "model.train")
    dice, moments, done = random.Random(f"{seed} {learner}"), [], 0
    while done < kills and not (folder / "killed" / "result.json").exists():
        moments.append(kill(folder / "killed", dice, 2 * steps // max(kills, 1)))
        done += moments[-1] is not None
    finish(folder / "killed", "model.train")
    return {"killed_at": moments, **compared(folder / "whole", folder / "killed")}


def kill(run: Path, dice: random.Random, most: int) -> str | None:
    """Start the run and kill it: at some moment of its loading, or once it is some steps further."""
    process = start(run, "model.train")
    if dice.random() < 0.2:
        moment, end = "loading", time.monotonic() + dice.uniform(0.2, 4.0)
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
    else:
        # A little later than the line it waits for: in a step, in an assessment, in a checkpoint.
        begun = len(steps_seen(run))
        target, late = begun + dice.randint(1, max(2, most)), dice.uniform(0, 0.1)
        while process.poll() is None and len(steps_seen(run)) < target:
            time.sleep(0.01)
        time.sleep(late)
        moment = f"after step {max(steps_seen(run), default=0)}"
    if process.poll() is not None:
        return None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return moment


def steps_seen(run: Path) -> list[int]:
    """The steps whose metrics are written, once for each time."""
    return [each["step"] for each in events(run) if each["type"] == "metric" and each["name"] == "lr"]


def compared(whole: Path, killed: Path) -> dict[str, Any]:
    """What differs between two finished runs."""
    import torch
    from safetensors.torch import load_file

    here, there = curves(whole), curves(killed)
    wrong = [list(key) for key in sorted({*here, *there}) if here.get(key) != there.get(key)]
    last = json.loads((whole / "checkpoints.json").read_text())["last"]
    tensors, differ = 0, []
    for name in ("model.safetensors", "train.safetensors"):
        a, b = (load_file(run / "checkpoints" / last / name) for run in (whole, killed))
        tensors += len(a)
        same = {key for key in a.keys() & b.keys() if torch.equal(a[key], b[key])}
        differ += sorted((a.keys() | b.keys()) - same)
    starts = sum(each["type"] == "phase" and each["name"] == "load" for each in events(killed))
    repeated = len(steps_seen(killed)) - len(set(steps_seen(killed)))
    return {
        "identical": not wrong and not differ and bool(here) and tensors > 0,
        "values_compared": len(here),
        "values_that_differ": wrong[:10],
        "tensors_compared": tensors,
        "tensors_that_differ": differ[:10],
        "starts": starts,
        "steps_done_again": repeated,
    }


def curves(run: Path) -> dict[tuple[str, str, int], float]:
    """The last value of each metric at each step, but those of the machine."""
    return {
        (each["name"], each["split"], each["step"]): each["value"]
        for each in events(run)
        if each["type"] == "metric" and each["name"] not in OF_THE_MACHINE
    }


def events(run: Path) -> list[dict[str, Any]]:
    """All whole lines of a run's log that can be read."""
    path, found = run / "events.jsonl", []
    for line in path.read_bytes().split(b"\n")[:-1] if path.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def start(run: Path, module: str) -> subprocess.Popen[bytes]:
    """The child, as the engine starts it."""
    with (run / "output.log").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "orchestrator.child", str(run), module],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def finish(run: Path, module: str) -> None:
    """Have a run end well."""
    start(run, module).wait()
    result = json.loads((run / "result.json").read_text())
    if not result["ok"]:
        sys.exit(f"{module} failed: {result['error']}")


if __name__ == "__main__":
    sys.exit(main())
