"""Undoing what landed, and bringing back what was put into the trash. Both on a person's word alone."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from orchestrator import landing, worktrees
from orchestrator.attempt import Attempt
from orchestrator.conductor import Conductor, is_full
from orchestrator.decide import UNSANDBOXED
from orchestrator.git import GitError, stamp
from orchestrator.perform import follow, landed_result, planned, trash_ref
from orchestrator.place import Control, Halted, mark
from orchestrator.process import end_marked
from orchestrator.sandbox.sandbox import BROKEN, SAID
from state.contract import ContractNotAccepted
from state.events import New
from state.views import Attempt as Landed
from state.words import rollback_matter
from tickets import values

_TASK = "Roll back"
_LONGEST = 600.0  # seconds for a rollback by command: no ticket can land while it works


class Refused(Exception):
    """The rollback cannot be done as things are, and trying again by itself would not help."""


def rollback(conductor: Conductor, control: Control) -> bool:
    """Take what this attempt landed out of the base; False where that has to wait for something.

    What cannot be done as things are is refused, which ends the person's wish: it is tried once for each.
    Killed anywhere, it is called again and ends in the same state: the undoing's commit stands in the
    journal before the base moves. A plan from the journal is never landed, only recognized as landed: one
    that was cut off before that is worked out anew.
    """
    shop, ticket = conductor.shop, conductor.ticket
    conductor.refresh()
    attempt = conductor.attempt
    record = next(a for a in shop.journal.views.attempts(ticket) if a.number == conductor.number)
    done = begun(conductor)
    if not done and (why := _not_accepted(conductor, record)):
        _refuse(conductor, f"roll back not accepted: {why}")
        return True
    if attempt is None or not record.commit:
        shop.write(New("ticket.rolled-back", {"commit": ""}, ticket, conductor.number))
        return True
    shop.sound()
    shop.turn.take(ticket, control)
    landed = False
    try:
        if not done and _pending(attempt) is not None:
            _outcome(conductor, "interrupted", {"why": "cut off"})
            conductor.refresh()
        plan = _pending(attempt) if done else _plan(conductor, attempt, record.commit, control)
        landed = plan is not None and _land(conductor, plan)
    except Refused as refused:
        _refuse(conductor, str(refused))
        return True
    finally:
        if not landed:
            shop.turn.give_back(ticket)
    if plan is None or not landed:
        return False
    result = landed_result(shop.repo, plan)
    followed = follow(shop.repo, plan.base_ref, result["old_tree"], result["tree"])
    if followed.status != "done":
        _note(conductor, str(followed.result["broke"]))
        return False
    shop.turn.give_back(ticket)
    if held := shop.repo.resolve(_ref(ticket)):  # the base holds it now
        shop.repo.compare_and_swap(_ref(ticket), None, held)
    over = New("ticket.rolled-back", {"commit": result["commit"]}, ticket, conductor.number)
    _outcome(conductor, "done", {**result, **followed.result}, over)  # at once, or it would be begun anew
    return True


def _refuse(conductor: Conductor, why: str) -> None:
    conductor.shop.write(New("ticket.rollback-refused", {"why": why}, conductor.ticket, conductor.number))


def begun(conductor: Conductor) -> bool:
    """Whether a rollback of this ticket was cut off after the base had moved."""
    attempt = conductor.refresh()
    plan = _pending(attempt) if attempt is not None else None
    return plan is not None and landing.state(conductor.shop.repo, plan) == "landed"


def _not_accepted(conductor: Conductor, landed: Landed) -> str:
    """Why nothing is done on the person's word; '' where it counts."""
    shop = conductor.shop
    said = [e for e in shop.journal.events(ticket=conductor.ticket) if e.type == "asked.rollback"]
    try:
        shop.contracts.accept(said[-1].body.get("contract") if said else None, rollback_matter(landed))
    except ContractNotAccepted as refused:
        return str(refused)
    return ""


def _land(conductor: Conductor, plan: landing.Landing) -> bool:
    repo = conductor.shop.repo
    if landing.state(repo, plan) == "not-landed" and (blocked := landing.obstacles(repo, plan)):
        _note(conductor, "; ".join(blocked))
        return False
    if landing.land(repo, plan) != "landed":
        _outcome(conductor, "interrupted", {"why": "the base has moved"})
        return False
    return True


def restore(conductor: Conductor) -> None:
    """Bring back, on a branch of its own, what the attempt left in the trash."""
    shop, ticket, number = conductor.shop, conductor.ticket, conductor.number
    ref, branch = trash_ref(ticket, number), f"restored/{ticket}-{number}"
    if shop.repo.resolve(ref) is None:
        _not_restored(conductor, f"nothing of attempt {number} is in the trash")
        return
    try:
        worktrees.restore_trash(shop.repo, ref, f"refs/heads/{branch}")
    except GitError as error:
        if is_full(error):
            raise
        _not_restored(conductor, str(error))
        return
    note = f"brought back on branch {branch}"
    shop.write(New("ticket.restored", {"branch": branch, "note": note}, ticket, number))


