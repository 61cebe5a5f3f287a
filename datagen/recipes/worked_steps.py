"""The recipe `text/worked-steps`: problems whose every step is computed and can be checked."""

from __future__ import annotations

from datagen.recipes.arithmetic import bill, expression
from datagen.recipes.logic import deduction, formula
from datagen.recipes.ordering import ordering
from datagen.recipes.problem import Family, FamilyRecipe
from datagen.recipes.quantities import between, journey, later, units, weekday


def _one_of(*families: Family) -> Family:
    """Several kinds of problem under one family."""
    return lambda rng, difficulty: rng.choice(families)(rng, difficulty)


RECIPE = FamilyRecipe(
    "text/worked-steps",
    "1",
    {
        "arithmetic": _one_of(expression, bill),
        "logic": _one_of(formula, deduction),
        "units": _one_of(units, journey),
        "dates": _one_of(later, between, weekday),
        "ordering": ordering,
    },
    "problems whose every step is computed: arithmetic, logic, units, dates, orderings",
)
