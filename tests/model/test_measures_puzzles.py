"""What is measured of answers: each measure on a case made by hand, and on one that it must fail."""

from __future__ import annotations

import math

import pytest

np = pytest.importorskip("numpy")
from model.measures import calibration, solve  # noqa: E402

ANSWER = np.array([[1, 2, 3, 4], [4, 3, 2, 1]])


def test_one_wrong_cell_is_no_solution() -> None:
    said = np.array([[1, 2, 3, 4], [4, 3, 2, 2]])
    assert solve.exact(said, ANSWER) == 0.5
    assert solve.cells(said, ANSWER) == 7 / 8
    assert solve.solved(said, ANSWER).tolist() == [True, False]


def test_given_cells_can_be_left_out_of_cell_accuracy() -> None:
    question = np.array([[1, 0, 0, 4], [0, 3, 2, 1]])
    asked = solve.asked_cells(question, ANSWER)
    assert asked.sum() == 3
    assert solve.cells(question, ANSWER, asked) == 0  # giving the question back solves nothing
    assert solve.cells(question, ANSWER) > 0.6
    assert solve.cells(ANSWER, ANSWER, np.zeros_like(asked)) == 1


def test_random_answers_are_right_by_chance_alone() -> None:
    chance = np.random.default_rng(0)
    answer, said = chance.integers(1, 7, size=(2, 2000, 36))
    assert solve.exact(said, answer) == 0
    assert abs(solve.cells(said, answer) - 1 / 6) < 0.01


def test_answers_of_another_form_are_refused() -> None:
    with pytest.raises(ValueError, match="one form"):
        solve.exact(ANSWER[:, :3], ANSWER)
    with pytest.raises(ValueError, match="one form"):
        solve.exact(ANSWER[:0], ANSWER[:0])


def test_accuracy_is_told_by_step() -> None:
    steps = np.stack([ANSWER * 0, np.array([[1, 2, 3, 4], [0, 0, 0, 0]]), ANSWER])
    assert solve.by_step(steps, ANSWER) == [0, 0.5, 1]


def test_bins_of_guesses_hold_each_row_once_and_leave_out_empty_ones() -> None:
    guesses = np.array([0, 0, 1, 3, 4, 25, 19])
    found = solve.bins(guesses)
    assert {name: rows.sum() for name, rows in found.items()} == {
        "0": 2,
        "1-3": 2,
        "4-9": 1,
        "10-19": 1,
        "20+": 1,
    }
    assert sum(rows.astype(int) for rows in found.values()).tolist() == [1] * 7
    assert solve.bins(np.array([2, 2])).keys() == {"1-3"}


def test_auroc_of_perfect_reversed_blind_and_tied_scores() -> None:
    right = np.array([0, 0, 1, 1], dtype=bool)
    assert calibration.auroc(np.array([0.1, 0.2, 0.8, 0.9]), right) == 1
    assert calibration.auroc(np.array([0.9, 0.8, 0.2, 0.1]), right) == 0
    assert calibration.auroc(np.full(4, 0.3), right) == 0.5
    assert calibration.auroc(np.array([0.1, 0.5, 0.5, 0.9]), right) == pytest.approx(3.5 / 4)
    assert math.isnan(calibration.auroc(np.arange(3.0), np.ones(3, dtype=bool)))
    chance = np.random.default_rng(1)
    assert abs(calibration.auroc(chance.random(4000), chance.random(4000) < 0.3) - 0.5) < 0.04


def test_brier_and_calibration_error_punish_false_confidence() -> None:
    right = np.array([1, 0, 1, 0], dtype=bool)
    assert calibration.brier(right.astype(float), right) == 0
    assert calibration.brier(np.full(4, 0.5), right) == 0.25
    assert calibration.brier(1.0 - right, right) == 1
    assert calibration.calibration_error(np.full(4, 0.5), right) == 0
    assert calibration.calibration_error(np.full(4, 1.0), right) == 0.5
    chance = np.random.default_rng(2)
    honest = chance.random(20_000)
    happened = chance.random(20_000) < honest
    assert calibration.calibration_error(honest, happened) < 0.02
    assert calibration.calibration_error(honest**4, happened) > 0.1
