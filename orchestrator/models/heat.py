"""When a machine is too hot to go on: pause at one temperature, go on at a lower one. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Degrees Celsius. Cards of the last generations slow themselves at 83 to 90 and stop above some 100."""

    hot: float = 88.0
    cool: float = 76.0


def pauses(paused: bool, celsius: float | None, limits: Limits) -> bool:
    """Whether nothing is asked of a model now. A sensor that says nothing never pauses anything.

    Args:
        paused: whether it was so before: between the two limits it stays as it was.
        celsius: the hottest device.
        limits: where it begins and ends.
    """
    if celsius is None:
        return False
    if paused:
        return celsius > limits.cool
    return celsius >= limits.hot


def why(celsius: float | None, limits: Limits) -> str:
    """The line for people."""
    at = "hot" if celsius is None else f"at {celsius:.0f} °C"
    return f"the graphics card is {at}: it goes on at {limits.cool:.0f} °C"
