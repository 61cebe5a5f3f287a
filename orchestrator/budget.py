"""What an attempt has spent and may spend: time, and a model's turns and tokens. Pure.

A budget that is spent ends nothing: it asks a person for as much again, and all that was done stays.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.actions import Decision, Propose
from orchestrator.asking import asked, ground
from orchestrator.attempt import Attempt
from orchestrator.world import World
from state.agent_view import TURNS
from tickets import values


def exceeded(attempt: Attempt, world: World, units: Sequence[str]) -> Decision | None:
    """A budget that is spent asks for more, and loses nothing."""
    for unit, (used, allowed) in spent(attempt).items():
        if unit not in units or allowed is None or used < allowed:
            continue
        given = (attempt.spec.get("budget") or {}).get(unit, TURNS)
        shown = (
            f"{given} is spent: go on for as long"
            if unit == "time"
            else f"{given} {unit} is spent: go on for as many"
        )
        subject = {
            "ticket": attempt.ticket,
            "attempt": attempt.number,
            "question": f"the budget of {shown} again?",
            "budget": unit,
            "grants": _grants(attempt, unit) + 1,
            **ground(world),
        }
        return asked(attempt, Propose("question", str(subject["question"]), subject))
    return None


def spent(attempt: Attempt) -> dict[str, tuple[float, float | None]]:
    """What each budget has used, and what it allows with all that was granted; None: no limit.

    Time is in seconds. Turns and tokens are a model's; without a word of the ticket there are `TURNS`.
    """
    budget = attempt.spec.get("budget") or {}
    calls = [o.result for key, o in attempt.done.items() if key.startswith("call:") and o.status == "done"]
    usage = [call.get("usage") or {} for call in calls]
    used: dict[str, tuple[float, float | None]] = {
        "time": (attempt.spent, values.seconds(budget["time"]) if budget.get("time") else None),
        "turns": (len(calls), budget.get("turns") or TURNS),
        "tokens": (sum((u.get("prompt") or 0) + (u.get("reply") or 0) for u in usage), budget.get("tokens")),
    }
    return {
        unit: (much, allowed and allowed * (1 + _grants(attempt, unit)))
        for unit, (much, allowed) in used.items()
    }


def time_left(attempt: Attempt) -> float | None:
    """Seconds of work that the budget still allows; None where there is no limit."""
    used, allowed = spent(attempt)["time"]
    return None if allowed is None else allowed - used


def _grants(attempt: Attempt, unit: str) -> int:
    return sum(
        word.kind == "question"
        and word.state == "approved"
        and "grants" in word.subject
        and word.subject.get("budget", "time") == unit
        for word in attempt.words
    )
