"""Reflection: variants mean the same, consistency is a share, calibration is monotone and told honestly."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import tiny_boards

from datagen.puzzles import sudoku
from model.hrm.board_part import BoardPart
from model.hrm.config import HrmConfig
from model.measures.calibration import calibration_error
from model.part import Cycle, Question
from model.reflect import calibration, heldout, look, variants


def rules_hold(grid: np.ndarray, high: int, wide: int) -> bool:
    """Whether a full grid is a Sudoku."""
    size = high * wide
    rows = grid.reshape(size, size)
    boxes = rows.reshape(wide, high, high, wide).transpose(0, 2, 1, 3).reshape(size, size)
    return all(sorted(line) == list(range(1, size + 1)) for part in (rows, rows.T, boxes) for line in part)


@pytest.mark.parametrize(("size", "high", "wide"), [(4, 2, 2), (6, 2, 3)])
def test_a_boards_variant_has_the_same_answer_seen_through_its_way_back(
    size: int, high: int, wide: int
) -> None:
    grid = {"rows": size, "columns": size, "box_rows": high, "box_columns": wide}
    config = HrmConfig.model_validate({"vocabulary": size + 1, "grid": grid, "augment": "sudoku"})
    shape = variants.shape_of(config)
    made = sudoku.make(size, 1, 0, 20, "any")
    for asked, answer in zip(made["question"].astype(np.int64), made["answer"].astype(np.int64), strict=True):
        found = variants.of_board(shape, asked, 6)
        assert len(found) == 6
        for each in found:
            cells = each.question.cells
            assert cells is not None and (cells == 0).sum() == (asked == 0).sum()
            turned = variants.of_board(shape, answer, 0)
            assert turned == []
            assert np.array_equal(each.back(cells), asked)
        solved = [each.back(np.asarray(each.question.cells)) for each in variants.of_board(shape, answer, 6)]
        assert all(np.array_equal(one, answer) for one in solved)
        for each in variants.of_board(shape, answer, 6):
            assert rules_hold(np.asarray(each.question.cells), high, wide)


def test_variants_differ_from_the_question_and_are_the_same_every_time() -> None:
    config = tiny_boards.config(augment="sudoku")
    asked = sudoku.make(4, 1, 0, 1, "any")["question"][0].astype(np.int64)
    one, two = (variants.of_board(variants.shape_of(config), asked, 3) for _ in range(2))
    for first, second in zip(one, two, strict=True):
        assert np.array_equal(np.asarray(first.question.cells), np.asarray(second.question.cells))
        assert not np.array_equal(np.asarray(first.question.cells), asked)


def test_a_maze_is_turned_and_never_renamed_and_an_unknown_board_is_left_alone() -> None:
    grid = {"rows": 3, "columns": 3}
    square = HrmConfig.model_validate({"vocabulary": 6, "blank": None, "grid": grid, "augment": "square"})
    cells = np.arange(9) % 6
    found = variants.of_board(variants.shape_of(square), cells, 9)
    assert len(found) == 7  # the eighth is the board itself
    assert all(sorted(np.asarray(each.question.cells)) == sorted(cells) for each in found)
    plain = HrmConfig.model_validate({"vocabulary": 6, "blank": None, "grid": grid})
    assert variants.of_board(variants.shape_of(plain), cells, 3) == []


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("is the red circle left of the star?", "is the star right of the red circle?"),
        ("is the ring above the cross?", "is the cross below the ring?"),
        ("is the star small or large?", "is the star large or small?"),
    ],
)
def test_other_words_mean_the_same_and_unknown_words_are_not_used(text: str, other: str) -> None:
    assert other in variants.paraphrases(text, lambda word: True)
    assert variants.paraphrases(text, lambda word: False) == []


def test_a_mirrored_picture_has_left_and_right_changed_in_question_and_answer() -> None:
    image = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
    asked = Question(image=image, text="where is the object on the left?")
    first = variants.of_scene(asked, lambda word: False, 1)[0]
    assert first.question.text == "where is the object on the right?"
    assert np.array_equal(np.asarray(first.question.image), image[:, ::-1])
    assert first.back("top right") == "top left" and first.back("red") == "red"


def test_agreement_is_a_share() -> None:
    one = np.array([1, 2, 3, 4])
    assert variants.agreement(one, [one, np.array([1, 2, 0, 0])]) == 0.75
    assert variants.agreement("red", ["red", "blue"]) == 0.5 and variants.agreement("red", []) == 1.0


def test_consistency_over_cycles_is_of_the_later_half() -> None:
    def cycles(*answers: str) -> list[Cycle]:
        return [Cycle(each, 0.1, None, 0.1) for each in answers]

    assert look.over_cycles(cycles("a", "b", "c", "c", "c")) == 1.0
    assert look.over_cycles(cycles("a", "a", "a", "b", "c")) == 0.0
    assert look.over_cycles(cycles("a")) == 1.0


def test_a_look_has_the_parts_own_answer_and_both_consistencies() -> None:
    part = BoardPart(tiny_boards.learner(augment="sudoku"))
    asked = [Question(cells=row.astype(np.int64)) for row in tiny_boards.fours()["question"][:5]]
    plain = part.answer(asked)
    for each, wanted in zip(look.look(part, asked, look.varying(part), trace=True), plain, strict=True):
        assert np.array_equal(each.answer.said, wanted.said)
        assert each.cycles is not None and each.variants is not None and each.asked == look.VARIANTS
    assert look.look(part, asked[:1])[0].features[1:] == (None, None)


# Calibration -----------------------------------------------------------------------------------------------


def drawn(rows: int, seed: int) -> tuple[list[calibration.Signs], np.ndarray]:
    """Signs of which the truth is known: too sure of itself by a factor of four."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0.5, 1.5, rows)
    right = rng.random(rows) < 1 / (1 + np.exp(-truth))
    shares = np.clip(1 / (1 + np.exp(-truth)) + rng.normal(0, 0.2, rows), 0, 1)
    return [(4 * float(s), float(c), float(c)) for s, c in zip(truth, shares, strict=True)], right


