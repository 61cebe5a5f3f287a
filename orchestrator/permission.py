"""What is asked before an attempt's work starts: a start that needs a yes, new programs, and the network.

Pure, and looked at again before every step: where a check, the known programs or the sandbox have changed,
so has the content of the question, and it is asked again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from orchestrator import unknown
from orchestrator.actions import Decision, Propose, Void
from orchestrator.asking import asked, ground, superseded
from orchestrator.attempt import Attempt
from orchestrator.checks import Check
from orchestrator.world import World

_NAMED = 8  # of what is new, in one line; the subject holds all


def permission(
    attempt: Attempt,
    checks: Sequence[Check],
    world: World,
    approvals: Collection[str],
    facts: tuple[str, Mapping[str, Any]] = ("", {}),
) -> Decision | None:
    """The question that is open before any work; None when nothing is, or all was answered with yes.

    `approvals` are what the kind and the ticket want to be asked for, whatever the commands are; `facts` what
    a kind has found out about the start, as a few words and as parts of the subject.
    """
    lines = unknown.commands(attempt.spec, checks)
    programs = unknown.new_programs(lines, world.known)
    naming = [line for line in lines if unknown.hosts(line)]
    questions = []
    if "start" in approvals or programs:
        questions.append(_start(attempt, world, programs, "start" in approvals, facts))
    if "network" in approvals or naming:
        questions.append(_network(attempt, world, naming))
    for question in questions:
        if decision := superseded(attempt, question) or asked(attempt, question):
            return decision
    return _idle(attempt, {question.kind for question in questions})


def _start(
    attempt: Attempt,
    world: World,
    programs: Sequence[str],
    wanted: bool,
    facts: tuple[str, Mapping[str, Any]],
) -> Propose:
    goal = attempt.spec["goal"]
    words, more = facts
    said = [f"start: {goal}" + (f" ({words})" if words else "")] if wanted else []
    subject = {
        **more,
        "ticket": attempt.ticket,
        "attempt": attempt.number,
        "revision": attempt.revision,
        "goal": goal,
        "kind": attempt.spec["kind"],
        "with": attempt.spec.get("with") or {},
        "budget": attempt.spec.get("budget") or {},
        "base": attempt.base,
        **ground(world),
    }
    if programs:
        said.append(f"uses new programs: {_listed(programs)}")
        subject["new"] = {"programs": list(programs)}
    return Propose("start", "; ".join(said), subject)


def _network(attempt: Attempt, world: World, naming: Sequence[str]) -> Propose:
    """The way out that a ticket asks for. A yes is a record that a person knows; it opens nothing."""
    hosts = sorted({host for line in naming for host in unknown.hosts(line)})
    said = f"names {_listed(hosts)}" if hosts else "asks for the network"
    subject = {
        "ticket": attempt.ticket,
        "attempt": attempt.number,
        "revision": attempt.revision,
        "purpose": attempt.spec["goal"],
        "hosts": hosts,
        "commands": list(naming),
        "bytes": None,
        "inside": "none",
        **ground(world),
    }
    why = "commands run without a network whatever you say; fetch what it needs yourself, then approve"
    return Propose("network", f"{said}: {why}", subject)


def _idle(attempt: Attempt, kinds: Collection[str]) -> Void | None:
    """A question that nothing asks any more."""
    for word in attempt.words:
        if word.kind in ("start", "network") and word.state == "open" and word.kind not in kinds:
            return Void(word.id, "nothing asks for it any more")
    return None


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
