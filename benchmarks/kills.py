"""Kill the engine again and again while it works, and hold what is left against what was promised.

    python benchmarks/kills.py --kills 1000

Real git, real SQLite, real child runs. Waves of tickets run while the engine is killed with SIGKILL at
random moments: during commands, child runs, checks, approvals and landings; sometimes its git and its
commands are killed with it, sometimes they are left behind; the person approving is killed too. A user
commits to the base meanwhile and keeps an unfinished change in the checkout. At the end, and after each
kill, the promises are checked; prints one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from orchestrator.process import MARK
from state.journal import Journal, JournalMissing
from state.workspace import Workspace

ENGINE = """
import sys; from pathlib import Path
from orchestrator.service import serve; from state.workspace import Workspace
serve(Workspace(Path(sys.argv[1])))
"""
APPROVE = """
import sys; from pathlib import Path
from state.journal import Journal; from state.words import approve
approve(Journal.open(Path(sys.argv[1])), sys.argv[2], sys.argv[3])
"""
REST = {"landed", "failed", "cancelled"}
WAVE = 6
PATIENCE = 120.0  # seconds without any progress, without kills, after which a run counts as stuck


class Torture:
    """One workspace under attack."""

    def __init__(self, root: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.workspace = Workspace(root)
        self.engine: subprocess.Popen[bytes] | None = None
        self.kills = {"engine": 0, "with its children": 0, "approval": 0}
        self.bases: list[str] = []
        self.tickets = 0
        self.starts: list[float] = []
        self._git("init", "-q", "-b", "main")
        self._git("config", "user.name", "A User")
        self._git("config", "user.email", "user@localhost")
        for name in ("mine.txt", "shared.txt"):
            (root / name).write_text("first\n")
        self._git("add", ".")
        self._git("commit", "-qm", "first")
        (root / "mine.txt").write_text("first\nan unfinished change\n")
        (root / "untracked.txt").write_text("mine alone\n")
        (root / "tickets").mkdir()

    def _git(self, *args: str) -> str:
        done = subprocess.run(["git", *args], cwd=self.workspace.root, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"git {args}: {done.stderr}")
        return done.stdout

    # What goes on ----------------------------------------------------------------------------------

    def wave(self) -> None:
        """New tickets: commands, a child run, one that needs both, one that fails."""
        first = self.tickets + 1
        self.tickets += WAVE
        for number in range(first, first + WAVE):
            name = f"TICKET-{number:04}"
            effect = f"effects/{name}.txt"
            place = number - first
            if place == 2:
                body = (
                    "kind: datagen\ngoal: rows for the tickets that need them\n"
                    f"with: {{recipe: text/worked-steps, seed: {number}, count: 3000, shards: 6}}\n"
                    "accept:\n  - {metric: rows, min: 3000}\n"
                )
            else:
                steps = [f"mkdir -p effects && echo {name} >> {effect}", f"sleep 0.05; echo done >> {effect}"]
                check = "false" if place == 4 else f"grep -q done {effect}"
                needs = f"needs: [TICKET-{first:04}, TICKET-{first + 2:04}]\n" if place == 3 else ""
                body = (
                    f"kind: run\ngoal: leave the effect of {name}\n{needs}with:\n"
                    f"  steps: {json.dumps(steps)}\naccept:\n  - run: {json.dumps(check)}\n    red: true\n"
                )
            (self.workspace.tickets / f"{name}.yaml").write_text(body)

    def start(self) -> None:
        """Start an engine, as the program does."""
        with (self.workspace.root / ".git" / "engine-said.log").open("ab") as log:
            self.engine = subprocess.Popen(
                [sys.executable, "-P", "-c", ENGINE, str(self.workspace.root)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL, half of the time with everything it started but its child runs."""
        assert self.engine is not None
        if self.engine.poll() is not None:
            said = (self.workspace.root / ".git" / "engine-said.log").read_text()
            raise RuntimeError(f"the engine ended by itself: {said[-2000:]}")
        children = _children(self.engine.pid) if self.random.random() < 0.5 else []
        self.engine.send_signal(signal.SIGKILL)
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.engine.wait()
        self.kills["with its children" if children else "engine"] += 1
        self.sample()

    def sample(self) -> None:
        """Where the base is now."""
        self.bases.append(self._git("rev-parse", "refs/heads/main").strip())

    def approve(self, kill: bool) -> None:
        """Approve what waits, each in a process of its own, which may be killed on the way."""
        for proposal in self.open_proposals():
            command = [sys.executable, "-P", "-c", APPROVE, str(self.workspace.journal)]
            person = subprocess.Popen([*command, proposal.id, proposal.digest], stderr=subprocess.DEVNULL)
            if kill and self.random.random() < 0.5:
                time.sleep(self.random.uniform(0.02, 0.12))
                person.kill()
                self.kills["approval"] += 1
            person.wait()

    def open_proposals(self) -> list[Any]:
        """What waits for the person."""
        try:
            journal = Journal.read(self.workspace.journal)
        except JournalMissing:
            return []
        try:
            return journal.views.inbox()
        finally:
            journal.close()

    def commit(self) -> None:
        """The user commits to the base, in their own checkout, leaving their unfinished change alone."""
        path = self.workspace.root / f"by-hand-{len(self.bases)}.txt"
        path.write_text("by hand\n")
        try:
            self._git("add", path.name)
            self._git("commit", "-qm", f"by hand {len(self.bases)}", "--", path.name)
        except RuntimeError:  # a landing holds the index, or a killed git has left its lock on the branch
            path.unlink()
            for _ in range(200):
                with contextlib.suppress(RuntimeError):
                    self._git("rm", "-q", "--cached", "--ignore-unmatch", path.name)
                    return
                time.sleep(0.1)
            raise

    def at_rest(self) -> bool:
        """Every ticket has come to its end."""
        try:
            journal = Journal.read(self.workspace.journal)
        except JournalMissing:
            return False
        try:
            board = journal.views.board()
            return len(board) == self.tickets and all(card.state in REST for card in board)
        finally:
            journal.close()

    def attack(self, kills: int) -> None:
        """Kill until that many engines are dead, then let everything come to its end."""
        self.wave()
        while self.kills["engine"] + self.kills["with its children"] < kills:
            self.start()
            time.sleep(self.random.uniform(0.15, 1.1))
            if self.random.random() < 0.6:
                self.approve(kill=True)
            if self.random.random() < 0.1:
                self.commit()
            if self.random.random() < 0.5:
                time.sleep(self.random.uniform(0.0, 0.25))
            self.kill()
            if self.at_rest():
                self.wave()
        self.finish()

    def finish(self) -> None:
        """No more kills: all that was begun must come to its end."""
        self.start()
        assert self.engine is not None
        until = time.monotonic() + PATIENCE
        while not self.at_rest():
            if time.monotonic() > until or self.engine.poll() is not None:
                raise RuntimeError("the tickets did not come to their end")
            self.approve(kill=False)
            time.sleep(0.1)
        self.engine.terminate()
        self.engine.wait(30)
        self.sample()

    # What was promised -----------------------------------------------------------------------------

    def broken_promises(self) -> list[str]:
        """Every promise that does not hold, as a line."""
        root, found = self.workspace.root, []
        journal = Journal.read(self.workspace.journal)
        board = {card.id: card for card in journal.views.board()}
        events = journal.events()
        if fault := journal.fault() or journal.view_fault():
            found.append(f"journal: {fault}")
        merges: dict[str, int] = {}
        trailer = "%(trailers:key=Jetbox-Ticket,valueonly,separator=%x2C)"
        log = self._git("log", "--first-parent", f"--format=%H {trailer}")
        chain = [line.split(" ")[0] for line in log.splitlines()]
        for line in log.splitlines():
            if ticket := line.partition(" ")[2]:
                merges[ticket] = merges.get(ticket, 0) + 1
        for id_, card in board.items():
            changes = card.kind == "run" and card.state == "landed"
            if merges.get(id_, 0) != int(changes):
                found.append(f"{id_} is {card.state} and has {merges.get(id_, 0)} merges")
            effect = root / "effects" / f"{id_}.txt"
            said = effect.read_text() if effect.exists() else ""
            if said != (f"{id_}\ndone\n" if changes else ""):
                found.append(f"{id_} is {card.state} and its effect is {said!r}")
            expected = "failed" if int(id_[-4:]) % WAVE == 5 else "landed"
            if card.state != expected:
                found.append(f"{id_} is {card.state}, expected {expected}: {card.note}")
        found += [f"the base was once at {base}, which is not on it" for base in set(self.bases) - set(chain)]
        found += _unanswered(events)
        status = self._git("status", "--porcelain", "--", ":!tickets")
        if status.split("\n") != [" M mine.txt", "?? untracked.txt", ""]:
            found.append(f"the checkout is not as it should be: {status!r}")
        if (root / "mine.txt").read_text() != "first\nan unfinished change\n":
            found.append("the user's unfinished change is gone")
        left = [path.name for path in self.workspace.worktrees.iterdir()]
        refs = self._git("for-each-ref", "--format=%(refname)", "refs/jetbox").split()
        found += [f"left behind: worktree {name}" for name in left]
        found += [f"left behind: {ref}" for ref in refs if not ref.startswith("refs/jetbox/trash/")]
        found += [f"left behind: process {pid}" for pid in _marked(str(root))]
        journal.close()
        return found


