"""Amounts as a person reads them at a glance: tokens, bytes, times, in few cells."""

from __future__ import annotations


def count(much: float) -> str:
    """A count in at most five cells: `950`, `12.3k`, `200k`, `1.2M`."""
    for unit, word in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if much >= unit:
            part = much / unit
            return f"{part:.0f}{word}" if part >= 100 or part == int(part) else f"{part:.1f}{word}"
    return f"{much:.0f}"


def gigabytes(much: int) -> str:
    """Bytes in GB of 10^9, as tickets count them."""
    return f"{much / 1e9:.1f} GB" if much >= 50_000_000 else f"{much / 1e6:.1f} MB"


def brief(seconds: float) -> str:
    """A time in few cells: `45s`, `3m`, `1h30m`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"
