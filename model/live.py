"""Everything that decides a run's next numbers, as one thing that can be kept and taken up again.

`Live` is the tensors: weights, their average, the optimizers, the feed, the learner's state, the generators.
`Standing` is the rest, in JSON: how far the run is, what is best, what the breaker remembers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as deserialise
from safetensors.torch import save as serialise
from torch import Tensor

from model import breaker, checkpoint, ddp, devices
from model.checkpoint import Meta
from model.errors import CheckpointError
from model.feed import RowFeed
from model.learner import Learner, State
from model.optim import Average, Stepper


@dataclass
class Standing:
    """How far a run is and what it knows of itself. Rank 0's alone counts; the others' follow."""

    step: int = 0
    finished: bool = False
    core: float = 0.0  # seconds of CPU time that training took
    best: dict[str, Any] | None = None  # step, and metrics by name
    metrics: dict[str, float] = field(default_factory=dict)  # the last assessment's
    phases: dict[str, str] = field(default_factory=dict)  # name -> the checkpoint at its end
    breaker_state: str = "closed"
    history: breaker.History = field(default_factory=breaker.History)

    def body(self) -> dict[str, Any]:
        """For a checkpoint's JSON, beside its step and metrics."""
        return {
            "best": self.best,
            "breaker": self.history.body(),
            "breaker_state": self.breaker_state,
            "core_seconds": self.core,
            "finished": self.finished,
            "phases": self.phases,
        }


def standing(meta: Meta) -> Standing:
    """How far the run of a checkpoint is; CheckpointError where it says nothing sensible."""
    try:
        return _standing(meta)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"the checkpoint of step {meta.step} can't be gone on from: {error!r}"
        ) from error


def _standing(meta: Meta) -> Standing:
    held = meta.memory
    best = held["best"]
    if best is not None:
        best = {"step": int(best["step"]), "metrics": {k: float(v) for k, v in best["metrics"].items()}}
    return Standing(
        step=meta.step,
        finished=bool(held["finished"]),
        core=float(held["core_seconds"]),
        best=best,
        metrics={name: float(value) for name, value in meta.metrics.items()},
        phases={str(name): str(each) for name, each in held["phases"].items()},
        breaker_state=str(held["breaker_state"]),
        history=breaker.history(held["breaker"]),
    )


@dataclass
class Live:
    """The tensors of one process's part of a run."""

    learner: Learner
    average: Average
    stepper: Stepper
    feed: RowFeed
    states: list[State]  # one for each part of a batch
    device: torch.device
    pending: dict[str, list[Tensor]] = field(default_factory=dict)
    """Scalars by name since training metrics were written last."""

    def note(self, name: str, value: Tensor) -> None:
        """Keep a scalar for the next metrics, without waiting for the device."""
        self.pending.setdefault(name, []).append(value.detach())

    def pulled(self) -> dict[str, list[float]]:
        """The pending scalars as numbers: the one place where the device is waited for."""
        if not self.pending:
            return {}
        stacks = (torch.stack([v.float() for v in values]) for values in self.pending.values())
        flat = iter(torch.cat([values.to(self.device) for values in stacks]).tolist())
        return {name: [next(flat) for _ in values] for name, values in self.pending.items()}

    def train_state(self, world: ddp.Alone) -> dict[str, Tensor]:
        """What the next step needs beside the weights in use: all ranks' parts on rank 0, else nothing."""
        mine = {name: tensor.detach().cpu().contiguous() for name, tensor in self._own().items()}
        parts = [mine]
        if world.ranks > 1:
            parts = [deserialise(part) for part in world.gather(serialise(mine))]
        if world.rank:
            return {}
        found = {f"rank{rank}.{name}": each for rank, part in enumerate(parts) for name, each in part.items()}
        found |= {f"raw.{name}": each.clone() for name, each in self.average.raw().items()}
        return found | {f"optimizer.{name}": each for name, each in self.stepper.state().items()}

    def restore(self, folder: Path, meta: Meta, rank: int) -> None:
        """Go on from a checkpoint that was read; CheckpointError where it is not of this model."""
        try:
            self.learner.load_state_dict(checkpoint.weights(folder, meta))
            tensors = checkpoint.train_state(folder, meta)
            self.average.restore(_below(tensors, "raw."))
            self.stepper.restore(_below(tensors, "optimizer."))
            mine = _below(tensors, f"rank{rank}.")
            self.feed.restore(_below(mine, "feed."))
            for part in range(len(self.states)):
                held = _below(mine, f"state.{part}.")
                self.states[part] = {name: each.to(self.device) for name, each in held.items()}
            pending = _below(mine, "pending.").items()
            self.pending = {name: list(each.to(self.device).unbind()) for name, each in pending}
            devices.restore_generators(_below(mine, "rng."), self.device)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{folder} does not fit this run: {error!r}") from error

    def _own(self) -> dict[str, Tensor]:
        """What belongs to this rank alone."""
        found = {f"feed.{name}": each for name, each in self.feed.state().items()}
        found |= {f"rng.{name}": each for name, each in devices.generators(self.device).items()}
        for part, state in enumerate(self.states):
            found |= {f"state.{part}.{name}": each for name, each in state.items()}
        for name, values in self.pending.items():
            found[f"pending.{name}"] = torch.stack([value.float() for value in values])
        return found


def hold_against(folder: Path, wanted: Mapping[str, tuple[object, object]]) -> None:
    """Only a checkpoint of this very run is gone on from; CheckpointError names what differs."""
    other = [name for name, (there, here) in wanted.items() if there != here]
    if other:
        names = " and ".join(other)
        raise CheckpointError(f"{folder} is of another {names}; use a new run folder, or remove this one")


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}