def _not_restored(conductor: Conductor, note: str) -> None:
    """The wish is done with, and why nothing came of it is the last thing said."""
    ended = New("ticket.restored", {"branch": "", "note": note}, conductor.ticket, conductor.number)
    conductor.shop.write(ended, New("ticket.note", {"note": note}, conductor.ticket))


def _ref(ticket: str) -> str:
    """What holds the work of a rollback by command until the base does."""
    return f"refs/jetbox/{ticket}/rollback"


def _pending(attempt: Attempt) -> landing.Landing | None:
    """The undoing that was begun and has no outcome."""
    intent = attempt.pending.get("rollback")
    return planned(intent.args["landing"]) if intent else None


def _plan(conductor: Conductor, attempt: Attempt, landed: str, control: Control) -> landing.Landing | None:
    """Work out the undoing on today's base and write it down before anything moves."""
    shop = conductor.shop
    base = shop.repo.resolve(attempt.base_ref)
    if base is None:
        _note(conductor, f"the branch {attempt.base_ref.removeprefix('refs/heads/')} is gone")
        return None
    how = values.rollback(attempt.spec.get("rollback") or "revert")
    if isinstance(how, values.ByShell):
        if shop.sandbox().isolation == "none" and not conductor.consented():
            _note(conductor, UNSANDBOXED)
            return None
        undone = _by_shell(conductor, attempt, how.command, base, control)
    else:
        try:
            undone = landing.revert(shop.repo, landed, base)
        except landing.NotLanded as error:
            raise Refused(str(error)) from error
    if undone is None:
        return None
    if undone.tree is None:
        _note(conductor, f"later changes are in the way of the rollback: {', '.join(undone.conflicts[:5])}")
        return None
    plan = landing.Landing(
        base_ref=attempt.base_ref,
        base=base,
        head=undone.head,
        tree=undone.tree,
        message=f"Roll back: {attempt.spec['goal']}",
        author=shop.author,
        date=stamp(time.time()),
        ticket=conductor.ticket,
        attempt=str(conductor.number),
    )
    body: dict[str, Any] = {"key": "rollback", "task": _TASK, "title": f"undo {landed[:10]}"}
    body |= {"action": "RollBack", "args": {"landing": asdict(plan)}}
    shop.write(New("action.intent", body, conductor.ticket, conductor.number))
    conductor.refresh()
    return plan


def _by_shell(
    conductor: Conductor, attempt: Attempt, command: str, base: str, control: Control
) -> landing.Merged | None:
    """What the ticket's own command makes of the base, in a scratch worktree."""
    shop = conductor.shop
    path: Path = shop.workspace.gate(conductor.ticket, conductor.number)
    name = mark(shop.workspace, conductor.ticket, 0)
    end_marked(name)  # a killed engine's
    worktrees.remove(shop.repo, path, base=base)
    worktrees.add(shop.repo, path, base)
    try:
        done = shop.sandbox().run(command, path, git_dir=shop.repo.common_dir, mark=name, stop=control.stop)
        if done.reason == "stopped":
            raise Halted
        if done.reason in (*BROKEN, "timeout"):
            worktrees.discard(shop.repo, path)
            raise Refused(f"`{command}` was ended: {SAID[done.reason]}; nothing was rolled back")
        if done.exit != 0:
            raise Refused(f"`{command}` ended with {done.exit}: nothing was rolled back")
        made = worktrees.checkpoint(
            shop.repo,
            path,
            _ref(conductor.ticket),
            f"Roll back: {attempt.spec['goal']}",
            shop.author,
            stamp(attempt.at / 1000),
            base,
        )
        return landing.merge(shop.repo, base, made.commit)
    finally:
        worktrees.remove(shop.repo, path, base=base)


def _outcome(conductor: Conductor, status: str, result: dict[str, Any], *more: New) -> None:
    attempt = conductor.attempt
    assert attempt is not None
    intent = attempt.pending["rollback"]
    body = {"key": "rollback", "task": _TASK, "title": intent.title, "intent": intent.seq, "status": status}
    outcome = New("action.outcome", {**body, "result": result}, conductor.ticket, conductor.number)
    conductor.shop.write(outcome, *more)


def _note(conductor: Conductor, text: str) -> None:
    ticket = conductor.shop.journal.views.ticket(conductor.ticket)
    if ticket is not None and ticket.card.note != text:
        conductor.shop.write(New("ticket.note", {"note": text}, conductor.ticket))
