"""Which puzzles there are, told without loading what makes them."""

from __future__ import annotations

from datagen.errors import RequestError

SIZES = (4, 6, 9)
DIFFICULTIES = ("any", "easy", "hard")
EASY_GUESSES, HARD_GUESSES = 1, 10
MAZE_LOW, MAZE_HIGH = 5, 63  # sizes
DIGITS_LOW, DIGITS_HIGH = 2, 8  # fewer make 55 sums in all
NAMES_LOW, NAMES_HIGH = 5, 6  # fewer make a few dozen puzzles in all, more do not fit into a form of 64 bits
SUM_TOKENS = "_0123456789+="
LOGIC_TOKENS = "_ a -a b -b c -c d -d e -e f -f or xor then false true"


def sudoku(size: object, difficulty: object) -> None:
    """RequestError where there is no such Sudoku."""
    if size not in SIZES:
        raise RequestError(f"option size must be one of 4, 6, 9 for a Sudoku, not {size!r}")
    if difficulty not in DIFFICULTIES:
        raise RequestError(f"option difficulty must be one of any, easy, hard, not {difficulty!r}")
    if difficulty == "hard" and size != 9:
        raise RequestError(f"no Sudoku of size {size} takes {HARD_GUESSES} guesses: hard is for size 9")


def maze(size: object, least: object) -> None:
    """RequestError where there is no such maze."""
    if not isinstance(size, int) or not MAZE_LOW <= size <= MAZE_HIGH or size % 2 == 0:
        raise RequestError(
            f"option size must be an odd number from {MAZE_LOW} to {MAZE_HIGH} for a maze, not {size!r}"
        )
    longest = longest_path(size)
    if not isinstance(least, int) or not 2 <= least <= longest:
        raise RequestError(
            f"option least must be from 2 to {longest} steps for a maze of size {size}, not {least!r}"
        )


def longest_path(size: int) -> int:
    """No path in a maze of this size has more steps: it would pass through all rooms."""
    return (size + 1) ** 2 // 2 - 2


def sum_length(digits: int) -> int:
    """Tokens of a sum: two numbers, their signs, and a result of one digit more."""
    return 3 * digits + 3


def clauses(names: int) -> int:
    """The most clauses of a logic puzzle."""
    return 2 * names


def logic_length(names: int) -> int:
    """Tokens of a logic puzzle: its clauses, three each, and the values of its names."""
    return 3 * clauses(names) + names
