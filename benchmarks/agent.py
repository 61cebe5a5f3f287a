"""What an agent's ticket withstands: a server that breaks its replies, kills, five hundred turns, a replay.

    python benchmarks/agent.py broken --tickets 100      # 30 % of replies broken in every way
    python benchmarks/agent.py kills --kills 200         # the engine killed at random moments of a ticket
    python benchmarks/agent.py memory --turns 500        # the engine's memory over one long ticket
    python benchmarks/agent.py replay DIR TICKET         # a recorded ticket again, against what it took

The model is the scripted double of Ollama, over its real HTTP API; git, SQLite and the sandbox are real. Each
prints one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "doubles"))

from scripted_ollama import ScriptedOllama  # noqa: E402
from scripting import FAULTS, Made, Say, Script  # noqa: E402

from orchestrator import config, seals, service  # noqa: E402
from orchestrator.models import catalogue  # noqa: E402
from orchestrator.models.service import Models, made  # noqa: E402
from orchestrator.providers.ollama import Ollama  # noqa: E402
from state import words  # noqa: E402
from state.blobs import Blobs  # noqa: E402
from state.events import Event  # noqa: E402
from state.journal import Journal  # noqa: E402
from state.workspace import Workspace  # noqa: E402

MODEL = "scripted:latest"
ROLES = "roles:\n" + "".join(
    f'  {role}: [{{model: "{MODEL}", provider: ollama, context: 16384}}]\n'
    for role in ("planner", "critic", "coder")
)
ENGINE = """
import sys; from pathlib import Path
from orchestrator.service import serve; from state.workspace import Workspace
serve(Workspace(Path(sys.argv[1])))
"""
REST = {"landed", "failed", "cancelled"}


def workspace(root: Path, **files: str) -> Workspace:
    """A repository with a commit."""
    for name, text in {"notes.txt": "END\n", "models.yaml": ROLES, **files}.items():
        (root / name).write_text(text)
    for command in (
        ["init", "-q", "-b", "main"],
        ["config", "user.name", "A User"],
        ["config", "user.email", "user@localhost"],
        ["add", "."],
        ["commit", "-qm", "first"],
    ):
        subprocess.run(["git", *command], cwd=root, check=True)
    (root / "tickets").mkdir()
    return Workspace(root)


def ticket(space: Workspace, id_: str, **keys: Any) -> None:
    """Write a `code` ticket."""
    (space.tickets / f"{id_}.yaml").write_text(json.dumps({"kind": "code", **keys}))


def board(space: Workspace) -> dict[str, Any]:
    """The tickets, by id."""
    journal = Journal.read(space.journal)
    try:
        return {card.id: card for card in journal.views.board()}
    finally:
        journal.close()


def answer(space: Workspace, asked: Counter[str]) -> None:
    """Approve every merge that waits, and take the recommended answer to each question."""
    journal = Journal.open(space.journal)
    try:
        for found in journal.views.inbox():
            with contextlib.suppress(words.Refused):
                if options := found.subject.get("options"):
                    asked[str(found.subject["question"])[:80]] += 1
                    text = str(options[int(found.subject.get("recommended") or 0)])
                    words.answer(journal, found.id, found.digest, text, sealer=seals.yours())
                else:
                    asked[found.kind] += 1
                    words.approve(journal, found.id, found.digest, sealer=seals.yours(), signoff="benchmark")
    finally:
        journal.close()


def talk(body: Mapping[str, Any]) -> tuple[str, str]:
    """The conversation of a request: all of it, and what was said last."""
    messages = [str(each["content"]) for each in body["messages"]]
    return "\n".join(messages), messages[-1]


# Broken replies -------------------------------------------------------------------------------------


def broken(tickets: int, share: float, seed: int) -> dict[str, Any]:
    """Tickets over a server that breaks a share of its replies in every way it knows."""
    faults: Counter[str] = Counter()

    def reply(body: Mapping[str, Any], _: int) -> Say | str:
        whole, last = talk(body)
        name = re.search(r"Make the file (\S+)", whole)
        assert name is not None
        if body.get("format"):
            if "Criticise this plan" in last:
                return '{"reason": "one step", "findings": [], "ok": true}'
            part = {"title": f"Write {name[1]}", "probe": f"test -s {name[1]}"}
            return json.dumps({"reason": "one step is enough", "subtasks": [part]})
        if f"{name[1]} is made" in whole:
            return "DONE it is there"
        return Say(
            f"I write it.\n\nEDIT {name[1]}\n```\nthe text of {name[1]}\n```\n", thinking="A file is wanted."
        )

    script = Script(reply, share, seed)

    class Counted(Script):
        def __call__(self, body: Mapping[str, Any], nth: int) -> Say:
            say = script(body, nth)
            if say.fault:
                faults[say.fault] += 1
            return say

    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ScriptedOllama(Counted(reply), [Made(MODEL)]) as double:
        os.environ["OLLAMA_HOST"] = double.where
        space = workspace(Path(folder), **{"jetbox.yaml": "parallel: 8\n"})
        for number in range(1, tickets + 1):
            name = f"file-{number}.txt"
            ticket(space, f"TICKET-{number:03}", goal=f"Make the file {name}",
                   accept=[{"run": f"test -s {name}", "red": True}])  # fmt: skip

        def quick(source: catalogue.Source) -> Any:
            return Ollama(source.name, source.at, 1.5, 1.0, 5.0) if source.kind == "ollama" else made(source)

        asked: Counter[str] = Counter()

        def follow(event: Event) -> None:
            if event.type in ("merge.proposed", "proposal.opened"):
                answer(space, asked)

        while time.monotonic() - began < 3600:
            models = Models(
                catalogue.load(space, config.load(space).user, double.where), space.machine, quick
            )
            service.serve(space, until_idle=True, models=models, follow=follow)
            if all(card.state in REST for card in board(space).values()):
                break
            answer(space, asked)
        ends = Counter(card.state for card in board(space).values())
        journal = Journal.read(space.journal)
        calls = [
            e for e in journal.events() if e.type == "action.outcome" and e.body["key"].startswith("call:")
        ]
        noticed: Counter[str] = Counter()
        most: Counter[str] = Counter()
        for event in calls:
            result = event.body["result"]
            most[event.ticket] += 1
            if failed := result.get("failed") or result.get("failure"):
                noticed[str(failed)] += 1
            for tried in result.get("tries", ()):
                noticed[str(tried["kind"])] += 1
            if record := result.get("record"):
                for tried in json.loads(Blobs(space.blobs).get(record)).get("tries", ()):
                    noticed[str(tried["kind"])] += 1
        fault = journal.fault() or journal.view_fault()
        journal.close()
    return {
        "tickets": tickets,
        "broken_share": share,
        "requests": double.chats,
        "faults": dict(sorted(faults.items())),
        "kinds_that_did_not_come": sorted(set(FAULTS) - set(faults)),
        "noticed": dict(sorted(noticed.items())),
        "truncations_unnoticed": max(0, faults["truncated"] - noticed["truncated"]),
        "ended": dict(ends),
        "asked": dict(asked),
        "most_calls_of_a_ticket": max(most.values(), default=0),
        "journal": fault or "whole",
        "seconds": round(time.monotonic() - began, 1),
    }


# Kills ----------------------------------------------------------------------------------------------

EDITS = 8


class Torture:
    """One workspace whose engine is killed while an agent works."""

    def __init__(self, root: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.space = workspace(root)
        self.double = ScriptedOllama(Script(self.reply), [Made(MODEL)])
        self.engine: subprocess.Popen[bytes] | None = None
        self.tickets = 0
        self.moments: Counter[str] = Counter()
        self.recorded: set[str] = set()  # requests whose replies were recorded before the last kill
        self.heard = 0
        self.again: list[str] = []
        self.asked: Counter[str] = Counter()

    def reply(self, body: Mapping[str, Any], _: int) -> Say | str:
        """Adds a line at a time to the ticket's own file, which a doubled edit would show."""
        whole, _ = talk(body)
        name = re.search(r"Grow the file (\S+)", whole)
        assert name is not None
        done = whole.count(f"{name[1]} is changed") + whole.count(f"{name[1]} is made")
        if done > EDITS:
            return Say("DONE all lines are there", delay=0.01)
        if done == 0:
            return Say(f"EDIT {name[1]}\n```\nEND\n```\n", delay=0.01)
        block = f"<<<<<<< SEARCH\nEND\n=======\nline {done}\nEND\n>>>>>>> REPLACE"
        return Say(f"One more line.\n\nEDIT {name[1]}\n```\n{block}\n```\n", piece=8, delay=0.01)

    def wave(self) -> None:
        """Two more tickets."""
        for _ in range(2):
            self.tickets += 1
            name = f"grows-{self.tickets}.txt"
            ticket(self.space, f"TICKET-{self.tickets:03}", goal=f"Grow the file {name}",
                   accept=[{"run": f"sleep 0.3; grep -q 'line {EDITS}' {name}", "red": True}],
                   budget={"turns": 400}, **{"with": {"plan": False}})  # fmt: skip

    def start(self) -> None:
        """An engine, as the program starts one."""
        with (self.space.root / ".git" / "said.log").open("ab") as log:
            self.engine = subprocess.Popen(
                [sys.executable, "-P", "-c", ENGINE, str(self.space.root)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "OLLAMA_HOST": self.double.where},
            )  # fmt: skip

    def kill(self) -> None:
        """SIGKILL, and what was being done then."""
        assert self.engine is not None
        if self.engine.poll() is not None:
            raise RuntimeError((self.space.root / ".git" / "said.log").read_text()[-2000:])
        self.engine.send_signal(signal.SIGKILL)
        self.engine.wait()
        self.look_back()
        with contextlib.suppress(Exception):
            journal = Journal.read(self.space.journal)
            open_: dict[tuple[str, str], str] = {}
            for event in journal.events():
                key = event.ticket, str(event.body.get("key"))
                if event.type == "action.intent":
                    open_[key] = str(event.body["action"])
                elif event.type == "action.outcome":
                    open_.pop(key, None)
            journal.close()
            for action in open_.values() or ["between"]:
                self.moments[action] += 1
        self.recorded |= self.replies()

    def look_back(self) -> None:
        """Whether a reply was asked for that had been recorded before the last kill."""
        chats = self.double.bodies("/api/chat")
        self.again += [name for body in chats[self.heard :] if (name := _name(body)) in self.recorded]
        self.heard = len(chats)

    def replies(self) -> set[str]:
        """The requests whose whole replies lie on the disk."""
        found = set()
        blobs = Blobs(self.space.blobs)
        for path in (self.space.home / "flight").glob("*/*.json"):
            with contextlib.suppress(Exception):
                record = json.loads(blobs.get(json.loads(path.read_bytes())["record"]))
                found.add(_name(record["request"]))
        return found

    def intents(self) -> int:
        """How many actions were ever begun."""
        with contextlib.suppress(Exception):
            journal = Journal.read(self.space.journal)
            try:
                return len(journal.events(types=("action.intent",)))
            finally:
                journal.close()
        return 0

    def at_rest(self) -> bool:
        """All have ended."""
        try:
            cards = board(self.space)
        except Exception:
            return False
        return len(cards) == self.tickets and all(card.state in REST for card in cards.values())

    def attack(self, kills: int) -> None:
        """Kill that often, then let everything end."""
        self.wave()
        for _ in range(kills):
            before = self.intents()
            self.start()
            until = time.monotonic() + 10
            while self.intents() <= before and time.monotonic() < until:
                with contextlib.suppress(Exception):
                    answer(self.space, self.asked)
                time.sleep(0.02)
            time.sleep(self.random.uniform(0.0, 1.0))
            self.kill()
            if self.at_rest():
                self.wave()
        self.start()
        until = time.monotonic() + 300
        while not self.at_rest() and time.monotonic() < until:
            with contextlib.suppress(Exception):
                answer(self.space, self.asked)
            time.sleep(0.2)
        assert self.engine is not None
        self.engine.terminate()
        self.engine.wait(30)
        self.look_back()

    def faults(self) -> list[str]:
        """Every promise that does not hold."""
        found = [f"asked again for a recorded reply: {name}" for name in self.again]
        wanted = "".join(f"line {n}\n" for n in range(1, EDITS + 1)) + "END\n"
        for id_, card in board(self.space).items():
            name = f"grows-{int(id_[7:])}.txt"
            done = subprocess.run(
                ["git", "show", f"main:{name}"], cwd=self.space.root, capture_output=True, text=True
            )
            if card.state != "landed" or done.stdout != wanted:
                found.append(f"{id_} is {card.state}, {name} is {done.stdout!r}")
        journal = Journal.read(self.space.journal)
        if fault := journal.fault() or journal.view_fault():
            found.append(f"journal: {fault}")
        journal.close()
        for id_ in board(self.space):
            command = [sys.executable, "-P", "-m", "orchestrator.main", "replay", id_, "--json"]
            done = subprocess.run(command, cwd=self.space.root, capture_output=True, text=True)
            if done.returncode:
                found.append(f"replay of {id_}: {done.stdout[-400:]}{done.stderr[-200:]}")
        return found


