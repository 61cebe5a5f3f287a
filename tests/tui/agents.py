# ruff: noqa: E501  (bodies of events read best in one line)
"""Journals of an agent's attempts to look at, with the bodies that the engine writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import seeds

from state.canonical import canonical
from state.events import New
from state.machine import Candidate, Device, Finding, Holder, Machine, Role, write
from state.stream import Writer
from state.workspace import Workspace

THINKING = "The test wants '007' to stay as it is.\nSo the zeros count, and int() drops them."
REPLY = "I keep the text as it came.\n\nEDIT calc/parse.py\n```\nreturn text.strip()\n```\n"
GIB = 1 << 30


class Agent(seeds.Story):
    """Writes what an agent did."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.calls = 0

    def ask_model(self, id_: str, task: str, purpose: str = "act", attempt: int = 1, **args: Any) -> int:
        """A call began; the seq of its intent."""
        self.calls += 1
        persona = {"plan": "planner", "critique": "critic"}.get(purpose, "coder")
        title = {"plan": "make a plan", "critique": "criticise the plan"}.get(purpose, f"turn {self.calls}")
        whole = {
            "number": self.calls,
            "purpose": purpose,
            "persona": persona,
            "subtask": 1,
            "about": task,
            **args,
        }
        body = {"key": f"call:{self.calls}", "task": task, "title": title, "action": "Call", "args": whole}
        return self.journal.append(New("action.intent", body, id_, attempt))[0].seq

    def reply(
        self,
        id_: str,
        intent: int,
        task: str,
        text: str = REPLY,
        thinking: str = "",
        attempt: int = 1,
        **more: Any,
    ) -> None:
        """The model's reply was recorded."""
        result = {
            "reply": self.blobs.put(text.encode()),
            "thinking": self.blobs.put(thinking.encode()) if thinking else "",
            "record": "", "request": "d" * 64, "model": "qwen3:14b", "label": "", "turn": self.calls, "rung": 0,
            "usage": {"prompt": 3120, "cached": 2600, "reply": 412, "first": 0.8, "seconds": 11.5},
            "ledger": self.blobs.put(canonical(LEDGER).encode()), **more,
        }  # fmt: skip
        self._done(id_, f"call:{self.calls}", intent, task, result, attempt)

    def did(
        self, id_: str, task: str, verb: str, what: str, says: str, seen: str = "", attempt: int = 1
    ) -> None:
        """What the reply asked for was carried out."""
        key = f"act:{self.calls}"
        body = {
            "key": key,
            "task": task,
            "title": f"{verb} {what}",
            "action": "Act",
            "args": {"number": self.calls},
        }
        intent = self.journal.append(New("action.intent", body, id_, attempt))[0].seq
        result = {"ok": True, "says": says, "observation": self.blobs.put(seen.encode()) if seen else ""}
        self._done(id_, key, intent, task, result, attempt, seconds=0.2)

    def _done(
        self,
        id_: str,
        key: str,
        intent: int,
        task: str,
        result: dict[str, Any],
        attempt: int,
        seconds: float = 11.5,
    ) -> None:
        body = {
            "key": key, "task": task, "intent": intent, "status": "done", "exit": None, "seconds": seconds,
            "output": "", "result": result,
        }  # fmt: skip
        self.journal.append(New("action.outcome", body, id_, attempt))


LEDGER = {
    "v": 1, "model": "qwen3:14b", "context": 16384, "budget": 12000, "estimated": 3540,
    "parts": [
        {"name": "rules", "tokens": 610}, {"name": "examples", "tokens": 340}, {"name": "goal tree", "tokens": 120},
        {"name": "repository map", "tokens": 900}, {"name": "calc/parse.py", "tokens": 1210},
        {"name": "history", "tokens": 220}, {"name": "observation", "tokens": 140},
    ],
    "left_out": [
        {"name": "calc/grammar_tables.py", "tokens": 21400, "why": "larger than what is left of the budget"},
        {"name": "history of turns 1 to 2", "tokens": 800, "why": "older than the last checkpoint"},
    ],
}  # fmt: skip

ONE, TWO = "1. Keep leading zeros", "2. Say so in the README"


