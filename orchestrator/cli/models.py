"""What `--json` prints, as models, so that `jetbox schema` can say it exactly. Keys are only ever added."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tickets.lifecycle import Answer, State

Time = Annotated[int, Field(description="Milliseconds of wall clock since 1970.")]


class _Model(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class Checks(_Model):
    """How many checks of a ticket hold, fail, or have not been taken."""

    green: int
    red: int
    unknown: int


class TicketLine(_Model):
    """One ticket on the board."""

    id: str
    kind: str
    goal: str
    state: State
    """Where it stands."""
    progress: float | None
    """0 to 1 of the action at work; null where nothing is known."""
    checks: Checks
    waiting: str | None
    """What it waits for, or null."""
    note: str
    """Why it waits, failed or is broken, in one line."""
    attempt: int
    """0 where it has not been tried."""
    needs: list[str]
    labels: list[str]
    since: Time


class EngineLine(_Model):
    """What is known of the engine."""

    state: Literal["running", "paused", "off"]
    pid: int | None
    why: str
    """Why it is paused."""


class Status(_Model):
    """The board, as `jetbox status --json` prints it."""

    tickets: list[TicketLine]
    engine: EngineLine


class InboxLine(_Model):
    """One thing that waits for a person."""

    id: str
    kind: str
    """merge, start, core, network or question."""
    ticket: str
    digest: str
    """What an approval names: SHA-256 of everything that is approved."""
    summary: str
    since: Time


class Proposal(InboxLine):
    """A proposal in full, as `jetbox show --json` holds it."""

    attempt: int
    state: Answer
    reason: str
    by: str
    subject: dict[str, Any]
    """Everything the approval is bound to; the digest is over this."""


class Event(_Model):
    """One event of the journal, as `jetbox log --json` prints it, one a line."""

    seq: int
    at: Time
    ticket: str
    """Empty where it concerns none."""
    attempt: int
    type: str
    body: dict[str, Any]


class Action(_Model):
    """One action of the tree."""

    title: str
    state: str
    """running, done, failed or interrupted."""
    seconds: float | None
    output: str
    """The blob that holds its output, or empty."""


class Task(_Model):
    """One task of the tree, with its actions in the order they began."""

    title: str
    state: str
    actions: list[Action]


class Receipt(_Model):
    """What one check gave on one tree."""

    check: str
    side: str
    """base, branch, merged or artifact."""
    tree: str
    passed: bool
    summary: str
    exit: int | None
    seconds: float | None
    output: str
    skipped: str | None = None
    """Why it could not be taken: then it is neither green nor red, whatever `passed` says."""


class Attempt(_Model):
    """One try."""

    number: int
    state: str
    branch: str
    base: str
    commit: str
    """What landed, or empty."""
    artifact: dict[str, Any]
    started: Time
    ended: Time | None
    why: str


class Show(_Model):
    """One ticket in full, as `jetbox show ID --json` prints it."""

    ticket: TicketLine
    path: str
    revision: str
    removed: bool
    """The file is gone."""
    problems: list[str]
    """Why the file does not load, if it does not."""
    spec: dict[str, Any]
    attempts: list[Attempt]
    tree: list[Task]
    """Of the last attempt."""
    receipts: list[Receipt]
    proposals: list[Proposal]
    events: list[Event]
    agreement: float | None = None
    """Of several attempts by an agent: how far they took the same actions, 0 to 1."""


class Problem(_Model):
    """One fault of a ticket file."""

    file: str
    line: int
    column: int
    field: str
    message: str


class CheckReport(_Model):
    """What `jetbox check --json` prints."""

    ok: bool
    files: int
    problems: list[Problem]


class VerifyReport(_Model):
    """What `jetbox verify --json` prints."""

    ok: bool
    events: int
    blobs: int
    fault: str | None
    """The first thing that is not what was written."""
    core: str | None = None
    """The version of the core in force, every file of it checked; null where there is none."""


class Finding(_Model):
    """One thing that the doctor looked at."""

    name: str
    state: Literal["ok", "note", "problem"]
    said: str
    cure: str
    """What to do; empty where nothing has to be done."""


class DoctorReport(_Model):
    """What `jetbox doctor --json` prints."""

    ok: bool
    findings: list[Finding]


class DataResult(_Model):
    """The last line of `jetbox data --json`."""

    type: Literal["result"] = "result"
    ok: bool
    error: str | None
    manifest: str | None
    """Path of the data set's manifest."""
    sha256: str | None
    metrics: dict[str, int | float]


