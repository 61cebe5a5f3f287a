"""The device a run works on: which, with which numbers, how much memory; and the generators that belong to
it.

`prepare_environment` stands apart because it must come before torch is loaded, so nothing here loads torch
at the top.
"""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import TYPE_CHECKING, Literal

import psutil

from model.errors import RequestError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Precision = Literal["bf16", "fp32"]
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h
_KEPT_BYTES = 1 << 30, 32 << 20  # the second is the most that some versions take


def prepare_environment(threads: int) -> None:
    """Settle threads and determinism in the environment; of use only before torch is loaded.

    Idle OpenMP threads that spin made a step 13 times slower on two busy cores: they wait passively.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it CUDA has no deterministic GEMM
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")


def choose(wanted: str, rank: int = 0) -> torch.device:
    """CUDA, then MPS, then the CPU; RequestError where the device that was asked for is not here."""
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    name = next(each for each in there if there[each]) if wanted == "auto" else wanted
    if not there[name]:
        raise RequestError(f"there is no {name} device here; ask for auto or cpu")
    if name == "cuda":
        device = torch.device("cuda", rank % torch.cuda.device_count())
        torch.cuda.set_device(device)
        return device
    return torch.device(name)


def settle(threads: int, *, attention: str) -> None:
    """Make results depend on the seed alone, as far as the device can."""
    import torch

    keep_freed_memory()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Memory that is filled before use costs time and changes no result of code that writes before it reads.
    setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010 - its stubs lack it
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    if attention == "math":
        for kernel in ("flash", "mem_efficient", "cudnn"):
            getattr(torch.backends.cuda, f"enable_{kernel}_sdp")(False)


def keep_freed_memory() -> None:
    """Have glibc keep what is freed for what is asked for next, in place of handing it back to the system.

    A step frees all its activations and takes as much again: got from the system anew, each page faults when
    it is first touched, which was a sixth of a small JEPA's step. The peak is as it was. Elsewhere nothing.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            tune = ctypes.CDLL(None).mallopt
            for option in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
                any(tune(option, size) for size in _KEPT_BYTES)  # 0 is its refusal


def precision(wanted: str, device: torch.device) -> Precision:
    """The numbers to compute with. `auto` is bf16 where the hardware multiplies it: there a step costs half.

    Told from the hardware and not from a stopwatch, which would let another program's load decide what is
    learned. Autocast on CPUs without these instructions is slower than fp32; on MPS it is not complete.
    """
    import torch

    if wanted == "bf16" or wanted == "fp32":
        return "bf16" if wanted == "bf16" else "fp32"
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu":
        able = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return "bf16" if able else "fp32"
    return "fp32"


def numbers(kind: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The autocast of a run, to be entered anew for each pass."""
    import torch

    if kind == "fp32":
        return ExitStack()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def generators(device: torch.device) -> dict[str, Tensor]:
    """The state of torch's global generators that a run on this device draws from."""
    import torch

    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def restore_generators(states: dict[str, Tensor], device: torch.device) -> None:
    """Set the global generators; one that is not in `states` stays as it is."""
    import torch

    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    elif device.type == "mps" and "mps" in states:
        torch.mps.set_rng_state(states["mps"])


def free_bytes(device: torch.device) -> int:
    """What a run may still take on this device; a container's limit counts."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = psutil.virtual_memory().available
    limit = _cgroup_free()
    return free if limit is None else min(free, limit)


def peak_bytes(device: torch.device) -> int:
    """The most memory that this process had on the device so far."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if device.type == "mps":
        return int(torch.mps.driver_allocated_memory())
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    if sys.platform == "linux" and (high := _high_water()) is not None:
        return high
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _high_water() -> int | None:
    """Linux: the peak of this program alone. `ru_maxrss` begins at that of whoever started it."""
    try:
        with open("/proc/self/status", encoding="ascii") as lines:  # noqa: PTH123 - light
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _cgroup_free() -> int | None:
    """What the control group of this process leaves, where one with a limit is seen."""
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as most:  # noqa: PTH123 - light
            text = most.read().strip()
        with open("/sys/fs/cgroup/memory.current", encoding="ascii") as now:  # noqa: PTH123 - light
            return None if text == "max" else max(0, int(text) - int(now.read()))
    except (OSError, ValueError):
        return None