def working(root: Path) -> Agent:
    """An agent in the middle of its third turn: stuck a little, and thinking aloud."""
    story = Agent(root)
    story.journal.append(New("engine.started", {"pid": 4711, "version": "0.1.0"}))
    story.admit("TICKET-7", "Numbers keep their leading zeros when they are parsed", "code", persona="coder",
                budget={"turns": 30, "tokens": 200_000, "time": "20m"}, accept=["standard"])  # fmt: skip
    story.start("TICKET-7")
    plan = {
        "reason": "small",
        "subtasks": [{"title": ONE[3:], "probe": "pytest -q"}, {"title": TWO[3:], "probe": ""}],
    }
    first = story.ask_model("TICKET-7", "Plan", "plan")
    story.reply("TICKET-7", first, "Plan", "{}", purpose="plan", role="planner", plan=plan)
    second = story.ask_model("TICKET-7", "Plan", "critique")
    story.reply(
        "TICKET-7",
        second,
        "Plan",
        "{}",
        purpose="critique",
        role="critic",
        verdict={"reason": "", "findings": [], "ok": True},
    )
    third = story.ask_model("TICKET-7", ONE)
    story.reply("TICKET-7", third, ONE, "READ calc/parse.py", verb={"verb": "read", "what": "calc/parse.py"})
    story.did(
        "TICKET-7", ONE, "read", "calc/parse.py", "40 lines", "def parse(text):\n    return int(text)\n"
    )
    fourth = story.ask_model("TICKET-7", ONE)
    story.reply("TICKET-7", fourth, ONE, thinking=THINKING, verb={"verb": "edit", "what": "calc/parse.py"})
    story.did("TICKET-7", ONE, "edit", "calc/parse.py", "1 line changed")
    why = "the last 3 turns changed nothing: test_zeros fails with '7' != '007'"
    story.ask_model("TICKET-7", ONE, rung=2, why=why)
    say = Writer(story.workspace.stream("TICKET-7", 1))
    say.say("call", "coder asks qwen3:14b, turn 5")
    for word in THINKING.split(" "):
        say.say("think", f"{word} ")
    say.say("text", "EDIT calc/parse.py\n")
    say.say("text", "```\nreturn te")
    return story


QUESTION = "Should a number with spaces inside be refused, or read as one?"
OPTIONS = ["refuse it with a clear error", "read it as one number", "I take it over"]


def asking(root: Path) -> Agent:
    """The same agent with a question."""
    story = working(root)
    story.ask("TICKET-7", "question", QUESTION, question=QUESTION, options=OPTIONS, recommended=1)
    return story


def picture(root: Path, at: int, **more: Any) -> None:
    """What the models hold of a machine that is busy."""
    machine = Machine(
        at=at,
        roles=(
            Role(role="coder", candidates=(
                Candidate(model="qwen3:32b", provider="ollama", used=False, why="needs 24.1 GB, 15.2 are free", bytes=24 * GIB),
                Candidate(model="qwen3:14b", provider="ollama", used=True, why="14.2 tokens/s, context 16384", bytes=11 * GIB),
            )),
            Role(role="critic", candidates=(
                Candidate(model="qwen3:14b", provider="ollama", used=True, why="", bytes=11 * GIB),
            )),
            Role(role="quick", candidates=(
                Candidate(model="tiny.gguf", provider="embedded", used=True, why="", bytes=GIB // 4, label="toy"),
            )),
            Role(role="writer", candidates=(
                Candidate(model="llama3:8b", provider="lab", used=False, why="no server answers at 10.0.0.4:8080"),
            )),
        ),
        devices=(
            Device(name="NVIDIA RTX 4090", kind="gpu", total=24 * GIB, free=9 * GIB, celsius=71, watts=285, load=0.93),
            Device(name="memory", kind="ram", total=64 * GIB, free=40 * GIB),
        ),
        holders=(
            Holder(who="qwen3:14b", what="model", bytes=11 * GIB, context=16384, since=at - 240_000, until=at + 60_000),
            Holder(who="TICKET-9", what="run", bytes=4 * GIB, since=at - 3_600_000),
        ),
        findings=(
            Finding(model="qwen3:14b", digest="a1b2c3d4e5f6", says=(
                "real context 16384 of 40960 claimed", "follows a schema 20 of 20", "edits: whole 20 of 20, blocks 17 of 20")),
        ),
        reserve=2 * GIB,
    )  # fmt: skip
    write(Workspace(root).machine, replace(machine, **more))
