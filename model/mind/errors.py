"""Why the mind refuses something: the protocol's `reason`, and a line for a person."""

from __future__ import annotations

from typing import Literal

Reason = Literal["request", "core", "memory", "internal"]


class MindRefused(Exception):
    """It can't be done; whose matter it is, and a line."""

    def __init__(self, reason: Reason, line: str) -> None:
        super().__init__(line)
        self.reason: Reason = reason
