"""Sums and logic as tokens: the answers are true, alone, and on one side of the split."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from datagen.puzzles import logic, sums
from datagen.puzzles.limits import LOGIC_TOKENS

WORDS = LOGIC_TOKENS.split()
Clause = tuple[str, str, str]


def parsed(row: np.ndarray, names: int) -> tuple[list[Clause], list[str]]:
    """The clauses of a row and the words for its values, read from its tokens alone."""
    words = [WORDS[token] for token in row]
    said = [tuple(words[at : at + 3]) for at in range(0, 6 * names, 3)]
    return [clause for clause in said if clause != ("_", "_", "_")], words[6 * names :]  # type: ignore[misc]


def holds(clause: Clause, truth: dict[str, bool]) -> bool:
    left, join, right = clause
    one, two = (truth[side.lstrip("-")] != side.startswith("-") for side in (left, right))
    return {"or": one or two, "xor": one != two, "then": not one or two}[join]


def models(clauses: list[Clause], names: int) -> list[tuple[bool, ...]]:
    plain = "abcdef"[:names]
    every = itertools.product((False, True), repeat=names)
    return [truth for truth in every if all(holds(c, dict(zip(plain, truth, strict=True))) for c in clauses)]


@pytest.mark.parametrize("names", [5, 6])
def test_a_logic_puzzle_has_the_one_answer_and_needs_every_clause(names: int) -> None:
    made = logic.make(names, 3, 0, 40)
    for question, answer, count in zip(made["question"], made["answer"], made["clauses"], strict=True):
        clauses, blanks = parsed(question, names)
        assert blanks == ["_"] * names and len(clauses) == count
        same, values = parsed(answer, names)
        assert same == clauses
        assert models(clauses, names) == [tuple(value == "true" for value in values)]
        for left_out in range(len(clauses)):
            assert len(models(clauses[:left_out] + clauses[left_out + 1 :], names)) > 1
    joins = {clause[1] for row in made["question"] for clause in parsed(row, names)[0]}
    assert joins == {"or", "xor", "then"}


def test_logic_puzzles_share_a_key_where_they_are_one_under_names_and_negations_and_only_there() -> None:
    made = logic.make(5, 4, 0, 40)

    def least(question: np.ndarray) -> object:
        """The least form over all renamings and negations, each clause as the pairs of values it allows."""
        clauses = []
        for clause in parsed(question, 5)[0]:
            one, two = ("abcde".index(clause[side].lstrip("-")) for side in (0, 2))
            pairs = [
                (p, q)
                for p in (0, 1)
                for q in (0, 1)
                if holds(clause, {"abcde"[one]: p > 0, "abcde"[two]: q > 0})
            ]
            clauses.append((one, two, pairs))
        forms = []
        for order in itertools.permutations(range(5)):
            for turn in itertools.product((0, 1), repeat=5):
                form = []
                for one, two, pairs in clauses:
                    here, there = order[one], order[two]
                    allowed = {(p ^ turn[one], q ^ turn[two]) for p, q in pairs}
                    if here > there:
                        here, there, allowed = there, here, {(q, p) for p, q in allowed}
                    form.append((here, there, sum(1 << (2 * p + q) for p, q in allowed)))
                forms.append(tuple(sorted(form)))
        return min(forms)

    forms = [least(question) for question in made["question"]]
    pairs = set(zip(forms, made["key"].tolist(), strict=True))
    assert len(pairs) == len(set(forms)) == len(set(made["key"].tolist())) < 40


def test_a_sum_is_true_its_carries_are_counted_and_its_blanks_alone_differ() -> None:
    made = sums.make(4, 5, 0, 400)
    for question, answer, carries in zip(made["question"], made["answer"], made["carries"], strict=True):
        left, total = sums.text(answer).split("=")
        one, two = (int(number) for number in left.split("+"))
        assert one + two == int(total) and sums.text(question) == f"{left}=_____"
        assert carries == (digits(one) + digits(two) - digits(one + two)) // 9
    assert set(made["carries"].tolist()) == {0, 1, 2, 3, 4}


def digits(number: int) -> int:
    """The sum of the digits: each carry takes nine away."""
    return sum(map(int, str(number)))


def test_a_sum_is_on_one_side_whatever_the_order_of_its_numbers_and_however_they_are_written() -> None:
    sides: dict[tuple[int, int], set[int]] = {}
    orders = set()
    for width, seed in ((2, 1), (2, 2), (3, 1)):
        made = sums.make(width, seed, 0, 8000)
        assert 0.05 < made["split"].mean() < 0.15
        for question, side in zip(made["question"], made["split"].tolist(), strict=True):
            one, two = map(int, sums.text(question).split("=")[0].split("+"))
            orders.add((one, two))
            sides.setdefault((min(one, two), max(one, two)), set()).add(side)
    assert any((two, one) in orders for one, two in orders if one != two)
    assert all(len(each) == 1 for each in sides.values())
