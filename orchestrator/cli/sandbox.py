"""Verbs of the sandbox: one file edit exactly as an agent's would land."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.output import Failed

APP = typer.Typer(
    help="One command or one edit, held as a ticket's would be.",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def write(
    path: Annotated[str, typer.Argument(metavar="PATH", help="Below the worktree, names parted by /.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Its new bytes; - reads them from stdin.")],
    worktree: Annotated[Path, typer.Option(metavar="DIR", help="The folder that the edit stays in.")],
) -> int:
    """Write one file below a folder, exactly as an agent's edit would land.

    No link is followed, git's own files are not touched, and the file is its old or its new bytes.

    Example:
      jetbox sandbox write --worktree . src/greeting.py new.py
      generate | jetbox sandbox write --worktree . src/table.py -
    """
    from orchestrator import edits

    if str(file) == "-":
        data = sys.stdin.buffer.read(edits.MOST + 1)
    else:
        with file.open("rb") as opened:
            data = opened.read(edits.MOST + 1)
    try:
        edits.write(worktree.resolve(), path, data)
    except edits.EditRefused as error:
        raise Failed(str(error)) from error
    return 0


VERBS = (("write", write),)
