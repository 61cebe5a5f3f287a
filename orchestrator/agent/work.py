"""What the agent does next: a pure function of its recorded conversation.

    plan -> criticise -> plan again ... -> then for each subtask:
        ask the model -> carry out what it says -> ... -> DONE -> its probe -> the next subtask
    -> the ticket's checks on the branch -> None: the change goes the way of every change

The model never says whether something holds: after DONE the probe and the checks run, and what they say goes
back into the conversation. When nothing gets better a ladder is climbed (`stuck.py`); its last rung asks the
person. A word of the person's is heard before the next turn, whatever stood there before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator import unknown
from orchestrator.actions import Act, Back, Call, Close, Decision, Probe, Propose, Verify, Void, Wait
from orchestrator.agent import stuck
from orchestrator.agent.turns import OWN, Item, Subtask, Talk, talk
from orchestrator.asking import asked, ground
from orchestrator.attempt import Attempt
from orchestrator.budget import time_left
from orchestrator.checks import Check
from orchestrator.decide import TAKEN, taken
from orchestrator.world import World

TRIES = 3
"""How often a call may fail for the server's sake before the person is asked."""

COMMAND_TIME = 300.0
"""Seconds that a command of the model's may take at most."""

_TROUBLE = ("try again", "give it up")


@dataclass(frozen=True)
class Way:
    """How a ticket wants to be worked on."""

    persona: str = "coder"
    stages: tuple[Subtask, ...] = ()
    plans: bool = True
    rounds: int = 2


def next_step(attempt: Attempt, checks: Sequence[Check], world: World, way: Way) -> Decision | None:
    """The next piece of work; None when it is all done and every check is green on the branch."""
    said = talk(attempt, way.stages, way.plans, way.rounds)
    step = _next(attempt, checks, said, world, way)
    if isinstance(step, Call) and (trouble := _trouble(attempt, said, world)):
        return trouble
    return step


def _next(attempt: Attempt, checks: Sequence[Check], said: Talk, world: World, way: Way) -> Decision | None:
    call, adopted = said.last_call, said.adopted
    if adopted and (void := _overtaken(attempt, adopted)):
        return void
    if not adopted or any(item.seq > adopted for item in said.unheard()):
        if not said.planned:
            return _planning(attempt, said)
        if word := _given_up(attempt, said) or _pending(attempt, said, world):
            return word
        if call is None or said.unheard():
            return _call(attempt, said, way, _index(attempt, said))
        if call.result.get("verb", {}).get("verb") != "done":
            return _stuck(attempt, said, way, world) or _call(attempt, said, way, said.subtask)
    return _verify(attempt, checks, said, way, world, bool(adopted))


# Planning -------------------------------------------------------------------------------------------


def _planning(attempt: Attempt, said: Talk) -> Decision:
    """The planner and the critic take turns until the plan is settled."""
    last = said.planning[-1] if said.planning else None
    truncated = sum(item.result.get("failed") == "truncated" for item in said.planning)
    critique = last is not None and last.result["purpose"] == "plan" and "plan" in last.result
    return Call(
        number=said.calls + 1,
        purpose="critique" if critique else "plan",
        persona="critic" if critique else "planner",
        subtask=0,
        about="",
        more=last is not None and "failed" in last.result,
        tighter=truncated,
        timeout=time_left(attempt),
    )


# The person ------------------------------------------------------------------------------------------


def _trouble(attempt: Attempt, said: Talk, world: World) -> Decision | None:
    """A server that answers and yet fails every time: the person decides, nothing is lost meanwhile."""
    number = said.calls + 1
    asked_before = [
        word
        for word in attempt.words
        if word.subject.get("about") == "server" and word.subject.get("call") == number
    ]
    answered = [word for word in asked_before if word.state == "approved"]
    if answered and answered[-1].answer == _TROUBLE[1]:
        return Close("failed", "given up: the model server kept failing")
    if attempt.cut.get(f"call:{number}", 0) < TRIES * (1 + len(answered)):
        return None
    last = attempt.done[f"call:{number}"].result
    why = str(last.get("why") or "no reply")
    question = why if last.get("failure") == "context" else f"the model server fails again and again: {why}"
    return _question(attempt, world, question, _TROUBLE, 0, about="server", call=number, round=len(answered))


