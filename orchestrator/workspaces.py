"""Finding the workspace one stands in, and making Jetbox's own folders in it.

No git is started and nothing is imported that the cockpit would have to wait for. Set-up makes what is
missing and changes nothing that is there.
"""

from __future__ import annotations

from pathlib import Path

from state.workspace import Workspace

_POINTER = "gitdir:"
_IGNORE_ALL = "*\n"


class NoWorkspace(Exception):
    """There is no git repository to work in; the message says where and what to do."""


def find(start: Path) -> Workspace:
    """The workspace of the repository that holds `start`, from any folder or linked worktree of it.

    Raises:
        NoWorkspace: no repository, a bare one, or a worktree whose repository is gone.
    """
    folder = start.resolve()
    if not folder.is_dir():
        raise NoWorkspace(f"no such folder: {folder}")
    for candidate in (folder, *folder.parents):
        entry = candidate / ".git"
        if entry.is_file():
            return Workspace(_behind(entry))
        if _is_git_dir(entry):
            return Workspace(candidate)
        if _is_git_dir(candidate):  # a bare repository, or git's own folder under another name
            raise NoWorkspace(f"{candidate} has no checkout: open a worktree of it instead")
    raise NoWorkspace(f"no git repository here: {folder} (`git init` makes one, `jetbox demo` a sample)")


def set_up(workspace: Workspace) -> None:
    """Make `.jetbox/` and `runs/`, each ignoring itself, so that no file of the user's has to."""
    _ignored(workspace.home, always=True)
    _ignored(workspace.runs, always=False)


def _ignored(folder: Path, *, always: bool) -> None:
    """A folder with a `.gitignore` of `*`. One with the user's own files in it is left alone."""
    folder.mkdir(exist_ok=True)
    if always or not any(folder.iterdir()):
        write_new(folder / ".gitignore", _IGNORE_ALL)


def write_new(path: Path, text: str) -> bool:
    """Write a file that is not there yet; False, and nothing touched, when it is."""
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def _behind(entry: Path) -> Path:
    """The checkout to work in where `.git` is a file: a linked worktree's leads to its main checkout.

    A submodule, and a repository whose git folder lies elsewhere, are their own.
    """
    text = entry.read_text(encoding="utf-8", errors="surrogateescape").strip()
    target = text.removeprefix(_POINTER).strip()
    git_dir = (entry.parent / target).resolve()
    if not text.startswith(_POINTER) or not _is_git_dir(git_dir, linked=True):
        raise NoWorkspace(f"{entry} leads to no repository: `git worktree repair`, run in the main one, may")
    try:
        common = (git_dir / "commondir").read_text(encoding="utf-8", errors="surrogateescape").strip()
    except FileNotFoundError:
        return entry.parent
    home = (git_dir / common).resolve()
    return home.parent if home.name == ".git" else entry.parent


def _is_git_dir(path: Path, *, linked: bool = False) -> bool:
    """Whether git would take this for its folder; a linked worktree's holds less."""
    head = path / "HEAD"
    if not (head.is_file() or head.is_symlink()):
        return False
    return linked or ((path / "objects").is_dir() and (path / "refs").is_dir())
