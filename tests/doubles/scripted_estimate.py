"""A double of `model.estimate`: `model.row` bytes for each row of a batch, and two lighter configurations."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from datagen import files, runlog


def main(run_dir: Path) -> int:
    """Reckon."""
    config = json.loads((run_dir / "request.json").read_text())["config"]
    row = (config.get("model") or {}).get("row", 1000)
    if "nonsense" in (config.get("model") or {}):
        runlog.fail(run_dir, "the model 'hrm' can't be built: nonsense: is no key here")
        return 1

    config = {"accumulate": 1, "threads": 1, **config}

    def lighter(**changes: Any) -> dict[str, Any]:
        return {"config": {**config, **changes}, "bytes": row * changes["batch"], "about": "more slowly"}

    ways = [lighter(batch=config["batch"] // 2, accumulate=2), lighter(batch=1)]
    body = {"device": "cpu", "config": config, "lighter": ways}
    text = json.dumps(body).encode()
    files.replace(run_dir / "lighter.json", text)
    metrics = {"bytes": row * config["batch"], "free": 10**15}
    runlog.succeed(run_dir, metrics, "lighter.json", hashlib.sha256(text).hexdigest())
    return 0
