"""Chains of tickets that are shipped with the program: `tickets/backlog/NAME/TICKET-....yaml`.

Guarantees: a chain's tickets get the next free ids of the repository, and name each other by those; no file
is written over. A ticket of a chain names only tickets before it, so each is written whole in its turn.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from tickets import folder
from tickets.values import TICKET_ID

SHIPPED = Path(__file__).parent / "backlog"
_ID = re.compile(rf"\b{TICKET_ID}\b")


def names() -> list[str]:
    """The chains there are."""
    return sorted(path.name for path in SHIPPED.iterdir() if path.is_dir())


def read(name: str) -> dict[str, str]:
    """The tickets of a chain as they are shipped: text by id, in their order."""
    files = sorted((SHIPPED / name).glob("TICKET-*.yaml"), key=lambda path: int(path.stem.partition("-")[2]))
    return {path.stem: path.read_text(encoding="utf-8") for path in files}


def take(root: Path, name: str, taken: Collection[str] = ()) -> list[Path]:
    """Write a chain into a repository's folder of tickets, under the next free ids; the files in order.

    Raises:
        TicketError: a file can't be written.
    """
    given: dict[str, str] = {}
    made: list[Path] = []
    for id_, text in read(name).items():
        path = folder.create(root, _ID.sub(lambda match: given.get(match[0], match[0]), text), taken)
        given[id_] = path.stem
        made.append(path)
    return made
