"""Sudoku and mazes: one answer each, equivalent ones on one side, the same rows wherever they are made."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from datagen import recipe
from datagen.errors import RequestError
from datagen.puzzles import compiled, maze, sudoku

BOXES = {4: (2, 2), 6: (2, 3), 9: (3, 3)}
Rows = dict[str, np.ndarray]


def units(size: int) -> list[list[int]]:
    """The cells of each row, column and box."""
    high, wide = BOXES[size]
    cells = range(size * size)
    where: list[Callable[[int], object]] = [
        lambda cell: cell // size,
        lambda cell: cell % size,
        lambda cell: (cell // size // high, cell % size // wide),
    ]
    groups = [[cell for cell in cells if of(cell) == name] for of in where for name in set(map(of, cells))]
    assert len(groups) == 3 * size
    return groups


def answers(question: list[int], size: int, peers: list[set[int]]) -> Iterator[list[int]]:
    """Every solution, by trying digits in the first blank: as plain as can be."""
    if 0 not in question:
        yield list(question)
        return
    blanks = [cell for cell, digit in enumerate(question) if not digit]
    free = {cell: set(range(1, size + 1)) - {question[peer] for peer in peers[cell]} for cell in blanks}
    cell = min(blanks, key=lambda each: len(free[each]))
    for digit in sorted(free[cell]):
        question[cell] = digit
        yield from answers(question, size, peers)
        question[cell] = 0


def peers(size: int) -> list[set[int]]:
    return [{other for unit in units(size) if cell in unit for other in unit} for cell in range(size * size)]


def shuffled_lines(size: int, group: int, rng: random.Random) -> list[int]:
    bands = [list(range(start, start + group)) for start in range(0, size, group)]
    rng.shuffle(bands)
    for band in bands:
        rng.shuffle(band)
    return [line for band in bands for line in band]


def disguised(grids: list[np.ndarray], size: int, rng: random.Random) -> list[np.ndarray]:
    """The same random symmetry of the rules applied to each grid."""
    high, wide = BOXES[size]
    down, across = shuffled_lines(size, high, rng), shuffled_lines(size, wide, rng)
    digits = np.array([0, *rng.sample(range(1, size + 1), size)], np.uint8)
    turn = high == wide and rng.random() < 0.5
    made = []
    for grid in grids:
        square = digits[grid.reshape(size, size)[np.ix_(down, across)]]
        made.append((square.T if turn else square).ravel().copy())
    return made


def key_of(question: np.ndarray, answer: np.ndarray, size: int) -> int:
    return int(sudoku.key(question[None], answer[None], size)[0])


@pytest.mark.parametrize(
    ("size", "difficulty", "rows"),
    [(4, "any", 60), (4, "easy", 20), (6, "any", 40), (6, "easy", 20), (9, "easy", 8)],
)
def test_a_plain_search_finds_the_answer_of_each_sudoku_and_no_other(
    size: int, difficulty: str, rows: int
) -> None:
    made, around = sudoku.make(size, 5, 0, rows, difficulty), peers(size)
    for question, answer in zip(made["question"], made["answer"], strict=True):
        found = list(itertools.islice(answers(question.tolist(), size, around), 2))
        assert found == [answer.tolist()]


@pytest.mark.parametrize(
    ("size", "difficulty"), [(4, "any"), (6, "any"), (9, "any"), (9, "easy"), (9, "hard")]
)
def test_an_answer_obeys_the_rules_and_holds_the_clues(size: int, difficulty: str) -> None:
    made = sudoku.make(size, 6, 0, 12, difficulty)
    assert (made["givens"] == (made["question"] > 0).sum(axis=1)).all()
    for question, answer in zip(made["question"], made["answer"], strict=True):
        assert all(sorted(answer[unit]) == list(range(1, size + 1)) for unit in units(size))
        assert ((question == 0) | (question == answer)).all()


def test_the_counter_of_solutions_agrees_with_a_plain_search_where_there_are_none_one_and_many() -> None:
    rng, around = random.Random(3), peers(4)
    made = sudoku.make(4, 7, 0, 60)["question"]
    for question in made:
        question[rng.randrange(16)] = rng.randrange(5)
    plain = [len(list(itertools.islice(answers(row.tolist(), 4, around), 3))) for row in made if legal(row)]
    assert set(plain) >= {0, 1, 2}
    assert sudoku.solutions(np.array([row for row in made if legal(row)]), 4, limit=3).tolist() == plain


def legal(question: np.ndarray) -> bool:
    given = [[digit for digit in question[unit] if digit] for unit in units(4)]
    return all(len(set(digits)) == len(digits) for digits in given)


@pytest.mark.parametrize(("size", "difficulty"), [(6, "any"), (9, "any"), (9, "hard")])
def test_no_clue_of_the_barest_puzzles_can_be_left_out(size: int, difficulty: str) -> None:
    for question in sudoku.make(size, 8, 0, 6, difficulty)["question"]:
        for cell in np.flatnonzero(question):
            less = question.copy()
            less[cell] = 0
            assert sudoku.solutions(less[None], size)[0] == 2


def test_difficulty_is_measured_in_guesses() -> None:
    easy, hard = sudoku.make(9, 9, 0, 100, "easy"), sudoku.make(9, 9, 0, 15, "hard")
    assert easy["guesses"].max() <= 1 and hard["guesses"].min() >= 10
    assert easy["givens"].min() >= 30 and easy["givens"].max() <= 40
    assert sudoku.make(4, 9, 0, 100, "easy")["guesses"].max() <= 1
    answer, guesses = sudoku.solve(hard["question"][0], 9)
    assert (answer == hard["answer"][0]).all() and guesses == hard["guesses"][0]


@pytest.mark.parametrize("size", [4, 6, 9])
def test_an_equivalent_sudoku_has_the_same_key_and_a_changed_one_another(size: int) -> None:
    rng = random.Random(size)
    made = sudoku.make(size, 10, 0, 30)
    for question, answer, key in zip(made["question"], made["answer"], made["key"], strict=True):
        for _ in range(10):
            other, solved = disguised([question, answer], size, rng)
            assert key_of(other, solved, size) == key
        more = question.copy()
        cell = rng.choice(np.flatnonzero(question == 0).tolist())
        more[cell] = answer[cell]
        assert key_of(more, answer, size) != key


def test_only_equivalent_small_sudoku_share_a_key_so_the_sides_share_none() -> None:
    made = sudoku.make(4, 11, 0, 250)
    orders = [a + b for a, b in itertools.product([[0, 1], [1, 0]], [[2, 3], [3, 2]])]
    orders += [order[2:] + order[:2] for order in orders]

    def least(question: np.ndarray) -> tuple[int, ...]:
        forms = []
        for grid in (question.reshape(4, 4), question.reshape(4, 4).T):
            for down, across in itertools.product(orders, orders):
                names: dict[int, int] = {0: 0}
                cells = grid[np.ix_(down, across)].ravel().tolist()
                forms.append(tuple(names.setdefault(digit, len(names)) for digit in cells))
        return min(forms)

    forms = [least(question) for question in made["question"]]
    assert len(set(forms)) < 250, "no two are equivalent: nothing is shown"
    assert (
        len(set(forms))
        == len(set(made["key"].tolist()))
        == len(set(zip(forms, made["key"].tolist(), strict=True)))
    )
    sides = [
        {form for form, side in zip(forms, made["split"], strict=True) if side == each} for each in (0, 1)
    ]
    assert all(sides) and not sides[0] & sides[1]


def test_a_tenth_is_for_testing_and_no_training_puzzle_is_among_it_whatever_the_seed() -> None:
    keys: dict[int, set[int]] = {0: set(), 1: set()}
    for seed, difficulty in ((1, "any"), (2, "any"), (3, "easy")):
        made = sudoku.make(6, seed, 0, 2000, difficulty)
        assert 0.08 < made["split"].mean() < 0.12
        for side, kept in keys.items():
            kept |= set(made["key"][made["split"] == side].tolist())
    assert not keys[0] & keys[1]


def test_four_by_four_has_many_thousands_of_different_training_puzzles() -> None:
    made = sudoku.make(4, 1, 0, 20_000)
    train = made["question"][made["split"] == 0]
    assert len(np.unique(train, axis=0)) > 17_000


# Mazes

STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))


def ways(question: np.ndarray, size: int) -> tuple[int, int, dict[tuple[int, int], int]]:
    """Steps from start to goal, the number of paths that short, and the steps to each cell."""
    grid = question.reshape(size, size)
    begin, end = (tuple(map(int, np.argwhere(grid == mark)[0])) for mark in (3, 4))
    far: dict[Any, int] = {begin: 0}
    count: dict[Any, int] = {begin: 1}
    queue = deque([begin])
    while queue:
        row, column = queue.popleft()
        for down, across in STEPS:
            other = (row + down, column + across)
            if not (0 <= other[0] < size and 0 <= other[1] < size) or grid[other] == 1:
                continue
            if other not in far:
                far[other], count[other] = far[row, column] + 1, 0
                queue.append(other)
            if far[other] == far[row, column] + 1:
                count[other] += count[row, column]
    return far[end], count[end], far


@pytest.mark.parametrize(("size", "least", "rows"), [(9, 12, 60), (5, 2, 30), (31, 110, 5)])
def test_the_marked_path_is_the_only_shortest_and_as_long_as_is_said(
    size: int, least: int, rows: int
) -> None:
    made = maze.make(size, 5, 0, rows, least)
    loops = 0
    for question, answer, length in zip(made["question"], made["answer"], made["length"], strict=True):
        assert (question == 3).sum() == (question == 4).sum() == 1
        steps, count, far = ways(question, size)
        assert count == 1 and steps == length >= least
        marked = np.flatnonzero(answer == 5)
        assert len(marked) == steps - 1
        assert ((answer == question) | ((answer == 5) & (question == 2))).all()
        assert sorted(far[divmod(cell, size)] for cell in marked.tolist()) == list(range(1, steps))
        again, length_again, ways_again = maze.shortest(question, size)
        assert (again == answer).all() and (length_again, ways_again) == (steps, 1)
        rooms = (size + 1) // 2
        loops += int((question != 1).sum() > 2 * rooms * rooms - 1)
    assert loops, "each maze is a tree: no path is the shorter of two"


def test_a_maze_without_a_way_and_one_with_two_are_told_apart() -> None:
    walled = np.full(25, 2, np.uint8)
    walled[:] = [3, 1, 2, 2, 2] + [1] * 5 + [2] * 14 + [4]
    assert maze.shortest(walled, 5)[1:] == (0, 0)
    free = np.full(25, 2, np.uint8)
    free[0], free[24] = 3, 4
    assert maze.shortest(free, 5)[1:] == (8, 2)


def test_the_sixteen_forms_of_a_maze_have_one_key_and_a_changed_maze_another() -> None:
    made = maze.make(9, 6, 0, 40)
    swap = np.array([0, 1, 2, 4, 3], np.uint8)
    for question, key in zip(made["question"], made["key"], strict=True):
        grid = question.reshape(9, 9)
        for turns, mirrored, swapped in itertools.product(range(4), (False, True), (False, True)):
            form = np.rot90(grid.T if mirrored else grid, turns).ravel()
            form = swap[form] if swapped else form
            assert maze.key(np.ascontiguousarray(form[None]), 9)[0] == key
        other = question.copy()
        other[np.flatnonzero(question == 1)[0]] = 2
        assert maze.key(other[None], 9)[0] != key
    assert len(set(made["key"].tolist())) == 40


# All recipes of columns

CASES: list[tuple[str, dict[str, Any]]] = [
    ("puzzle/sudoku", {"size": 4}),
    ("puzzle/sudoku", {"size": 6}),
    ("puzzle/sudoku", {"size": 9, "difficulty": "easy"}),
    ("puzzle/maze", {}),
    ("puzzle/arithmetic", {}),
    ("puzzle/logic", {}),
]
PINNED = {
    "puzzle/arithmetic {}": "b573512c36bd2de24d0c06d1f07eccd84387258002f9e7ca98766a0d93607ac0",
    "puzzle/logic {}": "b5869c5a37b164ccc238a5a3d01245c87d1e71017adfb2072926465f6aad76e0",
    "puzzle/maze {}": "635d4068de9121d11c5b1b1ec01ceb96077e94e055b95e8cc21165c39bf75a65",
    "puzzle/sudoku {'size': 4}": "78560667189c3ab912c3d6f804038b2dc30ad76d7d0f55315f4322ce24bb4bdb",
    "puzzle/sudoku {'size': 6}": "209ceca3dd4819a99ea46cd9d2095314093edb104dc96cc58ccc5bcb34976bc7",
    "puzzle/sudoku {'size': 9, 'difficulty': 'easy'}": (
        "973aa08149cc7c77f19c712255b4e7056080516e327756b593b106e8a8cb9ebe"
    ),
}


def made_by(name: str, options: dict[str, Any], seed: int, start: int, stop: int) -> tuple[Any, Rows]:
    found: Any = recipe.load(name)
    whole = recipe.complete(found.options, options)
    return found.columns(whole), found.make(seed, start, stop, whole)


def digest(rows: Rows) -> str:
    return hashlib.sha256(
        b"".join(np.ascontiguousarray(rows[name]).tobytes() for name in sorted(rows))
    ).hexdigest()


@pytest.mark.parametrize(("name", "options"), CASES)
def test_rows_have_the_promised_columns_and_do_not_depend_on_the_range(
    name: str, options: dict[str, Any]
) -> None:
    columns, whole = made_by(name, options, 12, 0, 60)
    assert list(columns) == list(whole)
    for column, (dtype, shape) in columns.items():
        assert whole[column].dtype == dtype and whole[column].shape == (60, *shape)
    parts = [made_by(name, options, 12, start, stop)[1] for start, stop in ((41, 60), (0, 1), (1, 41))]
    for column, values in whole.items():
        assert (values == np.concatenate([parts[at][column] for at in (1, 2, 0)])).all()
    other = made_by(name, options, 13, 0, 60)[1]
    assert (other["question"] != whole["question"]).any(axis=1).mean() > 0.9
    far = made_by(name, options, 2**63 - 1, 10**9, 10**9 + 2)[1]
    assert len(far["key"]) == 2


def test_another_process_makes_the_same_rows_and_they_stay_the_same_for_ever() -> None:
    said = [digest(made_by(name, options, 1, 0, 40)[1]) for name, options in CASES]
    program = (
        "import test_puzzles_grids as t\n"
        "print(*[t.digest(t.made_by(name, options, 1, 0, 40)[1]) for name, options in t.CASES], sep='\\n')"
    )
    where = os.pathsep.join(each for each in sys.path if each)
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env={**os.environ, "PYTHONPATH": where, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.stdout.split() == said, done.stderr
    assert {f"{name} {options}": each for (name, options), each in zip(CASES, said, strict=True)} == PINNED


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("puzzle/sudoku", {"size": 5}, "size must be one of: 4, 6, 9"),
        ("puzzle/sudoku", {"size": True}, "size must be one of"),
        ("puzzle/sudoku", {"difficulty": "Hard"}, "difficulty must be one of"),
        ("puzzle/sudoku", {"size": 6, "difficulty": "hard"}, "hard is for size 9"),
        ("puzzle/maze", {"size": 10}, "odd number"),
        ("puzzle/maze", {"size": 10**9}, "size must be a whole number"),
        ("puzzle/maze", {"size": 9, "least": 49}, "from 2 to 48 steps"),
        ("puzzle/maze", {"size": 5, "least": 16.0}, "least must be a whole number"),
        ("puzzle/maze", {"size": 21, "least": 240}, "ask for less"),
        ("puzzle/arithmetic", {"digits": 99}, "digits must be"),
        ("puzzle/logic", {"vocabulary": "x"}, "vocabulary must be"),
    ],
)
def test_options_that_cannot_be_are_refused_in_one_clear_line(
    name: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(RequestError, match=said) as told:
        made_by(name, options, 1, 0, 5)
    assert "\n" not in str(told.value)


def test_where_no_copy_can_be_kept_the_loops_are_compiled_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = compiled.numba.njit

    def nowhere(*given: Any, cache: bool = False) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")  # as numba says it
        return real(*given)

    monkeypatch.setattr(compiled.numba, "njit", nowhere)
    assert compiled.compiled(lambda number: number + 1)(2) == 3


def test_without_numba_one_line_names_the_extra_and_the_recipes_are_still_listed() -> None:
    program = (
        "import sys; sys.modules['numba'] = None; sys.modules['numpy'] = None\n"
        "from datagen import recipe\n"
        "found = recipe.load('puzzle/sudoku'); options = recipe.complete(found.options, {})\n"
        "found.columns(options); del sys.modules['numpy']\n"
        "try: found.make(1, 0, 1, options)\n"
        "except recipe.RequestError: raise\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    where = os.pathsep.join(each for each in sys.path if each)
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env={**os.environ, "PYTHONPATH": where},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == "DataError making puzzles needs numba: pip install 'jetbox[model]'", (
        done.stderr
    )
