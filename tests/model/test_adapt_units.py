"""Which cells must differ is read from solved boards: what they support is found, and no more."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.errors import RequestError
from datagen.puzzles import ruled, sudoku
from model.adapt.units import discover

LINES = ruled.lines(6)
OWN = np.sort(np.concatenate((LINES, ruled.boxes(6, 2, 3))), 1)
KINDS = np.repeat([0, 1, 2], 6)
OTHER = np.concatenate((LINES, ruled.boxes(6, 3, 2)))
CROSSED = np.concatenate((OWN, ruled.diagonals(6)))


def _sets(units: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(sorted(unit)) for unit in units.tolist()}


def test_other_boxes_are_found_from_sixty_four_boards_and_the_old_ones_dropped() -> None:
    found = discover(ruled.make(OTHER, 6, 1, 0, 64)["answer"], 6, OWN, KINDS)
    assert _sets(found.units) == _sets(OTHER)
    assert (found.dropped, found.added) == (6, 6)
    assert found.kinds.tolist() == KINDS.tolist()


def test_diagonals_are_taken_up_beside_all_that_holds_and_what_follows_from_them_is_not() -> None:
    found = discover(ruled.make(CROSSED, 6, 1, 0, 64)["answer"], 6, OWN, KINDS)
    assert _sets(found.units) == _sets(CROSSED)


def test_boards_of_the_core_s_own_rule_teach_nothing() -> None:
    found = discover(ruled.make(OWN, 6, 1, 0, 64)["answer"], 6, OWN, KINDS)
    assert (found.dropped, found.added) == (0, 0) and np.array_equal(found.units, OWN)


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_a_few_boards_are_no_evidence_for_a_new_unit(count: int) -> None:
    assert discover(ruled.make(OTHER, 6, 1, 0, count)["answer"], 6, OWN, KINDS).added == 0


def test_boards_at_random_support_nothing() -> None:
    noise = np.random.default_rng(0).integers(1, 7, (64, 36)).astype(np.uint8)
    assert discover(noise, 6, OWN, KINDS).added == 0


def test_one_wrong_board_in_sixty_four_changes_nothing() -> None:
    answers = ruled.make(OTHER, 6, 1, 0, 64)["answer"].copy()
    answers[10] = np.random.default_rng(0).integers(1, 7, 36)
    assert _sets(discover(answers, 6, OWN, KINDS).units) == _sets(OTHER)


def test_a_board_made_under_a_rule_has_one_solution_as_another_solver_counts_it() -> None:
    made = ruled.make(OWN, 6, 3, 0, 40)
    assert set(sudoku.solutions(made["question"], 6).tolist()) == {1}
    assert all((np.sort(made["answer"][:, unit], 1) == np.arange(1, 7)).all() for unit in OWN)
    again = ruled.make(OWN, 6, 3, 20, 40)
    assert np.array_equal(again["question"], made["question"][20:])  # a row depends on its number alone


def test_a_rule_that_no_board_follows_is_refused() -> None:
    overlapping = np.array([[0, 1, 2, 3], [0, 1, 2, 4], [3, 4, 5, 6]])  # 3 and 4 hold one digit, and differ
    with pytest.raises(RequestError, match="no board"):
        ruled.make(overlapping, 4, 0, 0, 1)
    with pytest.raises(RequestError, match="units of 4 cells"):
        ruled.make(np.array([[0, 1, 2, 99]]), 4, 0, 0, 1)
