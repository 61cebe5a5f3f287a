"""A double of `model.evaluate`: figures that depend on the models' files and the seeds alone."""

from __future__ import annotations

import hashlib
import json
import statistics
from pathlib import Path

from datagen import files, runlog


def main(run_dir: Path) -> int:
    """Measure."""
    request = json.loads((run_dir / "request.json").read_text())
    weights = b"".join(Path(each, "model.safetensors").read_bytes() for each in request["models"])
    values = [
        int(hashlib.sha256(weights + str(seed).encode()).hexdigest()[:4], 16) / 1e5 + 0.5
        for seed in request["seeds"]
    ]
    metrics = {"exact": statistics.mean(values), "exact_spread": statistics.pstdev(values)}
    if request["baseline"]:
        baseline = json.loads(Path(request["baseline"]).read_text())["metrics"]["exact"]
        metrics["regressed"] = int(metrics["exact"] < baseline["value"] - baseline["tolerance"])
    proposed = {"exact": {"value": metrics["exact"], "tolerance": 0.01, "better": "higher"}}
    body = {"schema": 1, "suite": request["suite"], "metrics": proposed}
    files.replace(run_dir / "baseline.json", json.dumps(body).encode())
    (run_dir / "report").mkdir(exist_ok=True)
    files.replace(run_dir / "report/report.txt", b"What was measured\n\x1b[31mexact\n")
    text = json.dumps(metrics).encode()
    files.replace(run_dir / "report.json", text)
    runlog.succeed(run_dir, metrics, "report.json", hashlib.sha256(text).hexdigest())
    return 0
