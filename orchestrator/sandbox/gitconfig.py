"""What a sandboxed command reads in place of a repository's git configuration: a real one may hold tokens."""

from __future__ import annotations

import os
from pathlib import Path

_CONTENT = frozenset(("objects", "refs", "logs", "hooks", "info", "lfs"))  # of a git directory: no settings
_HARMLESS = ("core.repositoryformatversion", "core.bare", "extensions.objectformat", "extensions.refstorage")


def made_up(folder: Path) -> dict[Path, bytes]:
    """For each configuration in a git directory, submodules' included, what stands there instead."""
    configs = [folder / "config", folder / "config.worktree", *folder.glob("worktrees/*/config.worktree")]
    for at, folders, files in os.walk(folder / "modules"):
        folders[:] = [name for name in folders if name not in _CONTENT]
        configs += [Path(at, name) for name in files if name in ("config", "config.worktree")]
    return {config: _plain(config.read_text(errors="replace")) for config in configs if config.is_file()}


def _plain(config: str) -> bytes:
    """Of a git configuration, only what git needs in order to read the repository."""
    section, kept = "", []
    for raw in config.splitlines():
        line = raw.strip()
        if line.startswith("["):
            section = line.strip("[]").strip().lower()
        name, _, value = line.partition("=")
        key, value = f"{section}.{name.strip().lower()}", value.strip()
        if key in _HARMLESS and value.isalnum():
            kept.append(f"[{section}]\n\t{name.strip()} = {value}\n")
    return "".join(kept).encode()
