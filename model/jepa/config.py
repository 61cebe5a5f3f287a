"""The `model` part of a JEPA's configuration: what is built, and what it learns from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from model.encoders import Strict, TextConfig, VisionConfig
from model.jepa.objectives import Objective

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=1000)]


class Augment(Strict):
    """Changes of a picture that leave its caption true; never a mirror, which would make left right."""

    shift: Annotated[int, Field(ge=0, le=8)] = 1  # pixels, less than objects stray in their cells
    light: Share = 0.15  # brightness and contrast
    tint: Share = 0.05  # of each colour channel
    noise: Share = 0.03


class Tasks(Strict):
    """The weight of each prediction; what weighs nothing is not computed."""

    cross: Weight = 1.0  # a scene's text latent from its picture, and the reverse
    words: Weight = 0.0  # latents of masked words from the picture's latent and the words left
    patches: Weight = 0.0  # latents of hidden patches from those seen
    future: Weight = 0.0  # a later frame's latent from two earlier ones; needs moving scenes


class JepaConfig(Strict):
    """Everything that decides a JEPA's shape and loss."""

    objective: Objective = "combined"
    latent: Annotated[int, Field(ge=8, le=4096)] = 96
    vision: VisionConfig = VisionConfig()
    text: TextConfig = TextConfig()
    pool: Literal["mean", "flat"] = "flat"
    hidden: Annotated[int, Field(ge=8, le=8192)] = 256  # of heads and predictors
    tasks: Tasks = Tasks()
    augment: Augment = Augment()
    gaussian: Weight = 0.05  # SIGReg's weight, for each modality
    directions: Annotated[int, Field(ge=16, le=4096)] = 256
    masked: Annotated[int, Field(ge=1, le=64)] = 8  # words asked for in each caption
    seen: Annotated[float, Field(gt=0, lt=1)] = 0.6  # share of patches left in a context
    follow: Share = 0.99  # how slowly a teacher follows

    @model_validator(mode="after")
    def _learns(self) -> JepaConfig:
        if not (self.tasks.cross or self.tasks.words or self.tasks.future):
            raise ValueError("cross, words or future must weigh something: nothing else forms the latent")
        return self


def parse(options: dict[str, Any]) -> JepaConfig:
    """The configuration; ValueError in one line that names what is wrong."""
    try:
        return JepaConfig.model_validate(options)
    except ValidationError as error:
        raise ValueError("; ".join(_told(each["loc"], each["msg"]) for each in error.errors())) from None


def _told(where: tuple[int | str, ...], message: str) -> str:
    return f"{'.'.join(map(str, where)) or 'model'}: {message.removeprefix('Value error, ')}"