@pytest.mark.parametrize("seed", range(3))
def test_what_was_too_sure_is_calibrated_on_rows_it_was_not_fitted_on(seed: int) -> None:
    signs, right = drawn(6000, seed)
    fitted = calibration.fit(signs[:3000], right[:3000])
    said = np.array([fitted.probability(*each) for each in signs[3000:]])
    plain = np.array([calibration.Calibration().probability(each[0], None, None) for each in signs[3000:]])
    assert calibration_error(said, right[3000:], 15) <= 0.05 < calibration_error(plain, right[3000:], 15)
    told = calibration.measure(said, right[3000:], fitted.bound)
    assert told["kept"] is not None and told["accuracy"] is not None and told["kept"] > told["accuracy"]


def test_what_is_measured_of_a_fit_on_all_rows_is_of_rows_that_were_left_out() -> None:
    signs, right = drawn(1000, 4)
    rng = np.random.default_rng(0)
    noise = rng.random(1000) < 0.5  # nothing can be known of these: what fits them looks better than it is
    fitted, said = calibration.folded(signs, noise)
    own = np.array([fitted.probability(*each) for each in signs])
    apart, fooled = (calibration.measure(each, noise, 0.5)["auroc"] for each in (said, own))
    assert apart is not None and fooled is not None and apart < fooled
    fitted, said = calibration.folded(signs, right)
    assert fitted == calibration.fit(signs, right)
    assert calibration_error(said, right, 15) < 0.06
    with pytest.raises(ValueError, match="5 rows"):
        calibration.folded(signs[:4], right[:4])


def test_more_of_a_sign_never_makes_an_answer_less_likely() -> None:
    fitted = calibration.fit(*drawn(2000, 3))
    grid = np.linspace(-15, 15, 61)
    for cycles, shared in ((None, None), (0.5, 0.5), (None, 0.2)):
        row = [fitted.probability(float(each), cycles, shared) for each in grid]
        assert all(a <= b + 1e-12 for a, b in pairwise(row))
    row = [fitted.probability(1.0, None, float(each)) for each in np.linspace(0, 1, 21)]
    assert all(a <= b + 1e-12 for a, b in pairwise(row))


