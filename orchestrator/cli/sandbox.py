"""Verbs of the sandbox: one command as a ticket's would run, one edit as an agent's would land."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.output import Failed, Wrong, can_ask, complain, safe

if TYPE_CHECKING:
    from orchestrator.process import Finished
    from orchestrator.sandbox.choose import Choice
    from state.workspace import Workspace

APP = typer.Typer(
    help="One command or one edit, held as a ticket's would be."
    "\n\n\b\nExample:\n  jetbox sandbox run -- python -m pytest -q",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def write(
    path: Annotated[str, typer.Argument(metavar="PATH", help="Below the worktree, names parted by /.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Its new bytes; - reads them from stdin.")],
    worktree: Annotated[Path, typer.Option(metavar="DIR", help="The folder that the edit stays in.")],
) -> int:
    """Write one file exactly as an agent's edit would land.

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


def run(
    command: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="The program and its arguments.")],
    worktree: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder it may write; else the current one."),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds after which it is ended.")
    ] = None,
) -> int:
    """Run one command exactly as a ticket's would run.

    Its output and its exit code are passed on. It sees the folder, the system's programs and your toolchains;
    nothing else of yours is there, and no network.

    Example:
      jetbox sandbox run -- python -m pytest -q
      jetbox sandbox run --worktree scratch --timeout 60 -- make
    """
    from orchestrator.git import Repo
    from orchestrator.gitcall import GitError
    from orchestrator.sandbox.sandbox import SAID

    folder = (worktree or Path.cwd()).resolve()
    if not folder.is_dir():
        raise Wrong(f"no such folder: {folder}")
    workspace, choice = _chosen(folder)
    if choice.sandbox.isolation == "none":
        _consent(choice, folder)
    try:
        git_dir = Repo.open(workspace.root).common_dir
    except GitError:
        git_dir = None
    finished: Finished = choice.sandbox.run(
        command, folder, git_dir=git_dir, timeout=timeout, sink=_passed_on()
    )
    if finished.exit is None:
        raise Failed(f"`{command[0]}` was ended: {SAID[finished.reason]}")
    return finished.exit


def _chosen(folder: Path) -> tuple[Workspace, Choice]:
    """The workspace that the folder is in, or would be, and what holds commands there."""
    from orchestrator import config
    from orchestrator.sandbox.choose import choose
    from orchestrator.workspaces import NoWorkspace, find
    from state.workspace import Workspace

    try:
        workspace = find(folder)
    except NoWorkspace:
        workspace = Workspace(folder)
    return workspace, choose(workspace, config.load(workspace).policy)


def _consent(choice: Choice, folder: Path) -> None:
    """No sandbox holds: only a person at a terminal can say that the command may run as they do."""
    from state.words import phrase_of

    for each in choice.tried:
        complain(f"{each.backend}: {each.why}")
    if not can_ask():
        raise Failed("no sandbox holds on this machine: `jetbox doctor` says what helps")
    phrase = phrase_of(folder.name)
    if input(f"It would run as you. To let it, type: {safe(phrase)}\n> ") != phrase:
        raise Failed("not run")


def _passed_on() -> Callable[[bytes], None]:
    """Where output goes: as it is into a pipe or a file, as text that cannot steer it to a terminal."""
    if not sys.stdout.isatty():
        return _raw
    decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def show(data: bytes) -> None:
        text = decoder.decode(data).replace("\r\n", "\n").expandtabs()
        sys.stdout.write("\n".join(safe(part) for part in text.split("\n")))
        sys.stdout.flush()

    return show


def _raw(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


VERBS = (("run", run), ("write", write))
