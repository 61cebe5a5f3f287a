"""The recipe `text/instructions`: a goal in a generated world, and the tree of steps that reaches it.

The target is `goal -> steps -> substeps`; following the substeps one by one reaches the goal.
"""

from __future__ import annotations

from datagen.recipes.houses import deliver, tidy
from datagen.recipes.problem import FamilyRecipe
from datagen.recipes.workshop import build

RECIPE = FamilyRecipe(
    "text/instructions",
    "1",
    {"deliver": deliver, "tidy": tidy, "build": build},
    "goals, and the trees of steps that reach them",
)
