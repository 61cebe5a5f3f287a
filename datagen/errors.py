"""What can go wrong in making or reading a data set, as types with a message to act on."""

from __future__ import annotations


class DataError(Exception):
    """Base of the wing's own errors."""


class RequestError(DataError):
    """The request asks for something that does not exist or is out of range."""


class RecipeError(DataError):
    """A recipe broke its own promise: a row of the wrong form, too few rows, an exception."""


class BrokenData(DataError):
    """A data set does not hold together: something is missing, torn or altered."""


class ProvenanceRefused(DataError):
    """Only synthetic data and a person's own interactions are ever read."""
