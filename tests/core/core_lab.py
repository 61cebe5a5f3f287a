"""A lab of the engine with words on the core: adopt, propose, approve, revert, and what came of it."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import scripted_core
from lab import Lab

from orchestrator.core import propose as proposing
from orchestrator.core.adopt import adopt
from orchestrator.workspaces import set_up
from state import core, core_words
from state.approval_key import KeySealer
from state.core import Current
from state.events import Event
from state.journal import Journal
from state.views import Proposal


class CoreLab(Lab):
    """One user's repository with a core."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        set_up(self.workspace)
        self.sealer = KeySealer()

    @contextlib.contextmanager
    def journal(self) -> Iterator[Journal]:
        """The journal, for writing."""
        with contextlib.closing(Journal.open(self.workspace.journal)) as journal:
            yield journal

    # Words -------------------------------------------------------------------------------------------

    def adopt(self, **parts: bytes) -> str:
        """Take checkpoints with these weights into the core; the version's digest."""
        made = {}
        for name, weights in parts.items():
            folder = self.root / ".git" / f"trained-{name}-{hashlib.sha256(weights).hexdigest()[:8]}"
            made[name] = folder if folder.exists() else scripted_core.checkpoint(folder, weights)
        with self.journal() as journal:
            return adopt(self.workspace, journal, self.sealer, made, by="tester").digest

    def revert(self, digest: str) -> Event:
        with self.journal() as journal:
            return core_words.revert(journal, self.workspace, digest, "tester", sealer=self.sealer)

    def teach(self, name: str = "rules", part: str = "sudoku", lessons: int = 3, **how: Any) -> Path:
        """A memory over the core in force."""
        over = how.pop("core", None) or self.now()
        return scripted_core.memory(self.workspace.home, name, part, over, lessons, **how)

    def propose(self, memory: str = "rules") -> str:
        return proposing.propose(self.workspace, memory, "a test", by="tester", sealer=self.sealer)

    def asked(self, memory: str = "rules") -> tuple[str, Proposal]:
        """A ticket that has come to its question, and that question."""
        ticket = self.propose(memory)
        self.run()
        found = [p for p in self.inbox() if (p.ticket, p.kind) == (ticket, "core")]
        assert found, self.card(ticket)
        return ticket, found[0]

    # Looks -------------------------------------------------------------------------------------------

    def current(self) -> Current:
        found = self.look(lambda j: core.verified(j, self.workspace, self.sealer))
        assert isinstance(found, Current)
        return found

    def now(self) -> str:
        """The digest of the version in force; '' where there is none."""
        version = self.current().version
        return version.digest if version else ""

    def version(self, digest: str) -> Path:
        return core.versions(self.workspace) / digest

    def bytes_of(self, digest: str) -> dict[str, bytes]:
        """Every file of a version."""
        folder = self.version(digest)
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    def refused(self) -> list[str]:
        """What was put on record as refused, in words."""
        return [f"{e.body['what']}: {e.body['why']}" for e in self.events(type_="core.refused")]
