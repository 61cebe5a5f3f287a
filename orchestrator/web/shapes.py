"""What goes over the wire: requests are strict and bounded, answers say exactly what they hold.

A request with a field that is not known is refused, and so is a number where a word belongs. Whether a
board has the right number of cells, or a word is one that a part knows, the mind says.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from orchestrator.cli.models import EngineLine, Time

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,47}$", max_length=48)]
Word = Annotated[str, Field(min_length=1, max_length=40)]
Text = Annotated[str, Field(min_length=1, max_length=2_000)]
Cells = Annotated[list[Annotated[int, Field(ge=0, le=65_535)]], Field(min_length=1, max_length=4_096)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", max_length=64)]
Share = Annotated[FiniteFloat, Field(ge=0, le=1)]

MOST_SIDE = 256
"""Pixels of a picture's side."""

_BOARD: Any = [1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]
_SCENE: dict[str, Any] = {
    "objects": [{"shape": "circle", "colour": "red", "size": "small", "cell": "top left"}],
    "seed": 7,
}


class _Said(BaseModel):
    """Of a request: nothing is guessed."""

    model_config = ConfigDict(strict=True, extra="forbid", use_attribute_docstrings=True)


class _Given(BaseModel):
    """Of an answer."""

    model_config = ConfigDict(use_attribute_docstrings=True)


# Requests --------------------------------------------------------------------------------------------


class Thing(_Said):
    """One object of a scene."""

    shape: Word
    colour: Word
    size: Word
    cell: Word
    """Where: `top left`, `middle`, ..."""


class Scene(_Said):
    """A picture in words; it is drawn as those of the training are."""

    objects: Annotated[list[Thing], Field(max_length=16)]
    seed: Annotated[int, Field(ge=0, lt=1 << 53)] = 0


class Image(_Said):
    """A picture, size by size pixels."""

    size: Annotated[int, Field(ge=1, le=MOST_SIDE)]
    rgb: Annotated[str, Field(max_length=4 * MOST_SIDE * MOST_SIDE)]
    """Base64 of size * size * 3 bytes."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if len(self.rgb) != 4 * self.size * self.size:  # three bytes are four characters
            raise ValueError(f"`rgb` has {len(self.rgb)} characters, and {4 * self.size**2} are the picture")
        return self


class Question(_Said):
    """A question to one part of the core: `cells` of a board, or words about a picture."""

    part: Name
    cells: Cells | None = None
    question: Text | None = None
    image: Image | None = None
    scene: Scene | None = None

    @model_validator(mode="after")
    def _one_task(self) -> Self:
        shown = [name for name in ("image", "scene") if getattr(self, name) is not None]
        if self.cells is not None and (shown or self.question is not None):
            raise ValueError("`cells` are a whole question: no words and no picture beside them")
        if self.cells is None and (self.question is None or len(shown) != 1):
            raise ValueError("a question is `cells`, or `question` with one of `image` and `scene`")
        return self


class Reflect(Question):
    """A question whose answer is looked at from all sides."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"part": "sudoku4", "cells": _BOARD}]})

    memory: Name = "auto"
    """`auto`: those that are on; `off`: the core alone; or a memory's name."""


class Reason(Question):
    """A question."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"part": "sudoku4", "cells": _BOARD},
                {"part": "scenes", "question": "what colour is the circle?", "scene": _SCENE, "trace": True},
            ]
        }
    )

    memory: Name = "auto"
    """`auto`: those that are on; `off`: the core alone; or a memory's name."""
    trace: bool = False
    """Whether each cycle of the reasoner is told."""


class Correct(Question):
    """A question and its right answer: a lesson for a working memory."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"part": "scenes", "question": "what colour is the circle?", "scene": _SCENE, "answer": "dax"}
            ]
        }
    )

    answer: Cells | Text
    """All cells of a board, or a word or two."""
    memory: Name = "default"


class Encode(_Said):
    """One thing to be turned into a latent: `text`, `image` or `scene`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": "a small red circle"}, {"scene": _SCENE}]}
    )

    text: Text | None = None
    image: Image | None = None
    scene: Scene | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(each is not None for each in (self.text, self.image, self.scene)) != 1:
            raise ValueError("one of `text`, `image` and `scene` is encoded")
        return self


