"""A double of a training run: it learns nothing and writes a run folder by the real protocol.

Everything is a function of what it is told, so screens made from it can be kept.
"""

from __future__ import annotations

import hashlib
import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

REQUEST = {
    "schema": 1, "learner": "hrm", "data": "/data/sudoku-6", "encoder": None, "seed": 7, "device": "auto",
    "config": {"batch": 96, "steps": 2000, "optimizer": {"name": "muon", "lr": 0.002}, "precision": "auto"},
}  # fmt: skip


def noise(step: int, salt: str) -> float:
    """A number from -1 to 1 that only looks random."""
    return int.from_bytes(hashlib.blake2b(f"{salt}{step}".encode(), digest_size=4).digest()) / (1 << 31) - 1


class ScriptedRun:
    """Appends what a run of so many steps would."""

    def __init__(
        self, folder: Path, total: int = 2000, begun: float = 0.0, request: dict[str, Any] | None = None
    ) -> None:
        self.folder, self.total, self.begun = folder, total, begun
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "request.json").write_text(json.dumps(REQUEST if request is None else request))
        self.t = 0.0

    def emit(self, type_: str, **fields: Any) -> None:
        """Append one event."""
        at = datetime.fromtimestamp(self.begun + self.t, UTC).isoformat(timespec="milliseconds")
        body = {"v": 1, "t": round(self.t, 3), "at": at, "type": type_, **fields}
        with (self.folder / "events.jsonl").open("a") as file:
            file.write(json.dumps(body) + "\n")

    def metric(self, name: str, value: float | str | None, step: int, split: str = "train") -> None:
        """Append one value of a metric."""
        self.emit("metric", name=name, value=value, step=step, split=split)

    def begin(self, resumed: bool = False) -> None:
        """A process takes the run up."""
        self.t = 0.0
        self.emit("phase", name="load", resumed=resumed)
        self.t = 0.5
        self.emit("phase", name="train", resumed=False)

    def learn(self, start: int, stop: int, every: int = 10, seconds: float = 0.08) -> None:
        """The steps after `start`, to `stop`."""
        for step in range(start + every, stop + 1, every):
            self.t += every * seconds
            self.step(step, seconds)

    def step(self, step: int, seconds: float = 0.08) -> None:
        """One step that is told of."""
        loss = 3.1 * math.exp(-step / 420) + 0.22 + 0.05 * noise(step, "loss")
        self.metric("loss", round(loss, 5), step)
        self.metric("lr", round(0.002 * min(1.0, step / 100) * (1 - step / self.total * 0.9), 7), step)
        self.metric("grad_norm", round(1.0 + 0.4 * noise(step, "grad"), 4), step)
        self.metric("steps_per_second", round(1 / seconds, 3), step)
        self.emit("progress", done=step, total=self.total, unit="steps")
        if step % 100 == 0:
            self.assess(step)

    def assess(self, step: int) -> None:
        """Held-out measures, the process's own, and a checkpoint."""
        loss = 3.1 * math.exp(-step / 440) + 0.27
        exact = 1 / (1 + math.exp(-(step - 900) / 160))
        self.metric("loss", round(loss, 5), step, "heldout")
        self.metric("exact", round(exact, 4), step, "heldout")
        self.metric("cells", round(0.6 + 0.4 * exact, 4), step, "heldout")
        self.metric("core_seconds", round(self.t * 0.98, 2), step)
        self.metric("memory_bytes", 312_000_000, step)
        path = f"checkpoints/step-{step:08}/checkpoint.json"
        kinds = ("last", "best") if step <= 1500 else ("last",)
        for kind in kinds:
            self.emit("checkpoint", path=path, step=step, kind=kind, bytes=4_100_000, sha256="3a" * 32)

    def breaker(self, state: str, rule: str = "spike", message: str = "", **numbers: float) -> None:
        """What the circuit breaker says."""
        self.emit("breaker", state=state, rule=rule, message=message, numbers=numbers)

    def end(self, ok: bool = True, error: str = "", **metrics: float) -> None:
        """The last word."""
        if ok:
            artifact = {"path": "checkpoints/step-00001500/checkpoint.json", "sha256": "3a" * 32}
            self.emit("phase", name="save", resumed=False)
            self.emit("artifact", **artifact, title="the best checkpoint")
            body: dict[str, Any] = {"v": 1, "ok": True, "metrics": metrics, "artifact": artifact}
        else:
            body = {"v": 1, "ok": False, "error": error}
        (self.folder / "result.json").write_text(json.dumps(body))
