"""From events to views: one small function an event type, run in the transaction that writes the event.

`apply` is deterministic: the views are a function of the events alone, so that folding the journal
again (after an update, in `verify`, in the tests) gives the same tables.

A handler writes what belongs to an attempt (its tree, receipts, proposals) and returns what changes on the
ticket's own row, which is then written once. An event about an attempt that is over, or one that the life
cycle has no row for, changes nothing of the ticket.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from state.canonical import canonical, loads
from state.events import Event
from tickets.lifecycle import LIVE, PROPOSALS, Answer, State, Trigger, step


class Now(NamedTuple):
    """The ticket as the event finds it, moved along the life cycle already."""

    state: State | None  # None: not known yet
    attempt: int
    moved: bool


Changes = dict[str, str | int | float | None]
Handler = Callable[[sqlite3.Cursor, Event, Now], Changes]

_TRIGGERS = {str(trigger): trigger for trigger in Trigger}
_STATES = {str(state): state for state in State}


def apply(db: sqlite3.Cursor, event: Event) -> None:
    """Bring the views up to date with one event."""
    if not event.ticket:
        if event.type in ("engine.started", "engine.isolation", "engine.stopped", "consent.given"):
            _session(db, event)
        if event.type.startswith("engine.") and event.type != "engine.isolation":
            _engine(db, event)
        return
    if action := _ACTIONS.get(event.type):
        _act(db, event, action(db, event))
        return
    if event.type in _DECISIONS and not _decided(db, event):
        return
    row = db.execute("SELECT state, attempt FROM tickets WHERE id=?", (event.ticket,)).fetchone()
    before, attempt = (_STATES[row[0]], row[1]) if row else (None, 0)
    trigger = _TRIGGERS.get(event.type)
    if trigger is Trigger.STARTED:
        attempt = event.attempt
    late = event.attempt not in (0, attempt)
    state = before
    if before is not None and trigger is not None and not late:
        state = step(before, trigger)
    changes: Changes = {}
    if state is not None and state is not before:
        changes = {"state": state.value, "since": event.at}
        if before in LIVE and state in LIVE:
            db.execute(
                "UPDATE attempts SET state=? WHERE ticket=? AND number=?",
                (state.value, event.ticket, attempt),
            )
    if handler := _HANDLERS.get(event.type):
        own = handler(db, event, Now(state, attempt, state is not before))
        if not late:
            changes |= own
    if row is not None:
        _update(db, event, changes)


def _update(db: sqlite3.Cursor, event: Event, changes: Changes, where: str = "", *values: int) -> None:
    """Write the ticket's row, if there is one."""
    columns = "".join(f"{column}=?," for column in changes)
    query = f"UPDATE tickets SET {columns}changed=? WHERE id=?{where}"
    db.execute(query, (*changes.values(), event.seq, event.ticket, *values))


def _engine(db: sqlite3.Cursor, event: Event) -> None:
    said = {**event.body, "state": event.type.removeprefix("engine."), "at": event.at}
    db.execute("INSERT OR REPLACE INTO meta VALUES ('engine',?)", (canonical(said),))


def _session(db: sqlite3.Cursor, event: Event) -> None:
    """The run of the engine that is the latest: what holds its commands, and what a person consented to."""
    if event.type == "engine.started":
        said = {"seq": event.seq, "at": event.at, "open": True, "isolation": "", "tried": [], "consent": {}}
    else:
        row = db.execute("SELECT value FROM meta WHERE key='session'").fetchone()
        if row is None:
            return
        said = loads(row[0])
    body = event.body
    if event.type == "engine.isolation":
        said |= {"isolation": body["isolation"], "tried": body.get("tried") or []}
    elif event.type == "engine.stopped":
        said["open"] = False
    elif event.type == "consent.given" and body.get("session") == said["seq"]:
        said["consent"] = body
    db.execute("INSERT OR REPLACE INTO meta VALUES ('session',?)", (canonical(said),))


# Ticket files ----------------------------------------------------------------------------------------


def _admitted(db: sqlite3.Cursor, event: Event, now: Now) -> Changes:
    body, spec = event.body, event.body["spec"]
    changes: Changes = {
        "path": body["path"],
        "kind": spec["kind"],
        "goal": spec["goal"],
        "persona": spec.get("persona") or "",
        "labels": canonical(spec.get("labels") or []),
        "needs": canonical(body["needs"]),
        "revision": body["revision"],
        "removed": 0,
    }
    if now.attempt == 0:
        changes["unknown"] = len(spec["accept"])
    if now.state in (State.BACKLOG, State.READY):
        changes["note"] = ""
    if now.state is None:
        _insert(db, event, State.BACKLOG, changes)
    db.execute("INSERT OR REPLACE INTO specs VALUES (?,?,'[]')", (event.ticket, canonical(spec)))
    return changes


