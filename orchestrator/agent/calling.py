"""A model call with its recording. Thin.

A reply counts from the moment that its record lies on the disk, before the journal names it: a call that is
made again with the same request then takes the record and asks nobody.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict
from typing import Any

from orchestrator import personas
from orchestrator.actions import Call
from orchestrator.agent import normalise, plan, prompt, replies, verbs
from orchestrator.agent.background import background
from orchestrator.agent.options import way
from orchestrator.agent.turns import Talk, talk
from orchestrator.attempt import Attempt
from orchestrator.models.base import Again, Chosen, Heard, NoModel, Reply, Waits
from orchestrator.personas import Persona
from orchestrator.place import Performed, Place
from orchestrator.providers.base import Final, ProviderError, Request, Text, Think, Thought
from state import durable
from state.blobs import BlobDamaged
from state.canonical import canonical, digest
from state.stream import Writer
from tickets.problems import TicketError

MODELS_FAULT = frozenset(("empty", "length", "truncated", "parse", "chant"))
"""Failures that asking the server again would not cure: the model is told, in its next turn."""


class NoRoom(Exception):
    """What has to be said does not leave the model room for a reply; the message says what to do."""


def call(action: Call, attempt: Attempt, place: Place) -> Performed:
    """Ask the model, record every piece of its reply, and say what the reply means."""
    began = time.monotonic()
    try:
        persona = personas.load(action.persona, place.workspace.personas)
    except TicketError as error:  # it broke since it was looked at: what is decided next says so and waits
        return Performed("interrupted", {"why": str(error.problems[0])})
    wanted = way(attempt.spec)
    said = talk(attempt, wanted.stages, wanted.plans, wanted.rounds)
    try:
        chosen = place.models.choose(persona.model, action.larger)
    except NoModel as error:
        return Performed("interrupted", {"why": str(error), "failure": "missing"})
    try:
        request, ledger, head = compose(action, attempt, place, persona, said, chosen)
    except NoRoom as error:
        return Performed("interrupted", {"why": str(error), "failure": "context"})
    common = {
        "model": chosen.model,
        "label": chosen.label,
        "request": request.digest,
        "ledger": place.blobs.put(canonical(ledger.body()).encode()),
        "rung": action.rung,
        "turn": action.number,
        "role": persona.model,
        "persona": action.persona,
        "attempts": persona.attempts,
        "purpose": action.purpose,
        "subtask": action.subtask,
        "head": head,
        "tree": attempt.tree,
        "form": _form(action, chosen),
        "whole": _whole_file(action, chosen),
    }
    record = _recorded(place, attempt, action, request)
    if record is None:
        tries: list[dict[str, str]] = []
        try:
            record = _ask(action, attempt, place, chosen, request, tries)
        except NoModel as error:
            return Performed("interrupted", {"why": str(error), "failure": "missing", "tries": tries})
        except ProviderError as error:
            if error.kind not in MODELS_FAULT:
                return Performed("interrupted", {"why": str(error), "failure": error.kind, "tries": tries})
            record = {"failed": error.kind, "message": str(error), "reply": "", "thinking": "", "usage": {}}
            record["tries"] = tries
            record["name"] = place.blobs.put(canonical(record).encode())
        if record is None:
            why = "stopped" if place.control.stop.is_set() else "timeout"
            return Performed("interrupted", {"why": why}, seconds=time.monotonic() - began)
    return Performed("done", {**common, **_meant(action, place, record)}, seconds=time.monotonic() - began)


def compose(
    action: Call, attempt: Attempt, place: Place, persona: Persona, said: Talk, chosen: Chosen
) -> tuple[Request, prompt.Ledger, str]:
    """The request of a call, its account, and its prompt's last lines: a function of what is recorded.

    Raises:
        NoRoom: the model's context is too small.
    """
    rules = personas.render(persona, whole_file=_whole_file(action, chosen))
    shown_ = background(place.repo, attempt, place.checks, chosen)
    made = prompt.build(attempt, said, action, place.checks, rules, shown_, chosen, place.blobs.get)
    most, _ = prompt.room(chosen, action.more, action.tighter)
    left = chosen.context - math.ceil(made.ledger.estimated * 1.1)  # a tenth for what the estimate lacks
    if left < min(most, prompt.LEAST):
        raise NoRoom(
            f"the task does not fit: {made.ledger.estimated} tokens have to be said to {chosen.model}, which"
            f" has {chosen.context} tokens for that and its reply. Shorten the ticket's notes, constraints or"
            " comments, or give the role a model with more context in models.yaml"
        )
    request = Request(
        model=chosen.model,
        messages=made.messages,
        context=chosen.context,
        most=min(most, left),
        temperature=chosen.temperature if persona.temperature is None else persona.temperature,
        seed=action.number,
        think=_think(chosen, persona, action.more),
        schema=persona.schema_,
    )
    return request, made.ledger, prompt.head(attempt, said, action)


def _think(chosen: Chosen, persona: Persona, more: bool) -> Think:
    """How much to think: the ladder's word counts first, then the persona's, then the model's own policy."""
    if more:
        return chosen.think_more
    return personas.thinks(persona, chosen.think, chosen.think_more)