def _unanswered(events: list[Any]) -> list[str]:
    """Intents without exactly one outcome, and approvals that were neither used nor voided."""
    found: list[str] = []
    answers: dict[int, int] = {}
    for event in events:
        if event.type == "action.outcome":
            answers[event.body["intent"]] = answers.get(event.body["intent"], 0) + 1
    for event in events:
        if event.type == "action.intent" and answers.get(event.seq, 0) != 1:
            found.append(f"intent {event.seq} of {event.ticket} has {answers.get(event.seq, 0)} outcomes")
    state: dict[str, str] = {}
    used: dict[str, int] = {}
    for event in events:
        if event.type.startswith("proposal."):
            state[event.body["id"]] = event.type
            used[event.body["id"]] = used.get(event.body["id"], 0) + (event.type == "proposal.used")
    found += [f"the approval of {id_} was lost" for id_, last in state.items() if last == "proposal.approved"]
    found += [f"the approval of {id_} was used {n} times" for id_, n in used.items() if n > 1]
    return found


def _children(pid: int) -> list[int]:
    """Everything below a process but child runs, which are meant to survive."""
    found = []
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if "orchestrator.child" not in child.cmdline():
                    found.append(child.pid)
    return found


def _marked(root: str) -> list[int]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK, "").startswith(f"{root}:"):
                found.append(process.pid)
    return found


def torture(kills: int, seed: int, folder: Path | None = None) -> dict[str, Any]:
    """Attack a fresh workspace; the counts, and the promises that broke."""
    root = Path(tempfile.mkdtemp(prefix="jetbox-kills-", dir=folder))
    began = time.monotonic()
    attacked = Torture(root, seed)
    try:
        attacked.attack(kills)
        broken = attacked.broken_promises()
    finally:
        if attacked.engine is not None and attacked.engine.poll() is None:
            attacked.engine.kill()
    if not broken:
        shutil.rmtree(root)
    return {
        "benchmark": "kills",
        "seed": seed,
        "kills": attacked.kills,
        "tickets": attacked.tickets,
        "seconds": round(time.monotonic() - began, 1),
        "broken": broken,
        "kept": str(root) if broken else None,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    result = torture(arguments.kills, arguments.seed)
    print(json.dumps(result, indent=1))
    sys.exit(1 if result["broken"] else 0)