def _broken(db: sqlite3.Cursor, event: Event, now: Now) -> Changes:
    body = event.body
    changes: Changes = {"path": body["path"], "removed": 0}
    if now.state in (None, State.BROKEN):
        changes["note"] = body["problems"][0] if body["problems"] else "the file does not load"
    if now.state is None:
        _insert(db, event, State.BROKEN, changes)
    db.execute(
        "INSERT INTO specs VALUES (?,'{}',?) ON CONFLICT(id) DO UPDATE SET problems=excluded.problems",
        (event.ticket, canonical(body["problems"])),
    )
    return changes


def _insert(db: sqlite3.Cursor, event: Event, state: State, changes: Changes) -> None:
    row = changes | {"id": event.ticket, "state": state.value, "since": event.at, "changed": event.seq}
    marks = ",".join("?" * len(row))
    db.execute(f"INSERT INTO tickets ({','.join(row)}) VALUES ({marks})", tuple(row.values()))


def _removed(db: sqlite3.Cursor, event: Event, now: Now) -> Changes:
    return {"removed": 1}


def _note(db: sqlite3.Cursor, event: Event, now: Now) -> Changes:
    return {"note": event.body.get("why") or event.body.get("note") or ""}


def _blocked(db: sqlite3.Cursor, event: Event, now: Now) -> Changes:
    return {"note": "needs " + ", ".join(event.body["needs"])}


# Attempts --------------------------------------------------------------------------------------------


def _started(db: sqlite3.Cursor, event: Event, now: Now) -> Changes:
    if not now.moved:
        return {}
    body = event.body
    db.execute(
        "INSERT OR REPLACE INTO attempts VALUES (?,?,'running',?,?,?,?,'','',?,NULL,'')",
        (
            event.ticket,
            event.attempt,
            body["revision"],
            body["base_ref"],
            body["base"],
            body["branch"],
            event.at,
        ),
    )
    return {
        "attempt": event.attempt,
        "progress": 0,
        "eta_low": None,
        "eta_high": None,
        "green": 0,
        "red": 0,
        "unknown": len(body["spec"]["accept"]),
        "note": "",
        "asked": "",
        "comment": "",
    }


def _ended(db: sqlite3.Cursor, event: Event, now: Now) -> Changes:
    if not now.moved or now.state is None:
        return {}
    body, why = event.body, event.body.get("why", "")
    db.execute(
        "UPDATE attempts SET state=?, ended=?, why=?, commit_id=?, artifact=? WHERE ticket=? AND number=?",
        (
            now.state.value,
            event.at,
            why,
            body.get("commit", ""),
            canonical(body.get("artifact") or {}),
            event.ticket,
            now.attempt,
        ),
    )
    db.execute(
        "UPDATE proposals SET state=?, reason='the attempt is over', changed=?"
        " WHERE ticket=? AND attempt=? AND state=?",
        (PROPOSALS[Answer.OPEN, event.type], event.seq, event.ticket, now.attempt, Answer.OPEN),
    )
    done = 1.0 if now.state is State.LANDED else None
    return {"note": why, "progress": done, "eta_low": None, "eta_high": None, "asked": ""}


def _rolled_back(db: sqlite3.Cursor, event: Event, now: Now) -> Changes:
    return {"asked": "", "progress": None, "note": f"rolled back by {event.body['commit'][:10]}"}


def _rollback_refused(db: sqlite3.Cursor, event: Event, now: Now) -> Changes:
    return {"asked": "", "progress": None, "note": event.body["why"]}


def _restored(db: sqlite3.Cursor, event: Event, now: Now) -> Changes:
    return {"asked": "", "note": f"brought back on branch {event.body['branch']}"}


# Actions: the most frequent events. They move no state, so the ticket's row is written and not read. ------


def _act(db: sqlite3.Cursor, event: Event, changes: Changes) -> None:
    """Write what an action changes on the row of its ticket, if anything, unless the attempt is over."""
    if changes:
        _update(db, event, changes, " AND ? IN (0, attempt)", event.attempt)


def _intent(db: sqlite3.Cursor, event: Event) -> Changes:
    db.execute(
        "INSERT OR REPLACE INTO nodes VALUES (?,?,?,?,?,'running',?,NULL,NULL,NULL)",
        (event.ticket, event.attempt, event.seq, event.body["task"], event.body["title"], event.at),
    )
    return {}


def _progress(db: sqlite3.Cursor, event: Event) -> Changes:
    low, high = event.body.get("eta") or (None, None)
    return {"progress": event.body.get("fraction"), "eta_low": low, "eta_high": high}


def _outcome(db: sqlite3.Cursor, event: Event) -> Changes:
    body, whose = event.body, (event.ticket, event.attempt)
    db.execute(
        "UPDATE nodes SET state=?, ended=?, seconds=?, outcome=? WHERE ticket=? AND attempt=? AND seq=?",
        (body["status"], event.at, body.get("seconds"), event.seq, *whose, body["intent"]),
    )
    changes: Changes = {}
    if "progress" in body:
        changes = {"progress": body["progress"], "eta_low": None, "eta_high": None}
    if receipt := body.get("receipt"):
        db.execute(
            "INSERT OR REPLACE INTO receipts VALUES (?,?,?,?,?,?)",
            (*whose, receipt["name"], receipt["side"], _passed(receipt), event.seq),
        )
        changes |= _checks(db, event)
    return changes


