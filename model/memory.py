"""What a run will take of memory, by parts, before it starts; and lighter configurations where it won't fit.

The parts are counted from the learner's own tensors and its word on activations. The process itself is
measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import psutil
import torch

from model import devices
from model.config import Config
from model.errors import RequestError, TooLittleMemory
from model.learner import Learner

KERNELS = 120 * 1024**2
"""Bytes that kernels, their caches and the allocator's slack add on a CPU once a step was done."""
CUDA_CONTEXT = 600 * 1024**2
HALF = 0.6
"""Activations under bf16 autocast. What norms and sums keep at 32 bits is within the estimate's error."""
_WIDTHS = ("hidden", "width", "latent")
_MOST_PARTS = 64


@dataclass(frozen=True)
class Estimate:
    """Bytes by part, at the peak of a run."""

    weights: int
    gradients: int
    optimizer: int
    average: int
    activations: int
    data: int  # as tensors
    loading: int  # the columns as read, gone before the first step
    saving: int  # copies while a checkpoint is written, when there are no gradients
    base: int  # the process itself, with its libraries

    @property
    def total(self) -> int:
        """The peak: what stays, and the most of what comes and goes."""
        kept = self.weights + self.optimizer + self.average
        stepping = kept + self.gradients + self.activations
        return self.base + self.data + max(stepping, kept + self.saving, self.weights + self.loading)

    def body(self) -> dict[str, int]:
        """For JSON: all parts and the total."""
        return {**asdict(self), "total": self.total}


@dataclass(frozen=True)
class Lighter:
    """A configuration that takes less, and what is given up for it, in words."""

    about: str
    config: Config
    bytes: int


def libraries() -> int:
    """What this process takes now: to be asked when its libraries are loaded, and no data."""
    return int(psutil.Process().memory_info().rss)


def estimate(
    config: Config, learner: Learner, data: tuple[int, int], base: int, device: torch.device
) -> Estimate:
    """What a run takes at its peak; `data` are the bytes of its tensors, and those of its columns as read."""
    split = learner.split()
    weights = _bytes([*learner.parameters(), *learner.buffers()])
    matrices, others = _bytes(split.matrices), _bytes(split.others)
    learning = matrices + others
    optimizer = matrices + 2 * others if config.optimizer.name == "muon" else 2 * learning
    average = learning if config.optimizer.average else 0
    share = HALF if devices.precision(config.precision, device) == "bf16" else 1.0
    on_cpu = device.type == "cpu"
    return Estimate(
        weights=weights,
        gradients=learning,
        optimizer=optimizer,
        average=average,
        activations=round(share * learner.activation_bytes(config.part)),
        data=data[0],
        loading=data[1] if on_cpu else 0,
        saving=(2 * average + max(weights, average + optimizer)) if on_cpu else average,
        base=base + KERNELS if on_cpu else CUDA_CONTEXT,
    )


def check(found: Estimate, room: int, device: torch.device, lighter: Callable[[], list[Lighter]]) -> None:
    """TooLittleMemory, with both numbers and what takes less, where a run is larger than its room."""
    if found.total <= room:
        return
    ways = "; or ".join(f"{each.about} ({shown(each.bytes)})" for each in lighter())
    raise TooLittleMemory(
        f"the run would take {shown(found.total)} of {device.type} memory, there is room for {shown(room)}"
        + (f"; lighter: {ways}" if ways else "")
    )


def lighter(
    config: Config,
    learner: Learner,
    free: int,
    sized: Callable[[Config, Learner], Estimate],
    build: Callable[[dict[str, Any]], Learner],
) -> list[Lighter]:
    """Up to three lighter configurations, what changes least first, those that fit before those that don't.

    The same batch in parts learns the same, except where rows of a batch meet each other (contrastive
    losses, batch statistics); what is computed again in the backward pass learns the same but slower; a
    smaller model, the last, is another one.
    """
    found: list[Lighter] = []
    now = sized(config, learner).total
    for each in _ways(config, learner, sized, free, build):
        if each.bytes < now and all(each.config != other.config for other in found):
            found.append(each)
    return sorted(found, key=lambda each: each.bytes > free)[:3]


def shown(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1024**3:.1f} GiB" if count >= 1024**3 else f"{count / 1024**2:.0f} MiB"


def _ways(
    config: Config,
    learner: Learner,
    sized: Callable[[Config, Learner], Estimate],
    free: int,
    build: Callable[[dict[str, Any]], Learner],
) -> Iterator[Lighter]:
    parted = _parted(config, learner, sized, free)
    if parted:
        about = f"the batch of {parted.batch} in {parted.accumulate} parts, one after the other"
        yield Lighter(about, parted, sized(parted, learner).total)
    if config.model.get("recompute") is False:
        again = config.model_copy(update={"model": {**config.model, "recompute": True}})
        built = _built(build, again)
        if built:
            about = "activations computed again in the backward pass, a third slower"
            yield Lighter(about, again, sized(again, built).total)
    if config.batch > 1:
        half = config.model_copy(update={"batch": config.batch // 2, "accumulate": 1})
        yield Lighter(f"a batch of {half.batch}", half, sized(half, learner).total)
    small = _halved(config.model)
    if small != config.model:
        less = (parted or config).model_copy(update={"model": small})
        built = _built(build, less)
        if built:
            about = "a model of half the width" + (f", in {less.accumulate} parts" if parted else "")
            yield Lighter(about, less, sized(less, built).total)


def _parted(
    config: Config, learner: Learner, sized: Callable[[Config, Learner], Estimate], free: int
) -> Config | None:
    """The same batch in the fewest parts that fit, or in the most that can be."""
    best = None
    for parts in range(config.accumulate + 1, min(config.batch, _MOST_PARTS) + 1):
        if config.batch % parts == 0:
            best = config.model_copy(update={"accumulate": parts})
            if sized(best, learner).total <= free:
                break
    return best


def _halved(options: dict[str, Any]) -> dict[str, Any]:
    halved: dict[str, Any] = {}
    for name, value in options.items():
        if isinstance(value, dict):
            halved[name] = _halved(value)
        elif name in _WIDTHS and isinstance(value, int) and value % 2 == 0:
            halved[name] = value // 2
        else:
            halved[name] = value
    return halved


def _built(build: Callable[[dict[str, Any]], Learner], config: Config) -> Learner | None:
    try:
        return build(config.model)
    except RequestError:
        return None  # a width that its heads do not divide, say: then this way is none


def _bytes(tensors: list[Any]) -> int:
    return sum(int(each.numel()) * int(each.element_size()) for each in tensors)
