"""The rows of the built-in recipes are right, different, disjoint, and the same for ever."""

from __future__ import annotations

import itertools
import random
import re
from typing import Any

import pytest
import row_checkers as check

from datagen import recipe, rows
from datagen.errors import RequestError
from datagen.recipes.graphs import graph_form

NAMES = ("text/debate", "text/instructions", "text/worked-steps")
SAMPLE = 1500


def made(name: str, seed: int, start: int, stop: int, **options: Any) -> list[recipe.Row]:
    found = recipe.load(name)
    return list(found.rows(seed, start, stop, recipe.complete(found.options, options)))


def test_the_built_in_recipes_stand_in_the_entry_point_group() -> None:
    assert set(NAMES) <= set(recipe.names())


def test_every_worked_problem_has_the_answer_that_another_solver_finds() -> None:
    sample = made("text/worked-steps", 11, 0, SAMPLE)
    assert {row["task"] for row in sample} == set(check.SOLVERS)
    for row in sample:
        answer, _ = check.SOLVERS[row["task"]](row["input"])
        assert row["target"] == answer, row["input"]
        assert not check.false_equations(row["cot"]), row


def test_the_last_step_of_a_worked_problem_states_its_answer() -> None:
    for row in made("text/worked-steps", 12, 0, SAMPLE):
        if row["task"] in ("deduction", "ordering"):
            continue
        number = (
            row["target"].split(" ")[0] if row["task"] in ("units", "journey", "between") else row["target"]
        )
        assert number in row["cot"].split("\n")[-1], row


def test_every_debate_ends_in_the_truth_and_cites_only_the_truth() -> None:
    sample = made("text/debate", 11, 0, SAMPLE)
    for row in sample:
        verdict = "true" if check.judge(row["input"]) else "false"
        assert row["target"] == f"The claim is {verdict}.", row["input"]
        assert row["cot"].endswith(f"So the claim is {verdict}.")
        assert not check.false_equations(row["cot"]), row
        assert not check.false_statements(row["input"], row["cot"]), row
    for task in {row["task"] for row in sample}:
        share = [row["target"].endswith("true.") for row in sample if row["task"] == task]
        assert 0.2 < sum(share) / len(share) < 0.8, f"{task} can be guessed"


def test_following_the_substeps_reaches_the_goal() -> None:
    for row in made("text/instructions", 11, 0, SAMPLE):
        follow = check.make_things if row["task"] == "build" else check.walk_house
        assert follow(row["input"], row["target"]) is None, row
        assert not check.false_equations(row["cot"]), row


def test_leaving_out_any_substep_misses_the_goal() -> None:
    """The plans hold nothing superfluous, and the simulation above notices what is missing."""
    for row in made("text/instructions", 13, 0, 60):
        follow = check.make_things if row["task"] == "build" else check.walk_house
        lines = row["target"].split("\n")
        for number, line in enumerate(lines):
            if line.startswith("  "):
                short = "\n".join([*lines[:number], *lines[number + 1 :]])
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(check, "_check_numbers", lambda lines: None)
                    assert follow(row["input"], short) is not None, (line, row)


def test_the_checkers_notice_a_wrong_step_and_a_wrong_figure() -> None:
    assert check.false_equations("3 × $1.25 = $3.76")
    assert check.false_equations("9 km = 9 × 1000 m = 9001 m")
    row = made("text/debate", 5, 0, 1)[0]
    changed = re.sub(r"(\d+) - ", lambda m: f"{int(m[1]) + 1} - ", row["cot"], count=1)
    assert changed == row["cot"] or check.false_statements(row["input"], changed)


@pytest.mark.parametrize("name", NAMES)
def test_twenty_thousand_rows_hold_less_than_one_percent_of_duplicates(name: str) -> None:
    inputs = [row["input"] for row in made(name, 7, 0, 20_000)]
    assert len(inputs) - len(set(inputs)) < 200


@pytest.mark.parametrize("name", NAMES)
def test_a_row_depends_on_its_seed_and_number_alone(name: str) -> None:
    whole = made(name, 7, 0, 60)
    assert made(name, 7, 40, 60) == whole[40:]
    assert [made(name, 7, index, index + 1)[0] for index in range(5)] == whole[:5]
    other = made(name, 8, 0, 60)
    assert not {row["input"] for row in whole} & {row["input"] for row in other}


@pytest.mark.parametrize("name", NAMES)
def test_rows_have_the_stated_form_and_both_splits(name: str) -> None:
    sample = made(name, 3, 0, 500)
    for index, row in enumerate(sample):
        assert rows.problem(row) is None
        assert row["id"] == rows.row_id(name, 3, index)
        assert row["input"].isprintable()
        assert row["target"] and row["cot"]
    share = sum(row["split"] == "test" for row in sample) / len(sample)
    assert 0.05 < share < 0.16


def test_no_problem_stands_in_train_and_test_whatever_its_wording_names_or_seed() -> None:
    """By canonical forms that this test computes from the text, over two seeds."""
    sides: dict[tuple[str, str], set[str]] = {}
    shared = 0
    for row in itertools.chain(made("text/worked-steps", 1, 0, 6000), made("text/worked-steps", 2, 0, 6000)):
        _, form = check.SOLVERS[row["task"]](row["input"])
        if form is not None:
            known = sides.setdefault((row["task"], repr(form)), set())
            shared += bool(known)
            known.add(row["split"])
    assert shared > 500, "the same problem must come back for this test to mean something"
    assert all(len(splits) == 1 for splits in sides.values())


def test_renaming_the_nodes_of_a_graph_does_not_change_its_form() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        edges = {tuple(rng.sample(range(9), 2)) for _ in range(12)}
        marks = {rng.randrange(9): "first", rng.randrange(9): "last"}
        names = rng.sample(range(100), 9)
        renamed = {(names[one], names[other]) for one, other in edges}
        assert graph_form(edges, marks) == graph_form(renamed, {names[n]: m for n, m in marks.items()})
        turned = {(other, one) for one, other in edges}
        assert turned == edges or graph_form(edges, marks) != graph_form(turned, {})


@pytest.mark.parametrize("name", NAMES)
def test_no_input_stands_in_train_and_test(name: str) -> None:
    sample = made(name, 1, 0, 4000) + made(name, 2, 0, 4000)
    train = {row["input"] for row in sample if row["split"] == "train"}
    assert not train & {row["input"] for row in sample if row["split"] == "test"}


def test_options_narrow_what_is_made() -> None:
    sample = made("text/worked-steps", 1, 0, 200, families=["dates"], easiest=2, hardest=3)
    assert {row["family"] for row in sample} == {"dates"}
    assert {row["difficulty"] for row in sample} == {2, 3}


def test_wrong_options_are_all_told_at_once() -> None:
    found = recipe.load("text/debate")
    with pytest.raises(RequestError) as caught:
        recipe.complete(found.options, {"familys": [], "easiest": 0, "hardest": True, "families": ["x"]})
    for part in ("did you mean families?", "easiest must be", "hardest must be", "out of: total"):
        assert part in str(caught.value)
    with pytest.raises(RequestError, match="must not be above"):
        made("text/debate", 1, 0, 1, easiest=4, hardest=2)


def test_an_unknown_recipe_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(RequestError, match="did you mean text/debate"):
        recipe.load("text/debates")
