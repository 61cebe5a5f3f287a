"""A repository of its own over the objects of a real one, to work in without touching that.

For what has to be done again (a replay) or in advance (a rehearsal): nothing of the real repository, of its
blobs or of its worktrees is written, and all of it is gone afterwards.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from orchestrator.checks import Check
from orchestrator.git import Repo
from orchestrator.models.base import Nobody, Service
from orchestrator.place import Control, Place, Turn
from state.blobs import Blobs
from state.workspace import Workspace

_SHA256 = "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectformat = sha256\n"


@contextmanager
def scratch(
    workspace: Workspace, repo: Repo, author: str, checks: Sequence[Check], models: Service | None = None
) -> Iterator[Place]:
    """A repository of its own over the real one's objects, and a place to work in it."""
    with tempfile.TemporaryDirectory(prefix="jetbox-scratch-", ignore_cleanup_errors=True) as made:
        root = Path(made)
        objects = root / ".git" / "objects"
        (objects / "info").mkdir(parents=True)
        (root / ".git" / "refs").mkdir()
        (root / ".git" / "HEAD").write_text("ref: refs/heads/replay\n")
        if repo.call("rev-parse", "--show-object-format").out.strip() == b"sha256":
            (root / ".git" / "config").write_text(_SHA256)
        (objects / "info" / "alternates").write_text(f"{repo.common_dir / 'objects'}\n")
        own = _Scratch(root, workspace)
        nothing = cast(Any, None)  # no command runs here
        yield Place(
            workspace=own,
            repo=Repo.open(root),
            blobs=_Over(root / "blobs", Blobs(workspace.blobs)),
            sandbox=nothing,
            author=author,
            control=Control(),
            inputs={},
            progress=lambda _fraction, _eta: None,
            anchor=lambda: "",
            sound=lambda: None,
            turn=Turn(),
            models=models or Nobody(),
            checks=checks,
        )


class _Scratch(Workspace):
    """A folder of its own, with the real workspace's personas."""

    def __init__(self, root: Path, real: Workspace) -> None:
        super().__init__(root)
        object.__setattr__(self, "_real", real)

    @property
    def personas(self) -> Path:
        """The real ones: they are part of each request."""
        real: Workspace = self.__dict__["_real"]
        return real.personas


class _Over(Blobs):
    """Blobs of its own before the recorded ones: nothing is written into the recording."""

    def __init__(self, folder: Path, under: Blobs) -> None:
        super().__init__(folder)
        self._under = under

    def get(self, name: str, limit: int | None = None) -> bytes:
        """A blob of either."""
        own = self.path(name)
        return super().get(name, limit) if own.exists() else self._under.get(name, limit)
