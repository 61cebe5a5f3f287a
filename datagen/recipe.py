"""What a recipe is, where recipes come from, and what its options may be.

A recipe turns a seed into rows, one object each (`Recipe`) or as columns of numbers (`ColumnRecipe`). Row i
depends on the seed, the options and i alone, so any range of rows can be made anywhere, in any order, again.
Recipes are found by the entry-point group `jetbox.recipes`; the built-in ones stand in the same group.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, runtime_checkable

from datagen.errors import RecipeError, RequestError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

GROUP = "jetbox.recipes"
Options = Mapping[str, Any]
Row = dict[str, Any]


@dataclass(frozen=True)
class Whole:
    """An option that is a whole number within limits."""

    default: int
    low: int
    high: int

    def problem(self, value: object) -> str | None:
        """What is wrong with this value, if anything."""
        if isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high:
            return None
        return f"must be a whole number from {self.low} to {self.high}"


@dataclass(frozen=True)
class Some:
    """An option that is a list of one or more of the given words."""

    default: tuple[str, ...]

    def problem(self, value: object) -> str | None:
        """What is wrong with this value, if anything."""
        items = value if isinstance(value, (list, tuple)) else ()
        if items and len(set(map(str, items))) == len(items) and all(item in self.default for item in items):
            return None
        return f"must be a list of different words out of: {', '.join(self.default)}"


@dataclass(frozen=True)
class One:
    """An option that is one of the given words or numbers."""

    default: str | int
    choices: tuple[str | int, ...]

    def problem(self, value: object) -> str | None:
        """What is wrong with this value, if anything."""
        if any(type(value) is type(choice) and value == choice for choice in self.choices):
            return None
        return f"must be one of: {', '.join(map(str, self.choices))}"


Option = Whole | Some | One


class Recipe(Protocol):
    """The object behind an entry point of `jetbox.recipes`."""

    @property
    def name(self) -> str:
        """The name of the entry point."""

    @property
    def version(self) -> str:
        """Changes whenever the same seed gives other bytes."""

    @property
    def options(self) -> Mapping[str, Option]:
        """What can be set."""

    def rows(self, seed: int, start: int, stop: int, options: Options) -> Iterator[Row]:
        """Rows start to stop - 1, each with the fields of `datagen.rows`; options are complete."""


class ColumnRecipe(Protocol):
    """A recipe whose rows are numbers of fixed shape: puzzles, pictures, texts as bytes padded with zeros."""

    @property
    def name(self) -> str:
        """The name of the entry point."""

    @property
    def version(self) -> str:
        """Changes whenever the same seed gives other bytes."""

    @property
    def form(self) -> str:
        """`columns`."""

    @property
    def options(self) -> Mapping[str, Option]:
        """What can be set."""

    def columns(self, options: Options) -> dict[str, tuple[str, tuple[int, ...]]]:
        """The dtype and the shape of a row of each column; among them `split` (uint8) and `key` (uint64)."""

    def make(self, seed: int, start: int, stop: int, options: Options) -> dict[str, np.ndarray]:
        """Rows start to stop - 1 of every column; options are complete.

        `key` is a hash of the canonical form of a row's problem, `split` (0 train, 1 test) follows from it.
        """


@runtime_checkable
class Described(Protocol):
    """A recipe that says what the numbers of its columns stand for."""

    def legend(self, options: Options) -> dict[str, Any]:
        """Kept in the manifest: words by their numbers, names of fields."""


@runtime_checkable
class Given(Protocol):
    """A recipe that may draw on what was put into the run's folder before it started."""

    def bind(self, run_dir: Path, seed: int, count: int) -> tuple[ColumnRecipe, str]:
        """The recipe that makes the rows, and where they come from; BrokenData where the given is broken."""


def is_columns(recipe: Recipe | ColumnRecipe) -> TypeGuard[ColumnRecipe]:
    """Whether a recipe's rows are columns; one that says nothing of its form has rows."""
    return getattr(recipe, "form", "rows") == "columns"


def names() -> list[str]:
    """The recipes that are installed."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def load(name: str) -> Recipe | ColumnRecipe:
    """The recipe of this name; RequestError names those there are."""
    found = list(entry_points(group=GROUP, name=name))
    if not found:
        raise RequestError(f"no recipe {name!r}{_hint(name, names())}")
    if len({entry.value for entry in found}) > 1:
        raise RecipeError(
            f"recipe {name} is offered by several packages: {', '.join(e.value for e in found)}"
        )
    try:
        recipe: Recipe | ColumnRecipe = found[0].load()
    except Exception as error:  # the code of another package: whatever it raises, the run says which it was
        raise RecipeError(f"recipe {name} ({found[0].value}) can't be loaded: {error}") from error
    if recipe.name != name:
        raise RecipeError(f"recipe {name} ({found[0].value}) calls itself {recipe.name}")
    return recipe


def complete(options: Mapping[str, Option], given: Options) -> dict[str, Any]:
    """The given options and the defaults of the others; RequestError tells all that is wrong at once."""
    problems = [f"no option {name!r}{_hint(name, options)}" for name in given if name not in options]
    values: dict[str, Any] = {}
    for name, option in options.items():
        value = given.get(name, option.default)
        if isinstance(option, Some) and isinstance(value, str):
            value = [value]
        problem = option.problem(value)
        if problem:
            problems.append(f"option {name} {problem}")
        values[name] = list(value) if isinstance(value, tuple) else value
    if problems:
        raise RequestError("; ".join(problems))
    return values


def _hint(name: str, known: Iterable[str]) -> str:
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {near[0]}?" if near else f"; there are: {', '.join(known) or 'none'}"
