"""What an attempt can do next. Plain values: a journal row holds one, any driver can perform it.

An action's `key` names the effect, not the try: after a crash the same key is decided again, and the
driver makes repeating it end in the same state.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from orchestrator.checks import Check


@dataclass(frozen=True)
class Action:
    """An effect with an intent before it and an outcome after it."""

    task: ClassVar[str] = "Work"  # the branch of the tree it is shown under
    alone: ClassVar[bool] = False  # it goes on whatever the kind of ticket lacks on this machine

    @property
    def key(self) -> str:
        """The name of the effect within its attempt."""
        raise NotImplementedError

    @property
    def title(self) -> str:
        """One line for the tree."""
        raise NotImplementedError

    def args(self) -> dict[str, Any]:
        """What the journal keeps of it."""
        return asdict(self)


@dataclass(frozen=True)
class Prepare(Action):
    """Make the worktree on the ticket's branch."""

    task: ClassVar[str] = "Prepare"
    commit: str

    key = "prepare"
    title = "worktree"


@dataclass(frozen=True)
class Restore(Action):
    """Put the worktree back to a checkpoint after an action was cut off."""

    alone: ClassVar[bool] = True
    commit: str
    after: int  # seq of the outcome that says so

    @property
    def key(self) -> str:
        """One for each interruption."""
        return f"restore:{self.after}"

    title = "back to the last checkpoint"


@dataclass(frozen=True)
class Command(Action):
    """Run one of the ticket's commands in the worktree, then make a checkpoint."""

    index: int
    total: int
    command: str
    ok: tuple[int, ...]
    timeout: float | None

    @property
    def key(self) -> str:
        """Its place in the list."""
        return f"step:{self.index}"

    @property
    def title(self) -> str:
        """The command itself."""
        return self.command


@dataclass(frozen=True)
class Run(Action):
    """A child process under the run protocol; it survives the engine and is taken up again."""

    module: str
    request: dict[str, Any]
    timeout: float | None
    memory: int = 0  # bytes that it takes of what models and runs share; 0: nothing worth keeping a ledger of
    pins: dict[str, str] = field(default_factory=dict)  # files below the root that it stands on -> SHA-256

    key = "run"

    @property
    def title(self) -> str:
        """What runs."""
        asked = self.request
        return str(asked.get("recipe") or asked.get("suite") or asked.get("learner") or self.module)


@dataclass(frozen=True)
class Resolve(Action):
    """Work out the complete request of a run: from the ticket, the repository and what landed before it."""

    task: ClassVar[str] = "Prepare"
    number: int  # from 0: a person who chose something lighter makes it be worked out again
    what: str  # train or eval
    options: dict[str, Any]  # the ticket's `with`
    changes: dict[str, Any]  # what a person chose since, as `set` has it

    @property
    def key(self) -> str:
        """One for each choice."""
        return f"resolve:{self.number}"

    title = "the complete request"


@dataclass(frozen=True)
class Estimate(Action):
    """Reckon the memory that a training run would take, before anyone is asked to start it."""

    task: ClassVar[str] = "Prepare"
    number: int
    request: dict[str, Any]

    @property
    def key(self) -> str:
        """One for each choice."""
        return f"estimate:{self.number}"

    title = "memory it would take"


@dataclass(frozen=True)
class Merge(Action):
    """Compute what landing on this base would give. Touches no checkout."""

    task: ClassVar[str] = "Merge"
    base: str
    head: str

    @property
    def key(self) -> str:
        """One for each pair."""
        return f"merge:{self.base}:{self.head}"

    @property
    def title(self) -> str:
        """Where it would land."""
        return f"merge onto {self.base[:10]}"


@dataclass(frozen=True)
class Verify(Action):
    """Take a receipt: one check on one tree, in a clean checkout of it."""

    task: ClassVar[str] = "Checks"
    alone: ClassVar[bool] = True
    check: Check
    side: str  # base, branch, merged, artifact
    commit: str  # '' for an artifact
    tree: str
    timeout: float | None

    @property
    def key(self) -> str:
        """One for each check and tree."""
        return f"check:{self.side}:{self.tree}:{self.check.name}"

    @property
    def title(self) -> str:
        """Check and side."""
        return f"{self.check.name} on the {self.side}"


@dataclass(frozen=True)
class Rehearse(Action):
    """Undo the merge in a scratch place, before anyone is asked to make it."""

    task: ClassVar[str] = "Merge"
    base: str
    head: str
    commit: str  # what would land
    command: str  # '' for a revert
    timeout: float | None

    @property
    def key(self) -> str:
        """One for each merge."""
        return f"rehearse:{self.base}:{self.head}"

    title = "rehearse the rollback"


@dataclass(frozen=True)
class Land(Action):
    """Move the base ref to exactly what was approved."""

    task: ClassVar[str] = "Land"
    proposal: str
    landing: dict[str, Any]

    @property
    def key(self) -> str:
        """One for each approval."""
        return f"land:{self.proposal}"

    @property
    def title(self) -> str:
        """Where it lands."""
        return f"land on {str(self.landing['base_ref']).removeprefix('refs/heads/')}"


