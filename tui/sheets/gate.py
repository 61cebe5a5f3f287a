"""When a key may decide something: pure functions over times.

A key counts only after what it decides about was painted and no key came for a while. So a key meant for
something else, a key repeat, or a key typed ahead never approves anything.
"""

from __future__ import annotations

QUIET = 0.4
"""Seconds without a key before a key may decide."""


def settled(painted_at: float | None, last_key: float, now: float) -> bool:
    """Whether a key pressed now may decide about what is on the screen."""
    return painted_at is not None and now - painted_at >= QUIET and now - last_key >= QUIET


TOO_SOON = "Too soon: look first, then press the key again"
"""What is said of a key that came too early."""
