"""Checks: what counts as true. This file says what a check is and what a ticket's `accept` means.

Resolving is pure; taking a receipt is the drivers' part. A check that cannot be evaluated yet is
`unknown`, which is never green.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.gates.gate import GATES

BUILT_IN = {
    "schema": "every row of the data set has the fields its manifest promises",
    "deterministic": "made again from the same seed, a data set has the same bytes, a model the same weights",
    "provenance": "the data says where it comes from and its files are those it names; a model names it",
    "resumes": "a training run that is killed and started again comes to the same numbers and weights",
    "offline": "a run works with no network, which it tries to reach and cannot",
    "keeps": "an update of the core loses at most one point in a hundred on any task",
    "regression": "no figure of an evaluation has fallen behind its baseline",
    **GATES,
}
"""Checks that need no definition in `checks.yaml`, with what each holds."""


@dataclass(frozen=True)
class Check:
    """One check of a ticket, with its name resolved."""

    name: str
    run: str = ""
    red: bool = False
    metric: str = ""
    min: float | None = None
    max: float | None = None
    file: str = ""
    contains: str = ""
    built_in: str = ""
    asks: str = ""  # judge or human: a question, which this version cannot put

    @property
    def gate(self) -> bool:
        """Whether it is a gate: a program of ours that looks at a change in the sandbox."""
        return self.built_in in GATES


def resolve(accept: Sequence[Any], named: Mapping[str, Mapping[str, Any]]) -> tuple[Check, ...]:
    """The checks of a ticket's `accept`, in order, with names from `checks.yaml` looked up.

    `accept` is the canonical form of a ticket that the loader has accepted.
    """
    return tuple(_resolve(item, named) for item in accept)


def _resolve(item: Any, named: Mapping[str, Mapping[str, Any]]) -> Check:
    if isinstance(item, str):
        if item in named:
            return Check(name=item, run=named[item]["run"], red=bool(named[item].get("red")))
        return Check(name=item, built_in=item)
    if "run" in item:
        return Check(name=item["run"], run=item["run"], red=bool(item.get("red")))
    if "metric" in item:
        low, high = item.get("min"), item.get("max")
        bound = f"at least {low:g}" if low is not None else f"at most {high:g}"
        return Check(name=f"{item['metric']} {bound}", metric=item["metric"], min=low, max=high)
    if "file" in item:
        return Check(name=f"file {item['file']}", file=item["file"], contains=item.get("contains") or "")
    kind = "judge" if "judge" in item else "human"
    return Check(name=f"{kind}: {item[kind]}", asks=kind)


def within(check: Check, value: float | None) -> tuple[bool, str]:
    """Whether a metric meets its bound, and the line that says so."""
    if value is None:
        return False, f"the run recorded no metric {check.metric!r}"
    low_ok = check.min is None or value >= check.min
    high_ok = check.max is None or value <= check.max
    return low_ok and high_ok, f"{check.metric} is {value:g}"
