"""Putting people in order from comparisons, worked out step by step."""

from __future__ import annotations

from datagen.recipes.problem import Problem
from datagen.rng import Rng

_PEOPLE = (
    "Ada",
    "Boris",
    "Carmen",
    "Diego",
    "Elif",
    "Femi",
    "Greta",
    "Hugo",
    "Imani",
    "Jonas",
    "Keiko",
    "Liam",
    "Mara",
    "Nuno",
    "Olga",
    "Pavel",
    "Quinn",
    "Rosa",
    "Samir",
    "Tova",
    "Umar",
    "Vera",
    "Wen",
    "Ximena",
    "Yusuf",
    "Zofia",
)
# more, most; less, least
_MEASURES = (
    ("taller", "tallest", "shorter", "shortest"),
    ("older", "oldest", "younger", "youngest"),
    ("faster", "fastest", "slower", "slowest"),
    ("heavier", "heaviest", "lighter", "lightest"),
    ("richer", "richest", "poorer", "poorest"),
)
_PLACES = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")


def ordering(rng: Rng, difficulty: int) -> Problem:
    """4 to 8 people, comparisons that leave exactly one order, and a question about it."""
    order = rng.sample(_PEOPLE, difficulty + 3)
    more, most, less, least = rng.choice(_MEASURES)
    last = len(order) - 1
    clues = {(place, place + 1) for place in range(last)}  # all neighbours: one order only
    for _ in range(rng.below(difficulty + 1)):
        one, other = sorted(rng.sample(range(last + 1), 2))
        clues.add((one, other))
    shown = [
        f"{order[one]} is {more} than {order[other]}."
        if rng.flip()
        else f"{order[other]} is {less} than {order[one]}."
        for one, other in rng.shuffled(sorted(clues))
    ]
    steps = [
        f"Of those left, nobody is {more} than {name}: {_PLACES[place]} is {name}."
        for place, name in enumerate(order)
    ]
    whole = rng.flip()
    if whole:
        ask, target, asked = f"List them from {most} on.", ", ".join(order), "all"
    else:
        place = rng.below(last + 1)
        if rng.flip():
            ask = f"With the {most} as number 1, who is number {place + 1}?"
        else:
            ask = f"With the {least} as number 1, who is number {last - place + 1}?"
        target, asked = order[place], str(place)
    people = rng.shuffled(order)
    intro = rng.choice(("{} are compared.", "Here are {}.", "Compare {}.")).format(
        f"{', '.join(people[:-1])} and {people[-1]}"
    )
    return Problem(
        task="ordering",
        canonical=f"{sorted(clues)} {asked}",
        input=f"{intro} {' '.join(shown)} {ask}",
        target=target,
        cot="\n".join(steps),
    )
