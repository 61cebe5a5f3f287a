"""How consistent an agent is: whether its attempts at one ticket took the same actions.

Pure, from the journal: each attempt's actions as verbs with what they were about, in their order; a command
counts by its program and its first plain word. The score is the mean likeness of each two attempts, 0 to 1,
twice the actions they share in order over all of both (as `difflib` has it). It decides nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shlex
import time
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from itertools import combinations
from pathlib import Path
from statistics import fmean

from state.events import Event
from state.reflections import Consistency, Reflection, new_id, of_ticket, write

MOST_ATTEMPTS = 16  # the latest ones are compared
MOST_ACTIONS = 500  # of an attempt


def sequences(events: Iterable[Event]) -> dict[int, list[str]]:
    """The actions of each attempt at a ticket that took any, normalised."""
    found: dict[int, list[str]] = {}
    for event in events:
        if event.type != "action.intent" or event.body.get("action") != "Act":
            continue
        args = event.body.get("args")
        if isinstance(args, dict):
            row = found.setdefault(event.attempt, [])
            if len(row) < MOST_ACTIONS:
                row.append(normalised(str(args.get("verb", "")), str(args.get("what", ""))))
    return found


def normalised(verb: str, what: str) -> str:
    """An action without what changes from one try to the next: lines of a file, arguments of a command."""
    if verb == "read":
        return f"read {what.partition(':')[0]}"
    if verb == "run":
        try:
            words = shlex.split(what)
        except ValueError:
            words = what.split()
        plain = [word for word in words[1:] if not word.startswith("-")]
        return " ".join(["run", *words[:1], *plain[:1]])
    return verb if verb == "search" else f"{verb} {what}"


def agreement(rows: Sequence[Sequence[str]]) -> float | None:
    """0 to 1: how far attempts took the same actions; None of fewer than two."""
    if len(rows) < 2:
        return None
    pairs = combinations(rows, 2)
    return round(fmean(SequenceMatcher(None, one, two, autojunk=False).ratio() for one, two in pairs), 4)


def keep(home: Path, ticket: str, events: Iterable[Event]) -> None:
    """Write the reflection on a ticket's attempts down, where it is not there yet; what can't be, is left."""
    made = reflected(ticket, events)
    with contextlib.suppress(OSError):
        last = of_ticket(home, ticket) if made else None
        if made and (last is None or last.question != made.question):
            write(home, made)


def reflected(ticket: str, events: Iterable[Event]) -> Reflection | None:
    """The reflection on a ticket's attempts; None where there are no two to compare."""
    found = sequences(events)
    latest = [found[number] for number in sorted(found)[-MOST_ATTEMPTS:]]
    score = agreement(latest)
    if score is None:
        return None
    return Reflection(
        id=new_id(),
        at=time.time_ns() // 1_000_000,
        kind="actions",
        core="",
        part=ticket,
        question=hashlib.sha256(json.dumps(latest).encode()).hexdigest(),
        answer=f"{len(latest)} attempts, {sum(map(len, latest))} actions",
        by="agent",
        probability=None,
        abstained=False,
        consistency=Consistency(variants=score),
    )
