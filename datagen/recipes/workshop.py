"""Making things of parts that are made of parts: what, how many, in which order?

What uses a part stands above it, so there is one order by depth, and every count follows from the goal.
"""

from __future__ import annotations

from datagen.recipes.problem import Problem, listing, tree
from datagen.rng import Rng

_PARTS: tuple[str, ...] = (
    "bracket",
    "wheel",
    "frame",
    "panel",
    "hinge",
    "lever",
    "spring",
    "gear",
    "axle",
    "handle",
    "valve",
)
_PARTS += ("coil", "rotor", "shaft", "cover", "hook", "clamp", "pulley", "rail", "drawer", "shelf board")
_PRODUCTS: tuple[str, ...] = (
    "lantern",
    "cart",
    "cabinet",
    "pump",
    "loom",
    "windmill",
    "press",
    "wagon",
    "crane",
    "workbench",
)
_PRODUCTS += ("music stand", "bicycle", "telescope", "printer", "kite", "scale", "fountain", "swing")
_STOCK: tuple[str, ...] = (
    "bolt",
    "nail",
    "rivet",
    "plank",
    "rod",
    "strip",
    "plate",
    "cord",
    "screw",
    "washer",
    "tube",
    "pin",
)
_MAKES = ("oak", "ash", "steel", "tin", "cane", "felt", "zinc", "pine", "cork", "glass", "elm", "horn")


def build(rng: Rng, difficulty: int) -> Problem:
    """Make a number of products whose parts are made of parts: what, how many, in which order?"""
    middle = [f"{rng.choice(_MAKES)} {part}" for part in rng.sample(_PARTS, difficulty)]
    stock = [f"{rng.choice(_MAKES)} {thing}" for thing in rng.sample(_STOCK, 3)]
    product = rng.choice(_PRODUCTS)
    needs: dict[str, dict[str, int]] = {}
    made = [product, *middle]
    for number, name in enumerate(made):
        parts = {rng.choice(stock): rng.between(1, 6)}
        if number + 1 < len(made):  # the next one is used here, so that no part is idle
            parts[made[number + 1]] = rng.between(1, 3)
        if number + 2 < len(made) and rng.flip():
            parts[rng.choice(made[number + 2 :])] = rng.between(1, 2)
        needs[name] = parts
    wanted = rng.between(1, 5)
    count = dict.fromkeys(made, 0) | {product: wanted}
    thoughts = []
    for name in made:  # users stand before what they use, so each count is final when it is reached
        for part, each in sorted(needs[name].items()):
            if part in count:
                before = count[part]
                count[part] += each * count[name]
                sum_ = f"{before} + " if before else ""
                thoughts.append(
                    f"{_many(part)} for {_many(name)}: {sum_}{each} × {count[name]} = {count[part]}"
                )
    steps = []
    for name in reversed(made):
        substeps = []
        for part, each in sorted(needs[name].items()):
            source = "that were made" if part in count else "from the store"
            substeps.append(f"Take {_count(each * count[name], part)} {source}.")
        substeps.append(f"Assemble {_count(count[name], name)}.")
        steps.append((f"Make {_count(count[name], name)}", substeps))
    facts = []
    for name in rng.shuffled(made):
        fact = rng.choice(("To make one {}, take {}.", "One {} is made of {}.", "One {} needs {}."))
        shown = [_count(each, part) for part, each in rng.shuffled(sorted(needs[name].items()))]
        facts.append(fact.format(name, listing(shown)))
    goal = f"make {_count(wanted, product)}"
    ask = rng.choice(
        [
            "{facts} Goal: {goal}. Write the steps and substeps, parts before what is made of them.",
            "{facts} What must be done, step by step, to {goal}? Make each kind of part in one go.",
            "A workshop has to {goal}. {facts} Break this down into steps and substeps with exact numbers.",
        ]
    )
    return Problem(
        task="build",
        canonical=f"{wanted} × {_parts_form(product, needs)}",
        input=ask.format(facts=" ".join(facts), goal=goal),
        target=tree(goal, steps),
        cot="\n".join(thoughts) or f"{_many(product)}: {wanted}",
    )


def _parts_form(name: str, needs: dict[str, dict[str, int]]) -> str:
    """What a thing is made of, without names."""
    if name not in needs:
        return "stock"
    return f"({' '.join(sorted(f'{each}{_parts_form(part, needs)}' for part, each in needs[name].items()))})"


def _many(name: str) -> str:
    return f"{name}es" if name.endswith("ss") else f"{name}s"


def _count(number: int, name: str) -> str:
    return f"1 {name}" if number == 1 else f"{number} {_many(name)}"
