"""Which approvals may be acted on: their contracts held against the person's key, gathered for `decide`."""

from __future__ import annotations

import hashlib
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from orchestrator import landing
from orchestrator.attempt import Attempt, Word
from orchestrator.git import GitError, Repo
from orchestrator.perform import planned
from state.contract import Asked, ContractNotAccepted, Sealer, accept
from state.events import BLOB
from state.views import Session
from state.words import consent_matter


@dataclass(frozen=True)
class Contracts:
    """The contracts of one workspace, under the person's settings as the engine found them."""

    sealer: Sealer
    workspace: str
    """Its folder, absolute: see `state.words.folder_of`."""
    repo: Repo

    def refused(self, attempt: Attempt) -> dict[str, str]:
        """Approved proposals on which nothing may be done, and why.

        What git shows as landed is history, whatever its approval was. What the journal alone calls landed
        is not.
        """
        found: dict[str, str] = {}
        for word in attempt.words:
            if word.state == "approved" or (word.state == "used" and not self._in_git(word)):
                try:
                    self._accept(attempt, word)
                except ContractNotAccepted as refused:
                    found[word.id] = str(refused)
        named = {word.id for word in attempt.words if word.state == "used"}
        for key, outcome in attempt.done.items():
            id_ = key.removeprefix("land:")
            if id_ != key and outcome.status == "done" and id_ not in named:
                found.setdefault(id_, "no approval was used for it")
        return found

    def consented(self, session: Session | None) -> bool:
        """Whether a person lets commands run without a sandbox in this run of the engine."""
        if session is None or not session.open or not session.consent:
            return False
        try:
            self.accept(session.consent.get("contract"), consent_matter(session))
        except ContractNotAccepted:
            return False
        return True

    def accept(self, record: Any, asked: Asked, used: Container[str] = ()) -> None:
        """Hold any record against what it is about.

        Raises:
            ContractNotAccepted: nothing may be done on it.
        """
        accept(record, asked, self.sealer, workspace=self.workspace, used=used)

    def _accept(self, attempt: Attempt, word: Word) -> None:
        about = (word.subject.get("ticket"), word.subject.get("attempt"))
        if about != (attempt.ticket, attempt.number):
            raise ContractNotAccepted(
                "stale", "it was given for another attempt; look at it and approve it again"
            )
        self.accept(word.contract, word, word.spent)
        if word.kind == "merge" and word.state == "approved" and not self._shows_what_lands(word):
            raise ContractNotAccepted("stale", "what was shown is not what would land: try it again")

    def _shows_what_lands(self, word: Word) -> bool:
        """Whether the diff that a person looked at is that of the very trees, as git has them.

        The journal says both, so who can write it could show one change and have another approved.
        """
        subject = word.subject
        try:
            plan = planned(subject["landing"])
            named = tuple(subject[name] for name in ("base_ref", "base", "head", "tree"))
            if named != (plan.base_ref, plan.base, plan.head, plan.tree):
                return False
            diff = self.repo.diff(self.repo.tree_of(plan.base), plan.tree)
        except (KeyError, TypeError, ValueError, GitError):
            return False
        return bool(subject.get("diff") == BLOB + hashlib.sha256(diff).hexdigest())

    def _in_git(self, word: Word) -> bool:
        try:
            return landing.state(self.repo, planned(word.subject["landing"])) == "landed"
        except (KeyError, TypeError, ValueError, GitError):  # not a landing that an engine would have written
            return False
