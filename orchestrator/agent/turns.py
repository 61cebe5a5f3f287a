"""An agent's attempt as its conversation: folded from what the journal holds, so that it survives crashes.

Pure. Nothing here reads a blob: what a decision needs of a reply was put beside it when it was recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.attempt import Attempt
from state.events import Event
from state.words import TAKES

Sort = Literal["call", "act", "probe", "check", "answer", "comment", "denied", "adopt", "back"]

OWN = ("go on from the best checkpoint", TAKES, "give it up")
"""The three ways on that a person is offered when the agent is stuck."""


@dataclass(frozen=True)
class Item:
    """One thing that happened, in the order of the journal."""

    seq: int
    sort: Sort
    key: str
    result: Mapping[str, Any]
    ok: bool = True


@dataclass(frozen=True)
class Subtask:
    """A part of the plan, and the command that shows it is done ('' where there is none)."""

    title: str
    probe: str = ""


@dataclass(frozen=True)
class Talk:
    """The conversation so far."""

    items: tuple[Item, ...]
    plan: tuple[Subtask, ...]  # empty while there is none
    planned: bool  # the plan stands, or there will be none
    planning: tuple[Item, ...]  # the planner's and the critic's calls

    @property
    def calls(self) -> int:
        """How many replies are recorded, the planner's and the critic's too."""
        return len(self.planning) + sum(item.sort == "call" for item in self.items)

    @property
    def last(self) -> Item | None:
        """The last thing that happened."""
        return self.items[-1] if self.items else None

    @property
    def last_call(self) -> Item | None:
        """The coder's last reply."""
        return next((item for item in reversed(self.items) if item.sort == "call"), None)

    @property
    def subtask(self) -> int:
        """The index of the subtask that the last reply was about, from 0."""
        call = self.last_call
        return int(call.result.get("subtask") or 1) - 1 if call else 0

    @property
    def adopted(self) -> int:
        """Seq of what a person last did in the worktree, where no reply has come since; else 0."""
        hands = max((item.seq for item in self.items if item.sort == "adopt"), default=0)
        replies = (item.seq for item in (*self.planning, *self.items) if item.sort == "call")
        return hands if hands > max(replies, default=0) else 0

    def outside(self, before: int | None = None) -> tuple[str, ...]:
        """Files that are changed and may not be, as of the last checkpoint (before an event)."""
        items = [i for i in self.items if "checkpoint" in i.result and (before is None or i.seq < before)]
        return tuple(items[-1].result.get("outside") or ()) if items else ()

    def unheard(self) -> list[Item]:
        """What a person said since the coder's last call."""
        call = self.last_call
        after = call.seq if call else 0
        return [
            item for item in self.items if item.seq > after and item.sort in ("answer", "comment", "denied")
        ]


def talk(attempt: Attempt, stages: tuple[Subtask, ...], plans: bool, rounds: int) -> Talk:
    """The conversation of an attempt.

    Args:
        attempt: as folded from the journal.
        stages: the plan where the ticket brings its own.
        plans: whether a plan is to be made at all.
        rounds: how often a plan may be criticised.
    """
    items = sorted((*_done(attempt), *_said(attempt)), key=lambda item: item.seq)
    planning = tuple(item for item in items if _purpose(item) in ("plan", "critique"))
    rest = tuple(item for item in items if _purpose(item) not in ("plan", "critique"))
    if stages or not plans:
        goal = Subtask(str(attempt.spec["goal"]))
        return Talk(rest, stages or (goal,), True, planning)
    plan, planned = _plan(attempt, planning, rounds)
    return Talk(rest, plan, planned, planning)


def _purpose(item: Item) -> str:
    return str(item.result.get("purpose") or "") if item.sort == "call" else ""


def _done(attempt: Attempt) -> Iterator[Item]:
    sorts: dict[str, Sort] = {
        "call": "call", "act": "act", "probe": "probe", "adopt": "adopt", "back": "back", "check": "check",
    }  # fmt: skip
    for key, outcome in attempt.done.items():
        sort = sorts.get(key.partition(":")[0])
        if sort is None or outcome.status == "interrupted" or key.startswith(("check:base", "check:merged")):
            continue
        ok = outcome.status == "done" and bool(outcome.result.get("passed", outcome.result.get("ok", True)))
        # What was said while a model was being asked comes after its reply: the call had not heard it.
        seq = outcome.began if sort == "call" else outcome.seq
        yield Item(seq, sort, key, outcome.result, ok or bool(outcome.result.get("skipped")))


def _said(attempt: Attempt) -> Iterator[Item]:
    for said in attempt.comments:
        yield Item(said.seq, "comment", "comment", {"text": said.text})
    for word in attempt.words:
        about = {"question": word.subject.get("question", ""), "about": word.subject.get("about", "")}
        about["best"] = word.subject.get("best")
        options = word.subject.get("options")
        if about["about"] == "server" and word.answer in (options or ()):
            continue  # that is not for the model to hear
        if word.state in ("approved", "used") and options:
            yield Item(word.answered, "answer", word.id, {**about, "text": word.answer})
        elif word.state == "denied" and word.kind == "merge":
            yield Item(word.answered, "denied", word.id, {"text": word.reason})


# The plan -------------------------------------------------------------------------------------------


def _plan(attempt: Attempt, planning: tuple[Item, ...], rounds: int) -> tuple[tuple[Subtask, ...], bool]:
    """The plan as it stands, and whether it is settled.

    It is settled when the critic has nothing that blocks, says nothing new, or has had its rounds; and when
    the planner has failed three times, which leaves the goal itself as the one subtask.
    """
    plan: tuple[Subtask, ...] = ()
    criticised, failures = 0, 0
    known: set[str] = set()
    for item in planning:
        result = item.result
        if result["purpose"] == "plan":
            if found := result.get("plan"):
                plan = tuple(Subtask(str(s["title"]), str(s.get("probe") or "")) for s in found["subtasks"])
                if rounds == 0 or (criticised and criticised >= rounds):
                    return plan, True
                continue
            failures += 1
            if failures >= int(result.get("attempts") or PATIENCE):
                return plan or (Subtask(str(attempt.spec["goal"])),), True
        else:
            criticised += 1
            verdict = result.get("verdict")
            blocking = {
                str(finding["finding"])
                for finding in (verdict or {}).get("findings", ())
                if finding.get("severity") == "blocks"
            }
            if verdict is None or verdict.get("ok") or not blocking - known:
                return plan, True
            known |= blocking
    return plan, False


PATIENCE = 3
"""How often a planner may fail before the work goes on without a plan, where its persona does not say."""


def before_stage(events: Iterable[Event], stage: int) -> dict[str, Any] | None:
    """Where an attempt stood when it came to a stage, for the next one to begin there.

    Args:
        events: of the attempt, from its start.
        stage: from 1.

    Returns:
        The checkpoint's commit and tree and how many stages are done with it; None where nothing was.
    """
    found: dict[str, Any] | None = None
    now, done = None, 0
    for event in events:
        if event.type == "attempt.started":
            now, done = event.body.get("start"), int((event.body.get("start") or {}).get("stage") or 0)
            found = now if 0 < done < stage else None
        result = event.body.get("result") or {}
        if event.type != "action.outcome" or event.body.get("status") != "done":
            continue
        if str(event.body["key"]).startswith("call:") and int(result.get("subtask") or 0) > done + 1:
            done = int(result["subtask"]) - 1
            if now and done < stage:
                found = {"commit": now["commit"], "tree": now["tree"], "stage": done}
        if moved := result.get("checkpoint"):
            now = moved
    return found
