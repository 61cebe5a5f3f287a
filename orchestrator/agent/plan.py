"""What a planner and a critic say, read strictly: a reply is never trusted to be what its schema asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from orchestrator.agent.verbs import Malformed

_T = TypeVar("_T", bound=BaseModel)
Line = Annotated[str, Field(min_length=1, max_length=400)]


class _Said(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class PlannedSubtask(_Said):
    """A part of the work, and the command that shows it is done."""

    title: Annotated[
        str, AfterValidator(lambda title: " ".join(title.split())), Field(min_length=1, max_length=200)
    ]
    """One line: it stands in the tree and in each prompt."""
    probe: Annotated[str, Field(max_length=1000)] = ""


class Plan(_Said):
    """The reason first: what a model writes before its answer makes the answer better."""

    reason: Annotated[str, Field(max_length=8000)] = ""
    subtasks: Annotated[tuple[PlannedSubtask, ...], Field(min_length=1, max_length=12)]


class Finding(_Said):
    """Something a critic holds against a plan."""

    severity: Literal["blocks", "minor"] = "minor"
    finding: Line


class Verdict(_Said):
    """A critic's word on a plan."""

    reason: Annotated[str, Field(max_length=8000)] = ""
    findings: Annotated[tuple[Finding, ...], Field(max_length=20)] = ()
    ok: bool


def read(text: str, model: type[_T]) -> _T:
    """The first JSON object of this form in a reply, wherever prose or a fence surrounds it.

    Raises:
        Malformed: there is none; what is said is of the longest object of another form.
    """
    faults: list[tuple[int, ValidationError]] = []
    for length, found in _objects(text):
        try:
            return model.model_validate(found)
        except ValidationError as error:
            faults.append((length, error))
    if not faults:
        raise Malformed(
            "The reply holds no JSON object. Answer with one JSON object of the schema, nothing else."
        )
    fault = max(faults, key=lambda each: each[0])[1]
    first = fault.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the object"
    raise Malformed(f"{where}: {first['msg']}. Answer with one JSON object of the schema.") from fault


def _objects(text: str) -> Iterator[tuple[int, Any]]:
    """Each object that stands in no other, with its length."""
    decoder = json.JSONDecoder()
    at = text.find("{")
    for _ in range(50):  # of braces in prose
        if at < 0:
            return
        end = at + 1
        try:
            found, end = decoder.raw_decode(text, at)
            yield end - at, found
        except (ValueError, RecursionError):
            pass
        at = text.find("{", end)
