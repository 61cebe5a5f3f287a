"""Where a workspace keeps its things. Paths only: nothing is made or read here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """The user's repository and Jetbox's own folder inside it."""

    root: Path

    @property
    def home(self) -> Path:
        """Everything of Jetbox's that is not the user's: ignored by git."""
        return self.root / ".jetbox"

    @property
    def config(self) -> Path:
        """The project's settings, in git."""
        return self.root / "jetbox.yaml"

    @property
    def checks(self) -> Path:
        """The project's named checks, in git."""
        return self.root / "checks.yaml"

    @property
    def tickets(self) -> Path:
        """The specs a person writes."""
        return self.root / "tickets"

    @property
    def journal(self) -> Path:
        """The truth: one SQLite file."""
        return self.home / "journal.db"

    @property
    def blobs(self) -> Path:
        """Large bodies, named by their content."""
        return self.home / "blobs"

    @property
    def worktrees(self) -> Path:
        """One git worktree for each attempt, and the gates' clean checkouts."""
        return self.home / "worktrees"

    @property
    def lock(self) -> Path:
        """Held by the one engine of this workspace."""
        return self.home / "engine.lock"

    @property
    def ballast(self) -> Path:
        """Bytes to give away when the disk is full."""
        return self.home / "ballast"

    @property
    def status(self) -> Path:
        """What happened, for programs that follow it: derived from the journal."""
        return self.home / "status.jsonl"

    @property
    def machine(self) -> Path:
        """What the models hold of the machine, as last seen; see `state/machine.py`."""
        return self.home / "machine.json"

    @property
    def models(self) -> Path:
        """The project's wishes for models, in git."""
        return self.root / "models.yaml"

    @property
    def personas(self) -> Path:
        """The project's own personas, in git."""
        return self.root / "personas"

    @property
    def runs(self) -> Path:
        """The run folders of child processes: data, training, evaluation."""
        return self.root / "runs"

    def run(self, ticket: str, attempt: int) -> Path:
        """The run folder of one attempt."""
        return self.runs / ticket / str(attempt)

    def live(self, ticket: str, attempt: int) -> Path:
        """What the running command of an attempt says, to be followed while it runs."""
        return self.home / "live" / f"{ticket}-{attempt}.log"

    def stream(self, ticket: str, attempt: int) -> Path:
        """What the model says that is being asked now; see `state/stream.py`."""
        return self.home / "live" / f"{ticket}-{attempt}.jsonl"

    def flight(self, ticket: str, attempt: int) -> Path:
        """Where the replies of one attempt are named before the journal does."""
        return self.home / "flight" / f"{ticket}-{attempt}"

    def worktree(self, ticket: str, attempt: int) -> Path:
        """The worktree of one attempt."""
        return self.worktrees / f"{ticket}-{attempt}"

    def gate(self, ticket: str, attempt: int) -> Path:
        """The clean checkout in which the checks of one attempt run."""
        return self.worktrees / f"{ticket}-{attempt}-gate"