def _name(request: Mapping[str, Any]) -> str:
    """A request by its messages, which is what the server sees of it too."""
    messages = [[str(each["role"]), str(each["content"])] for each in request["messages"]]
    return hashlib.sha256(json.dumps(messages).encode()).hexdigest()[:16]


def kills(count: int, seed: int) -> dict[str, Any]:
    """Kill the engine that often; hold what is left against what was promised."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        torture = Torture(Path(folder), seed)
        with torture.double:
            torture.attack(count)
            faults = torture.faults()
    return {
        "kills": count,
        "during": dict(torture.moments),
        "tickets": torture.tickets,
        "requests": torture.double.chats,
        "asked": dict(torture.asked),
        "broken_promises": faults,
        "seconds": round(time.monotonic() - began, 1),
    }


# Memory ---------------------------------------------------------------------------------------------


PART = 20  # turns between two claims to be done, each of which turns one more check green


def memory(turns: int) -> dict[str, Any]:
    """One ticket of many turns; the engine's resident memory on the way."""
    began = time.monotonic()

    def reply(body: Mapping[str, Any], nth: int) -> Say | str:
        if nth % PART == PART - 1:
            return "DONE with this part"
        return f"Another part.\n\nEDIT part-{nth}.py\n```\n" + f"VALUE_{nth} = {nth}\n" * 20 + "```\n"

    seen: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as folder, ScriptedOllama(Script(reply), [Made(MODEL)]) as double:
        space = workspace(Path(folder))
        ticket(space, "TICKET-001", goal="Write many parts, one after another",
               accept=[{"run": f"test -f part-{n}.py", "red": True} for n in range(PART - 2, turns, PART)],
               budget={"turns": turns + 50}, **{"with": {"plan": False}})  # fmt: skip
        engine = subprocess.Popen(
            [sys.executable, "-P", "-c", ENGINE, str(space.root)],
            env={**os.environ, "OLLAMA_HOST": double.where},
        )
        process = psutil.Process(engine.pid)
        while engine.poll() is None and time.monotonic() - began < 3000:
            seen.append((double.chats, process.memory_info().rss / 1e6))
            with contextlib.suppress(Exception):
                if board(space)["TICKET-001"].state not in ("ready", "running", "backlog"):
                    break
            time.sleep(0.25)
        state = board(space)["TICKET-001"].state
        engine.terminate()
        engine.wait(30)
    early = [rss for chats, rss in seen if 20 <= chats <= 40]
    late = [rss for chats, rss in seen if chats >= turns - 10]
    return {
        "turns": double.chats,
        "state": state,
        "mb_at_turn_20_to_40": round(max(early, default=0), 1),
        "mb_at_the_end": round(max(late, default=0), 1),
        "grows_by_mb": round(max(late, default=0) - max(early, default=0), 1),
        "seconds_a_turn": round((time.monotonic() - began) / max(double.chats, 1), 3),
    }


