"""How a model's indentation becomes the file's, where the two differ in one way throughout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_UNITS = ("\t", "    ", "  ", "        ", "   ")


def indent(line: str) -> str:
    """The blank start of a line."""
    return line[: len(line) - len(line.lstrip(" \t"))]


@dataclass(frozen=True)
class Indentation:
    """One way that leads from the indentation a model wrote to that of the file."""

    add: str = ""
    drop: str = ""
    units: tuple[str, str] | None = None  # a level as it was written, and as it is in the file
    deeper: int = 0  # levels, with `units`
    first: str | None = None  # only the first line lost its own

    @property
    def same(self) -> bool:
        """Whether it changes nothing."""
        return self == Indentation()

    def turned(self, line: str) -> str | None:
        """The line as it stands in the file; None where this way leads nowhere."""
        if not line.strip():
            return line
        was = indent(line)
        rest = line[len(was) :]
        if self.units:
            written, real = self.units
            level = 0
            while was.startswith(written):
                was, level = was[len(written) :], level + 1
            if was.strip(" ") or level + self.deeper < 0:
                return None
            return real * (level + self.deeper) + was + rest
        if not was.startswith(self.drop):
            return None
        return self.add + was[len(self.drop) :] + rest

    def all(self, lines: Sequence[str]) -> list[str] | None:
        """All lines as they stand in the file; None where one can't be told."""
        if self.first is not None:
            at = next((n for n, line in enumerate(lines) if line.strip()), None)
            if at is None:
                return list(lines)
            return [*lines[:at], self.first + lines[at], *lines[at + 1 :]] if not indent(lines[at]) else None
        turned = [self.turned(line) for line in lines]
        return [line for line in turned if line is not None] if None not in turned else None


def between(pairs: Sequence[tuple[str, str]]) -> Indentation | None:
    """The way from written lines to those of the file; None where there is not one for all.

    Args:
        pairs: lines as written and as they are, equal but for the space around them; blank ones don't count.
    """
    pairs = [(written, real) for written, real in pairs if written.strip()]
    if all(indent(written) == indent(real) for written, real in pairs):
        return Indentation()
    was, real = indent(pairs[0][0]), indent(pairs[0][1])
    ways = []
    if real.endswith(was):
        ways.append(Indentation(add=real[: len(real) - len(was)]))
    if was.endswith(real):
        ways.append(Indentation(drop=was[: len(was) - len(real)]))
    for written in _UNITS:
        for unit in _UNITS:
            if written != unit:
                deeper = len(real) // len(unit) - len(was) // len(written)
                ways.append(Indentation(units=(written, unit), deeper=deeper))
    for way in ways:
        if all((turned := way.turned(w)) is not None and indent(turned) == indent(r) for w, r in pairs):
            return way
    if not was and all(indent(w) == indent(r) for w, r in pairs[1:]):
        return Indentation(first=real)
    return None
