"""What a training run would take of memory, told without starting it: a run of its own, with the same
request.

Its result has the parts and the total as metrics, and `lighter.json` as its artifact: whether it fits, what
is free, and up to three lighter configurations, complete, to be put to a person as a question.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datagen import files, runlog
from datagen.errors import DataError
from datagen.runlog import RunLog
from model import config, devices
from model.config import Config, Request
from model.errors import ModelError

if TYPE_CHECKING:
    import torch

    from model.data import Data
    from model.learner import Learner
    from model.memory import Estimate, Lighter

LIGHTER = "lighter.json"


def main(run_dir: Path) -> int:
    """Estimate the run that this folder's request asks for; 0 when told, 1 when it is an error."""
    from model import train

    try:
        runlog.drop_failure(run_dir)
        _tell(run_dir)
    except (ModelError, DataError, OSError) as error:
        return train.failed(run_dir, error)
    except ModuleNotFoundError as error:
        return train.failed(run_dir, train.lacking(error))
    return 0


@dataclass
class Plan:
    """A request's data and learner, on the CPU, ready to be sized or trained."""

    asked: Request
    device: torch.device
    data: Data
    learner: Learner
    base: int  # bytes of the process before there were data

    def sized(self, settings: Config, learner: Learner) -> Estimate:
        """What a run with these settings would take."""
        from model import memory

        return memory.estimate(settings, learner, self.data.bytes, self.base, self.device)

    def lighter(self) -> list[Lighter]:
        """Up to three configurations that take less."""
        from model import memory

        return memory.lighter(self.asked.config, self.learner, self.room(), self.sized, self._build)

    def room(self) -> int:
        """What the whole run may take on the device: what is free, and what this process has already."""
        return devices.free_bytes(self.device) + self.used()

    def used(self) -> int:
        """What this process has of the estimate already."""
        from model import memory

        return memory.libraries() if self.device.type == "cpu" else 0

    def check(self) -> int:
        """The bytes that the run will take; TooLittleMemory where it can't be had here."""
        from model import memory

        found = self.sized(self.asked.config, self.learner)
        memory.check(found, self.room(), self.device, self.lighter)
        return found.total

    def _build(self, options: dict[str, Any]) -> Learner:
        from model import learners

        return learners.build(self.asked.config.learner, options, self.data.info, self.asked.seed)


def plan(asked: Request, device: torch.device) -> Plan:
    """Read the data and build the learner; ModelError or DataError says why it can't be."""
    import torch

    from model import learners, memory
    from model.data import Data

    torch.zeros(8, 8).matmul(torch.zeros(8, 8))  # what loads at first use is part of the base
    base = memory.libraries()
    data = Data(asked.data, asked.encoder)
    learner = learners.build(asked.config.learner, asked.config.model, data.info, asked.seed)
    data.prepare(learner, asked.config.assess.rows)
    return Plan(asked, device, data, learner, base)


def _tell(run_dir: Path) -> None:
    asked = config.read(run_dir)
    devices.prepare_environment(asked.config.threads)
    with RunLog(run_dir) as log:
        log.emit("phase", name="load")
        device = devices.choose(asked.device)
        found = plan(asked, device)
        parts, room = found.sized(asked.config, found.learner), found.room()
        body = {
            "schema": 1,
            "device": str(device),
            "fits": parts.total <= room,
            "bytes": parts.total,
            "free": room,
            "parts": parts.body(),
            "config": asked.config.model_dump(mode="json"),  # complete: what a run is pinned to
            "lighter": [
                {"about": each.about, "bytes": each.bytes, "config": each.config.model_dump(mode="json")}
                for each in found.lighter()
            ],
        }
        text = json.dumps(body, sort_keys=True, indent=1).encode() + b"\n"
        files.replace(run_dir / LIGHTER, text)
        sha256 = hashlib.sha256(text).hexdigest()
        log.emit("artifact", path=LIGHTER, sha256=sha256, title="what the run would take, and lighter ways")
    metrics: dict[str, int | float] = {"bytes": parts.total, "free": room, "fits": int(parts.total <= room)}
    metrics |= {f"bytes_{name}": value for name, value in parts.body().items() if name != "total"}
    runlog.succeed(run_dir, metrics, LIGHTER, sha256)
