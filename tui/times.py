"""Times as a person reads them. Ages and ranges are coarse on purpose: precision would be a lie."""

from __future__ import annotations

import time

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def span(seconds: float | None, dash: str = "–") -> str:
    """How long something took or takes: `0.4 s`, `12 s`, `3 m 05 s`, `2 h 10 m`, `3 d`."""
    if seconds is None or seconds < 0:
        return dash
    if seconds < 1:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} m {whole % _MINUTE:02} s"
    if whole < 2 * _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} m"
    return f"{whole // _DAY} d"


def eta(low: float | None, high: float | None, dash: str = "–") -> str:
    """What is left, as a range in one unit: `2–4 min`; a dash where nobody knows."""
    if low is None or high is None:
        return dash
    low, high = max(0.0, min(low, high)), max(low, high, 0.0)
    for unit, word in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (1, "s")):
        if high >= 2 * unit or unit == 1:
            first, last = round(low / unit), max(1, round(high / unit))
            return f"{last} {word}" if first >= last else f"{first}{dash}{last} {word}"
    return dash


def age(then_ms: int, now_ms: int) -> str:
    """How long ago, in one unit."""
    seconds = max(0, now_ms - then_ms) // 1000
    for unit, word in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit:
            return f"{seconds // unit} {word}"
    return f"{seconds} s"


def clock(at_ms: int, now_ms: int) -> str:
    """The time of day; the date too where it was not today."""
    at, now = time.localtime(at_ms / 1000), time.localtime(now_ms / 1000)
    if at[:3] == now[:3]:
        return time.strftime("%H:%M", at)
    return time.strftime("%d %b %H:%M" if at.tm_year == now.tm_year else "%d %b %Y", at)


def stamp(at_ms: int) -> str:
    """Date and time to the second, for lists of events."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_ms / 1000))
