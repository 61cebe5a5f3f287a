"""A workspace with an engine to attack: a real repository, tickets, words, and looks at what came of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from unheld import unheld

from orchestrator import config, service
from orchestrator.engine import Engine
from orchestrator.git import Repo
from orchestrator.kinds.base import installed
from orchestrator.models.base import Nobody, Service
from orchestrator.process import MARK
from orchestrator.workspaces import set_up
from state import words
from state.events import Event
from state.journal import Journal, JournalMissing
from state.lock import Lock
from state.views import Attempt, Card, Proposal, Receipt
from state.workspace import Workspace

PATIENCE = 60.0  # seconds; a noisy machine is no fault of what is tested
REST = {"landed", "failed", "cancelled"}
PROGRAM = """
import sys; from pathlib import Path
from orchestrator.service import serve; from state.workspace import Workspace
sys.path.append(sys.argv[2])
from unheld import unheld
workspace = Workspace(Path(sys.argv[1]))
serve(workspace, sandbox=unheld(workspace))
"""


def until(look: Callable[[], Any], what: str = "it", patience: float = PATIENCE) -> Any:
    """What `look` gives as soon as that is something."""
    end = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.02)
    return found


class Lab:
    """One user's repository under Jetbox."""

    def __init__(self, root: Path, *, commit: bool = True) -> None:
        root.mkdir(parents=True)
        self.root, self.workspace = root, Workspace(root)
        self.sandbox = unheld  # of engines in this process
        self.models: Service = Nobody()  # likewise
        self.engines: list[subprocess.Popen[bytes]] = []
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "A User")
        self.git("config", "user.email", "user@localhost")
        if commit:
            self.commit({"mine.txt": "mine\n", "shared.txt": "first\n"})

    # The user's side ---------------------------------------------------------------------------------

    def git(self, *args: str, check: bool = True) -> str:
        done = subprocess.run(["git", *args], cwd=self.root, capture_output=True, check=False)
        assert not check or done.returncode == 0, done.stderr.decode()
        return os.fsdecode(done.stdout).rstrip("\n")

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text)

    def commit(self, files: dict[str, str], message: str = "by hand") -> str:
        """Commit exactly these files."""
        self.write(files)

        def committed() -> bool:  # git refuses while a landing holds the index
            self.git("add", "--", *files, check=False)
            return bool(
                subprocess.run(
                    ["git", "commit", "-qm", message, "--", *files], cwd=self.root, capture_output=True
                ).returncode
                == 0
            )

        until(committed, "the user's commit")
        return self.tip()

    def tip(self, ref: str = "refs/heads/main") -> str:
        return self.git("rev-parse", "-q", "--verify", ref, check=False)

    def show(self, path: str, ref: str = "main") -> str | None:
        """A file on a branch; None when it is not there."""
        done = subprocess.run(["git", "show", f"{ref}:{path}"], cwd=self.root, capture_output=True)
        return done.stdout.decode() if done.returncode == 0 else None

    def merges(self, ticket: str) -> int:
        """How often a ticket is on the base."""
        trailer = "%(trailers:key=Jetbox-Ticket,valueonly,separator=%x2C)"
        log = self.git("log", "--first-parent", f"--format={trailer}", "main")
        return log.split("\n").count(ticket)

    def ticket(self, id_: str, *steps: Any, **keys: Any) -> Path:
        """Write a ticket; kind `run` with these steps unless told otherwise."""
        spec: dict[str, Any] = {"kind": "run", "goal": f"what {id_} is for", "accept": [{"run": "true"}]}
        if steps:
            spec["with"] = {"steps": list(steps)}
        spec |= keys
        path = self.workspace.tickets / f"{id_}.yaml"
        path.parent.mkdir(exist_ok=True)
        fresh = self.root / ".git" / f"fresh-{id_}"
        fresh.write_text(json.dumps(spec))
        fresh.replace(path)
        return path

    def data(self, id_: str, count: int = 40, shards: int = 2, **keys: Any) -> Path:
        """Write a ticket of kind `datagen`."""
        what = {"recipe": "text/worked-steps", "seed": 7, "count": count, "shards": shards}
        accept = keys.pop("accept", [{"metric": "rows", "min": count}])
        return self.ticket(id_, kind="datagen", accept=accept, **{"with": what}, **keys)

    # Engines -----------------------------------------------------------------------------------------

    def run(self) -> None:
        """Have an engine do all that can be done now, and leave."""
        service.serve(
            self.workspace, until_idle=True, sandbox=self.sandbox(self.workspace), models=self.models
        )

    @contextlib.contextmanager
    def engine(self) -> Iterator[Engine]:
        """An engine at work in a thread for as long as this lasts; what ended it early is raised here."""
        set_up(self.workspace)
        lock = Lock(self.workspace.lock)
        assert lock.acquire(10.0)
        repo = Repo.open(self.root, inherit_fds=(lock.fd,))
        journal = Journal.open(self.workspace.journal)
        engine = Engine(
            self.workspace,
            config.load(self.workspace),
            installed(),
            journal,
            repo,
            service.author(repo),
            sandbox=self.sandbox(self.workspace),
            models=self.models,
        )
        ended: list[BaseException] = []

        def work() -> None:
            try:
                engine.run()
            except BaseException as error:
                ended.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield engine
        finally:
            engine.stop()
            thread.join(PATIENCE)
            journal.close()
            lock.release()
        assert not thread.is_alive(), "the engine did not leave"
        if ended:
            raise ended[0]

    def spawn(self) -> subprocess.Popen[bytes]:
        """An engine as a process of its own, to be killed."""
        with (self.root / ".git" / "engine-said.log").open("ab") as log:
            engine = subprocess.Popen(
                [sys.executable, "-P", "-c", PROGRAM, str(self.root), str(Path(__file__).parent)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.engines.append(engine)
        return engine

    def kill(self, engine: subprocess.Popen[bytes]) -> None:
        """SIGKILL to the engine alone."""
        assert engine.poll() is None, self.said()
        engine.send_signal(signal.SIGKILL)
        engine.wait()

    def said(self) -> str:
        return (self.root / ".git" / "engine-said.log").read_text()

    def close(self) -> None:
        """End everything that may still run here."""
        for engine in self.engines:
            if engine.poll() is None:
                engine.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    engine.wait(20)
                engine.kill()
                engine.wait()
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()

    def processes(self) -> list[psutil.Process]:
        """What runs here in the name of a ticket: commands by their mark, child runs by their folder."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                marked = process.environ().get(MARK, "").startswith(f"{self.root}:")
                child = process.cwd().startswith(str(self.workspace.runs))
                if (marked or child) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    # Words -------------------------------------------------------------------------------------------

    def say(self, word: Callable[..., Event], *args: Any, **more: Any) -> Event:
        """Any of `state.words`, as a front speaks it."""
        with contextlib.closing(Journal.open(self.workspace.journal)) as journal:
            return word(journal, *args, by="tester", **more)

    def approve(self, ticket: str, kind: str = "merge") -> Proposal:
        """Approve what a ticket asks, once it asks."""
        found = self.asks(ticket, kind)
        self.say(words.approve, found.id, found.digest)
        return found

    def deny(self, ticket: str, reason: str, kind: str = "merge") -> Proposal:
        found = self.asks(ticket, kind)
        self.say(words.deny, found.id, found.digest, reason)
        return found

    # Looks -------------------------------------------------------------------------------------------

    def look(self, what: Callable[[Journal], Any]) -> Any:
        """Anything of the journal; None while there is none."""
        try:
            with contextlib.closing(Journal.read(self.workspace.journal)) as journal:
                return what(journal)
        except JournalMissing:
            return None

    def card(self, id_: str) -> Card:
        """A ticket as the board shows it."""
        found = self.look(lambda j: j.views.ticket(id_))
        assert found is not None, id_
        card: Card = found.card
        return card

    def state(self, id_: str) -> str:
        """A ticket's state; '' while it is not known."""
        return str((self.look(lambda j: j.views.states([id_])) or {}).get(id_, ""))

    def note(self, id_: str) -> str:
        return self.card(id_).note

    def wait(self, id_: str, *states: str) -> Card:
        """Until a ticket is in one of these states; fails at once when it rests in another."""

        def there() -> Card | None:
            if self.state(id_) in states:
                return self.card(id_)
            return None

        try:
            found: Card = until(there, f"{id_} in {states}")
        except AssertionError:
            raise AssertionError(f"{id_}: {self.card(id_)} instead of {states}") from None
        return found

    def wait_note(self, id_: str, text: str) -> None:
        """Until a ticket's line says so."""
        try:
            until(lambda: self.state(id_) and text in self.note(id_))
        except AssertionError:
            raise AssertionError(f"{id_} says {self.note(id_)!r}, not {text!r}") from None

    def asks(self, ticket: str, kind: str = "merge") -> Proposal:
        """What a ticket asks of a person, once it does."""

        def there() -> Proposal | None:
            inbox = self.look(lambda j: j.views.inbox()) or []
            return next((p for p in inbox if (p.ticket, p.kind) == (ticket, kind)), None)

        try:
            found: Proposal = until(there)
        except AssertionError:
            raise AssertionError(f"{ticket} asks nothing of kind {kind}: {self.card(ticket)}") from None
        return found

    def inbox(self) -> list[Proposal]:
        found: list[Proposal] = self.look(lambda j: j.views.inbox())
        return found

    def proposals(self, id_: str, attempt: int = 1) -> list[Proposal]:
        found: list[Proposal] = self.look(lambda j: j.views.proposals(id_, attempt))
        return found

    def receipts(self, id_: str, attempt: int = 1) -> dict[tuple[str, str], bool]:
        """Check and side, and whether it passed."""
        found: list[Receipt] = self.look(lambda j: j.views.receipts(id_, attempt))
        return {(receipt.name, receipt.side): receipt.passed for receipt in found}

    def attempts(self, id_: str) -> list[Attempt]:
        found: list[Attempt] = self.look(lambda j: j.views.attempts(id_))
        return found

    def events(self, id_: str | None = None, type_: str = "") -> list[Event]:
        found: list[Event] = self.look(lambda j: j.events(ticket=id_)) or []
        return [event for event in found if event.type.startswith(type_)]

    def intact(self) -> None:
        """What holds at every rest: a whole journal, one outcome for each intent, nothing left running."""
        assert self.look(lambda j: j.fault() or j.view_fault()) is None
        events = self.events()
        answered = [e.body["intent"] for e in events if e.type == "action.outcome"]
        assert sorted(answered) == sorted(e.seq for e in events if e.type == "action.intent")
        until(lambda: not self.processes(), "the end of what ran")  # who has let go may be leaving yet
        if all(card.state in REST for card in self.look(lambda j: j.views.board())):
            kept = [p.name for p in self.workspace.worktrees.glob("*")]
            refs = self.git("for-each-ref", "--format=%(refname)", "refs/jetbox").split()
            assert not kept
            assert not [ref for ref in refs if not ref.startswith("refs/jetbox/trash/")]