@dataclass(frozen=True)
class FollowUp(Action):
    """Bring the checkouts of the base branch up to what landed, path by path."""

    task: ClassVar[str] = "Land"
    base_ref: str
    old_tree: str
    new_tree: str

    key = "follow-up"
    title = "bring your checkout up to it"


@dataclass(frozen=True)
class Close(Action):
    """Put away what the attempt made: into the trash unless it landed."""

    task: ClassVar[str] = "Close"
    state: str  # landed, failed, cancelled
    why: str
    retry: bool = False
    result: dict[str, Any] = field(default_factory=dict)

    key = "close"

    @property
    def title(self) -> str:
        """What is put away."""
        return "remove the worktree" if self.state == "landed" else "put the work into the trash"


# What an agent does ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call(Action):
    """Ask a model, and record its whole reply."""

    number: int  # of the attempt's calls, from 1
    purpose: str  # plan, critique, act
    persona: str
    subtask: int  # which one it is about; 0 while there is no plan
    about: str  # its title
    rung: int = 0  # of the stuck ladder
    why: str = ""  # what the model is told of that
    form: str = ""  # how it is to write an edit: whole, blocks, or as its model does best
    more: bool = False  # think more than usual
    larger: int = 0  # how many candidates up from the usual model
    tighter: int = 0  # how often the prompt was too long for what the server really has
    timeout: float | None = None

    @property
    def key(self) -> str:
        """Its number: a call that was cut off is made again under the same."""
        return f"call:{self.number}"

    @property
    def task(self) -> str:  # type: ignore[override]
        """The plan, or the subtask it is about."""
        return branch(self.subtask, self.about) if self.purpose == "act" else "Plan"

    @property
    def title(self) -> str:
        """Who is asked for what."""
        return {"plan": "make a plan", "critique": "criticise the plan"}.get(
            self.purpose, f"turn {self.number}"
        )


@dataclass(frozen=True)
class Act(Action):
    """Carry out what the model said in a call: read, search, edit, run."""

    alone: ClassVar[bool] = True
    number: int  # of the call
    verb: str
    what: str  # path, pattern or command
    subtask: int
    about: str
    refused: str = ""  # why it is not done but answered
    timeout: float | None = None

    @property
    def key(self) -> str:
        """One for each call."""
        return f"act:{self.number}"

    @property
    def task(self) -> str:  # type: ignore[override]
        """The subtask."""
        return branch(self.subtask, self.about)

    @property
    def title(self) -> str:
        """What is done."""
        return f"{self.verb} {self.what}"


@dataclass(frozen=True)
class Probe(Action):
    """Run the command that shows whether a subtask is done, in a clean checkout."""

    alone: ClassVar[bool] = True
    command: str
    commit: str
    tree: str
    subtask: int
    about: str
    timeout: float | None = None

    @property
    def key(self) -> str:
        """One for each command and tree."""
        return f"probe:{self.tree}:{hashlib.sha256(self.command.encode()).hexdigest()[:16]}"

    @property
    def task(self) -> str:  # type: ignore[override]
        """The subtask."""
        return branch(self.subtask, self.about)

    @property
    def title(self) -> str:
        """The command."""
        return f"probe: {self.command}"


@dataclass(frozen=True)
class Back(Action):
    """Go back to an earlier checkpoint of this attempt, because what came after it led nowhere."""

    alone: ClassVar[bool] = True
    after: int  # the call after which this was decided
    commit: str
    tree: str
    subtask: int
    about: str

    @property
    def key(self) -> str:
        """One for each decision."""
        return f"back:{self.after}"

    @property
    def task(self) -> str:  # type: ignore[override]
        """The subtask."""
        return branch(self.subtask, self.about)

    title = "back to the best checkpoint"


def branch(subtask: int, about: str) -> str:
    """What the tree calls a subtask."""
    return f"{subtask}. {about}" if subtask else "Work"


@dataclass(frozen=True)
class Adopt(Action):
    """Make a checkpoint of what a person did in the worktree."""

    alone: ClassVar[bool] = True
    after: int  # seq of the handing back

    @property
    def key(self) -> str:
        """One for each time."""
        return f"adopt:{self.after}"

    title = "what you changed"


@dataclass(frozen=True)
class Propose:
    """Ask a person. `subject` is all that the approval is bound to."""

    kind: str
    summary: str
    subject: dict[str, Any]
    diff: str = ""


@dataclass(frozen=True)
class Void:
    """A proposal's content no longer holds: it is shown as stale and not acted on."""

    proposal: str
    why: str


@dataclass(frozen=True)
class Wait:
    """Nothing to do until the world changes. `why` is told; None is the normal waiting for a word."""

    why: str | None


@dataclass(frozen=True)
class End:
    """The attempt is over."""

    state: str
    why: str
    retry: bool
    result: dict[str, Any]


Decision = Action | Propose | Void | Wait | End
