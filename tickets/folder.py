"""The folders of tickets: which files are tickets, whether they changed, the next free number.

Guarantees: looking never fails because a file vanishes meanwhile; two processes that make a ticket at the
same moment get two numbers; an existing file is never overwritten.
"""

import os
import re
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from tickets.problems import Problem, TicketError

FOLDER = "tickets"
EPHEMERAL = ".jetbox/tickets"
"""Tickets that were said and not written: ignored by git, found, tried and kept like all others."""

_NUMBER = re.compile(r"TICKET-([0-9]{1,9})(?![0-9])", re.IGNORECASE)

Signature = tuple[int, int, int]
"""Modification time in ns, size, inode: as long as it stays, so does the content, as far as stat can tell."""


@dataclass(frozen=True, slots=True)
class TicketFile:
    """A file that stands where tickets do. Its name or its content may still be wrong; the loader says so."""

    path: Path
    signature: Signature


def is_ticket_file(name: str) -> bool:
    """Whether a file of this name is taken for a ticket: any YAML file but hidden ones, as editors make."""
    return name.casefold().endswith((".yaml", ".yml")) and not name.startswith(".")


def scan(root: Path) -> dict[str, TicketFile]:
    """Return the ticket files by stem, sorted by path. Only the two folders are read, none inside them.

    Of two files with one stem (`.yaml` and `.yml`) the `.yaml` one counts, and one in `tickets/` before all.
    """
    files: dict[str, TicketFile] = {}
    for folder in (root / FOLDER, root / EPHEMERAL):
        _scan(folder, files)
    return files


def _scan(folder: Path, files: dict[str, TicketFile]) -> None:
    try:
        with os.scandir(folder) as entries:
            named = sorted(((entry.name, entry) for entry in entries), key=lambda pair: pair[0])
    except OSError:  # no folder: no tickets
        return
    for name, entry in named:
        if not is_ticket_file(name):
            continue
        found = _stat(entry)
        if found is None or stat.S_ISDIR(found.st_mode):
            continue
        signature = found.st_mtime_ns, found.st_size, found.st_ino
        files.setdefault(name.rpartition(".")[0], TicketFile(folder / name, signature))


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Look at a file, or at a link that leads nowhere, of which the loader will speak; None if it is gone."""
    for follow in (True, False):
        try:
            return Path(entry.path).stat(follow_symlinks=follow)
        except OSError:
            continue
    return None


def next_id(root: Path, taken: Collection[str] = ()) -> str:
    """Return the id after the highest in use: of files, those in subfolders too, and of `taken`.

    Gaps stay: a number that a deleted ticket had still names its history.
    """
    names = list(taken)
    for folder in (FOLDER, EPHEMERAL):
        for _, _, files in os.walk(root / folder):
            names += files
    numbers = [int(match[1]) for name in names if (match := _NUMBER.match(name))]
    return f"TICKET-{max(numbers, default=0) + 1:03}"


def create(root: Path, text: str, taken: Collection[str] = (), where: str = FOLDER) -> Path:
    """Write a new ticket under the next free id and return its path; `TicketError` if that can't be."""
    folder = root / where
    taken = list(taken)
    try:
        folder.mkdir(parents=where == EPHEMERAL, exist_ok=True)
        if not folder.resolve().is_relative_to(root.resolve()):
            raise PermissionError(1, "tickets is a link that leaves the repository")
        while True:
            id = next_id(root, taken)
            path = folder / f"{id}.yaml"
            try:
                stream = path.open("x", encoding="utf-8", newline="\n")
            except FileExistsError:  # another process was faster
                taken.append(id)
                continue
            try:
                with stream:
                    stream.write(text)
            except OSError:
                path.unlink(missing_ok=True)  # half a ticket would only show as broken
                raise
            return path
    except OSError as error:
        message = f"can't be written ({error.strerror}), expected a folder that can"
        raise TicketError([Problem(where, 1, 1, "folder", message)]) from error
