"""A double of `model.consolidate`, by the real run protocol: a candidate's weights are one word longer.

The memory's facts steer it: figures (`old_before`, `old_after`, `new_before`, `new_after`), `pace`: seconds
that it works; `parent`, `also` (other parts that it changes), `task_lost` (what one task loses).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

from datagen import files, runlog
from datagen.runlog import RunLog


def main(run_dir: Path) -> int:
    """Make a candidate."""
    request = json.loads((run_dir / "request.json").read_text())
    core, part = Path(request["core"]), request["part"]
    taught = json.loads((Path(request["memory"]) / "memory.json").read_text())
    facts: dict[str, Any] = taught["learned"]["facts"]
    with RunLog(run_dir) as log:
        log.emit("phase", name="consolidate", resumed=False)
        time.sleep(facts.get("pace", 0.0))
    old = core / "core.json"
    body = json.loads(old.read_bytes())
    candidate = run_dir / "candidate"
    shutil.rmtree(candidate, ignore_errors=True)
    shutil.copytree(core / "parts", candidate / "parts")
    for name in (part, *facts.get("also", ())):
        folder = candidate / "parts" / name
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes() + b" learned")
        for file in body["parts"][name]["files"]:
            sha256 = hashlib.sha256((folder / file).read_bytes()).hexdigest()
            body["parts"][name]["files"][file] = sha256
    rest = {key: value for key, value in taught.items() if key not in ("on", "generation")}
    body["parent"] = facts.get("parent", core.name)
    body["made"] = {
        "by": "consolidation",
        "part": part,
        "memory": taught["name"],
        "memory_digest": hashlib.sha256(_canonical(rest)).hexdigest(),
    }
    figures = {"old_before": 0.99, "old_after": 0.985, "new_before": 0.2, "new_after": 0.91}
    figures |= {name: facts[name] for name in figures if name in facts}
    lost = facts.get("task_lost", 0.0)
    effects = [
        {"task": "sudoku6", "measure": "exact", "before": figures["old_before"],
         "after": figures["old_after"], "rows": 512},
        {"task": "mazes", "measure": "exact", "before": 0.9, "after": 0.9 - lost, "rows": 512},
        {"task": "the new rule", "measure": "exact", "before": figures["new_before"],
         "after": figures["new_after"], "rows": 512},
        {"task": "sudoku6", "measure": "ece", "before": 0.01, "after": 0.03, "rows": 512},
    ]  # fmt: skip
    layers = [
        {"layer": "head.weight", "shape": [64, 7], "before": 2.0, "change": 0.1, "share": 0.05,
         "largest": 0.02},
        {"layer": "blocks.0.mix", "shape": [64, 64], "before": 4.0, "change": 1.0, "share": 0.25,
         "largest": 0.1},
    ]  # fmt: skip
    files.replace(run_dir / "effects.json", json.dumps(effects).encode())
    files.replace(run_dir / "difference.json", json.dumps(layers).encode())
    text = _canonical(body)
    files.replace(candidate / "core.json", text)
    runlog.succeed(run_dir, figures, "candidate/core.json", hashlib.sha256(text).hexdigest())
    return 0


def _canonical(body: Any) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
