"""The engine: one per workspace, the only writer of outcomes.

It reconciles what a crash left, watches the ticket files and what people say, and hands each ticket that
can go on to a conductor in a thread of its own. All it remembers stands in the journal, so killing it at
any moment costs only the action at work.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

from orchestrator import faults, seals, undo
from orchestrator.admit import Admission
from orchestrator.agent.turns import before_stage
from orchestrator.alerts import Alerts
from orchestrator.conductor import Conductor, Shop, is_full
from orchestrator.config import Config
from orchestrator.contracts import Contracts
from orchestrator.core.desk import CoreDesk
from orchestrator.git import GitError, Repo
from orchestrator.kinds.base import Kind
from orchestrator.lab import actions
from orchestrator.models.base import Nobody, Service
from orchestrator.place import Control, Halted, NoRoom, Turn
from orchestrator.ready import branch_name, ground, start_block, unmet
from orchestrator.sandbox.choose import Choice, choose
from state import core_words
from state.alerts import damaged, paused
from state.ballast import Ballast
from state.blobs import Blobs
from state.events import Event, New
from state.journal import DiskFull, Journal, JournalDamaged, JournalError
from state.views import Card, Views
from state.words import folder_of
from state.workspace import Workspace

TICK = 0.05  # seconds between looks at what others wrote
PARKED = 2.0  # seconds between looks at the world for tickets that wait
BROKEN = 30.0  # seconds before a ticket whose conductor broke is taken up again
ROOM = 32 * 1024 * 1024  # bytes that must be free before a paused engine goes on
_EXTRA = 4  # threads beyond `parallel`, for what a person's word sets going


@dataclass
class _Job:
    """A ticket in the hands of a thread."""

    control: Control
    future: Future[None]


class Engine:
    """Runs the tickets of one workspace until told to stop. `only` narrows what it may start."""

    def __init__(
        self,
        workspace: Workspace,
        config: Config,
        kinds: Mapping[str, Kind],
        journal: Journal,
        repo: Repo,
        author: str,
        only: frozenset[str] | None = None,
        sandbox: Callable[[], Choice] | None = None,
        models: Service | None = None,
    ) -> None:
        self.journal = journal
        self._workspace, self._config, self._repo, self._only = workspace, config, repo, only
        self._choose = sandbox or (lambda: choose(workspace, config.policy))
        self._choosing = threading.Lock()
        self._choice: Choice | None = None
        self._ballast = Ballast(workspace.ballast)
        self._admission = Admission(workspace, kinds, config)
        self._shop = Shop(
            workspace=workspace,
            config=config,
            kinds=kinds,
            journal=journal,
            blobs=Blobs(workspace.blobs),
            repo=repo,
            sandbox=lambda: self._chosen().sandbox,
            contracts=Contracts(seals.of(config.user.approval), folder_of(journal), repo),
            author=author,
            write=journal.append,
            sound=self._sound,
            turn=Turn(),
            models=models or Nobody(),
            room=threading.Semaphore(config.settings.parallel),
        )
        self._conductors: dict[str, Conductor] = {}
        self._jobs: dict[str, _Job] = {}
        self._parked: dict[str, float] = {}  # live tickets that wait, and when to look again
        self._crowded: set[str] = set()  # of the parked, those that wait for others to come to a rest
        self._seen = journal.head()[0]
        self._alerts = Alerts(workspace, config.user.alerts, self._seen)
        self._unsettled = True  # which tickets may start has to be worked out anew
        self._look_again = math.inf  # and when in any case, for what makes no event
        self._paused = False
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._scan = threading.Event()
        self._scanned = threading.Event()
        self._chain = threading.Event()  # the whole chain has been walked, or never will be
        self._whole = False  # and nothing was wrong with it
        self._fault: Exception | None = None
        self._pool = ThreadPoolExecutor(config.settings.parallel + _EXTRA, "ticket")

    # The loop ------------------------------------------------------------------------------------

    def run(self, until: Callable[[Engine], bool] = lambda _: False) -> None:
        """Work until `until` says so or `stop` is called, and leave everything so that it can be taken up.

        Raises:
            JournalDamaged: the chain turned out to be broken; nothing was landed on the strength of it.
            DiskFull: there is no room even to begin.
        """
        try:
            self._take_up()
        except DiskFull:
            self._ballast.release()
            self._take_up()
        self._ballast.ensure()
        self._scan.set()
        works = (self._walk, self._admit, self._chosen)
        threads = [threading.Thread(target=self._guarded, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        try:
            self._alerts.start()
            self._loop(until)
        finally:
            self._stopping.set()
            self._scan.set()
            for job in self._jobs.values():
                job.control.leave = True
                job.control.stop.set()
            self._pool.shutdown(wait=True)
            for thread in threads:
                thread.join()
            self._shop.models.close()
            with contextlib.suppress(DiskFull):
                self.journal.append(New("engine.stopped", {}))
            self._alerts.close()
        if self._fault is not None:
            raise self._fault

    def _chosen(self) -> Choice:
        """What holds commands here, found out once, beside everything else that starts."""
        with self._choosing:
            if self._choice is None:
                self._choice = self._choose()
                tried = [[each.backend, each.holds, each.why] for each in self._choice.tried]
                body = {"isolation": self._choice.sandbox.isolation, "tried": tried}
                with contextlib.suppress(DiskFull):  # only for show
                    self.journal.append(New("engine.isolation", body))
            return self._choice

    def _take_up(self) -> None:
        """Hold what was left against the world, before anything is handed out."""
        self.journal.append(New("engine.started", {"pid": os.getpid()}))
        views = self.journal.views
        undone = [card for card in views.asked() if card.asked == "rollback"]
        for card in [*views.live(), *undone]:
            conductor = self._conductor(card.id, card.attempt)
            try:
                if card not in undone:
                    conductor.reconcile()
                elif undo.begun(conductor):
                    self._shop.turn.take(card.id, Control())
            except JournalError:
                raise
            except Exception as error:
                self._broke(card.id, error)

    def stop(self) -> None:
        """Have `run` return soon. Commands at work are cut off; child runs go on by themselves."""
        self._stopping.set()
        self._wake.set()

    def rescan(self) -> None:
        """The ticket files may have changed."""
        self._scan.set()

    def idle(self) -> bool:
        """Nothing is at work or could be: what is open waits for a person or for something missing."""
        if (
            self._jobs
            or self._crowded
            or self._unsettled
            or self._scan.is_set()
            or not self._scanned.is_set()
        ):
            return False
        open_ = {card.id for card in self.journal.views.live()}
        return open_ <= self._parked.keys() and self.journal.head()[0] == self._seen

    def _loop(self, until: Callable[[Engine], bool]) -> None:
        version = -1
        while not (self._stopping.is_set() or self._fault or until(self)):
            now = self.journal.version()
            # Another's writes change the version; our own, on this connection, only the head.
            if now != version or self._wake.is_set() or self.journal.head()[0] != self._seen:
                version = now
                self._wake.clear()
                self._look()
            try:
                self._reap()
                if not self._paused or self._has_room():
                    self._dispatch()
            except (GitError, OSError, DiskFull) as error:
                if not isinstance(error, (OSError, GitError)) or is_full(error):
                    self._pause(error)
                self._look_again = time.monotonic() + PARKED
            self._wake.wait(TICK)

    def _look(self) -> None:
        """Heed what has been written since the last look, by us and by others."""
        self._alerts.news()
        for event in self.journal.events(after=self._seen):
            self._seen = event.seq
            room = event.type.partition(".")[0]
            self._unsettled |= room in ("ticket", "attempt", "asked")
            if room in ("proposal", "asked", "said") or event.type == "ticket.admitted":
                self._parked.pop(event.ticket, None)
                self._interrupt_if_void(event)
            if event.type in ("proposal.used", "ticket.rolled-back", "consent.given"):
                self._parked.clear()  # the base has moved for all that wait on it, or commands may run now

    def _interrupt_if_void(self, event: Event) -> None:
        """What a cancelled or edited ticket makes could not be accepted any more: end it now."""
        job, conductor = self._jobs.get(event.ticket), self._conductors.get(event.ticket)
        if job is None or conductor is None or conductor.attempt is None:
            return
        asked, revision = self.journal.views.wish(event.ticket)
        if (
            asked in ("cancel", "retry")
            or event.type == "asked.take-over"
            or revision != conductor.attempt.revision
        ):
            job.control.stop.set()

    def _reap(self) -> None:
        for id_, job in list(self._jobs.items()):
            if job.future.done():
                del self._jobs[id_]
                self._unsettled = True
                try:
                    job.future.result()
                    self._make_way()
                except Halted:
                    self._make_way()
                except NoRoom:
                    self._crowded.add(id_)
                    self._parked[id_] = time.monotonic() + PARKED
                except Exception as error:
                    if isinstance(error, DiskFull) or is_full(error):
                        self._pause(error)
                    else:
                        self._broke(id_, error)

    def _broke(self, id_: str, error: Exception) -> None:
        """What goes wrong with one ticket is told there; the others go on."""
        faults.tell(error)
        self._parked[id_] = time.monotonic() + BROKEN
        note = f"went wrong and is tried again: {error}"[:300]
        self.journal.append(New("ticket.note", {"note": note}, id_))

    def _make_way(self) -> None:
        """Somebody has come to a rest: who had to wait for that may try again."""
        for id_ in self._crowded:
            self._parked.pop(id_, None)
        self._crowded.clear()

    # Handing out ---------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        views = self.journal.views
        for card in views.asked():
            if card.id not in self._jobs and card.asked in ("rollback", "restore") and self._due(card.id):
                self._submit(card, self._undo)
        for card in views.live():
            if card.id not in self._jobs and self._due(card.id):
                self._submit(card, self._advance)
        if self._unsettled or self._look_again <= time.monotonic():
            self._unsettled, self._look_again = False, math.inf
            self._settle()
            base = cache(lambda: ground(self._repo, self._config))  # asked once, and only if need be
            for card in views.in_state("ready"):
                if self._only is not None and card.id not in self._only:
                    continue
                if len(self._jobs) >= self._config.settings.parallel:
                    break  # somebody has to end first, which unsettles again
                self._start(card, base)

    def _due(self, id_: str) -> bool:
        return self._parked.get(id_, 0.0) <= time.monotonic()

    def _submit(self, card: Card, work: Callable[[Conductor, Control], None]) -> None:
        control = Control()
        self._parked.pop(card.id, None)
        self._crowded.discard(card.id)
        future = self._pool.submit(work, self._conductor(card.id, card.attempt), control)
        self._jobs[card.id] = _Job(control, future)
        future.add_done_callback(lambda _: self._wake.set())

    def _conductor(self, id_: str, number: int) -> Conductor:
        known = self._conductors.get(id_)
        if known is None or known.number != number:
            known = self._conductors[id_] = Conductor(self._shop, id_, number)
        return known

    def _advance(self, conductor: Conductor, control: Control) -> None:
        if conductor.advance(control):
            self._parked[conductor.ticket] = time.monotonic() + PARKED
            if conductor.overtaken():  # a word came between the decision to wait and the parking
                self._parked.pop(conductor.ticket, None)
        else:
            self._conductors.pop(conductor.ticket, None)
            if conductor.number > 1:  # another attempt: did it go the same way?
                events = self.journal.events(ticket=conductor.ticket, types=("action.intent",))
                actions.keep(self._shop.workspace.home, conductor.ticket, events)

    def _undo(self, conductor: Conductor, control: Control) -> None:
        asked, _ = self.journal.views.wish(conductor.ticket)
        if asked == "restore":
            undo.restore(conductor)
            return
        if not undo.rollback(conductor, control):
            self._parked[conductor.ticket] = time.monotonic() + PARKED

    def _settle(self) -> None:
        """Backlog and ready, as the states of what they need say."""
        views = self.journal.views
        waiting = [(card, list(json.loads(card.needs))) for card in views.in_state("backlog", "ready")]
        states = views.states(sorted({need for _, needs in waiting for need in needs}))
        for card in views.asked():
            if card.asked == "rollback":
                states.pop(card.id, None)  # on its way out: nothing is built on it any more
        events = []
        for card, needs in waiting:
            missing = unmet(needs, states)
            if card.state == "backlog" and not missing:
                events.append(New("ticket.ready", {}, card.id))
            elif missing and card.note != (note := "needs " + ", ".join(missing)):
                events.append(New("ticket.blocked", {"needs": missing, "note": note}, card.id))
        if events:
            self.journal.append(*events)

    def _start(self, card: Card, where: Callable[[], tuple[str, str, str]]) -> None:
        ticket = self.journal.views.ticket(card.id)
        if ticket is None:
            return
        why, base_ref, base = start_block(ticket.spec, self._shop.kinds[card.kind], where)
        if why:
            self._look_again = time.monotonic() + PARKED  # a branch or a first commit makes no event
            if card.note != why:
                self.journal.append(New("ticket.note", {"note": why}, card.id))
            return
        body = {
            "revision": ticket.revision,
            "spec": ticket.spec,
            "base_ref": base_ref,
            "base": base,
            "branch": branch_name(card.id, card.goal),
            "comment": "\n".join(filter(None, (*self._denials(card), ticket.comment))),
        }
        if start := self._stage(card):
            body["start"] = start
        started = card._replace(attempt=card.attempt + 1)
        event = New("attempt.started", body, card.id, started.attempt)

        def unless_changed(views: Views) -> list[New]:
            now = views.ticket(card.id)
            same = now is not None and (now.card.state, now.revision) == ("ready", ticket.revision)
            return [event] if same else []  # a person's word may have come since it was read

        if self.journal.transact(unless_changed):
            self._submit(started, self._advance)

    def _stage(self, card: Card) -> dict[str, Any] | None:
        """Where an attempt begins that a person asked for from one of its stages on."""
        asked = self.journal.events(ticket=card.id, types=("asked.retry", "attempt.started"))
        wanted = 0
        for event in asked:
            wanted = 0 if event.type == "attempt.started" else int(event.body.get("stage") or wanted)
        if not wanted:
            return None
        found = before_stage(self.journal.events(ticket=card.id, attempt=card.attempt), wanted)
        if found is None or self._repo.resolve(found["commit"]):
            return found
        note = f"the files that stage {wanted} began with are not in git any more: it begins anew"
        self.journal.append(New("ticket.note", {"note": note}, card.id))
        return None

    def _denials(self, card: Card) -> list[str]:
        """What a person said no to in the last attempt: the next one is told."""
        said = self.journal.views.proposals(card.id, card.attempt)
        return [f"denied: {proposal.reason}" for proposal in said if proposal.state == "denied"]

    # Beside the loop -----------------------------------------------------------------------------

    def _guarded(self, work: Callable[[], None]) -> None:
        """A thread that dies takes the engine with it: half an engine is worse than none."""
        try:
            work()
        except Exception as error:
            self._fault = self._fault or error
            self._wake.set()

    def _walk(self) -> None:
        """Check the whole chain beside the work; nothing is landed before that is done."""
        try:
            fault = self.journal.fault(stop=self._stopping)
            if fault:
                self._fault = JournalDamaged(f"{self._workspace.journal} is damaged: {fault}")
                self._alerts.say(damaged(str(self._fault)))
            self._whole = fault is None and not self._stopping.is_set()
            if self._whole:
                self._look_at_core()
        finally:
            self._chain.set()
            self._wake.set()

    def _look_at_core(self) -> None:
        """What claims to be the core and is not is put on record; nothing else hangs on it here."""
        desk = CoreDesk(self.journal, self._workspace, self._shop.contracts.sealer)
        with contextlib.suppress(DiskFull):
            core_words.notice(self.journal, desk.now(), "engine")

    def _sound(self) -> None:
        self._chain.wait()
        if not self._whole:  # damaged, or the engine leaves before it knows
            raise Halted

    def _admit(self) -> None:
        """Read the ticket files whenever they change."""
        from tickets.watch import TicketWatcher

        watcher = TicketWatcher(self._workspace.root, self.rescan)
        watcher.start()
        try:
            while not self._stopping.is_set():
                self._scan.wait()
                self._scan.clear()
                if not self._stopping.is_set():
                    try:
                        self._admission.scan(self.journal)
                    except DiskFull as error:
                        self._pause(error)  # scanned again once there is room
                    if not self._scanned.is_set():
                        self._ready_models()
                    self._scanned.set()
                    self._wake.set()
        finally:
            watcher.stop()

    def _ready_models(self) -> None:
        """Where a ticket asks a model, the machine is shown and the first model loaded beside other work."""
        cards = [*self.journal.views.live(), *self.journal.views.in_state("ready", "backlog")]
        if any(self._shop.kinds[card.kind].heeds for card in cards if card.kind in self._shop.kinds):
            self._shop.models.show()
            self._shop.models.warm(("planner", "coder"))

    # A full disk ---------------------------------------------------------------------------------

    def _pause(self, error: BaseException) -> None:
        """Dispatch nothing more; give the ballast away so that there is room to say so."""
        if self._paused:
            return
        self._paused = True
        self._ballast.release()
        why = f"disk full: {error}"
        try:
            self.journal.append(New("engine.paused", {"why": why}))
        except DiskFull:
            self._alerts.say(paused(why))

    def _has_room(self) -> bool:
        if shutil.disk_usage(self._workspace.home).free < ROOM:
            return False
        with contextlib.suppress(DiskFull, OSError):
            self._ballast.ensure()
            self.journal.append(New("engine.resumed", {}))
            self._paused, self._unsettled = False, True
            self._scan.set()
        return not self._paused
