"""The rules of the ladder, each attacked by the sequence that would break it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from orchestrator.agent import stuck
from orchestrator.agent.stuck import LAST, Turn, best, rung

RED = "test_sum failed\nAssertionError: 1 != 2"


def turn(
    verb: str,
    what: str,
    tree: str = "base",
    *,
    ok: bool = True,
    error: str = RED,
    failing: Iterable[str] = ("tests",),
    passing: int = 0,
    reply: str = "",
    shown: str = "",
) -> Turn:
    """One turn; by default of work that is red as it always was."""
    return Turn(tree, frozenset(failing), passing, error, verb, what, ok, reply, shown)


def level(turns: list[Turn]) -> int:
    found = rung(turns)
    return found.level if found else 0


START = [turn("read", "app.py"), turn("run", "pytest")]
STUCK = [*START, *[turn("edit", "app.py", ok=False, reply=str(n)) for n in range(4)]]


def test_nothing_is_wrong_with_no_turns_or_one() -> None:
    assert rung([]) is None
    assert rung([turn("malformed", "no action", ok=False)]) is None


def test_a_third_identical_test_run_after_real_edits_is_no_loop() -> None:
    def red(n: int) -> str:
        return "\n".join(f"test_{each} failed" for each in range(20 - n))

    turns = [turn("run", "pytest", error=red(0))]
    for n in range(1, 20):
        tree = f"tree{n}"
        turns += [turn("edit", "app.py", tree, error=red(n - 1)), turn("run", "pytest", tree, error=red(n))]
        assert level(turns) == 0


def test_words_that_change_do_not_hide_a_loop() -> None:
    assert level(STUCK) >= 1


def test_words_that_repeat_do_not_make_one() -> None:
    turns = [
        turn("edit", f"part{name}.py", f"tree{name}", reply="next file", error="", failing=(), passing=n)
        for n, name in enumerate("abcdefghijkl")
    ]
    assert level(turns) == 0


def test_the_same_reply_in_the_same_world_is_caught_sooner_than_other_replies() -> None:
    same = [*START, *[turn("malformed", "no action", ok=False, reply="same") for _ in range(9)]]
    other = [*START, *[turn("malformed", "no action", ok=False, reply=str(n)) for n in range(9)]]
    assert rung(same[:5]) is not None
    assert level(same) > level(other)


def test_ten_new_files_are_exploration_and_the_same_file_is_not() -> None:
    new = [turn("read", f"part{n}.py") for n in range(10)]
    assert level(new) == 0
    same = [turn("read", "part.py") for _ in range(5)]
    assert level(same) >= 1


def test_the_next_lines_of_a_file_are_new_and_the_same_lines_are_not() -> None:
    assert level([turn("read", f"long.py:{n * 50 + 1}-{n * 50 + 50}") for n in range(10)]) == 0
    assert level([turn("read", f"long.py:{n + 1}-{n + 20}") for n in range(10)]) >= 1


def test_a_hostile_range_of_lines_is_bounded() -> None:
    assert rung([turn("read", "a.py:1-999999999"), turn("read", "a.py:99999999999999999999")]) is None


def test_states_that_come_back_are_caught_even_when_they_are_tested_in_between() -> None:
    turns = list(START)
    for n in range(4):
        tree = "AB"[n % 2]
        error = f"test_sum failed\nAssertionError: {tree} != 2"
        turns += [turn("edit", "app.py", tree, error=error), turn("run", "pytest", tree, error=error)]
    assert level(turns) >= 1


def test_done_again_and_again_is_caught_and_done_that_is_right_ends_a_ladder() -> None:
    turns = [*START, *[turn("done", "it is done") for _ in range(4)]]
    assert level(turns) >= 1
    assert level([*turns, turn("done", "now it is", "tree", error="", failing=(), passing=1)]) == 0


def test_each_rung_holds_from_a_turn_on_and_the_counter_starts_anew() -> None:
    turns = list(STUCK)
    found: dict[int, int] = {}
    for n in range(40):
        if held := rung(turns):
            found.setdefault(held.level, held.since)
            assert held.since == found[held.level]
            assert held.since < len(turns)
        turns.append(turn("edit", "app.py", ok=False, reply=str(100 + n)))
    assert list(found) == [1, 2, 3, 4, 5]
    gaps = [found[n + 1] - found[n] for n in range(1, LAST)]
    assert min(gaps) >= 3


def test_the_person_is_never_asked_on_a_first_trip() -> None:
    worst = [turn("malformed", "no action", ok=False, reply="same") for _ in range(8)]
    assert 0 < level(worst) < LAST


def test_fewer_failures_end_the_ladder_at_any_rung() -> None:
    two = ("a", "b")
    turns = [
        turn("run", "pytest", failing=two),
        *[turn("edit", "x.py", ok=False, failing=two) for _ in range(20)],
    ]
    assert level(turns) >= 3
    assert level([*turns, turn("edit", "x.py", "new", failing=("a",))]) == 0


def test_what_is_found_out_about_the_beginning_is_no_step_back() -> None:
    unknown = turn("read", "app.py", error="", failing=())
    turns = [
        unknown,
        turn("run", "pytest", failing=("a", "b")),
        turn("edit", "app.py", "one", failing=("a",)),
    ]
    assert level([*turns, *[turn("edit", "app.py", "one", failing=("a",))] * 2]) == 0


def test_an_error_that_is_only_worse_is_no_gain() -> None:
    turns = list(START)
    for n in range(8):
        broken = f"SyntaxError: {'abcdefgh'[n]} was never closed"
        turns.append(turn("edit", "app.py", f"tree{n}", error=broken))
    assert level(turns) >= 1


def test_an_error_that_only_changes_is_not_believed_for_ever() -> None:
    turns = list(START)
    for n in range(60):
        error = f"test_sum failed\nAssertionError: {n} != -1"
        turns += [
            turn("edit", "app.py", f"tree{n}", error=error),
            turn("run", "pytest", f"tree{n}", error=error),
        ]
    assert level(turns[:12]) == 0
    assert level(turns) >= 1


def test_a_refused_edit_is_no_news_of_the_code() -> None:
    turns = [*START, turn("edit", "app.py", "new")]
    for n in range(4):
        turns.append(
            turn("edit", "app.py", "new", ok=False, error=f"the text {'abcd'[n]} is not in the file")
        )
    assert level(turns) >= 1


def test_the_rung_is_a_function_of_the_turns_alone() -> None:
    turns = [*STUCK, *STUCK]
    assert rung(turns) == rung(list(turns))
    copies = [Turn(**vars(each)) for each in turns]
    assert rung(copies) == rung(turns)


def test_the_words_name_what_fails_and_what_was_tried() -> None:
    found = rung(STUCK)
    assert found is not None
    assert "\n" not in found.why
    assert "tests fails with test_sum failed" in found.why
    assert RED in found.say
    assert "EDIT app.py" in found.say


def test_the_words_stay_those_of_the_climb() -> None:
    first = rung(STUCK)
    later = rung([*STUCK, turn("read", "other.py", error="another error")])
    assert first == later


def test_every_cost_has_words() -> None:
    assert {stuck._SAME.get(name, name) for name in stuck._COST} <= stuck._WHY.keys()


# The best checkpoint ------------------------------------------------------------------------------------


def test_the_best_checkpoint_has_the_fewest_failures_and_starts() -> None:
    turns = [
        turn("run", "pytest", failing=("a", "b", "c")),
        turn("edit", "x.py", "one", failing=("a",)),
        turn("edit", "x.py", "two", failing=("a", "b")),
        turn("edit", "x.py", "three", failing=("a",), error="SyntaxError: invalid syntax"),
    ]
    assert best(turns) == 1


def test_a_tree_is_what_was_last_known_of_it() -> None:
    turns = [
        turn("run", "pytest", failing=("a", "b")),
        turn("edit", "x.py", "one", failing=("a", "b")),
        turn("edit", "y.py", "two", failing=("a", "b")),
        turn("run", "pytest", "two", failing=("a", "b", "c")),
    ]
    assert turns[best(turns)].tree == "one"


def test_of_equals_work_is_kept_and_junk_is_not() -> None:
    work = [turn("run", "pytest"), *[turn("edit", f"{name}.py", name) for name in "abcd"]]
    assert work[best(work)].tree == "d"
    junk = [*work, *[turn("edit", "d.py", f"junk{n}") for n in range(5)]]
    assert junk[best(junk)].tree == "d"


def test_what_is_not_known_is_no_better_than_what_is() -> None:
    turns = [turn("read", "x.py", error="", failing=()), turn("edit", "x.py", "one", failing=("a",))]
    assert best(turns) == 1


def test_without_turns_there_is_no_best() -> None:
    with pytest.raises(ValueError, match="no turns"):
        best([])
