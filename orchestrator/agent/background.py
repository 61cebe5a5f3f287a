"""What an attempt is shown of the repository: chosen once, from the commit it began at, and the same ever after."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.agent.prompt import Background, background_budget
from orchestrator.attempt import Attempt
from orchestrator.checks import Check
from orchestrator.git import Repo
from orchestrator.models.base import Chosen


def background(repo: Repo, attempt: Attempt, checks: Sequence[Check], chosen: Chosen) -> Background:
    """The map and the files that the ticket's words, paths and checks point to, within the model's budget."""
    tree = repo.tree_of(attempt.origin or attempt.base)
    budget = background_budget(chosen)
    names = "\n".join(entry.path for entry in repo.files(tree))
    return Background(map=names[: budget * 3])
