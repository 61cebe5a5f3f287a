"""Solves a row from its text alone, by other means than the recipe's.

Each solver returns the answer and a canonical form: equal for problems that differ in wording, names or
order only. The recipes share no code with this file.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

Solved = tuple[str, Any]
_OPERATORS: dict[type, Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def value(text: str) -> Fraction:
    """The exact value of a sum as people write it."""

    def walk(node: ast.expr) -> Fraction:
        if isinstance(node, ast.Constant):
            return Fraction(str(node.value))
        assert isinstance(node, ast.BinOp), text
        return _OPERATORS[type(node.op)](walk(node.left), walk(node.right))

    plain = text.replace("×", "*").replace("÷", "/").replace("$", "")
    return walk(ast.parse(plain.strip(), mode="eval").body)


def false_equations(text: str) -> list[str]:
    """Each `... = number` in a text whose two sides differ."""
    wrong = []
    units = r"(?: (?:mm|cm|m|km|g|kg|t|mL|cL|L|s|min|h|B|kB|MB)\b)?"
    number = r"\$?\d+(?:\.\d+)?" + units
    for match in re.finditer(rf"({number}(?: [-+×÷] {number})+) = ({number})", text):
        left, right = (re.sub(r" [A-Za-z]+", "", side) for side in match.groups())
        if value(left) != value(right):
            wrong.append(match.group(0))
    return wrong


def expression(text: str) -> Solved:
    found = re.search(r"[\d(][\d()+×÷ -]*[\d)]", text.replace("Do the sum in brackets first", ""))
    assert found
    plain = found.group(0).replace("×", "*").replace("÷", "/")

    def form(node: ast.expr) -> str:
        if isinstance(node, ast.Constant):
            return str(node.value)
        assert isinstance(node, ast.BinOp)
        sides = [form(node.left), form(node.right)]
        if isinstance(node.op, ast.Add | ast.Mult):
            sides.sort()
        return f"({sides[0]} {type(node.op).__name__} {sides[1]})"

    answer = value(found.group(0))
    assert answer.denominator == 1
    return str(answer), form(ast.parse(plain, mode="eval").body)


def bill(text: str) -> Solved:
    lines = [(int(n), Decimal(p)) for n, p in re.findall(r"(\d+) [a-z ]+ at \$(\d+\.\d\d) each", text)]
    (paid,) = set(re.findall(r"\$(\d+\.\d\d)(?! each)", text))
    change = Decimal(paid) - sum(n * p for n, p in lines)
    return f"${change}", sorted(lines)


def formula(text: str) -> Solved:
    known = {name: word == "true" for name, word in re.findall(r"\b([a-z]) is (true|false)", text)}
    body = re.split(r"true or false: |value of: |Evaluate: |holds: ", text)[-1].rstrip("?")

    def form(node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return str(known[node.id])
        if isinstance(node, ast.UnaryOp):
            return f"(not {form(node.operand)})"
        assert isinstance(node, ast.BoolOp)
        # `a or b or c` never stands without brackets, so two sides are all there is
        return f"({type(node.op).__name__} {' '.join(sorted(map(form, node.values)))})"

    tree = ast.parse(body, mode="eval").body
    return str(eval(body, {"__builtins__": {}}, known)).lower(), form(tree)


def deduction(text: str) -> Solved:
    rules = re.findall(r"Every (\w+) is a (\w+)\.", text) + re.findall(r"Each (\w+) is also a (\w+)\.", text)
    rules += re.findall(r"All (\w+)s are (\w+)s\.", text)
    (first, last), *_ = re.findall(r"that every (\w+) is a (\w+)\?", text)
    closure = set(rules)
    while more := {(a, d) for a, b in closure for c, d in closure if b == c} - closure:
        closure |= more
    # no form: telling graphs apart by trying every renaming takes too long
    return ("yes" if (first, last) in closure else "no"), None


_SIZES = {
    "mm": 1, "cm": 10, "m": 1000, "km": 10**6, "g": 1, "kg": 1000, "t": 10**6, "mL": 1, "cL": 10, "L": 1000,
    "s": 1, "min": 60, "h": 3600, "B": 1, "kB": 1000, "MB": 10**6,
}  # fmt: skip


def units(text: str) -> Solved:
    amounts = [
        (int(n), unit) for n, unit in re.findall(r"(\d+) (mm|cm|km|kg|mL|cL|min|kB|MB|[mgtLshB])\b", text)
    ]
    found = re.search(r"total in (\w+)|How many (\w+)|sum in (\w+)", text)
    assert found
    unit = next(filter(None, found.groups()))
    total = Fraction(sum(n * _SIZES[u] for n, u in amounts), _SIZES[unit])
    return f"{total} {unit}", sorted(amounts)


def journey(text: str) -> Solved:
    legs = [(int(m), int(v)) for m, v in re.findall(r"(\d+) min at (\d+) km/h", text)]
    total = sum(Decimal(m) * v / 60 for m, v in legs)
    return f"{total.normalize():f} km", sorted(legs)


_DATE = r"\d{1,2} [A-Z][a-z]+ \d{4}"


def _date(text: str) -> date:
    return datetime.strptime(text, "%d %B %Y").date()


def _spoken(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def later(text: str) -> Solved:
    begin = _date(re.findall(_DATE, text)[0])
    (days,) = (int(n) for n in re.findall(r"\b(\d+)\b", re.sub(_DATE, "", text).replace("day 0", "")))
    return _spoken(begin + timedelta(days=days)), (begin, days)


def between(text: str) -> Solved:
    begin, end = map(_date, re.findall(_DATE, text))
    return f"{(end - begin).days} days", (begin, end)


def weekday(text: str) -> Solved:
    begin = _date(re.findall(_DATE, text)[0])
    known = re.findall(r"\b([A-Z][a-z]+day)\b", text)
    assert set(known) == {f"{begin:%A}"}, "the given weekday is wrong"
    (days, word), *_ = re.findall(r"(\d+) days (before|after)", text)
    signed = int(days) * (-1 if word == "before" else 1)
    return f"{begin + timedelta(days=signed):%A}", (begin.weekday(), signed)


_LESS = {
    "shorter": "taller",
    "younger": "older",
    "slower": "faster",
    "lighter": "heavier",
    "poorer": "richer",
}


def ordering(text: str) -> Solved:
    clues = set()
    for one, word, other in re.findall(r"(\w+) is (\w+) than (\w+)\.", text):
        clues.add((other, one) if word in _LESS else (one, other))
    people = sorted({name for clue in clues for name in clue})
    # every order that fits all clues, by trying the possible next person each time
    orders: list[list[str]] = [[]]
    for _ in people:
        orders = [
            [*order, name]
            for order in orders
            for name in people
            if name not in order and all(a in order for a, b in clues if b == name)
        ]
    (order,) = orders  # exactly one
    ranks = sorted((order.index(a), order.index(b)) for a, b in clues)
    if "List them" in text:
        return ", ".join(order), (ranks, "all")
    (end, number), *_ = re.findall(r"With the (\w+) as number 1, who is number (\d+)", text)
    least = end in ("shortest", "youngest", "slowest", "lightest", "poorest")
    place = len(order) - int(number) if least else int(number) - 1
    return order[place], (ranks, place)


SOLVERS: dict[str, Callable[[str], Solved]] = {
    solver.__name__: solver
    for solver in (expression, bill, formula, deduction, units, journey, later, between, weekday, ordering)
}


def walk_house(text: str, target: str) -> str | None:
    """Carry out a plan in the house that the text describes; what goes wrong, or None."""
    actor_in = re.search(r"[\w ]+ is in the ([a-z ]+)\.", text)
    assert actor_in
    here = actor_in.group(1)
    lies = dict(re.findall(r"The ([a-z ]+) lies in the ([a-z ]+)\.", text))
    doors: dict[frozenset[str], str | None] = {}
    for one, other, key in re.findall(
        r"The ([a-z ]+?) is next to the ([a-z ]+?)(?: behind a locked door that the ([a-z ]+) opens)?\.", text
    ):
        doors[frozenset((one, other))] = key or None
    wanted = re.search(r"bring (the [a-z ,]+? to the [a-z ,]+?)(?:\.|\?)", text)
    assert wanted
    parts = re.split(r"(?:,| and) (?=the )", wanted.group(1))
    goals = [part.removeprefix("the ").split(" to the ") for part in parts]
    carried: set[str] = set()
    lines = target.split("\n")[1:]
    _check_numbers(lines)
    for line in lines:
        if not line.startswith("  "):
            continue
        action = line.split(" ", 3)[3]
        if found := re.fullmatch(r"Go from the ([a-z ]+) to the ([a-z ]+)\.", action):
            one, other = found.groups()
            if one != here or frozenset((one, other)) not in doors:
                return f"no way: {action}"
            if doors[frozenset((one, other))]:
                return f"locked: {action}"
            here = other
        elif found := re.fullmatch(
            r"Unlock the door between the ([a-z ]+) and the ([a-z ]+) with the ([a-z ]+)\.", action
        ):
            one, other, key = found.groups()
            if here not in (one, other) or key not in carried or doors[frozenset((one, other))] != key:
                return f"can't: {action}"
            doors[frozenset((one, other))] = None
        elif found := re.fullmatch(r"Take the ([a-z ]+)\.", action):
            if lies.pop(found.group(1), None) != here:
                return f"not here: {action}"
            carried.add(found.group(1))
        elif found := re.fullmatch(r"Put down the ([a-z ]+)\.", action):
            if found.group(1) not in carried:
                return f"not carried: {action}"
            carried.remove(found.group(1))
            lies[found.group(1)] = here
        else:
            return f"unknown: {action}"
    for thing, room in goals:
        if lies.get(thing) != room:
            return f"the {thing} is not in the {room}"
    return None


def make_things(text: str, target: str) -> str | None:
    """Carry out a plan in the workshop that the text describes; what goes wrong, or None."""
    needs: dict[str, dict[str, int]] = {}
    for pattern in (
        r"To make one ([a-z ]+), take ([^.]+)\.",
        r"One ([a-z ]+?) is made of ([^.]+)\.",
        r"One ([a-z ]+?) needs ([^.]+)\.",
    ):
        for name, parts in re.findall(pattern, text):
            needs[name] = {_one(p): int(n) for n, p in re.findall(r"(\d+) ([a-z ]+?)(?:,| and|$)", parts)}
    found = re.search(r"(?:to|Goal:) make (\d+) ([a-z ]+?)[.?]", text)
    assert found
    wanted = {_one(found.group(2)): int(found.group(1))}
    store: dict[str, int] = {}
    hand: dict[str, int] = {}
    lines = target.split("\n")[1:]
    _check_numbers(lines)
    for line in lines:
        if not line.startswith("  "):
            continue
        action = line.split(" ", 3)[3]
        if found := re.fullmatch(r"Take (\d+) ([a-z ]+?) (from the store|that were made)\.", action):
            count, name = int(found.group(1)), _one(found.group(2))
            if (name in needs) != (found.group(3) == "that were made"):
                return f"from the wrong place: {action}"
            if name in needs:
                store[name] = store.get(name, 0) - count
                if store[name] < 0:
                    return f"not made yet: {action}"
            hand[name] = hand.get(name, 0) + count
        elif found := re.fullmatch(r"Assemble (\d+) ([a-z ]+)\.", action):
            count, name = int(found.group(1)), _one(found.group(2))
            if hand != {part: each * count for part, each in needs[name].items()}:
                return f"wrong parts: {action}"
            hand = {}
            store[name] = store.get(name, 0) + count
        else:
            return f"unknown: {action}"
    left = {name: count for name, count in store.items() if count}
    return None if left == wanted and not hand else f"left over: {left} {hand}"


def _one(name: str) -> str:
    return name[:-2] if name.endswith("sses") else name if name.endswith("ss") else name.removesuffix("s")


def _check_numbers(lines: list[str]) -> None:
    step = place = 0
    for line in lines:
        if line.startswith("  "):
            place += 1
            assert line.startswith(f"  {step}.{place} "), line
        else:
            step, place = step + 1, 0
            assert line.startswith(f"{step}. "), line


def judge(text: str) -> bool:
    """Whether the claim of a debate is true, from the table in its text."""
    table, claim = text.split(" Claim: ")
    claim = re.split(r"\. (?:Argue|Debate|Let two)", claim)[0]
    rows: dict[str, list[int]] = {}
    for name, figures in re.findall(r"([A-Z][A-Za-z ]+): ([^.]+)\.", table):
        rows[name.strip().lower()] = [int(cell.rsplit(" ", 1)[1]) for cell in figures.split(", ")]
    claim = claim.lower()
    names = "|".join(map(re.escape, rows))
    totals = {name: sum(figures) for name, figures in rows.items()}

    def match(pattern: str) -> tuple[str, ...] | None:
        found = re.fullmatch(pattern.replace("NAME", f"({names})"), claim)
        return found.groups() if found else None

    if m := match("the total of NAME is larger than the total of NAME") or match(
        "in all, NAME is ahead of NAME"
    ):
        return totals[m[0]] > totals[m[1]]
    if m := match("NAME has a larger total than NAME and NAME together"):
        return totals[m[0]] > totals[m[1]] + totals[m[2]]
    if m := match(r"the mean of NAME is above (\d+)"):
        return Fraction(totals[m[0]], len(rows[m[0]])) > int(m[1])
    if m := match("NAME is ahead of NAME in more than half of the periods"):
        ahead = [a > b for a, b in zip(rows[m[0]], rows[m[1]], strict=True)]
        return sum(ahead) > len(ahead) / 2
    if m := match("the figures of NAME are spread more widely, from smallest to largest, than those of NAME"):
        one, other = (max(rows[name]) - min(rows[name]) for name in m)
        return one > other
    if m := match(r"NAME is above (\d+) in every period"):
        return all(figure > int(m[1]) for figure in rows[m[0]])
    if m := match("(no|exactly one|exactly two|exactly three) others? ha(?:s|ve) a larger total than NAME"):
        larger = sum(total > totals[m[1]] for total in totals.values())
        return larger == ("no", "one", "two", "three").index(m[0].removeprefix("exactly "))
    raise AssertionError(f"unknown claim: {claim}")


def false_statements(text: str, cot: str) -> list[str]:
    """Statements of the debaters that the table does not bear out."""
    rows: dict[str, dict[str, int]] = {}
    for name, figures in re.findall(r"([A-Z][A-Za-z ]+): ([^.]+)\.", text.split(" Claim: ")[0]):
        cells = (cell.rsplit(" ", 1) for cell in figures.split(", "))
        rows[name.strip().lower()] = {period.lower(): int(n) for period, n in cells}
    names = "|".join(map(re.escape, rows))
    wrong = []
    for line in cot.lower().split("\n"):
        if line.startswith("judge:") or "figure speaks for this side" in line:
            continue
        body = line.split(": ", 1)[1].removesuffix(".")
        if m := re.fullmatch(
            rf"[io]n ([\w ]+), ({names}) is ahead of ({names}) by (\d+) - (\d+) = \d+", body
        ):
            a, b = rows[m[2]][m[1]], rows[m[3]][m[1]]
            good = a > b and (a, b) == (int(m[4]), int(m[5]))
        elif m := re.fullmatch(
            rf"[io]n ([\w ]+), ({names}) is not ahead of ({names}): (\d+) - (\d+) = \d+", body
        ):
            a, b = rows[m[2]][m[1]], rows[m[3]][m[1]]
            good = a <= b and (b, a) == (int(m[4]), int(m[5]))
        elif m := re.fullmatch(rf"[io]n ([\w ]+), ({names}) is above (\d+) by (\d+) - (\d+) = \d+", body):
            a = rows[m[2]][m[1]]
            good = a > int(m[3]) and (a, m[3]) == (int(m[4]), m[5])
        elif m := re.fullmatch(rf"[io]n ([\w ]+), ({names}) is not above (\d+): (\d+) - (\d+) = \d+", body):
            a = rows[m[2]][m[1]]
            good = a <= int(m[3]) and (m[3], a) == (m[4], int(m[5]))
        elif m := re.fullmatch(rf"the (largest|smallest) figure of ({names}) is (\d+)", body):
            pick = max if m[1] == "largest" else min
            good = pick(rows[m[2]].values()) == int(m[3])
        else:
            good = False
        if not good:
            wrong.append(line)
    return wrong