class RunResult(_Model):
    """The last line of `jetbox train --json` and of `jetbox eval --json`."""

    type: Literal["result"] = "result"
    ok: bool
    error: str | None
    run: str
    """The run's folder."""
    artifact: str | None
    """Path of what was made: the best checkpoint's checkpoint.json, or the report."""
    sha256: str | None
    metrics: dict[str, int | float]


class RunLine(_Model):
    """One run, as `jetbox runs --json` lists them."""

    ticket: str
    attempt: int
    folder: str
    kind: str
    """train, eval, datagen, or empty where its request does not tell."""
    state: Literal["running", "done", "failed", "interrupted"]
    phase: str
    done: float
    total: float
    unit: str
    loss: float | None
    steps_per_second: float | None
    eta: tuple[float, float] | None
    """Seconds that it still takes, at least and at most."""
    error: str


class PersonaLine(_Model):
    """One persona, as `jetbox personas --json` lists them."""

    name: str
    describe: str
    role: str
    """Of `models.yaml`: who answers."""
    works: bool
    """Whether it can be a ticket's persona."""
    replies: Literal["actions", "json", "text"]
    file: str | None
    """The project's own file, or null where it is shipped."""


class ModelCandidate(_Model):
    """One model that could serve a role."""

    model: str
    provider: str
    used: bool
    why: str
    """Why it is not used, or what is known of it."""
    bytes: int
    """What it would take of the memory, context included; 0 where that is not known."""
    label: str


class ModelRole(_Model):
    """A role, and who could serve it, best first."""

    role: str
    candidates: list[ModelCandidate]


class ModelHolder(_Model):
    """A model that is in memory."""

    who: str
    bytes: int
    context: int


class ModelDevice(_Model):
    """Memory that models can lie in."""

    name: str
    kind: Literal["gpu", "ram"]
    total: int
    free: int
    celsius: float | None
    watts: float | None
    load: float | None


class ModelTried(_Model):
    """What trying a model once has shown, in lines for people."""

    model: str
    says: list[str]


class ModelsReport(_Model):
    """What `jetbox models --json` prints."""

    policy: Literal["serial", "packed"]
    reserve: int
    """Bytes that models never take."""
    roles: list[ModelRole]
    holders: list[ModelHolder]
    devices: list[ModelDevice]
    findings: list[ModelTried]


OF_OUTPUT: dict[str, type[BaseModel]] = {
    "status": Status,
    "log": Event,
    "proposal": Proposal,
    "show": Show,
    "check": CheckReport,
    "verify": VerifyReport,
    "doctor": DoctorReport,
    "data": DataResult,
    "train": RunResult,
    "eval": RunResult,
    "models": ModelsReport,
}


def schema(name: str) -> dict[str, Any] | None:
    """The JSON Schema of what this name stands for; None when nothing has that name."""
    made = _SCHEMAS.get(name)
    return made() if made else None


def names() -> list[str]:
    """What `jetbox schema` knows."""
    return sorted(_SCHEMAS)


def _ticket() -> dict[str, Any]:
    from orchestrator.kinds.base import installed
    from tickets.jsonschema import ticket_schema

    return ticket_schema(installed())


def _persona() -> dict[str, Any]:
    from orchestrator.personas import Persona

    made = Persona.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _output(model: Any) -> dict[str, Any]:
    from pydantic import TypeAdapter

    made = TypeAdapter(model).json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _reflection() -> dict[str, Any]:
    from state.reflections import Reflection

    return _output(Reflection)


def _core() -> dict[str, Any]:
    from orchestrator.cli.core_model import CoreReport

    return _output(CoreReport)


def _api() -> dict[str, Any]:
    from orchestrator.cli.output import Failed
    from orchestrator.extras import WEB, lacking

    if missing := lacking(WEB, "the API", "api"):
        raise Failed(missing)
    from orchestrator.web.app import described

    return described()


def _status_event() -> dict[str, Any]:
    from orchestrator.alerts.status import StatusEvent

    return _output(StatusEvent)


_SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {
    "ticket": _ticket,
    "persona": _persona,
    "event": _status_event,
    "api": _api,
    "core": _core,
    "reflection": _reflection,
    "inbox": lambda: _output(list[InboxLine]),
    "personas": lambda: _output(list[PersonaLine]),
    "runs": lambda: _output(list[RunLine]),
    **{name: partial(_output, model) for name, model in OF_OUTPUT.items()},
}