def _passed(receipt: Mapping[str, Any]) -> int:
    """1: it holds, 0: it does not, -1: it could not be taken."""
    return -1 if receipt.get("skipped") else int(receipt["passed"])


def _checks(db: sqlite3.Cursor, event: Event) -> Changes:
    """A check is green when all its receipts pass and one of them is of the change; red when one fails.

    One that was skipped, where none fails, stays unknown.
    """
    green, red, all_ = db.execute(
        "SELECT coalesce(sum(worst=1 AND of_change),0), coalesce(sum(fails),0),"
        " (SELECT green+red+unknown FROM tickets WHERE id=?) FROM"
        " (SELECT min(passed) AS worst, max(passed=0) AS fails, max(side!='base') AS of_change FROM receipts"
        "  WHERE ticket=? AND attempt=? GROUP BY name)",
        (event.ticket, event.ticket, event.attempt),
    ).fetchone()
    return {"green": green, "red": red, "unknown": max(0, (all_ or 0) - green - red)}


# Proposals and a person's words ----------------------------------------------------------------------


def _proposed(db: sqlite3.Cursor, event: Event, now: Now) -> Changes:
    body = event.body
    found = db.execute("SELECT state, digest FROM proposals WHERE id=?", (body["id"],)).fetchone()
    if found and found[1] == body["digest"] and (Answer(found[0]), event.type) not in PROPOSALS:
        return {}
    db.execute(
        "INSERT OR REPLACE INTO proposals VALUES (?,?,?,?,?,?,?,?,'open','','',?,NULL,?,?)",
        (
            body["id"],
            body["kind"],
            event.ticket,
            event.attempt,
            body["digest"],
            body["summary"],
            canonical(body["subject"]),
            body.get("diff", ""),
            event.at,
            event.seq,
            event.seq,
        ),
    )
    return {"note": body["summary"]}


def _decided(db: sqlite3.Cursor, event: Event) -> bool:
    """Move the proposal; False when its table has no row for that."""
    found = db.execute("SELECT state FROM proposals WHERE id=?", (event.body["id"],)).fetchone()
    new = PROPOSALS.get((Answer(found[0]), event.type)) if found else None
    if new is None:
        return False
    db.execute(
        "UPDATE proposals SET state=?, reason=?, by=coalesce(?, by), decided=?, changed=? WHERE id=?",
        (new, _reason(event), event.body.get("by"), event.at, event.seq, event.body["id"]),
    )
    return True


def _answered(db: sqlite3.Cursor, event: Event, now: Now) -> Changes:
    state, reason = event.type.removeprefix("proposal."), _reason(event)
    changes: Changes = {"note": f"{state}: {reason}" if reason else state}
    if event.type == Trigger.STALE:  # what was shown of the merge result holds no more; the branch's own does
        db.execute(
            "DELETE FROM receipts WHERE ticket=? AND attempt=? AND side='merged'",
            (event.ticket, event.attempt),
        )
        changes |= _checks(db, event)
    return changes


def _reason(event: Event) -> str:
    return event.body.get("reason") or event.body.get("why") or ""


def _asked(db: sqlite3.Cursor, event: Event, now: Now) -> Changes:
    """A wish that is not done with its word stays until the engine has carried it out."""
    wish = event.type.removeprefix("asked.")
    can_wait = {
        "cancel": now.state in LIVE,
        "retry": now.state in LIVE,
        "rollback": now.state is State.LANDED,
        "restore": now.state not in LIVE,
    }
    changes: Changes = {"asked": wish if can_wait[wish] else "", "comment": event.body.get("comment", "")}
    if wish == "cancel" and now.moved:
        changes["note"] = "cancelled"
    return changes


_DECISIONS = frozenset({"proposal.approved", "proposal.denied", "proposal.stale", "proposal.used"})

_ACTIONS: dict[str, Callable[[sqlite3.Cursor, Event], Changes]] = {
    "action.intent": _intent,
    "action.progress": _progress,
    "action.outcome": _outcome,
}

_HANDLERS: dict[str, Handler] = {
    "ticket.admitted": _admitted,
    "ticket.broken": _broken,
    "ticket.removed": _removed,
    "ticket.note": _note,
    "ticket.blocked": _blocked,
    "ticket.ready": _note,
    "ticket.rolled-back": _rolled_back,
    "ticket.rollback-refused": _rollback_refused,
    "ticket.restored": _restored,
    "attempt.started": _started,
    "attempt.waiting": _note,
    "attempt.resumed": _note,
    "attempt.landed": _ended,
    "attempt.failed": _ended,
    "attempt.cancelled": _ended,
    "proposal.opened": _proposed,
    "merge.proposed": _proposed,
    "proposal.approved": _answered,
    "proposal.denied": _answered,
    "proposal.stale": _answered,
    "asked.cancel": _asked,
    "asked.retry": _asked,
    "asked.rollback": _asked,
    "asked.restore": _asked,
}
