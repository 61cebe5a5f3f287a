"""Puzzles as recipes of columns: Sudoku, mazes, sums and logic.

Each loads its maker when it makes rows: to list the recipes and to refuse wrong options, neither numpy nor
numba is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datagen.puzzles import limits
from datagen.recipe import One, Option, Options, Whole

if TYPE_CHECKING:
    import numpy as np

Shape = tuple[int, ...]
Columns = dict[str, tuple[str, Shape]]


@dataclass(frozen=True)
class Puzzle:
    """A recipe of columns: question and answer of the same length, measures, `key` and `split`.

    `width` gives the length of a question, RequestError for options that don't go together; `maker` makes
    rows; `reader` writes one question or answer as plain text.
    """

    name: str
    options: Mapping[str, Option]
    measures: Mapping[str, str]
    width: Callable[[Options], int]
    maker: Callable[[int, int, int, Options], dict[str, np.ndarray]]
    reader: Callable[[np.ndarray, Options], str]
    version: str = "1"
    form: str = "columns"
    about: str = ""

    def columns(self, options: Options) -> Columns:
        """The dtype and row shape of each column."""
        grid = ("uint8", (self.width(options),))
        measures: Columns = {name: (dtype, ()) for name, dtype in self.measures.items()}
        return {"question": grid, "answer": grid, **measures, "key": ("uint64", ()), "split": ("uint8", ())}

    def make(self, seed: int, start: int, stop: int, options: Options) -> dict[str, np.ndarray]:
        """Rows start to stop - 1; options are complete."""
        self.width(options)
        return self.maker(seed, start, stop, options)

    def text(self, row: np.ndarray, options: Options) -> str:
        """One question or answer, uint8 [L], as lines of plain characters."""
        return self.reader(row, options)


def _sudoku_width(options: Options) -> int:
    limits.sudoku(options["size"], options["difficulty"])
    return int(options["size"] ** 2)


def _sudoku(seed: int, start: int, stop: int, options: Options) -> dict[str, np.ndarray]:
    from datagen.puzzles import sudoku

    return sudoku.make(options["size"], seed, start, stop, options["difficulty"])


def _sudoku_text(row: np.ndarray, options: Options) -> str:
    from datagen.puzzles import sudoku

    return sudoku.text(row, options["size"])


def _maze_width(options: Options) -> int:
    limits.maze(options["size"], options["least"])
    return int(options["size"] ** 2)


def _maze(seed: int, start: int, stop: int, options: Options) -> dict[str, np.ndarray]:
    from datagen.puzzles import maze

    return maze.make(options["size"], seed, start, stop, options["least"])


def _maze_text(row: np.ndarray, options: Options) -> str:
    from datagen.puzzles import maze

    return maze.text(row, options["size"])


def _sums(seed: int, start: int, stop: int, options: Options) -> dict[str, np.ndarray]:
    from datagen.puzzles import sums

    return sums.make(options["digits"], seed, start, stop)


def _sums_text(row: np.ndarray, options: Options) -> str:
    from datagen.puzzles import sums

    return sums.text(row)


def _logic(seed: int, start: int, stop: int, options: Options) -> dict[str, np.ndarray]:
    from datagen.puzzles import logic

    return logic.make(options["names"], seed, start, stop)


def _logic_text(row: np.ndarray, options: Options) -> str:
    from datagen.puzzles import logic

    return logic.text(row, options["names"])


# The tokens' meaning stands in the manifest, as an option of which there is but one.
SUDOKU = Puzzle(
    name="puzzle/sudoku",
    options={"size": One(9, limits.SIZES), "difficulty": One("any", limits.DIFFICULTIES)},
    measures={"guesses": "uint16", "givens": "uint8"},
    width=_sudoku_width,
    maker=_sudoku,
    reader=_sudoku_text,
    about="Sudoku with one solution, and the guesses that a solver needs",
)
MAZE = Puzzle(
    name="puzzle/maze",
    options={
        "size": Whole(9, limits.MAZE_LOW, limits.MAZE_HIGH),
        "least": Whole(12, 2, limits.longest_path(limits.MAZE_HIGH)),
    },
    measures={"length": "uint16"},
    width=_maze_width,
    maker=_maze,
    reader=_maze_text,
    about="mazes with one shortest path, marked in the answer",
)
ARITHMETIC = Puzzle(
    name="puzzle/arithmetic",
    options={
        "digits": Whole(4, limits.DIGITS_LOW, limits.DIGITS_HIGH),
        "vocabulary": One(limits.SUM_TOKENS, (limits.SUM_TOKENS,)),
    },
    measures={"carries": "uint8"},
    width=lambda options: limits.sum_length(options["digits"]),
    maker=_sums,
    reader=_sums_text,
    about="sums of whole numbers, digit by digit",
)
LOGIC = Puzzle(
    name="puzzle/logic",
    options={
        "names": Whole(6, limits.NAMES_LOW, limits.NAMES_HIGH),
        "vocabulary": One(limits.LOGIC_TOKENS, (limits.LOGIC_TOKENS,)),
    },
    measures={"clauses": "uint8"},
    width=lambda options: limits.logic_length(options["names"]),
    maker=_logic,
    reader=_logic_text,
    about="truth values that are forced by clauses",
)
