"""What a reply asks for, carried out; probes, steps back, work by hand. Thin.

An edit is made in the worktree and ends in a checkpoint; cut off, the worktree goes back to the last one and
the edit is made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, overload

from orchestrator import edits, worktrees
from orchestrator.actions import Act, Adopt, Back, Probe
from orchestrator.agent import cascade, normalise, replies, verbs
from orchestrator.agent.calling import named
from orchestrator.agent.looking import look, search
from orchestrator.agent.output import shown
from orchestrator.agent.work import COMMAND_TIME
from orchestrator.attempt import Attempt
from orchestrator.git import GitError
from orchestrator.globs import outside
from orchestrator.place import Performed, Place, spawn
from orchestrator.sandbox.sandbox import BROKEN, SAID
from orchestrator.snapshot import unrecordable
from state.canonical import digest

_WHOLE = 300
"""Lines of a file that may always be written whole; of a longer one what models write seldom is all of it."""


def act(action: Act, attempt: Attempt, place: Place) -> Performed:
    """Carry out the verb of a reply and say to the model what came of it."""
    if action.refused:
        return _observed(place, False, f"refused: {action.refused}", f"Not run: {action.refused}.")
    reply = place.blobs.get(str(attempt.done[f"call:{action.number}"].result["reply"]))
    verb = _still(action, reply.decode("utf-8", "replace"))
    if verb is None:
        text = "That was not done: it was read in another way before an update. Say it again."
        return _observed(place, False, "read in another way before", text)
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


def _still(action: Act, reply: str) -> verbs.Verb | None:
    """The verb of a reply as it was when it was decided on; None where today's parser reads another one."""
    try:
        verb = replies.parse(reply)
    except verbs.Malformed:
        return None
    is_ = named(verb)
    return verb if (is_["verb"], is_["what"]) == (action.verb, action.what) else None


def _observed(place: Place, ok: bool, says: str, text: str, **more: Any) -> Performed:
    blob = place.blobs.put(text.encode("utf-8", "replace"))
    shown_ = digest(normalise.reply(text))[:16]
    return Performed("done", {"ok": ok, "says": says, "observation": blob, "shown": shown_, **more})


def _edit(edit: verbs.Edit, tree: str, action: Act, attempt: Attempt, place: Place) -> Performed:
    allowed = attempt.spec.get("paths") or ()
    if outside([edit.path], allowed):
        text = f"{edit.path} was not changed: you may change only {', '.join(allowed)}."
        return _observed(place, False, "outside the ticket's paths", text, error="outside paths")
    old = place.repo.show_file(tree, edit.path)
    whole = attempt.done[f"call:{action.number}"].result.get("whole")
    limit = None if whole is None else max(_WHOLE, 2 * whole)
    try:
        applied = cascade.apply(old, edit, whole_limit=limit, seen=_Seen(edit.path, attempt, place))
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
    done = _observed(place, True, f"{verb}, {applied.how}", text, how=applied.how)
    done = _checkpointed(attempt, place, done, f"edit {edit.path}")
    if done.result["ok"] and "checkpoint" not in done.result:
        text = f"{edit.path} is written, but git ignores it: it is no part of the change."
        return _observed(place, False, "ignored by git", text)
    return done


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
    done = _checkpointed(attempt, place, done, command.splitlines()[0][:60])
    return replace(
        done, exit=finished.exit if finished.exit is not None else -1, output=output, seconds=finished.seconds
    )


def _checkpointed(attempt: Attempt, place: Place, done: Performed, message: str) -> Performed:
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
    return replace(done, result={**done.result, **_moved(attempt, place, made.commit, made.tree)})


def _moved(attempt: Attempt, place: Place, commit: str, tree: str) -> dict[str, Any]:
    """What the journal keeps of a checkpoint, with the files that are changed in it and may not be."""
    moved: dict[str, Any] = {"checkpoint": {"commit": commit, "tree": tree}}
    if allowed := attempt.spec.get("paths"):
        changes = place.repo.changes(place.repo.tree_of(attempt.base), place.repo.tree_of(commit))
        if stray := outside(sorted({change.path for change in changes}), allowed):
            moved["outside"] = stray[:20]
    return moved


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
    result = _moved(attempt, place, action.commit, action.tree)
    return Performed("done", {**result, "trash": kept} if kept else result)


def adopt(action: Adopt, attempt: Attempt, place: Place) -> Performed:
    """A checkpoint of what a person did in the worktree."""
    before = attempt.tree or place.repo.tree_of(attempt.head)
    done = _checkpointed(attempt, place, Performed("done", {"changed": []}), "by hand")
    if moved := done.result.get("checkpoint"):
        changed = sorted({change.path for change in place.repo.changes(before, moved["tree"])})
        return replace(done, result={**done.result, "changed": changed[:200]})
    return done
