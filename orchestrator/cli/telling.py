"""An event of the journal in one line for people: `log` shows them all, `run` the ones of interest."""

from __future__ import annotations

import time

from orchestrator.cli.output import paint, safe, seconds
from state.events import Event
from state.views import verdict

_QUIET = frozenset(
    ("action.intent", "action.progress", "ticket.ready", "ticket.admitted", "ticket.blocked", "proposal.used")
)
"""Of no interest while a run is watched; `jetbox log` has them."""

_ROLES = {"landed": "landed", "failed": "failed", "broken": "broken", "waiting": "waiting"}


def telling(event: Event) -> bool:
    """Whether an event is worth a line while a run is watched."""
    if event.type == "action.outcome":
        return bool(event.body.get("receipt")) or event.body.get("status") != "done"
    return event.type not in _QUIET


def told(event: Event, *, full: bool = False) -> str:
    """One safe line, coloured on a terminal; in full with date, seq and attempt."""
    moment = time.localtime(event.at / 1000)
    clock = time.strftime("%Y-%m-%d %H:%M:%S" if full else "%H:%M:%S", moment)
    head = f"{event.seq:>6}  {clock}" if full else clock
    whose = f"{event.ticket}.{event.attempt}" if full and event.attempt else event.ticket
    role = _role(event)
    return f"{paint(head, 'faint')}  {safe(whose):<14}  {paint(safe(_words(event)), role)}"


def _role(event: Event) -> str:
    if receipt := event.body.get("receipt"):
        return "waiting" if receipt.get("skipped") else "green" if receipt.get("passed") else "red"
    if event.type == "action.outcome":
        return str(event.body.get("status", ""))
    if event.type in ("proposal.opened", "merge.proposed"):
        return "review"
    return _ROLES.get(event.type.rpartition(".")[2], "")


def _words(event: Event) -> str:
    body = event.body
    match event.type:
        case "action.intent":
            return f"{body.get('task')}: {body.get('title')}"
        case "action.outcome":
            return _outcome(event)
        case "action.progress":
            return f"{body.get('fraction') or 0:.0%} done"
        case "core.set":
            return f"core {str(body.get('core'))[:12]}: {body.get('why')}, by {body.get('by')}"
        case "core.refused":
            return f"core: refused: {body.get('what')}: {body.get('why')}"
        case "core.asked":
            return f"an update from the memory {body.get('memory')} is measured: {body.get('why')}"
        case "run.rolled-back":
            return f"{body.get('run')} went back to step {body.get('step')}, by {body.get('by')}"
        case "attempt.started":
            again = f", told: {body['comment']}" if body.get("comment") else ""
            where = f"on {body['branch']}" if body.get("base") else "its run"
            return f"started {where}{again}"
        case "attempt.landed":
            return f"landed {_what(event)}".rstrip()
        case "attempt.failed" | "attempt.cancelled" | "attempt.waiting":
            word = {"waiting": "waits"}.get(event.type[8:], event.type[8:])
            return f"{word}: {body.get('why', '')}"
        case "proposal.opened" | "merge.proposed":
            verb = "answer" if (body.get("subject") or {}).get("options") else "approve"
            return f"asks you: {body.get('summary')} (jetbox {verb} {body.get('id')})"
        case "proposal.approved":
            return f"{body.get('id')} approved by {body.get('by')}"
        case "proposal.denied":
            return f"{body.get('id')} denied by {body.get('by')}: {body.get('reason')}"
        case "said.comment":
            return f"{body.get('by')} says: {body.get('text')}"
        case "asked.take-over":
            return f"{body.get('by')} takes the worktree over"
        case "asked.hand-back":
            return f"{body.get('by')} hands the worktree back"
        case "ticket.broken":
            return f"does not load: {next(iter(body.get('problems') or ['']), '')}"
        case "ticket.rolled-back":
            return f"rolled back by {str(body.get('commit'))[:10]}"
        case "ticket.rollback-refused":
            return f"not rolled back: {body.get('why')}"
        case "consent.given":
            return f"{body.get('by')} lets commands run without a sandbox"
        case "engine.isolation" if body.get("isolation") == "none":
            return "UNSANDBOXED: nothing holds commands on this machine"
        case "engine.isolation":
            return f"commands are held by {body.get('isolation')}"
        case "engine.started":
            return f"engine started (process {body.get('pid')})"
    kind, _, verb = event.type.partition(".")
    detail = body.get("why") or body.get("note") or body.get("goal") or body.get("comment") or ""
    what = f"{by} asked for {verb}" if (by := body.get("by")) else f"{kind} {verb}"
    return f"{what}: {detail}" if detail else what


def _outcome(event: Event) -> str:
    body = event.body
    took = f" ({seconds(body['seconds'])})" if body.get("seconds") else ""
    if receipt := body.get("receipt"):
        told = verdict(bool(receipt.get("passed")), str(receipt.get("side")), receipt.get("skipped") or "")
        return f"{told}: {receipt.get('name')}: {receipt.get('summary')}{took}"
    why = (body.get("result") or {}).get("broke") or (body.get("result") or {}).get("why")
    status = body.get("status")
    note = f": {why}" if why and status != "done" else ""
    return f"{status}: {body.get('title') or body.get('key')}{note}{took}"


def _what(event: Event) -> str:
    if commit := event.body.get("commit"):
        return str(commit)[:10]
    artifact = event.body.get("artifact") or {}
    return str(artifact.get("path") or event.body.get("why") or "")
