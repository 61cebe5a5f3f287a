"""One attempt, taken as far as it goes now: fold, gather the world, decide, carry out, again.

A conductor holds nothing that the journal does not; its memory of a folded attempt is a cache.
"""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator import landing
from orchestrator.actions import (
    Act,
    Action,
    Call,
    Command,
    Decision,
    End,
    Estimate,
    Land,
    Probe,
    Propose,
    Rehearse,
    Run,
    Verify,
    Void,
    Wait,
)
from orchestrator.attempt import Attempt, apply
from orchestrator.checks import Check, resolve
from orchestrator.config import Config
from orchestrator.contracts import Contracts
from orchestrator.core.desk import CoreDesk
from orchestrator.core.drive import into_force
from orchestrator.decide import decide, landed_not_followed
from orchestrator.gates import gate
from orchestrator.git import GitError, Repo
from orchestrator.kinds.base import Kind
from orchestrator.leftovers import clear_locks_of, clear_shared_locks
from orchestrator.models.base import Service
from orchestrator.perform import landed_result, perform, planned
from orchestrator.place import Control, Halted, NoRoom, Performed, Place, Turn, mark
from orchestrator.process import end_marked
from orchestrator.ready import ground
from orchestrator.sandbox.sandbox import Sandbox
from orchestrator.world import World
from state import core_words
from state.blobs import Blobs
from state.canonical import digest
from state.events import Event, New
from state.journal import DiskFull, Journal
from state.workspace import Workspace
from tickets.values import is_ticket_id

_WORK = (
    Command,
    Run,
    Estimate,
    Verify,
    Rehearse,
    Call,
    Act,
    Probe,
)  # what counts against how many tickets may run at once
_COMMANDS = ("Command", "Verify", "Rehearse", "Act", "Probe")  # what may leave processes behind
_PROGRESS = 1.0  # seconds between progress events of one action
_LAND_AGAIN = 1.0  # seconds before a landing that broke is looked at again
_LONGEST_BACKOFF = 5.0  # seconds between tries of an action that broke


@dataclass(frozen=True)
class Shop:
    """What all attempts of a workspace share."""

    workspace: Workspace
    config: Config
    kinds: Mapping[str, Kind]
    journal: Journal
    blobs: Blobs
    repo: Repo
    sandbox: Callable[[], Sandbox]  # chosen while the engine starts; asked for, it waits until it is
    contracts: Contracts
    author: str
    write: Callable[..., list[Event]]
    sound: Callable[[], None]
    turn: Turn
    models: Service
    room: threading.Semaphore  # for as many tickets as may be at work at once


