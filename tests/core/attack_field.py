"""What each attempt on the core begins with: two versions that a person sealed, and an open question."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from core_lab import CoreLab

from state import core, words
from state.approval_key import KeySealer
from state.contract import Matter, SealError, draw_up
from state.core import CoreRefused
from state.events import New
from state.views import Proposal
from state.words import Refused
from tickets.problems import TicketError

REFUSALS = (Refused, CoreRefused, TicketError, SealError)


class Base(NamedTuple):
    """What each attempt begins with: two versions that a person sealed, the second in force."""

    first: str
    second: str
    ticket: str
    asked: Proposal
    """An open question to change the core to a third one."""


@dataclass
class Field:
    """A lab in that state."""

    lab: CoreLab
    base: Base
    tmp: Path

    def write(self, *events: New) -> None:
        """Events as whoever can write the journal writes them: the chain fits."""
        with self.lab.journal() as journal:
            journal.append(*events)

    def seal(self, matter: Matter, *, by: KeySealer | None = None, workspace: str = "") -> dict[str, Any]:
        """A record that a person's key, or another one, really sealed."""
        where = workspace or str(self.lab.root)
        return draw_up(matter, "mallory", "s" * 32, "y", by or self.lab.sealer, workspace=where)

    def foreign(self) -> str:
        """A well-formed version among the others that nobody ever said."""
        folder = self.tmp / "foreign"
        shutil.copytree(self.lab.version(self.base.first), folder)
        path = folder / "parts/sudoku/model.safetensors"
        path.write_bytes(b"poison")
        body = json.loads((folder / "core.json").read_text())
        sha256 = hashlib.sha256(b"poison").hexdigest()
        body["parts"]["sudoku"]["files"]["model.safetensors"] = sha256
        data = core.core_json(body)
        (folder / "core.json").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        shutil.move(folder, self.lab.version(digest))
        return digest

    def set(self, digest: str, before: str | None, why: str = "adopt", **more: Any) -> New:
        body = {"core": digest, "before": before, "why": why, "proposal": "", "by": "mallory", "contract": {}}
        return New("core.set", {**body, **more})

    @contextlib.contextmanager
    def refuses(self, *kinds: type[Exception]) -> Iterator[None]:
        with pytest.raises(kinds or REFUSALS):
            yield

    def candidate(self) -> Path:
        return self.lab.workspace.run(self.base.ticket, 1) / "candidate"

    def approve(self) -> None:
        self.lab.say(words.approve, self.base.asked.id, self.base.asked.digest)

    def ends(self, ticket: str, said: str) -> None:
        self.lab.run()
        assert self.lab.state(ticket) in ("failed", "cancelled", "broken"), self.lab.card(ticket)
        assert said in self.lab.note(ticket), self.lab.note(ticket)
        assert not [p for p in self.lab.inbox() if p.ticket == ticket]
