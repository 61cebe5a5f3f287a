"""Starting and stopping the one engine of a workspace."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

from orchestrator import config, faults
from orchestrator.engine import Engine
from orchestrator.git import Repo
from orchestrator.kinds.base import installed
from orchestrator.leftovers import clear_stale_locks
from orchestrator.models import catalogue
from orchestrator.models.base import Service
from orchestrator.models.service import Models
from orchestrator.reach import guard, reach
from orchestrator.sandbox.choose import Choice
from orchestrator.workspaces import set_up
from state.events import Event
from state.journal import Journal
from state.lock import Lock, holder
from state.workspace import Workspace

ORPHANS = 15.0  # seconds to wait for git processes of a killed engine, which still hold its lock
STOPPING = 20.0  # seconds for an engine to leave when asked to
NOBODY = "Jetbox <jetbox@localhost>"


class EngineRunning(Exception):
    """Another engine works here."""


def serve(
    workspace: Workspace,
    *,
    only: frozenset[str] | None = None,
    until_idle: bool = False,
    follow: Callable[[Event], None] | None = None,
    sandbox: Callable[[], Choice] | None = None,
    models: Service | None = None,
) -> None:
    """Run the engine in the foreground until it is idle (if asked so), stopped, or told by a signal.

    Without `sandbox`, what holds commands is found out by trying.

    Raises:
        EngineRunning: there is one already. JournalError, GitError, TicketError: with a line for the user.
    """
    faults.guard()
    set_up(workspace)
    lock = Lock(workspace.lock)
    pid = holder(workspace.lock)
    if not lock.acquire(0.0 if pid else ORPHANS):
        who = f"(process {pid}) " if pid else ""
        raise EngineRunning(f"an engine {who}works here already: `jetbox status` shows it")
    try:
        settings = config.load(workspace)
        repo = Repo.open(workspace.root, inherit_fds=(lock.fd,))
        clear_stale_locks(repo)
        journal = Journal.open(workspace.journal)
        try:
            host = os.environ.get("OLLAMA_HOST")
            serving = models or Models(catalogue.load(workspace, settings.user, host), workspace.machine)
            engine = Engine(
                workspace, settings, installed(), journal, repo, author(repo), only, sandbox, serving
            )
            may = reach(settings.user.servers, host).servers
            with guard(may), _signals(engine) as came:
                engine.run(_until(engine, until_idle, follow))
            if signal.SIGINT in came:
                raise KeyboardInterrupt
        finally:
            journal.close()
    finally:
        lock.release()


def stop(workspace: Workspace) -> bool:
    """Ask the engine to leave and wait until it has; False when none works here."""
    pid = holder(workspace.lock)
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + STOPPING
    while holder(workspace.lock) is not None and time.monotonic() < until:
        time.sleep(0.02)
    return True


def author(repo: Repo) -> str:
    """The user as git knows them: what Jetbox commits, it commits for them."""
    name, mail = (
        repo.call("config", "--get", key).out.decode("utf-8", "replace").strip()
        for key in ("user.name", "user.email")
    )
    return f"{name} <{mail}>" if name and mail else NOBODY


def _until(
    engine: Engine, until_idle: bool, follow: Callable[[Event], None] | None
) -> Callable[[Engine], bool]:
    seen = engine.journal.head()[0]

    def look(_: Engine) -> bool:
        nonlocal seen
        if follow is not None and engine.journal.head()[0] > seen:
            for event in engine.journal.events(after=seen):
                seen = event.seq
                follow(event)
        return until_idle and engine.idle()

    return look


@contextlib.contextmanager
def _signals(engine: Engine) -> Iterator[set[int]]:
    """SIGTERM and ctrl-c end the engine in order; which came is told."""
    came: set[int] = set()
    if threading.current_thread() is not threading.main_thread():
        yield came
        return

    def leave(number: int, _: object) -> None:
        came.add(number)
        engine.stop()

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, leave)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
