"""A file of settings, read as strictly as a ticket is, and where the shipped ones lie."""

from __future__ import annotations

from pathlib import Path

from tickets import strict_yaml
from tickets.problems import Problem, TicketError, in_order

SHIPPED = Path(__file__).resolve().parent.parent / "configs"
"""The YAML that comes with the program."""


def document(path: Path, name: str = "") -> strict_yaml.Document:
    """A file of settings, read strictly; one of nothing but comments has no root.

    Args:
        path: the file.
        name: what faults call the file; its last component where nothing is said.

    Raises:
        TicketError: with every problem.
    """
    name = name or path.name
    try:
        with path.open("rb") as file:
            data = file.read(strict_yaml.MOST_BYTES + 1)
    except OSError as error:
        raise TicketError(
            [Problem(name, 1, 1, "file", f"cannot be read: {error.strerror or error}")]
        ) from error
    if not any(line.strip() and not line.lstrip().startswith(b"#") for line in data.splitlines()):
        return strict_yaml.Document(None, [], set())  # nothing but comments: all is as shipped
    read = strict_yaml.read(data, name)
    root = read.root
    if root is not None and not isinstance(root.value, dict):
        read.problems.append(Problem(name, root.line, root.column, "file", "expected a map"))
    if read.problems:
        raise TicketError(in_order(read.problems))
    return read