def test_a_sign_that_misleads_is_given_no_weight() -> None:
    rng = np.random.default_rng(0)
    right = rng.random(2000) < 0.6
    signs: list[calibration.Signs] = [(-3.0 if hit else 3.0, None, None) for hit in right]
    fitted = calibration.fit(signs, right)
    assert fitted.probability(3.0, None, None) == pytest.approx(
        fitted.probability(-3.0, None, None), abs=0.05
    )


@pytest.mark.parametrize("right", [np.ones(50, bool), np.zeros(50, bool)])
def test_where_all_are_right_or_all_wrong_nothing_is_certain(right: np.ndarray) -> None:
    fitted = calibration.fit([(float(n % 7), 1.0, 1.0) for n in range(50)], right)
    assert 0.0 < fitted.probability(2.0, 1.0, 1.0) < 1.0


def test_the_bound_stays_between_one_half_and_nine_in_ten() -> None:
    sure = calibration.fit([(8.0, 1.0, 1.0)] * 400, np.ones(400, bool))
    assert sure.bound == calibration.MOST_BOUND
    doubtful = calibration.fit([(-4.0, 0.1, 0.1)] * 400, np.zeros(400, bool))
    assert doubtful.bound == calibration.LEAST_BOUND


def test_a_calibration_is_the_same_read_from_its_json_with_figures_beside_it() -> None:
    signs, right = drawn(1000, 1)
    fitted = calibration.fit(signs, right)
    again = calibration.parse(json.loads(json.dumps(fitted.body() | {"ece": 0.01, "rows": 5})))
    for each in signs[:50]:
        assert again.probability(*each) == fitted.probability(*each)
    assert again.bound == fitted.bound and again.fitted and not calibration.parse(None).fitted


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"bound": 7},
        {"curves": {}},
        {"curves": {"sure": {"weights": [-1.0], "bias": 0.0, "knots": [[0, 0.5]]}}},
        {"curves": {"sure": {"weights": [1.0], "bias": 0.0, "knots": [[0, 0.5], [1, 0.4]]}}},
        {"curves": {"sure": {"weights": [1.0], "bias": 0.0, "knots": [[0, 1.5]]}}},
        {"curves": {"sure": {"weights": [1.0, 2.0], "bias": 0.0, "knots": [[0, 0.5]]}}},
        {"curves": {"sure": {"weights": [1.0], "bias": 0.0, "knots": []}}},
        {"curves": {"sure": "x"}},
        {"curves": 3},
    ],
)
def test_a_calibration_that_is_none_is_refused(change: dict[str, object]) -> None:
    body = calibration.fit(*drawn(200, 1)).body()
    with pytest.raises(calibration.BrokenCalibration):
        calibration.parse(body | change)


def test_calibration_error_is_of_as_many_bins_as_are_asked_for() -> None:
    said, right = np.array([0.52, 0.58]), np.array([False, True])
    assert calibration_error(said, right) == pytest.approx(0.05)  # one bin of ten
    assert calibration_error(said, right, 15) == pytest.approx((0.52 + 0.42) / 2)  # two of fifteen


def test_fresh_rows_are_held_out_ones_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    from model import checkpoint

    data = {
        "recipe": "puzzle/sudoku",
        "options": {"size": 4, "difficulty": "any"},
        "columns": {},
        "rows": 1,
        "encoder": None,
        "content_sha256": "0" * 64,
    }
    meta = checkpoint.Meta("hrm", {}, "k", data, 0, 1, "all", {}, {})
    one, two, other = (heldout.fresh(meta, 50, seed) for seed in (1, 1, 2))
    assert (one["split"] == 1).all() and len(one["key"]) == 50
    assert np.array_equal(one["question"], two["question"])
    assert not np.array_equal(one["question"], other["question"])
