"""The agent's drivers: a model call with its recording, and what a reply asks for carried out. Thin.

A reply counts from the moment that its record lies on the disk, before the journal names it: a call that is
made again with the same request then takes the record and asks nobody. An edit is made in the worktree and
ends in a checkpoint; cut off, the worktree goes back to the last one and the edit is made again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, overload

from orchestrator import edits, personas, worktrees
from orchestrator.actions import Act, Adopt, Back, Call, Probe
from orchestrator.agent import cascade, normalise, plan, prompt, replies, verbs
from orchestrator.agent.background import background
from orchestrator.agent.looking import look, search
from orchestrator.agent.options import way
from orchestrator.agent.output import shown
from orchestrator.agent.turns import Talk, talk
from orchestrator.agent.work import COMMAND_TIME
from orchestrator.attempt import Attempt
from orchestrator.decide import matches
from orchestrator.git import GitError
from orchestrator.models.base import Again, Chosen, Heard, NoModel, Reply, Waits
from orchestrator.personas import Persona
from orchestrator.place import Performed, Place, spawn
from orchestrator.providers.base import Final, ProviderError, Request, Text, Think, Thought
from orchestrator.sandbox.sandbox import BROKEN, SAID
from orchestrator.snapshot import unrecordable
from state import durable
from state.canonical import canonical, digest
from state.stream import Writer

MODELS_FAULT = frozenset(("empty", "length", "truncated", "parse", "chant"))
"""Failures that asking the server again would not cure: the model is told, in its next turn."""


# A call ----------------------------------------------------------------------------------------------


def call(action: Call, attempt: Attempt, place: Place) -> Performed:
    """Ask the model, record every piece of its reply, and say what the reply means."""
    began = time.monotonic()
    persona = personas.load(action.persona, place.workspace.personas)
    wanted = way(attempt.spec)
    said = talk(attempt, wanted.stages, wanted.plans, wanted.rounds)
    try:
        chosen = place.models.choose(persona.model, action.larger)
    except NoModel as error:
        return Performed("interrupted", {"why": str(error), "failure": "missing"})
    request, ledger, head = compose(action, attempt, place, persona, said, chosen)
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
    }
    record = _recorded(place, attempt, action, request)
    if record is None:
        try:
            record = _ask(action, attempt, place, chosen, request)
        except NoModel as error:
            return Performed("interrupted", {"why": str(error), "failure": "missing"})
        except ProviderError as error:
            if error.kind not in MODELS_FAULT:
                return Performed("interrupted", {"why": str(error), "failure": error.kind})
            record = {"failed": error.kind, "message": str(error), "reply": "", "thinking": "", "usage": {}}
            record["name"] = place.blobs.put(canonical(record).encode())
        if record is None:
            why = "stopped" if place.control.stop.is_set() else "timeout"
            return Performed("interrupted", {"why": why}, seconds=time.monotonic() - began)
    return Performed("done", {**common, **_meant(action, place, record)}, seconds=time.monotonic() - began)


def compose(
    action: Call, attempt: Attempt, place: Place, persona: Persona, said: Talk, chosen: Chosen
) -> tuple[Request, prompt.Ledger, str]:
    """The request of a call, its account, and its prompt's last lines: a function of what is recorded."""
    form = _form(action, chosen)
    rules = personas.render(persona, whole_file=_LINES[form] if form else chosen.whole_file)
    shown_ = background(place.repo, attempt, place.checks, chosen)
    made = prompt.build(attempt, said, action, place.checks, rules, shown_, chosen, place.blobs.get)
    most, _ = prompt.room(chosen, action.more, action.tighter)
    request = Request(
        model=chosen.model,
        messages=made.messages,
        context=chosen.context,
        most=most,
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


_LINES = {"whole": 100_000, "blocks": 0}


def _form(action: Call, chosen: Chosen) -> str:
    """The edit format a call is held to: the other one than the model's usual, or '' for its own choice."""
    if action.form != "other":
        return ""
    return "whole" if chosen.whole_file < 150 else "blocks"


def _ask(
    action: Call, attempt: Attempt, place: Place, chosen: Chosen, request: Request
) -> dict[str, Any] | None:
    """One call to the server, streamed to whoever looks on, recorded whole; None when it was stopped."""
    show = Writer(place.workspace.stream(attempt.ticket, attempt.number))
    show.say("call", f"{action.title}: {chosen.model}{f' ({chosen.label})' if chosen.label else ''}")
    began = time.monotonic()
    chunks: list[tuple[int, str, str]] = []
    tries: list[dict[str, str]] = []

    def hear(heard: Heard) -> None:
        ms = int((time.monotonic() - began) * 1000)
        match heard:
            case Thought(text):
                chunks.append((ms, "think", text))
                show.say("think", text)
            case Text(text):
                chunks.append((ms, "text", text))
                show.say("text", text)
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
        "thinking": reply.thinking,
        "reply": reply.text,
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
    except (OSError, ValueError, KeyError, TypeError):
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
        return {**result, "verb": _named(replies.parse(text))}
    except verbs.Malformed as error:
        return {**result, "malformed": str(error)}


def _named(verb: verbs.Verb) -> dict[str, Any]:
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


# What a reply asks for ----------------------------------------------------------------------------------


def act(action: Act, attempt: Attempt, place: Place) -> Performed:
    """Carry out the verb of a reply and say to the model what came of it."""
    if action.refused:
        return _observed(place, False, f"refused: {action.refused}", f"Not run: {action.refused}.")
    reply = place.blobs.get(str(attempt.done[f"call:{action.number}"].result["reply"]))
    verb = replies.parse(reply.decode("utf-8", "replace"))
    tree = attempt.tree or place.repo.tree_of(attempt.head)
    match verb:
        case verbs.Read():
            ok, text = look(place.repo, tree, verb)
            return _observed(place, ok, text.splitlines()[0][:200], text)
        case verbs.Search():
            ok, text = search(place.repo, tree, verb.pattern)
            return _observed(place, ok, text.splitlines()[0][:200], text)
        case verbs.Edit():
            return _edit(verb, tree, action, attempt, place)
        case verbs.Run():
            return _command(verb.command, action, attempt, place)
    raise ValueError(f"{action.verb} is nothing that is carried out")


def _observed(place: Place, ok: bool, says: str, text: str, **more: Any) -> Performed:
    blob = place.blobs.put(text.encode("utf-8", "replace"))
    shown_ = digest(normalise.reply(text))[:16]
    return Performed("done", {"ok": ok, "says": says, "observation": blob, "shown": shown_, **more})


def _edit(edit: verbs.Edit, tree: str, action: Act, attempt: Attempt, place: Place) -> Performed:
    allowed = attempt.spec.get("paths") or ()
    if allowed and not any(matches(edit.path, glob) for glob in allowed):
        text = f"{edit.path} was not changed: you may change only {', '.join(allowed)}."
        return _observed(place, False, "outside the ticket's paths", text, error="outside paths")
    old = place.repo.show_file(tree, edit.path)
    try:
        applied = cascade.apply(old, edit, seen=_Seen(edit.path, attempt, place))
    except cascade.EditFails as error:
        text = f"{edit.path} was not changed: {error}"
        return _observed(place, False, "does not fit", text, error=normalise.error(str(error)))
    path = place.worktree(attempt)
    try:
        edits.write(path, edit.path, applied.data)
    except edits.EditRefused as error:
        return _observed(place, False, "refused", f"{edit.path} was not changed: {error}", error=str(error))
    lines = applied.data.count(b"\n") + (not applied.data.endswith(b"\n") and bool(applied.data))
    verb = "made" if old is None else "changed"
    text = f"{edit.path} is {verb}; it has {lines} lines now."
    return _checkpointed(
        action,
        attempt,
        place,
        _observed(place, True, f"{verb}, {applied.how}", text, how=applied.how),
        f"edit {edit.path}",
    )


class _Seen(Sequence[bytes]):
    """The earlier states of a file that a model may have in mind, newest first; read when they are needed."""

    def __init__(self, path: str, attempt: Attempt, place: Place) -> None:
        moved = sorted(
            (outcome.seq, str(outcome.result["checkpoint"]["tree"]))
            for outcome in attempt.done.values()
            if outcome.result.get("checkpoint")
        )
        trees = [tree for _, tree in reversed(moved)]
        self._trees = list(dict.fromkeys(trees))[:MOST_STATES]
        self._path, self._attempt, self._repo = path, attempt, place.repo

    def __len__(self) -> int:
        return len(self._trees) + 1

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> list[bytes]: ...
    def __getitem__(self, at: int | slice) -> bytes | list[bytes]:
        if isinstance(at, slice):
            return [self[n] for n in range(*at.indices(len(self)))]
        if at >= len(self):
            raise IndexError(at)
        tree = self._trees[at] if at < len(self._trees) else self._repo.tree_of(self._attempt.origin)
        return self._repo.show_file(tree, self._path) or b""


MOST_STATES = 12
"""Earlier states of a file that an edit is held against, beside the one that the attempt began with."""


def _command(command: str, action: Act, attempt: Attempt, place: Place) -> Performed:
    path = place.worktree(attempt)
    finished = spawn(command, path, action.timeout, attempt, place)
    output = place.blobs.put(finished.output) if finished.output else ""
    if finished.reason == "stopped":
        return Performed("interrupted", {"why": "stopped"}, None, finished.seconds, output)
    if finished.reason in BROKEN:
        worktrees.discard(place.repo, path)
        done = _observed(
            place, False, SAID[finished.reason], f"`{command}` was ended: {SAID[finished.reason]}."
        )
        return replace(done, exit=-1, seconds=finished.seconds, output=output)
    ended = f"exit {finished.exit}" if finished.reason == "exited" else f"ended after {action.timeout:.0f} s"
    text = f"`{command}`: {ended}\n```\n{shown(finished.output)}\n```"
    ok = finished.exit == 0
    error = "" if ok else normalise.error(shown(finished.output))
    done = _observed(place, ok, ended, text, error=error)
    done = _checkpointed(action, attempt, place, done, command.splitlines()[0][:60])
    return replace(
        done, exit=finished.exit if finished.exit is not None else -1, output=output, seconds=finished.seconds
    )


def _checkpointed(
    action: Act | Adopt, attempt: Attempt, place: Place, done: Performed, message: str
) -> Performed:
    """The same, with a checkpoint of the worktree as it stands now."""
    path = place.worktree(attempt)
    try:
        made = place.checkpoint(attempt, message)
    except (GitError, OSError) as error:
        if not unrecordable(error):
            raise
        worktrees.discard(place.repo, path)
        text = f"Undone: it made what git cannot hold ({error})."
        return _observed(place, False, "made what git cannot hold", text)
    if not made.changed:
        return done
    return replace(done, result={**done.result, "checkpoint": {"commit": made.commit, "tree": made.tree}})


def probe(action: Probe, attempt: Attempt, place: Place) -> Performed:
    """Run a subtask's probe in a clean checkout of the last checkpoint."""
    gate = place.workspace.gate(attempt.ticket, attempt.number)
    worktrees.clean_checkout(place.repo, gate, action.commit)
    limit = COMMAND_TIME if action.timeout is None else min(action.timeout, COMMAND_TIME)
    finished = spawn(action.command, gate, limit, attempt, place)
    output = place.blobs.put(finished.output) if finished.output else ""
    if finished.reason == "stopped":
        return Performed("interrupted", {"why": "stopped"}, None, finished.seconds)
    if finished.reason in BROKEN:
        worktrees.discard(place.repo, gate)
    passed = finished.reason == "exited" and finished.exit == 0
    summary = (
        f"exit {finished.exit}" if finished.reason == "exited" else SAID.get(finished.reason, "too slow")
    )
    result = {
        "name": action.command,
        "passed": passed,
        "summary": summary,
        "output": output,
        "error": "" if passed else normalise.error(shown(finished.output)),
    }
    return Performed("done", result, finished.exit, finished.seconds, output)


def back(action: Back, attempt: Attempt, place: Place) -> Performed:
    """Put the worktree back to an earlier checkpoint and go on from there."""
    path = place.worktree(attempt)
    kept = worktrees.restore(place.repo, path, action.commit)
    place.repo.move_keeping(place.private_ref(attempt), action.commit)
    result: dict[str, Any] = {"checkpoint": {"commit": action.commit, "tree": action.tree}}
    return Performed("done", {**result, "trash": kept} if kept else result)


def adopt(action: Adopt, attempt: Attempt, place: Place) -> Performed:
    """A checkpoint of what a person did in the worktree."""
    before = attempt.tree or place.repo.tree_of(attempt.head)
    done = _checkpointed(action, attempt, place, Performed("done", {"changed": []}), "by hand")
    if moved := done.result.get("checkpoint"):
        changed = sorted({change.path for change in place.repo.changes(before, moved["tree"])})
        return replace(done, result={**done.result, "changed": changed[:200]})
    return done
