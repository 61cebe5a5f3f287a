"""The ticket: fifteen keys, three of them required, as pydantic models.

Guarantees: a `Ticket` that exists is well formed in itself and immutable. What it takes more than the ticket
alone to know (its kind's options, the names of checks, other tickets) is up to `tickets.load` and
`tickets.graph`. Nothing here converts one type into another: text is never a number.
"""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    WithJsonSchema,
    model_validator,
)

from tickets import values
from tickets.kinds import Approval
from tickets.problems import did_you_mean, listed, shown

__all__ = ["Approval", "Budget", "Check", "Duration", "Risk", "Size", "Ticket"]


def _text(read: Callable[[object], Any], pattern: str | None = None, **more: Any) -> tuple[Any, Any]:
    """Return the two annotations of a value that `read` understands and that stands as text in the file."""
    schema: dict[str, Any] = {"type": "string", **more}
    return PlainValidator(read), WithJsonSchema(schema | ({"pattern": f"^{pattern}$"} if pattern else {}))


def _given(value: object) -> object:
    """Refuse a key that stands there with nothing after it: nobody can tell a slip from 'none'."""
    if value is None:
        raise ValueError("is empty, expected a value, or the key left out")
    return value


_PATH = r"[^/\\~][^\\]*"
_Given = BeforeValidator(_given)
_Duration = _text(values.seconds, values.DURATION, examples=["20m", "8h", "90s", "1h30m"])
_Size = _text(values.size_in_bytes, values.SIZE, examples=["22GB", "512MB", "16GiB"])
Duration = Annotated[int, *_Duration]
"""Seconds, written as `20m`, `8h`, `90s` or `1h30m`."""
Size = Annotated[int, *_Size]
"""Bytes, written as `22GB` or `16GiB`."""
TicketId = Annotated[str, *_text(values.ticket_id, values.TICKET_ID)]
Name = Annotated[str, *_text(values.name, values.NAME)]
Line = Annotated[str, *_text(values.line, minLength=1)]
Prose = Annotated[str, *_text(values.prose, minLength=1)]
RelativePath = Annotated[str, *_text(values.relative_path, _PATH)]
Glob = Annotated[str, *_text(values.glob, _PATH)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class RunCheck(_Model):
    """Holds when a command exits 0, on the branch and on the merged tree."""

    run: Prose
    """A shell command line."""
    red: bool = False
    """The command must also fail on the base commit: a test that passes without the change proves nothing."""


class MetricCheck(_Model):
    """Holds when a recorded metric reaches a bound: either `min` or `max`."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["min"]}, {"required": ["max"]}]})

    metric: Line
    """The metric's name."""
    min: Annotated[Number | None, _Given] = None
    """The least value that will do."""
    max: Annotated[Number | None, _Given] = None
    """The greatest value that will do."""

    @model_validator(mode="after")
    def _one_bound(self) -> "MetricCheck":
        if (self.min is None) == (self.max is None):
            found = "no bound" if self.min is None else "both min and max"
            raise ValueError(f"has {found}, expected either min or max")
        return self


class FileCheck(_Model):
    """Holds when a file is there, and holds a text."""

    file: RelativePath
    """A path inside the repository."""
    contains: Annotated[Prose | None, _Given] = None
    """Text that the file must hold."""


class JudgeCheck(_Model):
    """Holds when a model's score for a question reaches `min`."""

    judge: Prose
    """The question."""
    min: Number
    """The least score that will do."""


class HumanCheck(_Model):
    """Holds when a person says so."""

    human: Prose
    """The question."""


CHECK_KEYS = ("run", "metric", "file", "judge", "human")


def _one_check(value: object) -> object:
    """Refuse what is no check before the union does, whose message would be of no help."""
    if isinstance(value, str):
        return values.name(value)
    if not isinstance(value, dict):
        raise ValueError(f"is {shown(value)}, expected a check: a name, or a map with {listed(CHECK_KEYS)}")
    found = [key for key in CHECK_KEYS if key in value]
    if len(found) > 1:
        raise ValueError(f"is several checks at once ({' and '.join(found)}), expected one item for each")
    if not found:
        near = "".join(filter(None, (did_you_mean(key, CHECK_KEYS) for key in list(value)[:5])))
        raise ValueError(f"is a map without {listed(CHECK_KEYS)}, expected one of these keys{near}")
    return value


def _check_tag(value: Any) -> str:
    """Tell the checks apart by key. A tag is its model's name, which no key can be mistaken for."""
    return "Name" if isinstance(value, str) else f"{next(k for k in CHECK_KEYS if k in value).title()}Check"


Check = Annotated[
    Annotated[Name, Tag("Name")]
    | Annotated[RunCheck, Tag("RunCheck")]
    | Annotated[MetricCheck, Tag("MetricCheck")]
    | Annotated[FileCheck, Tag("FileCheck")]
    | Annotated[JudgeCheck, Tag("JudgeCheck")]
    | Annotated[HumanCheck, Tag("HumanCheck")],
    Discriminator(_check_tag),
    BeforeValidator(_one_check),
]
"""One condition of acceptance; a plain name is a check of `checks.yaml` or a built-in one."""


class Budget(_Model):
    """What the work may cost at most."""

    time: Annotated[Duration | None, _Given] = None
    """Wall time, in seconds here, as `20m` in the file."""
    turns: Annotated[Annotated[int, Field(ge=1)] | None, _Given] = None
    """Turns of the agent."""
    tokens: Annotated[Annotated[int, Field(ge=1)] | None, _Given] = None
    """Tokens read and written by models."""
    vram: Annotated[Size | None, _Given] = None
    """Memory of the graphics card, in bytes here, as `22GB` in the file."""
    usd: Annotated[Number, Field(ge=0)] = 0
    """Money for paid calls; none unless set."""


class Risk(_Model):
    """Something that may go wrong, and what to do then."""

    risk: Prose
    """What may go wrong."""
    then: Prose
    """What to do then."""


_WHEN_SCHEMA = {
    "type": "string",
    "pattern": r"^(now|idle|\s*\S+(\s+\S+){4}\s*)$",
    "examples": ["now", "idle"],
}
_ROLLBACK_SCHEMA = {
    "anyOf": [
        {"type": "string", "pattern": r"^(revert|phase:([0-9]{1,6}|last-good)|sh:[\s\S]*\S[\s\S]*)$"},
        {
            "type": "object",
            "properties": {"sh": {"type": "string", "minLength": 1}},
            "required": ["sh"],
            "additionalProperties": False,
        },
    ],
    "examples": ["revert", "phase:0", "phase:last-good"],
}
_UNIQUE = Field(json_schema_extra={"uniqueItems": True})


class Ticket(_Model):
    """One piece of work: what is wanted, and how it is accepted."""

    model_config = ConfigDict(validate_by_alias=True, validate_by_name=False, serialize_by_alias=True)

    kind: Name
    """The kind of work, such as `run` or `code`."""
    goal: Annotated[str, Field(min_length=8, max_length=240), AfterValidator(values.line)]
    """What is wanted, in one line of 8 to 240 characters."""
    accept: Annotated[tuple[Check, ...], Field(min_length=1)]
    """The checks that must hold; at least one."""
    needs: Annotated[tuple[TicketId, ...], _UNIQUE] = ()
    """Tickets that must have landed before this one starts."""
    labels: Annotated[tuple[Line, ...], _UNIQUE] = ()
    """Words to find the ticket by."""
    when: Annotated[values.When, PlainValidator(values.when), WithJsonSchema(_WHEN_SCHEMA)] = "now"
    """`now`, `idle` (when nothing else runs), or a cron line of five fields."""
    persona: Annotated[Name | None, _Given] = None
    """Who does it: the stem of a file in `personas/`."""
    paths: Annotated[tuple[Glob, ...], _UNIQUE] = ()
    """Globs of the files that the change may touch; enforced before it lands."""
    constraints: tuple[Prose, ...] = ()
    """What the agent has to respect, in prose."""
    options: Annotated[dict[str, Any], Field(alias="with")] = Field(default_factory=dict)
    """What the kind needs to know; each kind brings its own keys."""
    risks: tuple[Risk, ...] = ()
    """What may go wrong, and what to do then."""
    rollback: Annotated[
        values.Rollback, PlainValidator(values.rollback), WithJsonSchema(_ROLLBACK_SCHEMA)
    ] = values.Revert()
    """How the change is undone: `revert`, `phase:<n or last-good>`, or `{sh: COMMAND}`."""
    budget: Budget = Budget()
    """What it may cost at most."""
    approve: Annotated[tuple[Approval, ...], _UNIQUE] = ()
    """Approvals beyond those that the kind asks for anyway."""
    notes: Annotated[Prose | None, _Given] = None
    """Background, in prose; changing it does not change the work."""

    def approvals(self, kind_minimum: frozenset[Approval]) -> frozenset[Approval]:
        """Return all approvals this ticket waits for; the kind's own can't be taken away."""
        return kind_minimum | frozenset(self.approve)


def lacks_executable_check(kind: object, accept: object) -> bool:
    """Whether a `code` ticket would be accepted on opinions alone, a model's or a person's."""
    if kind != "code" or not isinstance(accept, list) or not accept:
        return False
    return all(isinstance(check, dict) and ("judge" in check or "human" in check) for check in accept)
