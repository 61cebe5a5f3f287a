"""The recipe `text/debate`: two sides argue over a claim about figures, and a judge computes the truth.

Whatever a side says is a true, computed statement; the side that is wrong cites figures that are right but
do not decide. The verdict follows from the judge's computation, never from who argued.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from datagen.recipes.problem import FamilyRecipe, Problem, upper
from datagen.rng import Rng

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July")
_ROUNDS = ("round 1", "round 2", "round 3", "round 4", "round 5", "round 6", "round 7")
_WEEKS = ("week 1", "week 2", "week 3", "week 4", "week 5", "week 6", "week 7")
_TOWNS = ("Velden", "Orlo", "Pesca", "Tarn", "Mirova", "Askel", "Brunn", "Cadiel", "Dorne", "Eskby", "Ravno")
_SHOPS = ("the mill shop", "the corner shop", "the market stall", "the harbour shop", "the station shop")
_TEAMS = ("Heron Club", "Otter Club", "Lynx Club", "Raven Club", "Badger Club", "Stork Club", "Marten Club")
_MUSEUMS = ("the glass museum", "the rail museum", "the sea museum", "the clock museum", "the salt museum")
_FARMS = ("Hill Farm", "Brook Farm", "Oak Farm", "Stone Farm", "Lake Farm", "Mill Farm", "Heath Farm")
# names, what the figures are, the periods, the largest figure
_DOMAINS: tuple[tuple[tuple[str, ...], str, tuple[str, ...], int], ...] = (
    (_TOWNS, "Rain in mm", _DAYS, 60),
    (_TOWNS, "Hours of sunshine", _MONTHS, 240),
    (_SHOPS, "Loaves sold", _DAYS, 180),
    (_SHOPS, "Parcels handed out", _WEEKS, 400),
    (_TEAMS, "Points scored", _ROUNDS, 90),
    (_MUSEUMS, "Visitors", _WEEKS, 900),
    (_FARMS, "Sacks of grain", _WEEKS, 250),
    (_FARMS, "Crates of fruit", _MONTHS, 500),
)


@dataclass(frozen=True)
class _Table:
    """Figures by name and period."""

    names: list[str]
    periods: list[str]
    rows: dict[str, list[int]]

    def total(self, name: str) -> int:
        return sum(self.rows[name])

    def sum_of(self, name: str) -> str:
        return f"the total of {name} is {' + '.join(map(str, self.rows[name]))} = {self.total(name)}"


@dataclass(frozen=True)
class _Claim:
    """A decidable sentence: what speaks for it, what against it, and the computation that decides."""

    text: str
    canonical: str
    true: bool
    for_: list[str]
    against: list[str]
    proof: list[str]


def _versus(table: _Table, one: str, other: str) -> tuple[list[str], list[str]]:
    """Period by period: where the first is ahead, and where it is not."""
    ahead, behind = [], []
    for period, a, b in zip(table.periods, table.rows[one], table.rows[other], strict=True):
        if a > b:
            ahead.append(f"{_when(period)}, {one} is ahead of {other} by {a} - {b} = {a - b}")
        else:
            behind.append(f"{_when(period)}, {one} is not ahead of {other}: {b} - {a} = {b - a}")
    return ahead, behind


def _total(rng: Rng, table: _Table) -> _Claim:
    one, other = rng.sample(table.names, 2)
    a, b = table.total(one), table.total(other)
    if (a > b) != rng.flip():
        one, other, a, b = other, one, b, a
    ahead, behind = _versus(table, one, other)
    return _Claim(
        text=rng.choice(
            (f"The total of {one} is larger than the total of {other}", f"In all, {one} is ahead of {other}")
        ),
        canonical=f"{sorted(table.rows[one])} {sorted(table.rows[other])}",
        true=a > b,
        for_=ahead,
        against=behind,
        proof=[table.sum_of(one), table.sum_of(other), f"{a} is {_compared(a, b)} {b}"],
    )


def _together(rng: Rng, table: _Table) -> _Claim:
    one, second, third = rng.sample(table.names, 3)
    if rng.flip():  # else the claim would seldom be true
        one, *_, third, second = sorted(table.names, key=table.total, reverse=True)
    a, b, c = table.total(one), table.total(second), table.total(third)
    ahead, behind = [], []
    for name in (second, third):
        more, less = _versus(table, one, name)
        ahead += more
        behind += less
    proof = [table.sum_of(name) for name in (one, second, third)]
    return _Claim(
        text=f"{one} has a larger total than {second} and {third} together",
        canonical=f"{sorted(table.rows[one])} {sorted((b, c))}",
        true=a > b + c,
        for_=ahead,
        against=behind,
        proof=[*proof, f"{b} + {c} = {b + c}", f"{a} is {_compared(a, b + c)} {b + c}"],
    )


def _threshold(rng: Rng, total: int, count: int) -> int:
    """A whole number near the mean, on either side of it with the same chance."""
    near = 1 + rng.below(max(2, total // count // 4))
    return max(1, total // count + (near if rng.flip() else 1 - near))


def _sides(table: _Table, name: str, limit: int) -> tuple[list[str], list[str]]:
    above, not_above = [], []
    for period, figure in zip(table.periods, table.rows[name], strict=True):
        if figure > limit:
            above.append(f"{_when(period)}, {name} is above {limit} by {figure} - {limit} = {figure - limit}")
        else:
            not_above.append(
                f"{_when(period)}, {name} is not above {limit}: {limit} - {figure} = {limit - figure}"
            )
    return above, not_above


def _mean(rng: Rng, table: _Table) -> _Claim:
    name = rng.choice(table.names)
    count, total = len(table.periods), table.total(name)
    limit = _threshold(rng, total, count)
    above, not_above = _sides(table, name, limit)
    return _Claim(
        text=f"The mean of {name} is above {limit}",
        canonical=f"{sorted(table.rows[name])} {limit}",
        true=total > limit * count,
        for_=above,
        against=not_above,
        proof=[
            table.sum_of(name),
            f"a mean of {limit} would make {limit} × {count} = {limit * count}",
            f"{total} is {_compared(total, limit * count)} {limit * count}",
        ],
    )


def _mostly(rng: Rng, table: _Table) -> _Claim:
    one, other = rng.sample(table.names, 2)
    ahead, behind = _versus(table, one, other)
    count, twice = len(table.periods), 2 * len(ahead)
    pairs = sorted(zip(table.rows[one], table.rows[other], strict=True))
    where = [p for p, a, b in zip(table.periods, table.rows[one], table.rows[other], strict=True) if a > b]
    return _Claim(
        text=f"{one} is ahead of {other} in more than half of the periods",
        canonical=f"{pairs}",
        true=twice > count,
        for_=ahead,
        against=behind,
        proof=[
            f"{one} is ahead of {other} in {len(where)} of {count} periods ({', '.join(where) or 'none'})",
            f"2 × {len(where)} = {twice}",
            f"{twice} is {_compared(twice, count)} {count}",
        ],
    )


def _spread(rng: Rng, table: _Table) -> _Claim:
    one, other = rng.sample(table.names, 2)
    high, low = max(table.rows[one]), min(table.rows[one])
    high2, low2 = max(table.rows[other]), min(table.rows[other])
    tops = [
        f"the largest figure of {one} is {high}",
        f"the smallest figure of {one} is {low}",
        f"the largest figure of {other} is {high2}",
        f"the smallest figure of {other} is {low2}",
    ]
    # A high top or a low bottom speaks for a wide spread of its owner.
    for_ = [tops[0] if high > high2 else tops[3], tops[1] if low < low2 else tops[2]]
    against = [top for top in tops if top not in for_]
    a, b = high - low, high2 - low2
    return _Claim(
        text=f"The figures of {one} are spread more widely, from smallest to largest, than those of {other}",
        canonical=f"{sorted(table.rows[one])} {sorted(table.rows[other])}",
        true=a > b,
        for_=for_,
        against=against,
        proof=[
            f"the spread of {one} is {high} - {low} = {a}",
            f"the spread of {other} is {high2} - {low2} = {b}",
            f"{a} is {_compared(a, b)} {b}",
        ],
    )


def _always(rng: Rng, table: _Table) -> _Claim:
    name = rng.choice(table.names)
    low = min(table.rows[name])
    limit = max(0, low - 1 - rng.below(5)) if rng.flip() else low + rng.below(8)
    above, not_above = _sides(table, name, limit)
    return _Claim(
        text=f"{name} is above {limit} in every period",
        canonical=f"{sorted(table.rows[name])} {limit}",
        true=low > limit,
        for_=above,
        against=not_above,
        proof=[f"the smallest figure of {name} is {low}", f"{low} is {_compared(low, limit)} {limit}"],
    )


def _rank(rng: Rng, table: _Table) -> _Claim:
    name = rng.choice(table.names)
    total = table.total(name)
    others = [other for other in table.names if other != name]
    larger = [other for other in others if table.total(other) > total]
    claimed = len(larger) if rng.flip() else rng.below(len(table.names))
    for_, against = [], []
    for other in others:
        ahead, behind = _versus(table, name, other)
        for_ += ahead
        against += behind
    count = ("no other has", "exactly one other has", "exactly two others have", "exactly three others have")
    return _Claim(
        text=f"{count[claimed]} a larger total than {name}",
        canonical=f"{sorted(table.rows[name])} {sorted(table.total(other) for other in others)} {claimed}",
        true=len(larger) == claimed,
        for_=for_ if claimed < 2 else against,
        against=against if claimed < 2 else for_,
        proof=[
            *(table.sum_of(each) for each in table.names),
            f"those with more than {total}: {', '.join(larger) or 'none'}",
        ],
    )


def _when(period: str) -> str:
    return f"on {period}" if period in _DAYS else f"in {period}"


def _compared(one: int, other: int) -> str:
    return "larger than" if one > other else "equal to" if one == other else "smaller than"


def _family(make: Callable[[Rng, _Table], _Claim], task: str) -> Callable[[Rng, int], Problem]:
    """Problems about one kind of claim."""

    def family(rng: Rng, difficulty: int) -> Problem:
        names, measure, periods, largest = rng.choice(_DOMAINS)
        chosen = rng.sample(names, min(4, 3 + difficulty // 4))
        count = 2 + difficulty
        # One of three has figures of another size, so that claims over sums of others can be true as well.
        scale = {name: largest * (3 if rng.below(3) == 0 else 1) for name in chosen}
        table = _Table(
            chosen,
            list(periods[:count]),
            {name: [rng.between(1, scale[name]) for _ in range(count)] for name in chosen},
        )
        claim = make(rng, table)
        rounds = 1 + (difficulty + 1) // 2
        return Problem(
            task=task,
            canonical=claim.canonical,
            input=_input(rng, measure, table, claim, rounds),
            target=f"The claim is {'true' if claim.true else 'false'}.",
            cot=_debate(rng, claim, rounds),
        )

    return family


def _input(rng: Rng, measure: str, table: _Table, claim: _Claim, rounds: int) -> str:
    lines = [
        f"{upper(name)}: {', '.join(f'{p} {n}' for p, n in zip(table.periods, figures, strict=True))}."
        for name, figures in table.rows.items()
    ]
    task = rng.choice(
        [
            "Argue both sides in {rounds}, citing computed figures, then judge.",
            "Debate this in {rounds}: one side for it, one against it. Then give the verdict.",
            "Let two sides debate in {rounds}, each with figures, and decide who is right.",
        ]
    )
    shown = "one round" if rounds == 1 else f"{rounds} rounds"
    return f"{measure}. {' '.join(lines)} Claim: {upper(claim.text)}. {task.format(rounds=shown)}"


def _debate(rng: Rng, claim: _Claim, rounds: int) -> str:
    """Rounds of partial facts; the last word of the right side, and the judge's, decide."""
    for_, against = rng.shuffled(claim.for_), rng.shuffled(claim.against)
    lines = []
    for number in range(rounds):
        lines.append(f"For: {_statement(for_, number)}")
        lines.append(f"Against: {_statement(against, number)}")
    verdict = "true" if claim.true else "false"
    lines.append(f"Judge: {'; '.join(claim.proof)}. So the claim is {verdict}.")
    return "\n".join(lines)


def _statement(facts: list[str], number: int) -> str:
    if number < len(facts):
        return f"{upper(facts[number])}."
    return f"No {'further ' if facts else ''}figure speaks for this side."


RECIPE = FamilyRecipe(
    "text/debate",
    "1",
    {
        "total": _family(_total, "total"),
        "together": _family(_together, "together"),
        "mean": _family(_mean, "mean"),
        "mostly": _family(_mostly, "mostly"),
        "spread": _family(_spread, "spread"),
        "always": _family(_always, "always"),
        "rank": _family(_rank, "rank"),
    },
    "two sides argue over figures, and a judge computes the truth",
)
