"""The demo: a small real project with tickets, as `configs/demo.yaml` says, and a check of how they ended.

Made as a git repository of its own, with an identity of its own, so that it works on a machine where git
knows nobody. Nothing is written over: a folder that holds anything is left alone.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.gitcall import git_binary
from orchestrator.settings import SHIPPED
from orchestrator.workspaces import set_up, write_new
from state.journal import Journal
from state.views import Card, Proposal
from state.workspace import Workspace
from tickets import strict_yaml

DEFAULT = "jetbox-demo"
_SETTINGS = {
    "user.name": "Jetbox Demo",
    "user.email": "demo@localhost",
    "core.autocrlf": "false",
    "commit.gpgSign": "false",
    "core.hooksPath": os.devnull,
}


class DemoError(Exception):
    """The demo cannot be made; the message says why and what to do."""


class End(BaseModel):
    """How a ticket of the demo ends."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: str
    says: str = ""
    """Text of its note."""
    other: list[str] = Field([], alias="or")
    """States that are right as well, where it depends on the machine."""
    changes: list[str] = []
    """The files that its merge changes, exactly; empty where there is no merge."""
    starts: dict[str, str | int] = {}
    """What its start proposal says of the training; empty where nothing is trained."""


class Toy(BaseModel):
    """A model that has memorised one ticket of the demo."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ticket: str
    file: str
    context: int
    replies: list[str]


class Script(BaseModel):
    """`configs/demo.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: dict[str, str]
    ends: dict[str, End]
    toy: Toy

    @property
    def tickets(self) -> list[str]:
        """The demo's own tickets."""
        return sorted(PurePosixPath(path).stem for path in self.files if path.startswith("tickets/"))


@dataclass(frozen=True)
class Ended:
    """How one ticket ended, beside how it should have."""

    ticket: str
    goal: str
    state: str
    what: str
    wanted: str
    as_wanted: bool = field(kw_only=True)


@cache
def script() -> Script:
    """The demo as it is shipped."""
    path = SHIPPED / "demo.yaml"
    document = strict_yaml.read(path.read_bytes(), path.name)
    assert document.root is not None and not document.problems, document.problems
    return Script.model_validate(document.root.value)


def make(folder: Path | None) -> Path:
    """Make the project in a folder that is empty or not there, and return where it is.

    Raises:
        DemoError: the folder holds something, or git cannot make a repository in it.
    """
    root = (folder if folder is not None else _free(Path.cwd())).resolve()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise DemoError(f"{root} is there already: name an empty folder, or one that is not there")
    for name, text in script().files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_new(path, text)
    _git(root, "init", "--quiet", "--template=", "--initial-branch=main")
    for key, value in _SETTINGS.items():
        _git(root, "config", key, value)
    set_up(Workspace(root))
    _git(root, "add", "--all")
    _git(root, "commit", "--quiet", "--message=A sample project")
    return root


def _free(here: Path) -> Path:
    """The default folder, numbered where it is taken."""
    for number in range(1, 1000):
        path = here / (DEFAULT if number == 1 else f"{DEFAULT}-{number}")
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            return path
    raise DemoError(f"{here} holds a thousand demos: name a folder")


def _git(root: Path, *arguments: str) -> None:
    env = {name: value for name, value in os.environ.items() if not name.upper().startswith("GIT_")}
    command = [git_binary(), "-C", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise DemoError(f"`git {' '.join(arguments)}` in {root}: {done.stderr.strip() or 'failed'}")


def foreseen(proposal: Proposal) -> bool:
    """Whether the script holds this very thing: a merge changing exactly what it should, or a training."""
    end = script().ends.get(proposal.ticket)
    if end is None:
        return False
    if proposal.kind == "merge" and end.changes:
        return sorted(proposal.subject.get("changed", ())) == sorted(end.changes)
    if proposal.kind == "start" and end.starts:
        training = proposal.subject.get("training", {})
        return all(training.get(name) == value for name, value in end.starts.items())
    return False


def ended(journal: Journal) -> list[Ended]:
    """Every ticket of the workspace, how it ended, and how the script says it should have."""
    cards = {card.id: card for card in journal.views.board()}
    ends = script().ends
    return [_ended(journal, id_, cards.get(id_), ends) for id_ in sorted(cards.keys() | ends.keys())]


def _ended(journal: Journal, id_: str, card: Card | None, ends: Mapping[str, End]) -> Ended:
    end = ends.get(id_)
    wanted = end.state if end else "not there"
    if card is None:
        return Ended(id_, "", "not there", "", wanted, as_wanted=False)
    what = card.note
    attempts = journal.views.attempts(id_)
    if attempts and card.state == "landed":
        what = attempts[-1].commit[:10] or str(attempts[-1].artifact.get("path", ""))
    right = end is not None and card.state in (end.state, *end.other) and end.says in card.note
    return Ended(id_, card.goal, card.state, what, wanted, as_wanted=right)