# Replay ---------------------------------------------------------------------------------------------


def replayed(folder: Path, id_: str) -> dict[str, Any]:
    """A recorded ticket again, in a process of its own with every address refused, beside what it took."""
    refuse = "import socket\ndef no(*a, **k): raise OSError('no network')\nsocket.socket.connect = no\n"
    with tempfile.TemporaryDirectory() as site:
        (Path(site) / "sitecustomize.py").write_text(refuse)
        env = {**os.environ, "PYTHONPATH": site}
        command = [sys.executable, "-m", "orchestrator.main", "replay", id_, "--json"]
        began = time.monotonic()
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=env)
        wall = time.monotonic() - began
    said = json.loads(done.stdout) if done.stdout else {"error": done.stderr}
    recorded = said.get("recorded_seconds") or 0.0
    return {
        "ticket": id_,
        "identical": said.get("identical"),
        "steps": len(said.get("steps", ())),
        "recorded_seconds": recorded,
        "replay_seconds": said.get("seconds"),
        "with_start_of_the_program": round(wall, 2),
        "times_as_fast": round(recorded / said["seconds"], 1) if said.get("seconds") else None,
        "error": said.get("error"),
    }


def main() -> None:
    """Run one of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = parser.add_subparsers(dest="part", required=True)
    one = parts.add_parser("broken")
    one.add_argument("--tickets", type=int, default=8)
    one.add_argument("--share", type=float, default=0.3)
    one.add_argument("--seed", type=int, default=1)
    one = parts.add_parser("kills")
    one.add_argument("--kills", type=int, default=12)
    one.add_argument("--seed", type=int, default=1)
    one = parts.add_parser("memory")
    one.add_argument("--turns", type=int, default=60)
    one = parts.add_parser("replay")
    one.add_argument("folder", type=Path)
    one.add_argument("ticket")
    given = parser.parse_args()
    if given.part == "broken":
        made_ = broken(given.tickets, given.share, given.seed)
    elif given.part == "kills":
        made_ = kills(given.kills, given.seed)
    elif given.part == "memory":
        made_ = memory(given.turns)
    else:
        made_ = replayed(given.folder, given.ticket)
    print(json.dumps(made_, indent=2))


if __name__ == "__main__":
    main()
