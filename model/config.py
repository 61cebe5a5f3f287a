"""What a training run is asked to do: its request and its configuration, hostile until parsed.

Nothing here loads torch, so that threads and the like can be settled before it is loaded.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from datagen.files import open_regular
from model.errors import RequestError

REQUEST = "request.json"
MAX_REQUEST = 1024 * 1024  # bytes
_PROBLEMS_SHOWN = 3

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1e9)]
Steps = Annotated[int, Field(ge=0, le=10**9)]
Act = Literal["warn", "stop"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Optimizer(_Strict):
    """How the weights are stepped. `warmup` counts steps; the cosine ends at `final` of the peak rate."""

    name: Literal["adamw", "muon", "adam-atan2"] = "adamw"
    lr: Positive = 1e-3
    plain_lr: Positive | None = None  # of what Muon does not step; the same as lr where it isn't given
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.0
    warmup: Steps = 100
    final: Share = 0.1
    clip: Positive | None = 1.0
    average: Annotated[float, Field(ge=0, lt=1)] = 0.999  # decay of the averaged weights; 0: no averaging


class Assess(_Strict):
    """How often held-out rows are measured, and which measure says which checkpoint is best."""

    every: Annotated[int, Field(ge=1, le=10**9)] = 200
    rows: Annotated[int, Field(ge=1, le=10**7)] = 512
    best: str = "loss"


class Checkpoints(_Strict):
    """How often a checkpoint is written, and how many bytes older ones may take."""

    seconds: Positive = 60.0
    keep_bytes: Annotated[int, Field(ge=0)] = 2 * 1024**3


class Rise(_Strict):
    """Held-out loss over its best by `share` of what had been gained, in `window` assessments in a row.

    Half of the gain lost is far outside of what the reference runs showed (their held-out loss moved by
    under a fifth), and far inside of the divergence of the depthwise maze run, which lost it all.
    """

    share: Positive = 0.5
    window: Annotated[int, Field(ge=1, le=100)] = 3
    act: Act = "stop"


class Spike(_Strict):
    """A gradient norm over `times` the median of the last `window` steps. Clipping bounds it: a warning."""

    times: Positive = 10.0
    window: Annotated[int, Field(ge=5, le=1000)] = 50
    act: Act = "warn"


class Floor(_Strict):
    """A held-out measure that must have reached `at_least` by step `after`, and keep it from then on."""

    at_least: float
    after: Steps = 0
    act: Act = "stop"


class Breaker(_Strict):
    """The circuit breaker's rules. There is none to switch it off: NaN and infinity stop a run always."""

    warmup: Steps = 100
    rise: Rise = Rise()
    spike: Spike = Spike()
    floors: dict[str, Floor] = {}


class Config(_Strict):
    """A configuration, as in `configs/training/*.yaml`."""

    learner: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")]
    about: Annotated[str, Field(max_length=2000)] = ""
    model: dict[str, Any] = {}
    batch: Annotated[int, Field(ge=1, le=10**6)]
    steps: Annotated[int, Field(ge=1, le=10**9)] | None = None
    core_minutes: Positive | None = None
    optimizer: Optimizer = Optimizer()
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    assess: Assess = Assess()
    checkpoint: Checkpoints = Checkpoints()
    breaker: Breaker = Breaker()
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    compile: bool = False
    attention: Literal["auto", "math"] = "auto"  # which of PyTorch's attention kernels; math is the plain one
    accumulate: Annotated[int, Field(ge=1, le=10**4)] = 1

    @model_validator(mode="after")
    def _fits(self) -> Config:
        if self.steps is None and self.core_minutes is None:
            raise ValueError("it needs steps or core_minutes")
        if self.batch % self.accumulate:
            raise ValueError(f"a batch of {self.batch} can't be done in {self.accumulate} equal parts")
        return self

    @property
    def part(self) -> int:
        """Rows of one forward and backward pass."""
        return self.batch // self.accumulate

    @property
    def log_every(self) -> int:
        """Training metrics are written each so many steps: by count, so that resumed curves coincide."""
        return max(1, math.ceil(self.steps / 500)) if self.core_minutes is None and self.steps else 10

    def key(self) -> str:
        """The same for configurations that lead to the same numbers; what only keeps or tells is left out."""
        body = self.model_dump(mode="json", exclude={"about", "checkpoint"})
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Request:
    """A training run's request."""

    config: Config
    data: Path
    encoder: Path | None
    seed: int
    device: str
    devices: int


class _Body(_Strict):
    schema_: Annotated[Literal[1], Field(alias="schema")]
    learner: str
    config: Config
    data: str
    encoder: str | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: Annotated[int, Field(ge=1, le=64)] = 1

    @model_validator(mode="after")
    def _fits(self) -> _Body:
        if self.learner != self.config.learner:
            raise ValueError(f"the configuration is for {self.config.learner!r}, not {self.learner!r}")
        for name, path in (("data", self.data), ("encoder", self.encoder)):
            if path is not None and not Path(path).is_absolute():
                raise ValueError(f"{name} must be an absolute path")
        return self


def config(body: Any) -> Config:
    """A configuration from its JSON or YAML; RequestError tells in one line what is wrong."""
    try:
        return Config.model_validate(body)
    except ValidationError as error:
        raise RequestError(f"the configuration can't be used: {_told(error)}") from None


def request(body: Any) -> Request:
    """A request from its JSON; RequestError tells in one line what is wrong."""
    try:
        asked = _Body.model_validate(body)
    except ValidationError as error:
        raise RequestError(f"the request can't be used: {_told(error)}") from None
    encoder = None if asked.encoder is None else Path(asked.encoder)
    return Request(asked.config, Path(asked.data), encoder, asked.seed, asked.device, asked.devices)


def read(run_dir: Path) -> Request:
    """The request of a run folder."""
    path = run_dir / REQUEST
    try:
        with open_regular(path) as file:
            text = file.read(MAX_REQUEST + 1)
    except OSError as error:
        raise RequestError(f"{path} can't be read: {error.strerror or error}") from None
    if len(text) > MAX_REQUEST:
        raise RequestError(f"{path} is larger than a request can be")
    try:
        return request(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{path} is not JSON: {error}") from None


def _told(error: ValidationError) -> str:
    problems = [
        f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg'].removeprefix('Value error, ')}"
        for each in error.errors(include_url=False, include_input=False)
    ]
    rest = len(problems) - _PROBLEMS_SHOWN
    return "; ".join(problems[:_PROBLEMS_SHOWN]) + (f"; and {rest} more" if rest > 0 else "")
