"""An attempt played through without a disk: decisions are asked for, and made-up outcomes are written."""

from __future__ import annotations

import itertools
from typing import Any

from orchestrator.actions import (
    Action,
    Command,
    Decision,
    Land,
    Merge,
    Propose,
    Rehearse,
    Verify,
    Void,
    Wait,
)
from orchestrator.attempt import Attempt, Outcome, apply
from orchestrator.checks import resolve
from orchestrator.decide import decide
from orchestrator.kinds.run import RUN
from orchestrator.world import World
from state.canonical import digest
from state.events import Event

SPEC: dict[str, Any] = {
    "kind": "run",
    "goal": "something to be done",
    "with": {"steps": ["one", "two"]},
    "accept": [{"run": "test", "red": True}, {"run": "lint"}],
}
KNOWN = frozenset(("one", "two", "lint"))
WORLD = World(base="base-0", revision="r1", isolation="bubblewrap", policy="p1", known=KNOWN)


class Play:
    """The events of one attempt so far, and what they fold to."""

    def __init__(self, **spec: Any) -> None:
        self.seq = itertools.count(1)
        self.attempt: Attempt | None = None
        body = {"revision": "r1", "spec": SPEC | spec, "base_ref": "refs/heads/main", "base": "base-0"}
        self.tell("attempt.started", **body, branch="ticket/T-1", comment="")

    def tell(self, type_: str, **body: Any) -> int:
        """One more event."""
        seq = next(self.seq)
        self.attempt = apply(self.attempt, Event(seq, 1000 + seq, "T-1", 1, type_, body))
        return seq

    @property
    def now(self) -> Attempt:
        assert self.attempt is not None
        return self.attempt

    @property
    def checks(self) -> Any:
        return resolve(self.now.spec["accept"], {})

    def next(self, world: World = WORLD) -> Decision:
        return decide(self.now, RUN, self.checks, world)

    def act(self, action: Action, status: str = "done", seconds: float = 0.1, **result: Any) -> None:
        """Intent and outcome of an action; what a good outcome holds is made up."""
        name = {"key": action.key, "task": action.task, "title": action.title}
        seq = self.tell("action.intent", **name, action=type(action).__name__, args=action.args())
        self.end(action, seq, status, seconds, **result)

    def end(self, action: Action, intent: int, status: str, seconds: float = 0.1, **result: Any) -> None:
        """The outcome alone."""
        made = {**(good(action) if status == "done" else {"why": status}), **result}
        body = {"key": action.key, "intent": intent, "status": status, "seconds": seconds, "result": made}
        if isinstance(action, (Command, Verify, Rehearse)):
            body |= {"exit": 0, "result": {"isolation": "bubblewrap", **made}}
        self.tell("action.outcome", **body)
        if isinstance(action, Land) and status == "done":
            self.tell("proposal.used", id=action.proposal)

    def carry_out(self, decision: Decision) -> None:
        """As an engine to which nothing ever happens."""
        match decision:
            case Action():
                self.act(decision)
            case Propose(kind, _, subject):
                name = digest(subject)
                type_ = "merge.proposed" if kind == "merge" else "proposal.opened"
                self.tell(type_, id=name[:12], digest=name, kind=kind, subject=subject)
            case Void(proposal, why):
                self.tell("proposal.stale", id=proposal, why=why)

    def answer(self, state: str = "approved", **body: Any) -> bool:
        """A person's word on what is open."""
        open_ = [word for word in self.now.words if word.state == "open"]
        for word in open_:
            self.tell(f"proposal.{state}", id=word.id, digest=word.digest, **body)
        return bool(open_)

    def until(self, wanted: type, world: World = WORLD) -> Any:
        """Go on until such a decision comes up."""
        for _ in range(50):
            decision = self.next(world)
            if isinstance(decision, wanted):
                return decision
            if isinstance(decision, Wait):
                assert decision.why is None, decision
                assert self.answer()
            else:
                self.carry_out(decision)
        raise AssertionError(f"no {wanted.__name__} came up")


def good(action: Action) -> dict[str, Any]:
    """What a good outcome of an action holds."""
    match action:
        case Command():
            made = f"head-{action.index}"
            return {"checkpoint": {"commit": made, "tree": f"tree-of-{made}", "changed": True}}
        case Merge():
            tree = f"merge-of-{action.base}-{action.head}"
            sides = {"base_tree": f"tree-of-{action.base}", "head_tree": f"tree-of-{action.head}"}
            plan = {"base_ref": "refs/heads/main", "base": action.base, "head": action.head, "tree": tree}
            return {
                **sides, "conflicts": [], "changed": ["a.txt"], "tree": tree, "diff": "blob:0",
                "landing": plan, "commit": f"commit-of-{tree}",
            }  # fmt: skip
        case Verify():
            said = {"name": action.check.name, "side": action.side, "tree": action.tree}
            return {**said, "passed": True, "summary": "exit 0", "output": ""}
        case Rehearse():
            return {"rollback": "revert", "why": "gives back the base"}
        case Land():
            return {"commit": "landed", "tree": action.landing["tree"], "old_tree": "tree-of-base"}
    return {}


def interrupted_since(attempt: Attempt) -> int:
    """The newest cut-off of a command that no going back has answered; 0 when there is none."""

    def back(outcome_key: str, outcome: Outcome) -> int:
        return int(outcome_key.removeprefix("restore:")) if outcome.status == "done" else 0

    restored = max((back(k, o) for k, o in attempt.done.items() if k.startswith("restore:")), default=0)
    cut = [o.seq for k, o in attempt.done.items() if k.startswith("step:") and o.status == "interrupted"]
    return max((seq for seq in cut if seq > restored), default=0)
