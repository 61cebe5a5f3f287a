"""What is found out before a person is asked to start a training run, and what they are shown. Pure.

    the complete request -> the memory it takes -> where it does not fit: a question with lighter ones
    -> the same again with what was chosen -> the start proposal

Nothing is made lighter silently, and nothing is started that nobody has seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from orchestrator.actions import Close, Decision, Estimate, Propose, Resolve
from orchestrator.asking import asked, ground
from orchestrator.attempt import Attempt, Word
from orchestrator.models.ledger import gigabytes
from orchestrator.training.presets import BadConfig, changed, length, pairs
from orchestrator.world import World
from state.canonical import digest

AS_IT_IS = "as it is: I have made room"
"""The answer after which nothing but the memory is looked at again."""


@dataclass(frozen=True)
class Plan:
    """What would be started, as it was found out last."""

    request: Mapping[str, Any]
    pins: Mapping[str, str]
    config: Mapping[str, str]
    data: Mapping[str, Any]
    memory: Mapping[str, Any]
    chosen: Mapping[str, Any]


def foresee(attempt: Attempt, world: World) -> Decision | Plan:
    """The next thing to find out or to ask; the plan, once all is known."""
    chosen: dict[str, Any] = {}
    note = ""
    options = dict(attempt.spec.get("with") or {})
    for number in count():
        step = Resolve(number, "train", options, dict(chosen))
        found = attempt.done.get(step.key)
        if found is None or found.status == "interrupted":
            return step
        if found.status == "failed":
            return Close("failed", str(found.result["why"]))
        request = dict(found.result["request"])
        reckon = Estimate(number, request)
        told = attempt.done.get(reckon.key)
        if told is None or told.status == "interrupted":
            return reckon
        if told.status == "failed":
            return Close("failed", str(told.result["why"]))
        if told.result["fits"]:
            made = found.result
            request["config"] = dict(told.result["config"])  # complete: no default of a later version
            return Plan(request, made["pins"], made["config"], made["data"], told.result, chosen)
        question = _question(attempt, world, number, told.result, note)
        if wait := asked(attempt, question):
            return wait
        more, note = _choice(_word(attempt, question), told.result, request["config"])
        chosen |= more
    raise AssertionError("count() has no end")


def facts(plan: Plan) -> dict[str, Any]:
    """What the start proposal says beside the ticket: all that would run, by what it was made of."""
    request, memory = plan.request, plan.memory
    config = request["config"]
    keeps = (config.get("checkpoint") or {}).get("keep_bytes")
    return {
        "training": {
            "model": request["learner"],
            "configuration": plan.config["name"],
            "configuration from": plan.config["from"],
            **({"you chose": dict(plan.chosen)} if plan.chosen else {}),
            "length": length(config),
            "batch": config.get("batch"),
            "seed": request["seed"],
            "data": f"{plan.data['ticket']}: {plan.data['rows']} rows of {plan.data['recipe']}",
            "data sha256": plan.data["sha256"],
            **_encoder(plan),
            "device": f"{memory['device']} ({request.get('devices', 1)})",
            "memory": _memory(memory),
            "keeps on disk": f"the best, the last, and {gigabytes(keeps)} more"
            if keeps
            else "the best, the last",
        },
        "request": dict(request),
    }


def _encoder(plan: Plan) -> dict[str, Any]:
    """The model it stands on, by the checksum that is looked at before it starts; {} without one."""
    if not plan.request.get("encoder"):
        return {}
    pinned = [sha256 for name, sha256 in plan.pins.items() if name.endswith("/checkpoint.json")]
    return {"encoder": plan.request["encoder"], "encoder sha256": pinned[0]}


def summary(plan: Plan) -> str:
    """The plan in a few words, for the proposal's line."""
    return f"{plan.request['learner']}, {length(plan.request['config'])}, {_memory(plan.memory)}"


def _memory(memory: Mapping[str, Any]) -> str:
    free = memory.get("free")
    needs = gigabytes(memory["bytes"])
    return f"{needs} of memory" if free is None else f"{needs} of {gigabytes(free)} free memory"


def _question(attempt: Attempt, world: World, number: int, told: Mapping[str, Any], note: str) -> Propose:
    needs, free = gigabytes(told["bytes"]), gigabytes(told["free"])
    question = f"{note}it needs {needs} of memory on {told['device']}, and {free} are free: what lighter?"
    subject = {
        "ticket": attempt.ticket,
        "attempt": attempt.number,
        "question": question,
        "options": [*map(_option, told["lighter"]), AS_IT_IS],
        "recommended": 0,
        "about": "memory",
        "round": number,
        **ground(world),
    }
    return Propose("question", question, subject)


def _option(lighter: Mapping[str, Any]) -> str:
    """A lighter configuration as one line, which is also the answer."""
    sets = ", ".join(f"{key}={value}" for key, value in sorted(lighter["set"].items()))
    needs = f" ({gigabytes(lighter['bytes'])})" if lighter.get("bytes") is not None else ""
    return f"{sets}{needs}" + (f": {lighter['about']}" if lighter.get("about") else "")


def _word(attempt: Attempt, question: Propose) -> Word:
    """The approved word on a question that `asked` has just found answered."""
    return next(
        word
        for word in reversed(attempt.words)
        if word.state == "approved" and word.digest == digest(question.subject)
    )


def _choice(word: Word, told: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """What an answer changes (own words are `key=value` pairs), and what to say where that is nothing."""
    for lighter in told["lighter"]:
        if word.answer == _option(lighter):
            return dict(lighter["set"]), ""
    if word.answer == AS_IT_IS:
        return {}, ""
    try:
        more = pairs([part.strip() for part in word.answer.split(",") if part.strip()])
        changed(config, more)
    except BadConfig as error:
        return {}, f"your answer cannot be used ({error}); "
    return more, ""
