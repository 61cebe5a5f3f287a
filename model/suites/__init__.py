"""What an evaluation measures: suites for scenes, for questions about them, and for puzzles.

A suite takes a learner that was restored from a checkpoint, held-out rows and a seed, and gives numbers; the
same three give the same numbers. It knows nothing of run folders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Options:
    """What a suite may be asked for beside its models, data and seeds."""

    rows: int = 1000
    """At most so many held-out rows for each seed; the seed draws which."""
    more: int = 2
    """Refinement steps at the end, as a multiple of those in training."""
    rollouts: int = 4
    """Noisy rollouts of each puzzle, of which the model takes the one it values most."""
    noise: float = 0.1
    """The deviation of the noise on the latents of such a rollout, in those latents' own deviation."""


@dataclass(frozen=True)
class Measured:
    """What one model gave with one seed."""

    metrics: Mapping[str, float | None]  # None: it could not be measured
    details: Mapping[str, Any] = field(default_factory=dict)  # JSON: curves and tables for the report
