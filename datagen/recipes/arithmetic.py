"""Arithmetic, worked out step by step: expressions of whole numbers, and bills with change."""

from __future__ import annotations

from dataclasses import dataclass

from datagen.recipes.problem import Problem
from datagen.rng import Rng

_LARGEST = 100_000  # products stay below, so that a step can be followed


@dataclass(frozen=True)
class _Node:
    """A number, or two nodes under an operator; `value` is never negative."""

    value: int
    operator: str = ""
    left: _Node | None = None
    right: _Node | None = None

    def text(self, outer: bool = True) -> str:
        if self.left is None or self.right is None:
            return str(self.value)
        text = f"{self.left.text(False)} {self.operator} {self.right.text(False)}"
        return text if outer else f"({text})"

    def canonical(self) -> str:
        """Equal for expressions that differ in the order of summands or factors only."""
        if self.left is None or self.right is None:
            return str(self.value)
        sides = [self.left.canonical(), self.right.canonical()]
        if self.operator in "+×":
            sides.sort()
        return f"({sides[0]}{self.operator}{sides[1]})"

    def steps(self) -> list[str]:
        if self.left is None or self.right is None:
            return []
        step = f"{self.left.value} {self.operator} {self.right.value} = {self.value}"
        return [*self.left.steps(), *self.right.steps(), step]


def expression(rng: Rng, difficulty: int) -> Problem:
    """An expression of 2 to 6 operations, the inner ones first."""
    node = _grow(rng, difficulty + 1)
    ask = rng.choice(
        [
            "Work out {}.",
            "What is {}?",
            "Calculate {}, one operation at a time.",
            "Find the value of {}.",
            "Evaluate: {}",
            "Do the sum in brackets first: {} = ?",
        ]
    )
    return Problem(
        task="expression",
        canonical=node.canonical(),
        input=ask.format(node.text()),
        target=str(node.value),
        cot="\n".join(node.steps()),
    )


def _grow(rng: Rng, operations: int) -> _Node:
    if operations == 0:
        return _Node(rng.between(2, 99))
    before = rng.below(operations)
    left, right = _grow(rng, before), _grow(rng, operations - 1 - before)
    operator = rng.choice("++--××÷")
    if operator == "×" and left.value * right.value <= _LARGEST:
        return _Node(left.value * right.value, "×", left, right)
    if operator == "÷" and (divisors := [d for d in range(2, 13) if left.value % d == 0]):
        divisor = rng.choice(divisors)
        return _Node(left.value // divisor, "÷", left, _Node(divisor))
    if operator == "-":
        larger, smaller = (left, right) if left.value >= right.value else (right, left)
        return _Node(larger.value - smaller.value, "-", larger, smaller)
    return _Node(left.value + right.value, "+", left, right)


_GOODS = (
    ("loaves of bread", 180, 520),
    ("bags of flour", 110, 390),
    ("jars of honey", 340, 990),
    ("boxes of tea", 220, 760),
    ("notebooks", 95, 640),
    ("pencils", 25, 180),
    ("light bulbs", 190, 870),
    ("candles", 80, 450),
    ("bars of soap", 120, 480),
    ("tins of paint", 890, 3200),
    ("rolls of tape", 130, 560),
    ("packs of screws", 210, 930),
    ("bottles of oil", 380, 1250),
    ("baskets of apples", 260, 780),
    ("wheels of cheese", 640, 2900),
    ("postcards", 45, 210),
)
_BUYERS = ("Ana", "Bo", "Chidi", "Dara", "Emil", "Farah", "Goran", "Hana", "Ines", "Joao", "Kofi", "Lena")
_NOTES = (500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)


def bill(rng: Rng, difficulty: int) -> Problem:
    """A bill of 1 to 5 positions in cents, paid with the next larger round sum: what is the change?"""
    positions = [
        (rng.between(2, 4 + 2 * difficulty), goods, rng.between(low, high))
        for goods, low, high in rng.sample(_GOODS, difficulty)
    ]
    sums = [count * price for count, _, price in positions]
    total = sum(sums)
    paid = next(note for note in _NOTES if note >= total)
    change = paid - total
    wares = "; ".join(f"{count} {goods} at {_money(price)} each" for count, goods, price in positions)
    buyer = rng.choice(_BUYERS)
    ask = rng.choice(
        [
            "{buyer} buys: {wares}. {buyer} pays with {paid}. How much change is due?",
            "On the bill of {buyer} stand: {wares}. {paid} are handed over. What is the change?",
            "A shop sells to {buyer}: {wares}. How much comes back from {paid}?",
        ]
    )
    steps = [f"{c} × {_money(p)} = {_money(c * p)}" for c, _, p in positions]
    if len(sums) > 1:
        steps.append(f"{' + '.join(map(_money, sums))} = {_money(total)}")
    steps.append(f"{_money(paid)} - {_money(total)} = {_money(change)}")
    return Problem(
        task="bill",
        canonical=f"{sorted((count, price) for count, _, price in positions)}",
        input=ask.format(buyer=buyer, wares=wares, paid=_money(paid)),
        target=_money(change),
        cot="\n".join(steps),
    )


def _money(cents: int) -> str:
    return f"${cents // 100}.{cents % 100:02d}"
