"""A repository to stand in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cli_doubles import EVIL, Place, admitted, git, proposed, started

from state.events import New
from state.workspace import Workspace


@pytest.fixture
def place(tmp_path: Path) -> Place:
    root = (tmp_path / "project").resolve()
    root.mkdir()
    git(root, "init", "-q", "-b", "main", "--template=")
    git(root, "config", "user.name", "Ada")
    git(root, "config", "user.email", "ada@example.org")
    (root / "README").write_text("hello\n")
    git(root, "add", "README")
    git(root, "commit", "-q", "-m", "begin")
    return Place(Workspace(root))


@pytest.fixture
def hostile(place: Place) -> Place:
    """A journal in which every text is hostile."""
    outcome: dict[str, Any] = {"key": "k", "task": EVIL, "intent": 4, "status": "failed", "seconds": 0.1}
    outcome |= {"title": EVIL, "result": {"why": EVIL}}
    outcome["receipt"] = {
        "name": EVIL, "side": "branch", "tree": "t", "revision": "r", "passed": False, "summary": EVIL,
    }  # fmt: skip
    intent = {"key": "k", "task": EVIL, "title": EVIL, "action": "Command", "args": {}}
    place.write(
        admitted(goal=EVIL, labels=[EVIL], notes=EVIL),
        *started(),
        New("action.intent", intent, "TICKET-001", 1),
        New("action.outcome", outcome, "TICKET-001", 1),
        proposed(summary=EVIL, changed=[EVIL]),
        New("ticket.broken", {"path": EVIL, "problems": [EVIL]}, "TICKET-002"),
    )
    return place
