"""Learners by name: the built-in two, and whatever a package offers behind `jetbox.learners`.

`restore` builds a learner again from nothing but a checkpoint: with its averaged weights, ready for use.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import torch

from model import checkpoint
from model.errors import CheckpointError, RequestError
from model.learner import DataInfo, Learner

GROUP = "jetbox.learners"
BUILT_IN = {"hrm": "model.hrm.learner:build", "jepa": "model.jepa.learner:build"}

Build = Callable[[dict[str, Any], DataInfo], Learner]


def find(name: str) -> Build:
    """The function that builds learners of this name; RequestError names those there are."""
    found: Any
    if name in BUILT_IN:
        module, _, function = BUILT_IN[name].partition(":")
        found = getattr(importlib.import_module(module), function)
    else:
        others = list(entry_points(group=GROUP, name=name))
        if not others:
            known = sorted({*BUILT_IN, *(each.name for each in entry_points(group=GROUP))})
            raise RequestError(f"no learner {name!r}; there are: {', '.join(known)}")
        found = others[0].load()
    return found  # type: ignore[no-any-return]  # a function of the contract: its learner is checked by `build`


def build(name: str, options: Mapping[str, Any], info: DataInfo, seed: int) -> Learner:
    """A learner with the weights that the seed alone decides; RequestError where its options can't be."""
    function = find(name)
    torch.manual_seed(seed)
    try:
        learner = function(dict(options), info)
    except (ValueError, TypeError, KeyError) as error:
        raise RequestError(f"the model {name!r} can't be built: {error}") from error
    if not isinstance(learner, Learner):
        raise RequestError(f"{name!r} builds a {type(learner).__name__}, not a learner")
    return learner


def restore(folder: Path, device: torch.device | str = "cpu") -> tuple[Learner, checkpoint.Meta]:
    """A checkpoint's learner, in evaluation mode, with its averaged weights; CheckpointError otherwise.

    What lies today in the folder of the encoder that it learned on is not asked: its weights are whole.
    """
    found = checkpoint.read(folder)
    return assembled(folder, found, checkpoint.weights(folder, found), device), found


def assembled(
    folder: Path,
    meta: checkpoint.Meta,
    weights: Mapping[str, torch.Tensor],
    device: torch.device | str = "cpu",
) -> Learner:
    """The learner of a checkpoint's word and weights that were read already; CheckpointError otherwise."""
    learner = build(meta.learner, meta.config["model"], replace(meta.info(), encoder=None), meta.seed)
    try:
        learner.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{folder} does not fit its own configuration: {error}") from None
    return learner.to(device).eval()
