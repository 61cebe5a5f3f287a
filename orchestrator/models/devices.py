"""The memory that models can lie in: graphics cards through NVIDIA's library, else the machine's own.

A missing card or driver is a state, not an error. On Apple's chips the graphics card uses the machine's
memory, which is what is shown there.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable
from typing import Any

from state.machine import Device

_lock = threading.Lock()
_library: Any = None  # NVIDIA's, once it has answered; False where there is none


def look() -> tuple[Device, ...]:
    """Every card, then the machine's memory. Takes some milliseconds, the first time perhaps a second."""
    return (*_cards(), _machine())


def pool(devices: Iterable[Device]) -> tuple[int, int]:
    """(total, free) bytes of where models go: all graphics cards together, or the machine's memory."""
    devices = tuple(devices)
    used = [each for each in devices if each.kind == "gpu"] or list(devices)
    return sum(each.total for each in used), sum(each.free for each in used)


def kind(devices: Iterable[Device]) -> str:
    """Where models go: `gpu`, or `ram` where there is no graphics card."""
    return "gpu" if any(each.kind == "gpu" for each in devices) else "ram"


def hottest(devices: Iterable[Device]) -> float | None:
    """Degrees Celsius of the hottest card; None where nothing tells."""
    told = [each.celsius for each in devices if each.celsius is not None]
    return max(told, default=None)


def _machine() -> Device:
    import psutil

    memory = psutil.virtual_memory()
    return Device(name="memory", kind="ram", total=memory.total, free=memory.available)


def _cards() -> list[Device]:
    library = _nvml()
    if not library:
        return []
    found = []
    with contextlib.suppress(library.NVMLError):
        for index in range(min(library.nvmlDeviceGetCount(), 64)):
            with contextlib.suppress(library.NVMLError):  # one that has fallen off the bus is left out
                found.append(_card(library, library.nvmlDeviceGetHandleByIndex(index)))
    return found


def _card(library: Any, handle: Any) -> Device:
    memory = library.nvmlDeviceGetMemoryInfo(handle)
    name = library.nvmlDeviceGetName(handle)

    def told(ask: Any, *more: Any) -> Any:
        try:
            return ask(handle, *more)
        except library.NVMLError:
            return None  # not every card tells everything

    celsius = told(library.nvmlDeviceGetTemperature, library.NVML_TEMPERATURE_GPU)
    milliwatts = told(library.nvmlDeviceGetPowerUsage)
    rates = told(library.nvmlDeviceGetUtilizationRates)
    return Device(
        name=name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name),
        kind="gpu",
        total=int(memory.total),
        free=int(memory.free),
        celsius=None if celsius is None else float(celsius),
        watts=None if milliwatts is None else milliwatts / 1000,
        load=None if rates is None else rates.gpu / 100,
    )


def _nvml() -> Any:
    """NVIDIA's library, begun once for the process; False where it or its driver is missing."""
    global _library
    with _lock:
        if _library is None:
            try:
                import pynvml  # type: ignore[import-untyped]

                pynvml.nvmlInit()
                _library = pynvml
            except Exception:  # no package, no driver, a driver of another version: all are "no card"
                _library = False
        return _library