def _form(action: Call, chosen: Chosen) -> str:
    """The edit format a call is held to: the other one than the model's usual, or '' for its own choice."""
    if action.form != "other":
        return ""
    return "whole" if chosen.whole_file < 150 else "blocks"


def _whole_file(action: Call, chosen: Chosen) -> int:
    """Lines up to which a file is to be written whole in this call."""
    return {"whole": 100_000, "blocks": 0}.get(_form(action, chosen), chosen.whole_file)


def _plain(text: str) -> str:
    """Without halves of characters, which nothing can store."""
    return text.encode("utf-8", "replace").decode()


def _ask(
    action: Call,
    attempt: Attempt,
    place: Place,
    chosen: Chosen,
    request: Request,
    tries: list[dict[str, str]],
) -> dict[str, Any] | None:
    """One call to the server, streamed to whoever looks on, recorded whole; None when it was stopped.

    `tries` gets those that failed, whatever comes of the call.
    """
    show = Writer(place.workspace.stream(attempt.ticket, attempt.number))
    show.say("call", f"{action.title}: {chosen.model}{f' ({chosen.label})' if chosen.label else ''}")
    began = time.monotonic()
    chunks: list[tuple[int, str, str]] = []

    def hear(heard: Heard) -> None:
        ms = int((time.monotonic() - began) * 1000)
        match heard:
            case Thought(text):
                chunks.append((ms, "think", _plain(text)))
                show.say("think", _plain(text))
            case Text(text):
                chunks.append((ms, "text", _plain(text)))
                show.say("text", _plain(text))
            case Again(kind, message):
                chunks.clear()
                tries.append({"kind": kind, "message": message})
                show.say("note", f"again ({kind}): {message}")
            case Waits(why):
                show.say("note", why)
            case Final():
                pass

    reply: Reply | None = place.models.chat(chosen, request, hear, place.within(action.timeout))
    if reply is None:
        return None
    record = {
        "v": 1,
        "key": action.key,
        "chosen": chosen.body(),
        "request": request.body(),
        "digest": request.digest,
        "chunks": chunks,
        "thinking": _plain(reply.thinking),
        "reply": _plain(reply.text),
        "usage": asdict(reply.usage),
        "tries": tries,
    }
    name = place.blobs.put(canonical(record).encode())
    flight = place.workspace.flight(attempt.ticket, attempt.number) / f"{action.number}.json"
    flight.parent.mkdir(parents=True, exist_ok=True)
    durable.replace(flight, canonical({"v": 1, "digest": request.digest, "record": name}).encode())
    return {**record, "name": name}


def _recorded(place: Place, attempt: Attempt, action: Call, request: Request) -> dict[str, Any] | None:
    """The reply to this very request, where it was recorded and the journal had not come so far."""
    flight = place.workspace.flight(attempt.ticket, attempt.number) / f"{action.number}.json"
    try:
        found = json.loads(flight.read_bytes())
        if found["v"] != 1 or found["digest"] != request.digest:
            return None
        record: dict[str, Any] = json.loads(place.blobs.get(found["record"]))
        return {**record, "name": found["record"]}
    except (OSError, ValueError, KeyError, TypeError, BlobDamaged):
        return None


def _meant(action: Call, place: Place, record: dict[str, Any]) -> dict[str, Any]:
    """What the journal keeps of a reply: where it lies, what it cost, what it asks for."""
    text = str(record["reply"])
    result: dict[str, Any] = {
        "record": record["name"],
        "reply": place.blobs.put(text.encode()) if text else "",
        "thinking": place.blobs.put(str(record["thinking"]).encode()) if record["thinking"] else "",
        "usage": record["usage"],
        "said": digest(normalise.reply(text))[:16],
    }
    if failed := record.get("failed"):
        return {**result, "failed": failed, "malformed": "", "message": record["message"]}
    try:
        if action.purpose == "plan":
            return {**result, "plan": plan.read(text, plan.Plan).model_dump(mode="json")}
        if action.purpose == "critique":
            return {**result, "verdict": plan.read(text, plan.Verdict).model_dump(mode="json")}
        return {**result, "verb": named(replies.parse(text))}
    except verbs.Malformed as error:
        return {**result, "malformed": str(error)}


def named(verb: verbs.Verb) -> dict[str, Any]:
    """A verb as the journal keeps it: what decides what comes next, without its bodies of text."""
    match verb:
        case verbs.Read(path, first, last):
            lines = f":{first or 1}-{last or ''}" if first or last else ""
            return {"verb": "read", "what": f"{path}{lines}"}
        case verbs.Search(pattern):
            return {"verb": "search", "what": pattern}
        case verbs.Edit(path):
            return {"verb": "edit", "what": path}
        case verbs.Run(command):
            return {"verb": "run", "what": command}
        case verbs.Done(summary):
            return {"verb": "done", "what": summary[:400]}
        case verbs.Ask(question, options, recommended):
            return {
                "verb": "ask",
                "what": question[:2000],
                "options": list(options),
                "recommended": recommended,
            }
