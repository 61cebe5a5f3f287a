"""What is asked of a person and when an answer counts: the pure part of `decide` about proposals.

An answer counts for one content under one sandbox. Where either changes, or the contract behind an approval
is not accepted, the proposal is voided and asked again; nothing is done on the old answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.actions import Decision, Propose, Verify, Void, Wait
from orchestrator.attempt import Attempt, Word
from orchestrator.world import World, weakest
from state.canonical import digest

_NOT_ACCEPTED = "approval not accepted: "


def asked(attempt: Attempt, propose: Propose) -> Decision | None:
    """The proposal itself, a wait while it is open, None once a person has approved exactly it."""
    wanted = digest(propose.subject)
    for word in reversed(attempt.words):
        if word.digest != wanted:
            continue
        if word.state == "used":  # and yet nothing landed: no engine writes that
            return Wait("its approval is marked as used, and nothing landed: a retry starts anew")
        if word.state in ("open", "approved"):
            return Wait(None) if word.state == "open" else None
        if word.reason.startswith(_NOT_ACCEPTED):  # whoever is asked again is told why
            return replace(propose, summary=f"{word.reason} ({propose.summary})")
        break
    return propose


def not_accepted(attempt: Attempt, world: World) -> Void | None:
    """An approval without an accepted contract counts for nothing: what it was about is asked again."""
    for word in attempt.words:
        if word.state == "approved" and word.id in world.refused:
            return Void(word.id, _NOT_ACCEPTED + world.refused[word.id])
    return None


def outdated(attempt: Attempt, world: World) -> Void | None:
    """What is shown, or waits to be landed, holds for one isolation and one policy."""
    for word in attempt.words:
        if not _binds(word):
            continue
        if word.subject.get("policy", world.policy) != world.policy:
            return Void(word.id, "what commands may use has changed: it is asked again")
        shown = str(word.subject.get("isolation", world.isolation))
        if weakest([shown, world.isolation]) != shown:
            return Void(word.id, f"isolation was {shown} and is {world.isolation} now: it is asked again")
    return None


def superseded(attempt: Attempt, propose: Propose) -> Void | None:
    """The last proposal of this kind, where it is about something else."""
    word = attempt.word(propose.kind)
    if word is None or not _binds(word) or word.digest == digest(propose.subject):
        return None
    return Void(word.id, "what it names has changed: it is asked again")


def _binds(word: Word) -> bool:
    """Whether it is open, or approved and not done; approvals of other kinds are found by their digest."""
    return word.state == "open" or (word.state, word.kind) == ("approved", "merge")


def ground(world: World) -> dict[str, str]:
    """What the subject of a question says of the sandbox: what commands will run under."""
    return {"isolation": world.isolation, "policy": world.policy}


def evidence(attempt: Attempt, world: World) -> dict[str, str]:
    """What the subject says of the sandbox where results are accepted.

    The isolation is the weakest that anything of this attempt ran under, the present one included.
    """
    ran = [
        str(outcome.result.get("isolation") or "none")  # an older Jetbox had no sandbox, and did not say so
        for outcome in attempt.done.values()
        if outcome.exit is not None or "isolation" in outcome.result
    ]
    return {"isolation": weakest([*ran, world.isolation]), "policy": world.policy}


def without(attempt: Attempt, takes: Sequence[Verify], world: World) -> Decision | None:
    """Checks that could not be taken on an artifact: a person may accept it without them, nobody else."""
    unknown = {
        take.check.name: str(o.result["skipped"])
        for take in takes
        if (o := attempt.done.get(take.key)) and o.result.get("skipped")
    }
    if not unknown:
        return None
    told = "; ".join(f"{name}: {why}" for name, why in unknown.items())
    question = f"accept it without what could not be checked? {told}"
    subject = {
        "ticket": attempt.ticket,
        "attempt": attempt.number,
        "question": question,
        "tree": takes[0].tree,
        "unknown": unknown,
        **evidence(attempt, world),
    }
    return asked(attempt, Propose("question", question, subject))
