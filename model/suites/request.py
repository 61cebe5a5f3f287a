"""What an evaluation is asked for: `request.json`, read strictly, before anything heavy is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from datagen.files import open_regular
from model.errors import RequestError
from model.suites import Options

REQUEST = "request.json"
MAX_BYTES = 1024 * 1024
Suite = Literal["scenes", "questions", "sudoku", "maze"]
_SHOWN = 3  # problems named in one line


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Asked(_Strict):
    """Options of a suite; the defaults are those of `model.suites.Options`."""

    more: Annotated[int, Field(ge=1, le=16)] = Options.more
    rollouts: Annotated[int, Field(ge=1, le=64)] = Options.rollouts
    noise: Annotated[float, Field(ge=0, le=10)] = Options.noise


class Request(_Strict):
    """Models, held-out data, seeds and a suite."""

    schema_: Literal[1] = Field(alias="schema")
    suite: Suite
    models: Annotated[list[str], Field(min_length=1, max_length=32)]
    """Checkpoint folders; the first one's figures are the result, the others stand beside it."""
    names: list[Annotated[str, Field(min_length=1, max_length=80)]] | None = None
    """What the models are called in the report, as many as there are."""
    data: str
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**32)]], Field(min_length=1, max_length=64)] = [
        0,
        1,
        2,
    ]
    rows: Annotated[int, Field(ge=8, le=1_000_000)] = Options.rows
    baseline: str | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "cpu"
    """The CPU unless asked: a model's figures then are the same on another day beside another run."""
    options: Asked = Asked()

    @property
    def wanted(self) -> Options:
        """The options of the suite."""
        return Options(self.rows, self.options.more, self.options.rollouts, self.options.noise)


def read(run_dir: Path) -> Request:
    """The request of a run folder; RequestError tells what is wrong with it in one line."""
    try:
        with open_regular(run_dir / REQUEST) as file:
            text = file.read(MAX_BYTES + 1)
        asked = Request.model_validate(json.loads(text))
    except OSError as error:
        raise RequestError(f"{REQUEST} can't be read: {error.strerror or error}") from None
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in each['loc']) or 'it'}: {each['msg']}"
            for each in error.errors()[:_SHOWN]
        ]
        raise RequestError(f"{REQUEST}: " + "; ".join(problems)) from None
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{REQUEST} is not JSON: {error}") from None
    if asked.names is not None and len(asked.names) != len(asked.models):
        raise RequestError(f"{REQUEST}: there are {len(asked.models)} models and {len(asked.names)} names")
    if len(set(asked.seeds)) != len(asked.seeds):
        raise RequestError(f"{REQUEST}: seeds must differ from each other")
    return asked