class Conductor:
    """The conductor of one attempt."""

    def __init__(self, shop: Shop, ticket: str, number: int) -> None:
        self.shop, self.ticket, self.number = shop, ticket, number
        self.attempt: Attempt | None = None
        self._seen = 0
        self._looked = 0  # the journal's head before the last decision

    def refresh(self) -> Attempt | None:
        """Fold what was written since the last look."""
        for event in self.shop.journal.events(after=self._seen, ticket=self.ticket, attempt=self.number):
            self.attempt, self._seen = apply(self.attempt, event), event.seq
        return self.attempt

    def advance(self, control: Control) -> bool:
        """Go on until the attempt ends or waits; True when it waits.

        Raises:
            Halted: the engine goes. NoRoom: others are at work. DiskFull: nothing can be written now.
        """
        self.reconcile()
        with contextlib.ExitStack() as held:
            return self._advance(control, held)

    def _advance(self, control: Control, held: contextlib.ExitStack) -> bool:
        at_work = False
        while not control.stop.is_set():  # once it is set, whoever takes over does so with a fresh one
            self._looked = self.shop.journal.head()[0]
            attempt = self.refresh()
            if attempt is None:
                return False
            decision = decide(attempt, self._kind(attempt), self._checks(attempt), self._world(attempt))
            if not isinstance(decision, Land) and not landed_not_followed(attempt):
                self.shop.turn.give_back(self.ticket)
            if isinstance(decision, Wait):
                self._wait(attempt, decision)
                return True
            if isinstance(decision, _WORK) and not at_work:
                if not self.shop.room.acquire(blocking=False):
                    raise NoRoom
                held.callback(self.shop.room.release)
                at_work = True
            if attempt.waiting is not None:
                self._write("attempt.resumed")
            if isinstance(decision, End):
                self._end(decision)
                return False
            self._carry_out(attempt, decision, control)
        raise Halted

    def overtaken(self) -> bool:
        """Whether something was written about the ticket since the last decision was taken."""
        return bool(self.shop.journal.events(after=self._looked, ticket=self.ticket, limit=1))

    def reconcile(self, why: str = "cut off") -> None:
        """Hold each intent without an outcome against the world, and write what is found.

        Called when nobody works on the attempt: after a crash, or after an outcome that found no room on
        the disk. A child run is left pending: it may live, and is taken up by its own folder.
        """
        attempt = self.refresh()
        if attempt is None:
            return
        cut = {key: intent for key, intent in attempt.pending.items() if intent.action != "Run"}
        if any(intent.action in _COMMANDS for intent in cut.values()):
            end_marked(mark(self.shop.workspace, self.ticket, self.number))
        for key, intent in cut.items():
            found = Performed("interrupted", {"why": why})
            if intent.action == "Land":
                plan = planned(intent.args["landing"])
                if landing.state(self.shop.repo, plan) == "landed":
                    found = Performed("done", landed_result(self.shop.repo, plan))
            self._outcome({"key": key, "task": intent.task, "title": intent.title}, intent.seq, found, 0.0)
        attempt = self.refresh()
        if attempt is not None and landed_not_followed(attempt):
            self.shop.turn.take(self.ticket, Control())  # free at this time: only one can have been landing

    # What a decision depends on ------------------------------------------------------------------

    def _kind(self, attempt: Attempt) -> Kind:
        return self.shop.kinds[str(attempt.spec["kind"])]

    def _checks(self, attempt: Attempt) -> tuple[Check, ...]:
        return resolve(attempt.spec["accept"], self.shop.config.checks)

    def _world(self, attempt: Attempt) -> World:
        asked, revision = self.shop.journal.views.wish(self.ticket)
        refused = self.shop.contracts.refused(attempt)
        world = World(base=None, revision=revision, asked=asked, refused=refused)
        if attempt.closing is not None or asked:
            return world
        base = self.shop.repo.resolve(attempt.base_ref) if attempt.base_ref else None
        word, in_the_way = attempt.word("merge"), []
        if word is not None and word.state == "approved" and word.subject["base"] == base:
            in_the_way = landing.obstacles(self.shop.repo, planned(word.subject["landing"]))
        sandbox = self.shop.sandbox()
        return replace(
            world,
            base=base,
            obstacle=self._kind(attempt).obstacle(attempt.spec, self.shop.workspace, self.shop.models),
            in_the_way=tuple(in_the_way),
            isolation=sandbox.isolation,
            policy=sandbox.policy.digest,
            known=sandbox.policy.programs,
            tools={c.built_in: gate.tool(c.built_in) for c in self._checks(attempt) if c.gate},
            consent=self.consented(),
            core=self._core().head() if attempt.spec["kind"] == "core" else "",
        )

    def _core(self) -> CoreDesk:
        return CoreDesk(self.shop.journal, self.shop.workspace, self.shop.contracts.sealer)

    def consented(self) -> bool:
        """Whether a person lets commands run here though nothing holds them."""
        if self.shop.sandbox().isolation != "none":
            return False
        return self.shop.contracts.consented(self.shop.journal.views.session())

    # What comes of it ----------------------------------------------------------------------------

    def _write(self, type_: str, **body: Any) -> int:
        return self.shop.write(New(type_, body, self.ticket, self.number))[0].seq

    def _wait(self, attempt: Attempt, wait: Wait) -> None:
        if wait.why is not None and wait.why != attempt.waiting:
            self._write("attempt.waiting", why=wait.why)

    def _end(self, end: End) -> None:
        events = [New(f"attempt.{end.state}", {"why": end.why, **end.result}, self.ticket, self.number)]
        if end.retry:
            ticket = self.shop.journal.views.ticket(self.ticket)
            comment = ticket.comment if ticket else ""
            events.append(New("asked.retry", {"by": "engine", "comment": comment}, self.ticket))
            if ticket is not None and ticket.problems:  # its file broke meanwhile: that stops what is new
                broken = {"path": ticket.path, "problems": ticket.problems}
                events.append(New("ticket.broken", broken, self.ticket))
        self.shop.write(*events)

    def _carry_out(self, attempt: Attempt, decision: Decision, control: Control) -> None:
        match decision:
            case Propose(kind, summary, subject, diff):
                name = digest(subject)
                type_ = "merge.proposed" if kind == "merge" else "proposal.opened"
                self._write(
                    type_, id=name[:12], digest=name, kind=kind, summary=summary, subject=subject, diff=diff
                )
            case Void(proposal, why):
                events = [New("proposal.stale", {"id": proposal, "why": why}, self.ticket, self.number)]
                if any(word.id == proposal and word.kind == "core" for word in attempt.words):
                    what = f"the approval of {proposal}"
                    events.append(core_words.refusal(what, why, "engine", self.ticket, self.number))
                self.shop.write(*events)
            case Action():
                self._act(attempt, decision, control)

    def _act(self, attempt: Attempt, action: Action, control: Control) -> None:
        """Intent, effect, outcome. A pending intent is taken up: its child run outlived an engine."""
        name = {"key": action.key, "task": action.task, "title": action.title}
        pending = attempt.pending.get(action.key)
        if pending is not None:
            seq = pending.seq
        else:
            seq = self._write("action.intent", **name, action=type(action).__name__, args=action.args())
        began = time.monotonic()
        full: Exception | None = None
        try:
            done = perform(action, attempt, self._place(attempt, action, control))
        except (GitError, OSError) as error:
            if isinstance(action, Land) and not is_full(error):
                self._land_again(attempt, action, f"{action.title}: {error}", control)
                return
            full = error if is_full(error) else None
            broke = {} if full else {"broke": f"{action.title}: {error}"}
            done = Performed("interrupted", {"why": "broke", **broke})
        self._outcome(name, seq, done, done.seconds or time.monotonic() - began)
        if full is not None:
            raise DiskFull(str(full)) from full
        if fault := done.result.get("broke"):  # a lock of the user's own git, say, goes away by itself
            clear_locks_of(self.shop.repo, self.ticket, attempt.branch)
            clear_shared_locks(self.shop.repo, [attempt.base_ref] if attempt.base_ref else [])
            if fault != attempt.fault:
                self.shop.write(New("ticket.note", {"note": fault}, self.ticket))
            control.stop.wait(min(0.1 * 4**attempt.faults, _LONGEST_BACKOFF))

    def _land_again(self, attempt: Attempt, action: Land, why: str, control: Control) -> None:
        """A landing that broke: the base may have moved before the error, so the world is asked."""
        before = attempt.done.get(action.key)
        told = before is not None and before.result.get("why") == why
        if not told:
            self.shop.write(New("ticket.note", {"note": why}, self.ticket))
        control.stop.wait(_LONGEST_BACKOFF if told else _LAND_AGAIN)
        clear_shared_locks(self.shop.repo, [attempt.base_ref])
        self.reconcile(why)

    def _outcome(self, name: Mapping[str, str], intent: int, done: Performed, seconds: float) -> None:
        body: dict[str, Any] = {**name, "intent": intent, "status": done.status, "result": done.result}
        body |= {"exit": done.exit, "seconds": round(seconds, 3), "output": done.output}
        if "progress" in done.result:
            body["progress"] = done.result["progress"]
        if done.receipt is not None:
            body["receipt"] = done.receipt
        events = [New("action.outcome", body, self.ticket, self.number)]
        if done.status == "done" and name["key"].startswith("land:"):
            used = {"id": name["key"].removeprefix("land:")}
            events.append(New("proposal.used", used, self.ticket, self.number))
        if done.status == "done" and name["key"].startswith("install:") and self.attempt is not None:
            events = into_force(self._core(), self.attempt, name["key"].removeprefix("install:"), events[0])
        if events:
            self.shop.write(*events)

    def _place(self, attempt: Attempt, action: Action, control: Control) -> Place:
        last = 0.0

        def progress(fraction: float, eta: tuple[float, float] | None) -> None:
            nonlocal last
            if time.monotonic() - last >= _PROGRESS:
                last = time.monotonic()
                self._write(
                    "action.progress", key=action.key, fraction=round(fraction, 4), eta=eta and list(eta)
                )

        return Place(
            workspace=self.shop.workspace,
            repo=self.shop.repo,
            blobs=self.shop.blobs,
            sandbox=self.shop.sandbox(),
            author=self.shop.author,
            control=control,
            inputs=self._inputs(attempt),
            progress=progress,
            anchor=self._anchor,
            sound=self.shop.sound,
            turn=self.shop.turn,
            models=self.shop.models,
            checks=self._checks(attempt),
            artifacts=self._artifacts(attempt),
            base=self._base,
            tell=self._tell,
            core=self._core(),
        )

    def _inputs(self, attempt: Attempt) -> dict[str, str]:
        """`JETBOX_INPUT_<NAME>`: where the artifacts lie that `with.inputs` names."""
        named: Mapping[str, str] = (attempt.spec.get("with") or {}).get("inputs") or {}
        found = self.shop.journal.views.artifacts(sorted(set(named.values())))
        return {
            f"JETBOX_INPUT_{name.upper()}": str(Path(self.shop.workspace.root, found[ticket]["path"]))
            for name, ticket in named.items()
            if ticket in found
        }

    def _artifacts(self, attempt: Attempt) -> Mapping[str, Mapping[str, Any]]:
        """What the tickets have landed that a `with` names."""
        return self.shop.journal.views.artifacts(sorted(_named(attempt.spec.get("with"))))

    def _tell(self, note: str) -> None:
        self.shop.write(New("ticket.note", {"note": note}, self.ticket))

    def _base(self) -> tuple[str, str]:
        """Why there is no base ('' where there is one), and where it stands."""
        why, _, commit = ground(self.shop.repo, self.shop.config)
        return why, commit

    def _anchor(self) -> str:
        seq, chain = self.shop.journal.head()
        return f"{seq}:{chain.hex()[:32]}"


def _named(value: Any) -> set[str]:
    """The tickets that stand as values inside a `with`."""
    if is_ticket_id(value):
        return {value}
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return {name for each in inner for name in _named(each)}


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk has no room; git says so only in words."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return True
    return "no space left" in str(error).lower() or "disk quota" in str(error).lower()