def _overtaken(attempt: Attempt, adopted: int) -> Decision | None:
    """A question that a person has answered with their own work."""
    for word in attempt.words:
        if word.state == "open" and word.subject.get("options") and word.opened < adopted:
            return Void(word.id, "you have worked on it yourself")
    return None


def _given_up(attempt: Attempt, said: Talk) -> Decision | None:
    """What the person chose when the agent was stuck, where it is not simply to go on."""
    choice = next((item for item in reversed(said.items) if item.sort == "answer"), None)
    if choice is None or choice.result["about"] != "stuck" or choice not in said.unheard():
        return None
    if choice.result["text"] == OWN[2]:
        return Close("failed", f"given up: {choice.result['question']}")
    if choice.result["text"] == OWN[1] and attempt.handed < choice.seq:
        return Wait(TAKEN)
    best = choice.result.get("best") or {}
    if choice.result["text"] == OWN[0] and best and best["tree"] != attempt.tree:
        title = _title(said, said.subtask)
        return Back(choice.seq, best["commit"], best["tree"], said.subtask + 1, title)
    return None


def _question(
    attempt: Attempt, world: World, question: str, options: Sequence[str], recommended: int, **more: Any
) -> Decision | None:
    subject = {
        "ticket": attempt.ticket,
        "attempt": attempt.number,
        "question": question,
        "options": list(options),
        "recommended": recommended,
        **more,
        **ground(world),
    }
    return asked(attempt, Propose("question", question, subject))


# Acting ---------------------------------------------------------------------------------------------


def _pending(attempt: Attempt, said: Talk, world: World) -> Decision | None:
    """What the last reply asks for and has not been done yet."""
    call = said.last_call
    if call is None or "verb" not in call.result:
        return None
    verb: Mapping[str, Any] = call.result["verb"]
    number = int(call.result["turn"])
    if verb["verb"] == "ask":
        if any(item.sort in ("answer", "comment", "adopt") and item.seq > call.seq for item in said.items):
            return None
        options = verb.get("options") or ("decide yourself",)
        return _question(
            attempt,
            world,
            str(verb["what"]),
            options,
            int(verb.get("recommended") or 0),
            about="ask",
            call=number,
        )
    done = attempt.done.get(f"act:{number}")
    if verb["verb"] == "done" or (done is not None and done.status != "interrupted"):
        return None
    limit = time_left(attempt)
    return Act(
        number=number,
        verb=str(verb["verb"]),
        what=str(verb["what"]),
        subtask=said.subtask + 1,
        about=_title(said, said.subtask),
        refused=_refused(str(verb["what"]), world) if verb["verb"] == "run" else "",
        timeout=COMMAND_TIME if limit is None else min(limit, COMMAND_TIME),
    )


def _refused(command: str, world: World) -> str:
    """Why a command of the model's is answered and not run: it names what no person has heard of."""
    if hosts := unknown.hosts(command):
        return f"there is no network here, and it names {', '.join(sorted(hosts))}"
    if new := unknown.new_programs([command], world.known):
        return f"it uses {', '.join(new)}, which nobody has allowed here: use another way, or ASK"
    return ""


def _call(attempt: Attempt, said: Talk, way: Way, index: int, rung: stuck.Rung | None = None) -> Call:
    level = rung.level if rung else 0
    truncated = sum(item.result.get("failed") == "truncated" for item in said.items if item.sort == "call")
    return Call(
        number=said.calls + 1,
        purpose="act",
        persona=way.persona,
        subtask=index + 1,
        about=_title(said, index),
        rung=level,
        why=rung.say if rung else "",
        form="other" if level >= 2 else "",
        more=level >= 3,
        larger=1 if level >= 3 else 0,
        tighter=truncated,
        timeout=time_left(attempt),
    )


def _title(said: Talk, index: int) -> str:
    return said.plan[index].title if index < len(said.plan) else "Review"


def _index(attempt: Attempt, said: Talk) -> int:
    """Which subtask a turn is about that starts the work, or answers a person."""
    return attempt.stage if said.last_call is None else said.subtask


# Verifying ------------------------------------------------------------------------------------------


