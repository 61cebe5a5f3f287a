"""Which folders a command needs beside the system's, so that a project's own tools work inside.

A repository can grant nothing by what it holds: only real folders count (no links), an environment's base
interpreter only if it is one, and a folder from which the user's secrets could be reached is refused.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from orchestrator.sandbox.policy import Policy
from state.home import config_home, data_home

_SECRET = (".ssh", ".gnupg", ".aws", ".config", ".netrc", ".git-credentials", ".kube", ".docker")


class TooWide(Exception):
    """A folder that was to be readable holds secrets."""


def readable(policy: Policy, root: Path, home: Path) -> tuple[Path, ...]:
    """Folders that exist and that commands of this repository may read.

    Args:
        policy: what is granted.
        root: the repository's own folder.
        home: Jetbox's folder in it, which no grant may cover.

    Raises:
        TooWide: a grant of the person's own would show their secrets.
    """
    found = [Path(name).expanduser() for name in policy.readable]
    for each in found:
        _guard(each, home)
    environments = [root / name for name in policy.beside if _plain_folder(root / name)]
    own = [Path(prefix) for prefix in (sys.prefix, sys.base_prefix)]
    found += environments
    for environment in (*environments, *own):
        found += _interpreter(environment)
    found += own
    if "site-packages" not in __file__:  # run from its sources: child processes of the checks import them
        found += _sources()
    return tuple(dict.fromkeys(path for path in found if path.is_absolute() and path.exists()))


def search_path(policy: Policy, root: Path, worktree: Path, given: str) -> str:
    """PATH for a command: the project's own environment first, Jetbox's interpreter last."""
    parts = [folder / name / "bin" for name in policy.beside for folder in (worktree, root)]
    parts += [folder / name / ".bin" for name in policy.beside for folder in (worktree, root)]
    first = [str(part) for part in parts if part.is_dir()]
    return os.pathsep.join([*first, *(part for part in given.split(os.pathsep) if part), str(_own_bin())])


def environment_of(policy: Policy, root: Path, worktree: Path) -> Path | None:
    """The Python environment that commands use, if the project has one."""
    for folder in (worktree, root):
        for name in policy.beside:
            if (folder / name / "pyvenv.cfg").is_file() and _plain_folder(folder / name):
                return folder / name
    return None


def _own_bin() -> Path:
    return Path(sys.executable).parent


def _sources() -> Iterable[Path]:
    above = Path(__file__).resolve().parents[2]
    return [above / name for name in ("orchestrator", "state", "tickets", "datagen", "model", "configs")]


def _guard(path: Path, home: Path) -> None:
    secrets = [home, config_home(), data_home(), *(Path.home() / name for name in _SECRET)]
    for secret in secrets:
        if secret.is_relative_to(path):
            raise TooWide(f"{path} must not be readable in the sandbox: {secret} lies in it")


def _plain_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _interpreter(environment: Path) -> list[Path]:
    """The base interpreter that a Python environment names, as far as it is one."""
    try:
        lines = (environment / "pyvenv.cfg").read_text(errors="replace").splitlines()
    except OSError:
        return []
    home = next((line.partition("=")[2].strip() for line in lines if line.startswith("home")), "")
    folder = Path(home)
    prefix = folder.parent
    try:
        real = folder.is_absolute() and any(prefix.glob("lib/python3*/os.py"))
    except OSError:
        real = False
    if not real:
        return []
    return [folder.resolve(), prefix / "lib", (prefix / "lib").resolve()]
