"""What memory a machine has is told whether or not it has a graphics card."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from orchestrator.models import devices
from state.machine import Device


class Library:
    """A double of NVIDIA's library, which only a card could answer."""

    NVML_TEMPERATURE_GPU = 0

    class NVMLError(Exception):
        """What it raises."""

    def __init__(self, cards: int) -> None:
        self.cards = cards

    def nvmlDeviceGetCount(self) -> int:
        return self.cards

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        if index == 1:
            raise self.NVMLError("fallen off the bus")
        return index

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(total=24 << 30, free=20 << 30)

    def nvmlDeviceGetName(self, handle: int) -> str:
        return f"card {handle}"

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:
        return 61 + handle

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        raise self.NVMLError("not told by this card")

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(gpu=42)


def test_a_machine_without_a_card_offers_its_own_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_library", False)
    found = devices.look()
    assert [each.kind for each in found] == ["ram"]
    total, free = devices.pool(found)
    assert total > free > 0
    assert devices.hottest(found) is None


def test_models_go_on_the_cards_where_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_library", Library(3))
    found = devices.look()
    assert [each.name for each in found] == ["card 0", "card 2", "memory"]
    assert found[0] == Device(
        name="card 0", kind="gpu", total=24 << 30, free=20 << 30, celsius=61, watts=None, load=0.42
    )
    assert devices.pool(found) == (48 << 30, 40 << 30)
    assert devices.hottest(found) == 63


def test_this_machine_is_looked_at_without_an_error() -> None:
    assert devices.pool(devices.look())[0] > 0