def _verify(
    attempt: Attempt, checks: Sequence[Check], said: Talk, way: Way, world: World, adopted: bool
) -> Decision | None:
    """After DONE the subtask's probe, after the last one the ticket's checks; red goes back to the model."""
    index = said.subtask
    if not attempt.tree or said.outside():
        return _again(attempt, said, way, world, index)
    probe = said.plan[index].probe if index < len(said.plan) and not adopted else ""
    if probe and not _refused(probe, world):
        action = Probe(probe, attempt.head, attempt.tree, index + 1, _title(said, index), time_left(attempt))
        found = attempt.done.get(action.key)
        if found is None or found.status == "interrupted":
            return action
        if not found.result["passed"]:
            return _again(attempt, said, way, world, index)
    if index + 1 < len(said.plan) and not adopted:
        return _call(attempt, said, way, index + 1)
    red = False
    for check in checks:
        if check.asks:
            continue
        verify = Verify(check, "branch", attempt.head, attempt.tree, time_left(attempt))
        found = taken(attempt, verify, world)
        if found is None:
            return verify
        red |= not found.result["passed"] and not found.result.get("skipped")
    return _again(attempt, said, way, world, index) if red else None


def _again(attempt: Attempt, said: Talk, way: Way, world: World, index: int) -> Decision:
    if not said.planned:
        return _planning(attempt, said)
    return _stuck(attempt, said, way, world) or _call(attempt, said, way, index)


# The ladder -----------------------------------------------------------------------------------------


def _stuck(attempt: Attempt, said: Talk, way: Way, world: World) -> Decision | None:
    """The rung that the turns since the person's last answer have climbed, carried out."""
    turns, items = turns_of(attempt, said)
    rung = stuck.rung(turns)
    if rung is None or rung.level == 0:
        return None
    number = int(said.last_call.result["turn"]) if said.last_call else 0
    best = items[stuck.best(turns)].result.get("after") or {}
    if rung.level >= 5:
        asks = _question(
            attempt, world, f"stuck: {rung.why}", OWN, 0, about="stuck", call=number, best=dict(best)
        )
        return asks or _call(attempt, said, way, said.subtask)
    if rung.level == 4:
        gone_back = any(item.sort == "back" and item.seq > items[rung.since].seq for item in said.items)
        if best and best["tree"] != attempt.tree and not gone_back:
            return Back(number, best["commit"], best["tree"], said.subtask + 1, _title(said, said.subtask))
    return _call(attempt, said, way, said.subtask, rung)


def turns_of(attempt: Attempt, said: Talk) -> tuple[list[stuck.Turn], list[Item]]:
    """The coder's turns since a person last helped a stuck agent, and the call that each began with.

    A call's item gets `after`, the checkpoint that stood after it.
    """
    helped = [
        item.seq
        for item in said.items
        if item.sort == "adopt" or (item.sort == "answer" and item.result["about"] == "stuck")
    ]
    since = max(helped, default=0)
    turns: list[stuck.Turn] = []
    calls: list[Item] = []
    tree, commit = attempt.origin_tree, attempt.origin
    failing: frozenset[str] = frozenset()
    passing: frozenset[str] = frozenset()
    error = ""
    now: Item | None = None
    ok, what, showed = True, ("", ""), ""

    def close() -> None:
        if now is not None and now.seq > since:
            turns.append(
                stuck.Turn(
                    tree=tree,
                    failing=failing,
                    passing=len(passing),
                    error=error,
                    verb=what[0],
                    what=what[1],
                    ok=ok,
                    reply=str(now.result.get("said") or ""),
                    shown=showed,
                )
            )
            calls.append(
                Item(now.seq, "call", now.key, {**now.result, "after": {"commit": commit, "tree": tree}}, ok)
            )

    for item in said.items:
        result = item.result
        if moved := result.get("checkpoint"):
            tree, commit = str(moved["tree"]), str(moved["commit"])
        match item.sort:
            case "call":
                close()
                now, verb = item, result.get("verb") or {}
                ok, showed = "verb" in result, ""
                what = (
                    str(verb.get("verb") or "malformed"),
                    str(verb.get("what") or result.get("malformed") or ""),
                )
            case "act":
                ok, showed = item.ok, str(result.get("shown") or "")
                if what[0] == "run":  # why an edit did not fit is no error of the work
                    error = str(result.get("error") or error)
            case "probe" | "check":
                name = str(result["name"])
                failing = failing - {name} if item.ok else failing | {name}
                passing = passing | {name} if item.ok else passing - {name}
                error = str(result.get("error") or "") if not item.ok else error
    close()
    return turns, calls
