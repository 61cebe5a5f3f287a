"""What is wrong with a ticket: one line for each fault, with its place and what was expected.

Guarantees: a problem is always one line of printable text, however odd the file is that it speaks of.
"""

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass

MOST_PROBLEMS = 100
"""A hostile file may hold tens of thousands of faults; nobody reads past the first hundred."""

Path = tuple[str | int, ...]
"""Keys and list positions that lead from the document's root to a value."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault: its place (lines and columns count from 1), its field, what is wrong and expected."""

    file: str
    line: int
    column: int
    field: str
    message: str

    def __str__(self) -> str:
        file = self.file if self.file.isprintable() else ascii(self.file)
        return f"{file}:{self.line}:{self.column}: {self.field}: {self.message}"


class TicketError(Exception):
    """A ticket that can't be used; `problems` holds everything found, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems by place, each once; beyond `MOST_PROBLEMS` a last one counts the rest."""
    ordered = sorted(dict.fromkeys(problems), key=lambda p: (p.line, p.column))
    if len(ordered) <= MOST_PROBLEMS:
        return ordered
    kept = ordered[:MOST_PROBLEMS]
    at = ordered[MOST_PROBLEMS]
    more = f"has {len(ordered) - MOST_PROBLEMS} more problems from here on, expected none: mend these first"
    return [*kept, Problem(at.file, at.line, at.column, "ticket", more)]


def field_name(path: Path) -> str:
    """Return a path as people write it: `with.steps[2].run`; the whole document is `ticket`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.isidentifier() or part.replace("-", "_").isidentifier():
            text += f".{clipped(part)}" if text else clipped(part)
        else:
            text += f"[{quoted(part)}]"
    return text or "ticket"


def clipped(text: str, most: int = 60) -> str:
    """Return the text, shortened in its middle where it is long."""
    return text if len(text) <= most else f"{text[: most - 20]}...{text[-17:]}"


def quoted(text: str) -> str:
    """Return the text in quotes, on one line, printable, shortened."""
    return repr(clipped(text))


def shown(value: object) -> str:
    """Return a value of the document in words, for the 'what is wrong' half of a message."""
    match value:
        case None:
            return "empty"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value}"
        case str():
            return quoted(value) if value else "empty text"
        case list():
            return "a list" if value else "an empty list"
        case _:
            return "a map"


def listed(names: Iterable[str], most: int = 20) -> str:
    """Return names as one phrase: `a, b or c`."""
    every = sorted(names)
    if not every:
        return "none (there are none)"
    if len(every) > most:
        return ", ".join(every[:most]) + f" or {len(every) - most} more"
    return every[0] if len(every) == 1 else ", ".join(every[:-1]) + " or " + every[-1]


def did_you_mean(word: str, known: Collection[str]) -> str:
    """Return `; did you mean 'x'?` for the known name nearest to a mistyped one, or nothing."""
    if len(word) > 40:  # the comparison is quadratic, and nobody mistypes a name that long
        return ""
    lower = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), lower, n=1, cutoff=0.6)
    return f"; did you mean {lower[near[0]]!r}?" if near else ""
