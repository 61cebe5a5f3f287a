"""What can go wrong in training and evaluation, as types with a message to act on."""

from __future__ import annotations


class ModelError(Exception):
    """Base of the wing's own errors."""


class RequestError(ModelError):
    """A request, or the configuration in it, asks for something that can't be."""


class UnfitData(ModelError):
    """A data set that can't be learned from: empty, or made for another learner."""


class CheckpointError(ModelError):
    """A checkpoint can't be used: altered, torn, or another run's."""


class TooLittleMemory(ModelError):
    """The run would not fit into what is free."""


class Stopped(ModelError):
    """The circuit breaker ended the run."""


class NoRanks(ModelError):
    """A run on several devices can't be had here."""


class CoreIsSealed(ModelError):
    """An optimizer was about to step a sealed part of the core."""


class CoreChanged(ModelError):
    """A part of the core has not the hash that it had."""
