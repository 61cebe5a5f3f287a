"""What a `train` and an `eval` ticket's `with` hold."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema, model_validator

from orchestrator.kinds.base import Options
from orchestrator.training.presets import is_name
from tickets import values

Device = Literal["auto", "cpu", "cuda", "mps"]


def _config(text: str) -> str:
    return text if is_name(text) else values.relative_path(text)


def _time(value: object) -> str:
    values.seconds(value)
    return str(value)


def _baseline(text: str) -> str:
    return text if text == "none" else values.relative_path(text)


TicketId = Annotated[
    str, AfterValidator(values.ticket_id), Field(json_schema_extra={"pattern": f"^{values.TICKET_ID}$"})
]
CoreTime = Annotated[
    str, PlainValidator(_time), WithJsonSchema({"type": "string", "pattern": f"^{values.DURATION}$"})
]
Word = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
Words = Annotated[list[Word], Field(max_length=32)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class TrainOptions(Options):
    """What a `train` ticket's `with` holds."""

    model: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$", examples=["hrm"])]
    """What learns: jepa, hrm, or a learner that a package offers."""
    config: Annotated[
        str, AfterValidator(_config), Field(min_length=1, max_length=400, examples=["hrm-sudoku4"])
    ]
    """A shipped configuration by name, or a YAML file of the repository by its path."""
    data: Annotated[TicketId, Field(examples=["TICKET-001"])]
    """The ticket whose data set it learns from."""
    encoder: TicketId | None = None
    """The ticket whose trained model gives the latents that this one stands on."""
    steps: Annotated[int, Field(ge=1, le=10**9)] | None = None
    """How long: so many steps, in place of what the configuration says."""
    time: CoreTime | None = None
    """How long: so much consumed CPU time (`4m` is four core-minutes), in place of steps."""
    seed: Seed = 0
    """The same seed gives the same model, on the same device."""
    device: Device = "auto"
    """Where: the graphics card, else Apple's, else the CPU."""
    devices: Annotated[int, Field(ge=1, le=64)] = 1
    """How many of them."""
    freeze: Words = Field([])
    """Parts that do not learn."""
    ablate: Words = Field([])
    """Parts to leave out, to see what they are worth."""
    set: dict[str, Any] = Field({}, max_length=64, examples=[{"optimizer.lr": 0.002}])
    """Other values for keys of the configuration, by dotted names."""

    @model_validator(mode="after")
    def _one_length(self) -> TrainOptions:
        if self.steps is not None and self.time is not None:
            raise ValueError("has both steps and time, expected one of them")
        return self


class EvalOptions(Options):
    """What an `eval` ticket's `with` holds."""

    suite: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$", examples=["sudoku"])]
    """What is measured: scenes, questions, sudoku, maze, or a suite that a later version brings."""
    model: Annotated[
        TicketId | Annotated[list[TicketId], Field(min_length=1, max_length=16)],
        Field(examples=["TICKET-002"]),
    ]
    """The ticket whose trained model is measured, or several, to compare them."""
    data: Annotated[TicketId, Field(examples=["TICKET-001"])]
    """The ticket whose data set it is measured on: its test rows alone."""
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**32)]], Field(min_length=1, max_length=64)] = Field(
        [0, 1, 2]
    )
    """Each measure is taken with each of them; what counts is the mean."""
    rows: Annotated[int, Field(ge=8, le=10**6)] | None = None
    """At most so many test rows."""
    device: Device = "cpu"
    """Where; on the CPU unless asked otherwise, so that figures are the same beside other work."""
    baseline: Annotated[str, AfterValidator(_baseline)] = "none"
    """A file of the repository with the figures to hold, or none."""
    options: dict[str, Any] = Field({}, max_length=64)
    """The suite's own options."""