class ProposeUpdate(_Said):
    """What is to be proposed: that a memory becomes part of the core."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"memory": "default", "why": "dax is red"}]})

    memory: Name = "default"
    why: Annotated[str, Field(max_length=500)] = ""


class ApplyUpdate(_Said):
    """A proposal that a person has approved, by its id and the digest of its content."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"proposal": "5c5c5c5c5c5c", "digest": "5c" * 32}]}
    )

    proposal: Annotated[str, Field(pattern=r"^[0-9a-f]{12,64}$", max_length=64)]
    digest: Digest


class Newest(BaseModel):
    """How many of the newest."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=1_000)] = 100


# Answers ---------------------------------------------------------------------------------------------


class Error(_Given):
    """What went wrong."""

    error: str
    """One line for a person."""
    reason: str
    """One word for a program."""


class Consistency(_Given):
    """How far an answer stays the same, 0 to 1; null where that was not looked at."""

    cycles: Share | None
    variants: Share | None


class Cycle(_Given):
    """One cycle of the reasoner."""

    answer: list[int] | str
    change: FiniteFloat
    """How far the answer's latent moved, as a share of its length."""
    halt: FiniteFloat | None
    doubt: FiniteFloat


class Answer(_Given):
    """An answer with its uncertainty."""

    answer: list[int] | str
    probability: Share
    """Calibrated: that the answer is right."""
    abstained: bool
    """The probability is below the part's bound, or the question has words that the part never heard."""
    unknown: list[str] = []
    """These words."""
    by: str
    """`core`, or a memory's name."""
    others: list[tuple[str, FiniteFloat]] = []
    doubts: list[FiniteFloat] | None = None
    """Of a board: of each cell."""
    consistency: Consistency
    trace: list[Cycle] = []
    seconds: FiniteFloat


class Reflected(Answer):
    """An answer looked at from all sides."""

    reflection: dict[str, Any] = {}


class MemoryLine(_Given):
    """One working memory."""

    name: str
    part: str
    method: str
    core: str
    """The version of the core that it stands over."""
    on: bool
    lessons: int
    right: int
    """Of its lessons, those that it answers rightly."""
    digest: str
    stale: bool
    """Made over another version of the core; it learns its lessons again."""
    recurring: int = 0
    """Lessons since the core was last set."""


class Corrected(_Given):
    """What a correction changed: a memory, never the core."""

    memory: MemoryLine
    seconds: FiniteFloat
    before: Answer
    after: Answer
    core_unchanged: Literal[True]
    proposed: str = ""
    """The ticket of a proposal that was made of it, or empty."""


class Latent(_Given):
    """A latent."""

    latent: list[FiniteFloat]
    modality: str
    part: str


class Memories(_Given):
    """The working memories."""

    memories: list[MemoryLine]


class Proposed(_Given):
    """A ticket that measures the update and then asks a person."""

    ticket: str


class Applied(_Given):
    """The approved update is installed."""

    core: Digest
    """The version of the core that is current now."""
    proposal: str


class MindLine(_Given):
    """The process that answers."""

    state: Literal["ready", "starting", "off"]
    why: str
    """Why it is off."""
    core: str
    """The version of the core that answers, or empty."""


class Health(_Given):
    """Whether all is well."""

    ok: Literal[True] = True
    version: str
    mind: MindLine
    engine: EngineLine
    events: int
    """In the journal: the last one's seq."""


class Reflections(_Given):
    """What was written down of answers and actions, newest first."""

    reflections: list[dict[str, Any]]


class PartLine(_Given):
    """One part of the core."""

    name: str
    task: str
    learner: str
    calibrated: bool


class SettingLine(_Given):
    """A word on which version of the core is in force."""

    seq: int
    at: Time
    core: str
    before: str | None
    why: str
    """adopt, update or revert."""
    proposal: str
    by: str
    refused: str
    """Why it counts for nothing, or empty."""


class RefusalLine(_Given):
    """Somebody tried to change the core, and nothing came of it."""

    seq: int
    at: Time
    what: str
    why: str
    by: str


class Core(_Given):
    """The core as it stands."""

    core: str | None
    """The version that is current and whole."""
    why: str
    """Why there is none, or empty."""
    parts: list[PartLine]
    history: list[SettingLine]
    refused: list[RefusalLine]
