"""Kinds made up for the tests, shaped like real ones: plain, typed, nested, with unions, and open."""

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tickets.kinds import Approval
from tickets.load import Loaded, load_text
from tickets.problems import TicketError
from tickets.schema import Duration


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Nothing(Strict):
    pass


class Step(Strict):
    run: str
    ok: list[int] = [0]


class RunOptions(Strict):
    steps: list[str | Step] = Field(min_length=1, examples=[["make test"]])


class DataOptions(BaseModel):
    model_config = ConfigDict(extra="allow")
    recipe: str = Field(examples=["text/instructions"])
    seed: int = 0
    count: int = Field(ge=1)
    shards: int = Field(default=1, ge=1)


class TrainOptions(Strict):
    model: Literal["jepa", "hrm"]
    config: str
    data: dict[str, str] | str
    steps: int | None = None
    checkpoint: Duration = 60
    freeze: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    name: str
    options: type[BaseModel]
    approvals: frozenset[Approval] = field(default_factory=frozenset)
    output: Literal["change", "artifact"] = "change"


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("code", Nothing, frozenset({"merge"})),
        Kind("run", RunOptions, frozenset({"merge"})),
        Kind("datagen", DataOptions, output="artifact"),
        Kind("train", TrainOptions, frozenset({"start"}), "artifact"),
    )
}
CHECKS = frozenset(("standard", "offline", "resumes", "deterministic", "core-unchanged", "schema"))

BASE = "kind: code\ngoal: Reject duplicate keys\naccept: [standard]\n"


def load(text: str | bytes, file: str = "tickets/TICKET-007.yaml", **more: Any) -> Loaded:
    """Load a ticket's text with the kinds and check names above."""
    raw = text.encode() if isinstance(text, str) else text
    return load_text(raw, file, KINDS, more.get("check_names", CHECKS))


def problems(text: str | bytes, file: str = "tickets/TICKET-007.yaml") -> list[str]:
    """Return the problems of a text as `line:column: field: message`, without the file's name."""
    try:
        load(text, file)
    except TicketError as error:
        return [str(problem).removeprefix(f"{file}:") for problem in error.problems]
    return []
