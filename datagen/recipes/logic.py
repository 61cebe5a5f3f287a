"""Logic, worked out step by step: formulas under an assignment, and what follows from rules."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from datagen.recipes.graphs import graph_form
from datagen.recipes.problem import Problem, listing
from datagen.rng import Rng

_LETTERS = "abcdefghjkmnpqrstuvwxyz"


@dataclass(frozen=True)
class _Formula:
    """A variable, or `not`, `and`, `or` over formulas, with its truth value."""

    operator: str
    parts: tuple[_Formula, ...]
    value: bool
    name: str = ""

    def text(self, outer: bool = True) -> str:
        if not self.parts:
            return self.name
        if self.operator == "not":
            return f"not {self.parts[0].text(False)}"
        text = f" {self.operator} ".join(part.text(False) for part in self.parts)
        return text if outer else f"({text})"

    def canonical(self) -> str:
        """Equal for formulas that differ in names or in the order of sides only."""
        if not self.parts:
            return "T" if self.value else "F"
        return f"({self.operator} {' '.join(sorted(part.canonical() for part in self.parts))})"

    def steps(self) -> list[str]:
        inner = [step for part in self.parts for step in part.steps()]
        if not self.parts:
            return inner
        words = [_word(part.value) for part in self.parts]
        shown = f"not {words[0]}" if self.operator == "not" else f" {self.operator} ".join(words)
        return [*inner, f"{self.text()}: {shown} = {_word(self.value)}"]


def formula(rng: Rng, difficulty: int) -> Problem:
    """The truth value of a formula of 3 to 7 connectives over 3 to 5 variables."""
    names = rng.sample(_LETTERS, min(5, 2 + difficulty))
    values = {name: rng.flip() for name in names}
    # Each variable once before any comes again: `p and p` teaches little.
    node = _formula(rng, difficulty + 2, itertools.cycle(rng.shuffled(names)), values)
    known = listing([f"{name} is {_word(values[name])}" for name in sorted(values)])
    ask = rng.choice(
        [
            "Let {known}. Is this true or false: {text}?",
            "Given that {known}, what is the truth value of: {text}?",
            "{known}. Evaluate: {text}",
            "Suppose {known}. Decide whether the formula holds: {text}",
        ]
    )
    return Problem(
        task="formula",
        canonical=node.canonical(),
        input=ask.format(known=known, text=node.text()),
        target=_word(node.value),
        cot="\n".join(node.steps()),
    )


def _formula(rng: Rng, connectives: int, names: Iterator[str], values: dict[str, bool]) -> _Formula:
    if connectives == 0:
        name = next(names)
        return _Formula("", (), values[name], name)
    operator = rng.choice(("and", "or", "and", "or", "not"))
    if operator == "not":
        part = _formula(rng, connectives - 1, names, values)
        return _Formula("not", (part,), not part.value)
    before = rng.below(connectives)
    left = _formula(rng, before, names, values)
    right = _formula(rng, connectives - 1 - before, names, values)
    both, either = left.value and right.value, left.value or right.value
    return _Formula(operator, (left, right), both if operator == "and" else either)


def _word(value: bool) -> str:
    return "true" if value else "false"


_STARTS = ("bl", "dr", "fl", "gr", "kl", "m", "n", "pr", "r", "sk", "t", "v", "w", "z")
_MIDDLES = ("a", "e", "i", "o", "u", "oo", "ee")
_ENDS = ("b", "ck", "d", "ft", "g", "lk", "lm", "mp", "n", "rk", "rn", "sp", "st", "t")


def deduction(rng: Rng, difficulty: int) -> Problem:
    """Rules `every A is a B`: does `every X is a Y` follow? Some do by a chain, some lack a link."""
    length = difficulty + 1
    count = length + 2 + difficulty
    kinds: list[str] = []
    while len(kinds) < count:
        kind = rng.choice(_STARTS) + rng.choice(_MIDDLES) + rng.choice(_ENDS)
        if kind not in kinds:
            kinds.append(kind)
    rules = {(i, i + 1) for i in range(length)}
    while len(rules) < length + difficulty + 1:
        one, other = sorted(rng.sample(range(count), 2))
        # A shortcut past the chain would make the missing link harmless.
        if not (one < length and other <= length):
            rules.add((one, other))
    first, last = 0, length
    if rng.flip():
        if rng.flip():
            missing = rng.below(length)
            rules.remove((missing, missing + 1))
        else:
            first, last = last, first
    path = _path(rules, first, last)
    shown = [
        rng.choice(("Every {} is a {}.", "All {}s are {}s.", "Each {} is also a {}.")).format(
            kinds[one], kinds[other]
        )
        for one, other in rng.shuffled(sorted(rules))
    ]
    ask = rng.choice(("Does it follow that every {} is a {}?", "Can one conclude that every {} is a {}?"))
    if path:
        chain = [f"Every {kinds[a]} is a {kinds[b]}." for a, b in itertools.pairwise(path)]
        steps = [*chain, f"So every {kinds[first]} is a {kinds[last]}."]
    else:
        reached = sorted(kinds[kind] for kind in _reachable(rules, first))
        steps = [
            f"From {kinds[first]} the rules lead to: {', '.join(reached) or 'nothing'}.",
            f"{kinds[last]} is not among them, so it does not follow.",
        ]
    return Problem(
        task="deduction",
        canonical=graph_form(rules, {first: "first", last: "last"}),
        input=f"{' '.join(shown)} {ask.format(kinds[first], kinds[last])} Answer yes or no.",
        target="yes" if path else "no",
        cot="\n".join(steps),
    )


def _path(rules: set[tuple[int, int]], first: int, last: int) -> list[int]:
    """The shortest chain from first to last, the smallest numbers first; empty when there is none."""
    queue, came_from = deque([first]), {first: first}
    while queue:
        node = queue.popleft()
        for one, other in sorted(rules):
            if one == node and other not in came_from:
                came_from[other] = node
                queue.append(other)
    if last not in came_from:
        return []
    path = [last]
    while path[-1] != first:
        path.append(came_from[path[-1]])
    return path[::-1]


def _reachable(rules: set[tuple[int, int]], first: int) -> set[int]:
    found, todo = set[int](), [first]
    while todo:
        node = todo.pop()
        for one, other in rules:
            if one == node and other not in found:
                found.add(other)
                todo.append(other)
    return found
