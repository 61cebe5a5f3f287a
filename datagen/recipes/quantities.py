"""Units and dates, worked out step by step."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction

from datagen.recipes.problem import Problem
from datagen.rng import Rng

# Each dimension: its units from small to large, in multiples of the smallest, and things that have it.
_DIMENSIONS: tuple[tuple[tuple[tuple[str, int], ...], tuple[str, ...]], ...] = (
    (
        (("mm", 1), ("cm", 10), ("m", 1000), ("km", 1_000_000)),
        ("pieces of rope", "planks", "cables", "ribbons", "pipes", "stretches of road"),
    ),
    ((("g", 1), ("kg", 1000), ("t", 1_000_000)), ("parcels", "sacks", "crates", "stones", "loads of sand")),
    ((("mL", 1), ("cL", 10), ("L", 1000)), ("bottles", "buckets", "tanks", "jugs", "barrels")),
    ((("s", 1), ("min", 60), ("h", 3600)), ("recordings", "meetings", "shifts", "films", "lessons")),
    ((("B", 1), ("kB", 1000), ("MB", 1_000_000)), ("files", "messages", "images", "logs", "backups")),
)


def units(rng: Rng, difficulty: int) -> Problem:
    """Amounts in mixed units of one dimension, added up in the smallest unit among them."""
    dimension, things = rng.choice(_DIMENSIONS)
    size = dict(dimension)
    amounts = [(rng.between(2, 99), rng.choice(dimension)[0]) for _ in range(difficulty + 1)]
    smallest = min((unit for _, unit in amounts), key=lambda unit: size[unit])
    parts, steps = [], []
    for number, unit in amounts:
        factor = size[unit] // size[smallest]
        parts.append(number * factor)
        if factor > 1:
            steps.append(f"{number} {unit} = {number} × {factor} {smallest} = {number * factor} {smallest}")
    total = sum(parts)
    steps.append(f"{' + '.join(map(str, parts))} = {total}")
    ask = rng.choice(
        [
            "Add up these {things}: {list}. Give the total in {unit}.",
            "How many {unit} do these {things} make together: {list}?",
            "There are {things} of {list}. What is their sum in {unit}?",
        ]
    )
    shown = ", ".join(f"{number} {unit}" for number, unit in amounts)
    return Problem(
        task="units",
        canonical=f"{sorted(amounts)}",
        input=ask.format(things=rng.choice(things), list=shown, unit=smallest),
        target=f"{total} {smallest}",
        cot="\n".join(steps),
    )


_VEHICLES = ("train", "lorry", "ferry", "cyclist", "bus", "drone", "sailing boat", "van", "tram", "courier")


def journey(rng: Rng, difficulty: int) -> Problem:
    """Legs at constant speed: how far in all, in km?"""
    vehicle = rng.choice(_VEHICLES)
    legs = [(rng.between(1, 60) * 3, rng.between(3, 75) * 4) for _ in range(1 + difficulty // 2)]
    lengths = [Fraction(speed * minutes, 60) for speed, minutes in legs]
    steps = []
    for (speed, minutes), length in zip(legs, lengths, strict=True):
        steps.append(f"{speed} × {minutes} = {speed * minutes}")
        steps.append(f"{speed * minutes} ÷ 60 = {_plain(length)}")
    total = sum(lengths, Fraction())
    if len(lengths) > 1:
        steps.append(f"{' + '.join(map(_plain, lengths))} = {_plain(total)}")
    shown = ", then ".join(f"{minutes} min at {speed} km/h" for speed, minutes in legs)
    ask = rng.choice(
        [
            "A {vehicle} goes {shown}. How many km is that?",
            "How far in km does a {vehicle} come in {shown}?",
            "A {vehicle} is on its way: {shown}. Give the distance in km.",
        ]
    )
    return Problem(
        task="journey",
        canonical=f"{sorted(legs)}",
        input=ask.format(vehicle=vehicle, shown=shown),
        target=f"{_plain(total)} km",
        cot="\n".join(steps),
    )


def _plain(number: Fraction) -> str:
    """A finite decimal fraction, exactly. Speeds are multiples of 3, times of 4: fifths are the worst."""
    tenths = number * 10
    assert tenths.denominator == 1
    whole, rest = divmod(tenths.numerator, 10)
    return f"{whole}.{rest}" if rest else str(whole)


# English whatever the locale, unlike the names of `calendar`.
_MONTHS: tuple[str, ...] = ("January", "February", "March", "April", "May", "June", "July", "August")
_MONTHS += ("September", "October", "November", "December")
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def later(rng: Rng, difficulty: int) -> Problem:
    """The date so many days after another, month by month."""
    begin, days = _day(rng), rng.between(10, 60) * difficulty + rng.below(30)
    steps, at, left = [], begin, days
    while left > (rest := _days_left(at)):
        after = at + timedelta(days=rest + 1)
        steps.append(
            f"{_text(at)} to {_text(after)}: {rest + 1} days, {left} - {rest + 1} = {left - rest - 1}"
        )
        at, left = after, left - rest - 1
    end = at + timedelta(days=left)
    steps.append(f"{_text(at)} and {left} days more: {_text(end)}")
    ask = rng.choice(
        [
            "Which date is {days} days after {begin}?",
            "A loan of {days} days begins on {begin}. On which date does it end?",
            "Counting {days} days on from {begin}, which date is reached?",
            "{begin} is day 0. Which date is day {days}?",
        ]
    )
    return Problem(
        task="later",
        canonical=f"{begin.isoformat()}+{days}",
        input=ask.format(days=days, begin=_text(begin)),
        target=_text(end),
        cot="\n".join(steps),
    )


def between(rng: Rng, difficulty: int) -> Problem:
    """The number of days from one date to another, month by month."""
    begin = _day(rng)
    end = begin + timedelta(days=rng.between(10, 60) * difficulty + rng.below(30))
    steps, parts, at = [], [], begin
    while (at.year, at.month) != (end.year, end.month):
        after = at + timedelta(days=_days_left(at) + 1)
        parts.append((after - at).days)
        steps.append(f"{_text(at)} to {_text(after)}: {parts[-1]} days")
        at = after
    if at != end or not parts:
        parts.append((end - at).days)
        steps.append(f"{_text(at)} to {_text(end)}: {parts[-1]} days")
    total = (end - begin).days
    if len(parts) > 1:
        steps.append(f"{' + '.join(map(str, parts))} = {total}")
    ask = rng.choice(
        [
            "How many days are there from {begin} to {end}?",
            "A job runs from {begin} to {end}. How many days is that, not counting the first?",
            "Count the days from {begin} to {end}.",
        ]
    )
    return Problem(
        task="between",
        canonical=f"{begin.isoformat()}..{end.isoformat()}",
        input=ask.format(begin=_text(begin), end=_text(end)),
        target=f"{total} days",
        cot="\n".join(steps),
    )


def weekday(rng: Rng, difficulty: int) -> Problem:
    """The weekday so many days after or before a date whose weekday is given."""
    begin, days, back = _day(rng), rng.between(8, 90) * difficulty + rng.below(7), rng.flip()
    known, rest = begin.weekday(), days % 7
    answer = _WEEKDAYS[(known - rest if back else known + rest) % 7]
    word = "before" if back else "after"
    steps = [
        f"{days} = {days // 7} × 7 + {rest}",
        f"whole weeks change nothing: {rest} days {word} {_WEEKDAYS[known]} is {answer}",
    ]
    ask = rng.choice(
        [
            "{begin} is a {known}. Which weekday is {days} days {word} it?",
            "If {begin} falls on a {known}, what weekday is it {days} days {word} that?",
            "Knowing that {begin} is a {known}, name the weekday {days} days {word} it.",
        ]
    )
    return Problem(
        task="weekday",
        canonical=f"{known},{'-' if back else '+'}{days}",
        input=ask.format(begin=_text(begin), known=_WEEKDAYS[known], days=days, word=word),
        target=answer,
        cot="\n".join(steps),
    )


def _day(rng: Rng) -> date:
    return date(1900, 1, 1) + timedelta(days=rng.below(292 * 365))


def _days_left(day: date) -> int:
    """Days of this month after this one."""
    following = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return (following - day).days - 1


def _text(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
