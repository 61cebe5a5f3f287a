"""How far the certainty of an answer can be believed: `python benchmarks/sure.py` prints one JSON object.

Each model is asked held-out questions that its recipe makes afresh, twice `--rows`; half of them fit the
calibration, the other half measures it, for each seed. `ece` has 15 bins, `kept` is the accuracy on the
surest 80 %, `halfway` how much of the way from plain accuracy to 100 % that is (0.5 is asked for). `plain` is
the reference in the same run: the part's own log-odds taken at their word. `ablation` leaves signs out.

Without `--model` a small reasoner over 4 x 4 boards is trained first, so shortly that it errs. A model of
which training kept earlier checkpoints gives a harder test: `--model half=RUN/checkpoints/step-00000300`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import reason
import yaml

ROOT = Path(__file__).resolve().parent.parent
SETS = {"sure": (True, False, False), "variants": (True, False, True), "all": (True, True, True)}


def small(folder: Path) -> Path:
    """A reasoner over 4 x 4 boards after some seconds of training: its best checkpoint."""
    reason.child(
        folder / "data",
        "datagen.run",
        {
            "schema": 1,
            "recipe": "puzzle/sudoku",
            "count": 6000,
            "seed": 1,
            "options": {"size": 4, "difficulty": "any"},
        },
    )
    preset = yaml.safe_load((ROOT / "configs" / "training" / "hrm-sudoku4.yaml").read_text())
    preset.pop("steps", None)
    config = {**preset, "core_minutes": 0.05}
    data = str(folder / "data" / "data")
    body = {"schema": 1, "learner": "hrm", "config": config, "data": data, "device": "cpu", "seed": 0}
    reason.child(folder / "run", "model.train", body)
    return max((folder / "run" / "checkpoints").glob("step-*"))


def measured(checkpoint: Path, rows: int, seed: int) -> dict[str, Any]:
    """One model with one seed."""
    import numpy as np
    import torch

    from model.mind.core import part_at
    from model.reflect import calibration, heldout

    torch.set_num_threads(1)
    part, meta = part_at(checkpoint)
    cases = heldout.cases(heldout.fresh(meta, 2 * rows, seed), part.task)
    began = time.process_time()
    seen = list(heldout.observed(part, cases, str(meta.data["recipe"])))
    spent = time.process_time() - began
    right = np.array([hit for _, hit in seen])
    half = len(seen) // 2
    signs = [each for each, _ in seen]

    def told(probability: Any, bound: float) -> dict[str, Any]:
        found = calibration.measure(np.array(probability), right[half:], bound)
        left = 1 - (found["accuracy"] or 0.0)
        found["halfway"] = ((found["kept"] or 0.0) - (found["accuracy"] or 0.0)) / left if left else None
        return found

    plain = calibration.Calibration()
    found: dict[str, Any] = {
        "plain": told([plain.probability(each[0], None, None) for each in signs[half:]], 0.5)
    }
    ablation: dict[str, Any] = {}
    fitted = calibration.fit(signs[:half], right[:half])
    for name, (_, cycles, variants) in SETS.items():
        rest = [(s, c if cycles else None, v if variants else None) for s, c, v in signs[half:]]
        ablation[name] = told([fitted.probability(*each) for each in rest], fitted.bound)
    found |= {"all": ablation["all"], "ablation": ablation}
    return found | {"core_ms_a_question": 1000 * spent / len(cases), "bound": fitted.bound}


def main() -> None:
    """Print the figures."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--model", action="append", default=[], metavar="NAME=CHECKPOINT")
    asked.add_argument(
        "--rows", type=int, default=300, help="held-out questions to fit on; as many others to measure on"
    )
    asked.add_argument("--seeds", type=int, default=1)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = dict(each.split("=", 1) for each in given.model)
        models = models or {"sudoku4, briefly trained": str(small(Path(folder)))}
        found: dict[str, Any] = {}
        for name, where in models.items():
            cells = [measured(Path(where), given.rows, seed) for seed in range(given.seeds)]
            found[name] = _means(cells)
    print(json.dumps({"rows": given.rows, "seeds": given.seeds, "models": found}, indent=1))


def _means(cells: list[Any]) -> Any:
    """The mean of each number over the seeds; with more than one, its extremes beside it."""
    if isinstance(cells[0], dict):
        return {name: _means([each[name] for each in cells]) for name in cells[0]}
    known = [each for each in cells if each is not None]
    if not known:
        return None
    mean = round(statistics.fmean(known), 4)
    return mean if len(known) == 1 else [mean, round(min(known), 4), round(max(known), 4)]


if __name__ == "__main__":
    main()
