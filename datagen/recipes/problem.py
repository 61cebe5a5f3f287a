"""A problem with its computed answer, and a recipe as a mix of families of such problems."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from datagen import rows
from datagen.errors import RequestError
from datagen.recipe import Option, Options, Row, Some, Whole
from datagen.rng import Rng

EASIEST, HARDEST = 1, 5


@dataclass(frozen=True)
class Problem:
    """One problem. `canonical` is the same for two problems that differ in wording, names or order only."""

    task: str
    canonical: str
    input: str
    target: str
    cot: str


Family = Callable[[Rng, int], Problem]  # a stream of choices, a difficulty from 1 to 5


class FamilyRecipe:
    """Rows drawn from families, each row with a family and a difficulty of its own."""

    def __init__(self, name: str, version: str, families: Mapping[str, Family], about: str = "") -> None:
        self.name = name
        self.about = about
        self.version = version
        self.options: Mapping[str, Option] = {
            "families": Some(tuple(families)),
            "easiest": Whole(EASIEST, EASIEST, HARDEST),
            "hardest": Whole(HARDEST, EASIEST, HARDEST),
        }
        self._families = families

    def rows(self, seed: int, start: int, stop: int, options: Options) -> Iterator[Row]:
        """Rows start to stop - 1; row i depends on the seed, the options and i alone."""
        easiest, hardest = options["easiest"], options["hardest"]
        if easiest > hardest:
            raise RequestError(f"option easiest ({easiest}) must not be above hardest ({hardest})")
        chosen = [name for name in self._families if name in options["families"]]
        for index in range(start, stop):
            rng = Rng(self.name, self.version, seed, index)
            family = rng.choice(chosen)
            difficulty = rng.between(easiest, hardest)
            problem = self._families[family](rng, difficulty)
            yield {
                "id": rows.row_id(self.name, seed, index),
                "seed": seed,
                "task": problem.task,
                "family": family,
                "difficulty": difficulty,
                "split": rows.split_of(f"{problem.task}|{problem.canonical}"),
                "input": problem.input,
                "target": problem.target,
                "cot": problem.cot,
            }


def listing(items: list[str]) -> str:
    """Words as English lists them."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def tree(goal: str, steps: list[tuple[str, list[str]]]) -> str:
    """A goal, its steps and their substeps, as numbered lines."""
    lines = [f"Goal: {goal}"]
    for number, (step, substeps) in enumerate(steps, 1):
        lines.append(f"{number}. {step}")
        lines += [f"  {number}.{place} {substep}" for place, substep in enumerate(substeps, 1)]
    return "\n".join(lines)


def upper(text: str) -> str:
    """The text as the beginning of a sentence."""
    return text[0].upper() + text[1:]
