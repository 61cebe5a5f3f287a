"""What a JEPA sees in scenes after so many core-minutes: probes, retrieval, rank; beside plain baselines.

Data and training are the product's own runs, one process and one thread each; a core-minute is CPU time of
training. The probe, the nearest neighbours and the rank read one and the same vector, the published latent of
the picture (96 numbers); retrieval compares the latent predicted from one modality with the other's. Probes
are fitted to training rows and judged on held-out rows, which are of other scenes. The best checkpoint is
chosen by the loss of the first held-out rows (`assess.rows`); those behind them, which chose nothing, judge.

    python benchmarks/see.py --seeds 0 1 2 --core-minutes 4 --baselines

Without options: one seed, half a core-minute. `--baselines` adds SIGReg alone, contrast alone, no remedy, a
teacher, the untrained encoder, and the same encoder trained with the labels.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")  # before torch is loaded

import numpy as np
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional

from datagen import load
from model import config as configs
from model import learners, optim
from model.data import Data
from model.feed import RowFeed
from model.jepa.learner import JepaLearner
from model.jepa.views import augment, scaled
from model.learner import Learner, Split
from model.measures import probe, retrieval, spectrum

ROOT = Path(__file__).resolve().parent.parent
PRESETS = ROOT / "configs" / "training"
RECALL_OF = 256
PLAIN = {"words": 0.0, "patches": 0.0}
"""Baselines predict a text latent from a picture's and the reverse, as the reference did, and no more."""


