"""What an attempt is shown of the repository: chosen from the commit it began at, the same ever after."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.agent.prompt import Background, background_budget
from orchestrator.attempt import Attempt
from orchestrator.checks import Check
from orchestrator.git import Repo
from orchestrator.models.base import Chosen

if TYPE_CHECKING:
    from orchestrator.agent.repomap import Cache

_OWN = ("tickets/", "personas/", "jetbox.yaml", "checks.yaml", "models.yaml")
"""Jetbox's own files in a repository: full of a ticket's words, and never what it is about."""
_KEPT = 8  # backgrounds; one for each attempt at work and model
_lock = threading.Lock()
_backgrounds: OrderedDict[tuple[object, ...], Background] = OrderedDict()
_facts: Cache = {}


def background(repo: Repo, attempt: Attempt, checks: Sequence[Check], chosen: Chosen) -> Background:
    """The map and the files that the ticket's words, paths and checks point to, within the model's budget.

    A function of the commit, the ticket and the model's room; what it gave is kept, since each turn asks.
    """
    spec = attempt.spec
    budget = background_budget(chosen)
    paths, constraints = tuple(spec.get("paths") or ()), tuple(spec.get("constraints") or ())
    commands = tuple(check.run for check in checks if check.run)
    goal = " ".join(filter(None, (str(spec["goal"]), str(spec.get("notes") or ""))))
    tree = repo.tree_of(attempt.origin)
    key = (str(repo.common_dir), tree, goal, paths, constraints, commands, budget, chosen.bytes_per_token)
    with _lock:  # one at a time: the second of two tickets on one commit finds all facts known
        if key in _backgrounds:
            _backgrounds.move_to_end(key)
            return _backgrounds[key]
        from orchestrator.agent.context import choose
        from orchestrator.agent.repomap import survey
        from orchestrator.agent.treefiles import tree_files

        files = tree_files(repo, tree)
        for path in [path for path in files if path.startswith(_OWN)]:
            del files[path]
        found = choose(
            survey(files, _facts, files.left_out),
            goal,
            paths,
            constraints,
            budget,
            commands=commands,
            bytes_per_token=chosen.bytes_per_token,
        )
        made = Background(found.map, tuple(found.files), tuple(found.outlines), tuple(found.left_out))
        _backgrounds[key] = made
        while len(_backgrounds) > _KEPT:
            _backgrounds.popitem(last=False)
        return made
