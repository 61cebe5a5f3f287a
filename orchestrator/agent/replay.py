"""A recorded attempt once more, with no model and no network: today's code decides each step again.

Every request is made again and held against the recorded one; every edit is made again, in a scratch
repository that borrows the objects of the real one, and its tree is held against the recorded one. Replies,
and what commands, checks and the person said, come from the recording, so that a clock in their output is no
divergence; the files that commands and the person changed are taken from the recorded checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator import personas, worktrees
from orchestrator.actions import Act, Action, Call, Decision
from orchestrator.agent import drive
from orchestrator.agent.calling import NoRoom, compose
from orchestrator.agent.options import way
from orchestrator.agent.scratch import scratch
from orchestrator.agent.turns import talk
from orchestrator.agent.work import next_step
from orchestrator.attempt import Attempt, apply
from orchestrator.checks import Check
from orchestrator.git import GitError, Repo
from orchestrator.models.base import Chosen
from orchestrator.place import Place
from orchestrator.world import World
from state.blobs import BlobDamaged
from state.canonical import canonical, loads
from state.events import Event
from state.workspace import Workspace
from tickets.problems import TicketError

_AGENTS = ("call", "act", "probe", "back", "adopt")


@dataclass(frozen=True)
class Step:
    """One step held against the recording. `fault` says how it differs, '' where it does not."""

    key: str
    title: str
    tree: str = ""
    fault: str = ""


def replay(
    workspace: Workspace,
    repo: Repo,
    events: Sequence[Event],
    checks: Sequence[Check],
    author: str,
    known: frozenset[str],
) -> Iterator[Step]:
    """Each step of a recorded attempt, up to the first that differs.

    Args:
        workspace: where the recording lies.
        repo: its repository; nothing is written to it.
        events: of one attempt, from its start.
        checks: of its ticket.
        author: as git knows the user: part of a checkpoint's id.
        known: programs that need no question, as the policy has them.
    """
    attempt: Attempt | None = None
    before: Attempt | None = None  # as it was when the last action began
    begun: dict[str, Event] = {}
    with scratch(workspace, repo, author, checks) as place:
        for event in events:
            key = str(event.body.get("key") or "")
            if event.type == "action.intent":
                begun[key] = event
                before = attempt
            elif _is_step(event) and before is not None:
                step = _held(event, begun[key], before, place, known)
                yield step
                if step.fault:
                    return
            attempt = apply(attempt, event)


def _is_step(event: Event) -> bool:
    """Whether it is the outcome of something the agent did."""
    if event.type != "action.outcome" or event.body["status"] != "done":
        return False
    return str(event.body["key"]).partition(":")[0] in _AGENTS


def _held(event: Event, intent: Event, attempt: Attempt, place: Place, known: frozenset[str]) -> Step:
    """One recorded outcome, held against what today's code decides and does at that point."""
    body, result = event.body, event.body["result"]
    key, title = str(body["key"]), str(body["title"])
    if attempt.handed and key.startswith("adopt:"):
        decided: Decision | None = None  # not the agent's own decision
    else:
        world = World(base=attempt.base, revision=attempt.revision, known=known)
        decided = next_step(attempt, place.checks, world, way(attempt.spec))
        if not isinstance(decided, Action) or decided.key != key:
            now = decided.key if isinstance(decided, Action) else type(decided).__name__.lower()
            return Step(key, title, fault=f"decided {now} where {key} is recorded")
    try:
        if isinstance(decided, Call):
            return Step(key, title, fault=_asked(decided, result, attempt, place))
        return _done(decided, intent, event, attempt, place)
    except BlobDamaged as error:
        return Step(key, title, fault=str(error))
    except TicketError as error:
        return Step(key, title, fault=f"a persona cannot be read any more: {error.problems[0]}")
    except (NoRoom, GitError, TypeError, KeyError, ValueError) as error:
        return Step(key, title, fault=f"it cannot be done again: {error}")


def _asked(call: Call, result: dict[str, Any], attempt: Attempt, place: Place) -> str:
    """How the request that would be made now differs from the recorded one."""
    record = loads(place.blobs.get(str(result["record"])).decode())
    if "chosen" not in record:
        return ""  # no reply came: what was asked is not kept
    wanted = way(attempt.spec)
    said = talk(attempt, wanted.stages, wanted.plans, wanted.rounds)
    persona = personas.load(call.persona, place.workspace.personas)
    request, _, _ = compose(call, attempt, place, persona, said, Chosen(**record["chosen"]))
    if request.digest == result["request"]:
        return ""
    return _first_difference(record["request"], loads(canonical(request.body())))


def _first_difference(recorded: dict[str, Any], now: dict[str, Any]) -> str:
    old, new = recorded["messages"], now["messages"]
    for number, (before, after) in enumerate(zip(old, new, strict=False), 1):
        if before != after:
            a, b = str(before["content"]).splitlines(), str(after["content"]).splitlines()
            line = next(
                (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
            )
            was, is_ = (text[line : line + 1] or ["nothing"] for text in (a, b))
            return f"message {number}, line {line + 1}: recorded {was[0]!r:.100}, now {is_[0]!r:.100}"
    if len(old) != len(new):
        return f"{len(old)} messages are recorded, now there are {len(new)}"
    names = [name for name in recorded if recorded[name] != now.get(name)]
    return f"the request differs in {', '.join(names) or 'its form'}"


def _done(decided: Decision | None, intent: Event, event: Event, attempt: Attempt, place: Place) -> Step:
    """Do again what the recorded step did to the files, and compare the trees."""
    body, result = event.body, event.body["result"]
    key, title, moved = str(body["key"]), str(body["title"]), result.get("checkpoint")
    if (
        isinstance(decided, Act)
        and decided.verb in ("read", "search", "edit")
        and not intent.body["args"]["refused"]
    ):
        again = drive.act(decided, attempt, place).result
        now = again.get("checkpoint")
        if (moved or {}).get("tree") != (now or {}).get("tree"):
            return Step(key, title, fault=f"tree {_tree(now)}, recorded {_tree(moved)}")
        if again["observation"] != result["observation"]:
            return Step(key, title, fault=f"says {again['says']!r}, recorded {result['says']!r}")
    elif moved:
        try:
            worktrees.restore(place.repo, place.worktree(attempt), moved["commit"])
        except GitError:
            return Step(key, title, fault=f"its files, {moved['commit'][:10]}, are not in git any more")
        place.repo.move_keeping(place.private_ref(attempt), moved["commit"])
    return Step(key, title, str((moved or {}).get("tree") or ""))


def _tree(moved: dict[str, Any] | None) -> str:
    return str(moved["tree"])[:10] if moved else "unchanged"