def data_set(folder: Path, rows: int) -> Path:
    """Scenes of the product's recipe, made once."""
    made = folder / "data"
    if not (made / "manifest.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        request = {"schema": 1, "recipe": "image/scenes", "seed": 0, "count": rows, "options": {}}
        (folder / "request.json").write_text(json.dumps(request))
        _run(folder, "datagen.__main__")
    return made


def config(preset: str, core_minutes: float, model: dict[str, Any]) -> dict[str, Any]:
    """A preset with another budget, and with other options of the model laid over its own."""
    body: dict[str, Any] = yaml.safe_load((PRESETS / f"{preset}.yaml").read_text())
    body["model"] = {**body["model"], **model}
    body["core_minutes"] = core_minutes
    return body


def train(folder: Path, data: Path, body: dict[str, Any], seed: int) -> dict[str, Any]:
    """One run of the product's loop; its result, and the folder of the checkpoint to measure."""
    if not (folder / "result.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        request = {"schema": 1, "learner": "jepa", "config": body, "data": str(data), "seed": seed}
        (folder / "request.json").write_text(json.dumps({**request, "device": "cpu"}))
        _run(folder, "model.train")
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    kept = sorted((folder / "checkpoints").glob("step-*"))
    if result["ok"]:
        result["checkpoint"] = (folder / result["artifact"]["path"]).parent
    elif kept:
        result["checkpoint"] = kept[-1]
    return result


def _run(folder: Path, module: str) -> None:
    """A module of the product in a process of its own, at the priority of this one."""
    code = f"import sys, pathlib; from {module} import main; sys.exit(main(pathlib.Path(sys.argv[1])))"
    with (folder / "output.log").open("w") as log:
        subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, stdout=log, stderr=log)


def curve(folder: Path) -> list[dict[str, float]]:
    """Held-out measures by step, with the core-seconds spent by then."""
    found: dict[int, dict[str, float]] = {}
    for line in (folder / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        wanted = event["type"] == "metric" and (
            event["split"] == "heldout" or event["name"] == "core_seconds"
        )
        if wanted:
            found.setdefault(event["step"], {"step": event["step"]})[event["name"]] = round(event["value"], 4)
    return list(found.values())


class Sides:
    """The rows that are measured: training rows to fit probes to, held-out rows to judge by."""

    def __init__(self, data: Path, chose: int) -> None:
        self.train, held = load.columns(data, "train"), load.columns(data, "test")
        if len(held["key"]) - chose < RECALL_OF:
            sys.exit(f"only {len(held['key']) - chose} held-out rows choose no checkpoint: give more --rows")
        self.test = {name: column[chose:] for name, column in held.items()}
        self.train_labels, self.labels = probe.scene_labels(self.train), probe.scene_labels(self.test)


def latents(jepa: JepaLearner, columns: Any) -> dict[str, np.ndarray]:
    """Published and predicted latents, by the learner itself."""
    jepa.eval()
    with torch.no_grad():
        return {name: each.numpy() for name, each in jepa.latents(jepa.prepare(columns)).items()}


def measured(jepa: JepaLearner, sides: Sides, seed: int) -> dict[str, Any]:
    """Probe by attribute and mean, nearest neighbours, recall both ways, rank of either modality."""
    fit, found = latents(jepa, sides.train), latents(jepa, sides.test)
    x, y = fit["image"], found["image"]
    probes = {
        name: probe.linear(x, sides.train_labels[name], y, truth, seed).accuracy
        for name, truth in sides.labels.items()
    }
    near = [
        probe.neighbours(x, sides.train_labels[name], y, truth).accuracy
        for name, truth in sides.labels.items()
    ]
    rows = retrieval.unique_rows(sides.test["key"], RECALL_OF, seed)
    asked = {name: each[rows] for name, each in found.items()}
    return {
        "probe": probes,
        "probe_mean": statistics.fmean(probes.values()),
        "knn_mean": statistics.fmean(near),
        "recall_image_to_text": retrieval.recall(asked["text_from_image"], asked["text"]),
        "recall_text_to_image": retrieval.recall(asked["image_from_text"], asked["image"]),
        "rank": spectrum.effective_rank(y),
        "text_rank": spectrum.effective_rank(found["text"]),
        "spread": float(spectrum.deviations(y).mean()),
    }


class Labelled(nn.Module):
    """The picture's part of a JEPA, with a linear answer to each question on its published latent."""

    def __init__(self, jepa: JepaLearner, labels: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.towers, width = jepa.net.towers, jepa.config.latent
        self.towers.text.requires_grad_(False)
        self.towers.read.requires_grad_(False)
        self.heads = nn.ModuleDict({n: nn.Linear(width, int(each.max()) + 1) for n, each in labels.items()})

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Answers' values [B, C] for float pictures [B, 3, S, S]."""
        z = self.towers.picture(self.towers.vision(pictures))
        return {name: head(z).float() for name, head in self.heads.items()}

    def split(self) -> Split:
        """Hidden matrices, and the rest."""
        learning = [(name, each) for name, each in self.named_parameters() if each.requires_grad]
        hidden = [each for name, each in learning if each.ndim == 2 and not name.startswith("heads.")]
        return Split(hidden, [each for _, each in learning if not any(each is other for other in hidden)])


def supervised(
    data: Path, sides: Sides, body: dict[str, Any], core_minutes: float, seed: int
) -> dict[str, Any]:
    """The same picture encoder, optimizer and budget, trained with the labels: the bound from above."""
    asked = configs.config({**body, "core_minutes": core_minutes})
    jepa = learners.build("jepa", asked.model, Data(data, None).info, seed)
    assert isinstance(jepa, JepaLearner)
    net = Labelled(jepa, sides.train_labels)
    rows = {name: torch.from_numpy(each) for name, each in sides.train_labels.items()}
    feed = RowFeed({"image": torch.from_numpy(sides.train["image"]), **rows}, seed, torch.device("cpu"))
    stepper = optim.Stepper(asked.optimizer, cast(Learner, net))
    began, step = time.process_time(), 0
    net.train()
    while (progress := (time.process_time() - began) / (60 * core_minutes)) < 1:
        batch = feed.take(asked.batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            answers = net(augment(batch["image"], jepa.config.augment, feed.rng))
            loss = torch.stack(
                [functional.cross_entropy(a, batch[name]) for name, a in answers.items()]
            ).sum()
        loss.backward()
        stepper.clip()
        stepper.step(optim.rate(asked.optimizer, step, progress))
        step += 1
    net.eval()
    with torch.no_grad():
        said = [net(scaled(part)) for part in torch.from_numpy(sides.test["image"]).split(512)]
    right = {
        name: float(np.mean(torch.cat([each[name] for each in said]).argmax(1).numpy() == truth))
        for name, truth in sides.labels.items()
    }
    return {"probe": right, "probe_mean": statistics.fmean(right.values()), "steps": step}


def untrained(data: Path, sides: Sides, body: dict[str, Any], seed: int) -> dict[str, Any]:
    """The same net with its first weights: what pooling and chance give."""
    jepa = learners.build("jepa", body["model"], Data(data, None).info, seed)
    assert isinstance(jepa, JepaLearner)
    jepa.prepare(sides.train)
    return measured(jepa, sides, seed)


def trained(folder: Path, data: Path, sides: Sides, body: dict[str, Any], seed: int) -> dict[str, Any]:
    """A run of the loop, measured at its best checkpoint, or where the breaker stopped it."""
    result = train(folder, data, body, seed)
    found: dict[str, Any] = {}
    if "checkpoint" in result:
        jepa, _ = learners.restore(result["checkpoint"])
        assert isinstance(jepa, JepaLearner)
        found = measured(jepa, sides, seed)
        found["parameters"] = sum(each.numel() for each in jepa.parameters() if each.requires_grad)
    found["stopped"] = None if result["ok"] else result["error"]
    found["curve"] = curve(folder)
    found["core_minutes"] = (
        round(found["curve"][-1].get("core_seconds", 0) / 60, 3) if found["curve"] else 0.0
    )
    return found


def median(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of each number over the seeds."""
    numbers = [name for name, value in runs[0].items() if isinstance(value, float)]
    return {name: statistics.median(run[name] for run in runs if name in run) for name in numbers}


VARIANTS: dict[str, dict[str, Any]] = {
    "sigreg": {"objective": "sigreg", "gaussian": 0.05, "tasks": PLAIN},
    "contrastive": {"objective": "contrastive", "tasks": PLAIN},
    "ema": {"objective": "ema", "tasks": PLAIN},
    "none": {"objective": "none", "tasks": PLAIN},
}
BOUNDS = ("untrained", "supervised")


def main() -> None:
    """Train, measure, print one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--core-minutes", type=float, default=0.5)
    parser.add_argument("--rows", type=int, default=13400, help="of both sides; nine in ten are for training")
    parser.add_argument("--preset", default="jepa-scenes")
    parser.add_argument("--objective", nargs="*", default=[], choices=[*VARIANTS, *BOUNDS], help="baselines")
    parser.add_argument("--baselines", action="store_true", help="all of them")
    parser.add_argument("--baseline-seeds", type=int, nargs="+", help="as --seeds where it is not given")
    parser.add_argument("--keep", type=Path, help="runs stay in this folder, and are gone on with")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with contextlib.ExitStack() as stack:
        folder = asked.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        data = data_set(folder / "scenes", asked.rows)
        sides = Sides(data, configs.config(config(asked.preset, asked.core_minutes, {})).assess.rows)
        found: dict[str, list[dict[str, Any]]] = {}
        chosen: dict[str, dict[str, Any]] = {asked.preset: {}}
        wanted = [*VARIANTS, *BOUNDS] if asked.baselines else asked.objective
        chosen |= {name: VARIANTS[name] for name in wanted if name in VARIANTS}
        for name, model in chosen.items():
            body = config(asked.preset, asked.core_minutes, model)
            seeds = asked.seeds if not model else asked.baseline_seeds or asked.seeds
            found[name] = []
            for seed in seeds:
                found[name].append(trained(folder / f"{name}-{seed}", data, sides, body, seed))
                print(name, seed, {**found[name][-1], "curve": "..."}, file=sys.stderr, flush=True)
        body, seeds = config(asked.preset, asked.core_minutes, {}), asked.baseline_seeds or asked.seeds
        if "untrained" in wanted:
            found["untrained"] = [untrained(data, sides, body, seed) for seed in seeds]
        if "supervised" in wanted:
            found["supervised"] = [supervised(data, sides, body, asked.core_minutes, seed) for seed in seeds]
        report = {
            "core_minutes": asked.core_minutes,
            "rows": {"train": len(sides.train["image"]), "test": len(sides.test["image"])},
            "median": {name: median(runs) for name, runs in found.items()},
            "runs": found,
        }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
