"""Sequences of turns, recorded from scripted agents at work on a real worktree with real tests.

`record(...)` makes a git repository in a temporary folder, lets an agent of `loop_agents.py` or
`healthy_agents.py` read, edit, run and test there, and returns what a turn of an attempt is known by: the
tree that git names, what really failed, what the runner really printed (normalised). Nothing of that is typed
by hand, and the same seed makes the same sequence again. The agents stand in for a model: they are scripts.

Seeds also choose what an attempt knows: whether the checks run after each edit, or only when the agent runs
them or says DONE; and whether a failing check is named as a whole or by its tests.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import random
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.agent import normalise
from orchestrator.agent.stuck import Turn

GIT = ("git", "-c", "user.name=A", "-c", "user.email=a@localhost", "-c", "core.autocrlf=false")
TESTS = f"{shlex.quote(sys.executable)} -S -E -B -m unittest"

FUNCTIONS = {  # name -> the right body, and one that is wrong
    "area": ("    return width * height\n", "    return width + height\n", "width, height"),
    "clamp": (
        "    return max(low, min(value, high))\n",
        "    return min(low, max(value, high))\n",
        "value, low, high",
    ),
    "mean": ("    return sum(values) / len(values)\n", "    return sum(values)\n", "values"),
    "initials": (
        "    return ''.join(word[0].upper() for word in name.split())\n",
        "    return name[0].upper()\n",
        "name",
    ),
    "slug": ("    return '-'.join(text.lower().split())\n", "    return text.lower()\n", "text"),
    "count": (
        "    found = {}\n    for one in items:\n        found[one] = found.get(one, 0) + 1\n"
        "    return found\n",
        "    return {each: 1 for each in items}\n",
        "items",
    ),
}
CASES = {
    "area": ("area(3, 4)", "12"),
    "clamp": ("clamp(7, 1, 5)", "5"),
    "mean": ("mean([1, 2, 6])", "3"),
    "initials": ("initials('ada king lovelace')", "'AKL'"),
    "slug": ("slug('Two Words')", "'two-words'"),
    "count": ("count(['a', 'b', 'a'])", "{'a': 2, 'b': 1}"),
}


def function(name: str, right: bool = True) -> str:
    """The source of one function, right or wrong."""
    good, bad, arguments = FUNCTIONS[name]
    return f"def {name}({arguments}):\n{good if right else bad}"


def module(names: list[str], right: set[str]) -> str:
    """A module of functions, of which some are right."""
    return "\n\n".join(function(name, name in right) for name in names)


def tests(names: list[str], where: str = "shop") -> str:
    """Tests of some functions, one each."""
    head = f"import unittest\n\nfrom {where} import {', '.join(names)}\n\n\nclass Tests(unittest.TestCase):\n"
    return head + "\n".join(
        f"    def test_{name}(self):\n        self.assertEqual({CASES[name][0]}, {CASES[name][1]})\n"
        for name in names
    )


@dataclass
class Sequence:
    """One recorded sequence; of a loop also where it starts, and how many turns are one round of it."""

    kind: str
    seed: int
    loop: bool
    turns: list[Turn] = field(default_factory=list)
    start: int = -1
    period: int = 1

    def packed(self) -> dict[str, Any]:
        """For a line of JSON: what turns share is written once."""
        errors: list[str] = []
        rows = []
        for turn in self.turns:
            if turn.error not in errors:
                errors.append(turn.error)
            row = list(dataclasses.astuple(turn))
            row[1], row[3] = sorted(turn.failing), errors.index(turn.error)
            rows.append(row)
        head = {key: getattr(self, key) for key in ("kind", "seed", "loop", "start", "period")}
        return {**head, "python": list(sys.version_info[:2]), "errors": errors, "turns": rows}

    @staticmethod
    def unpacked(line: dict[str, Any]) -> Sequence:
        """From a line of JSON."""
        turns = [
            Turn(tree, frozenset(failing), passing, line["errors"][error], *rest)
            for tree, failing, passing, error, *rest in line["turns"]
        ]
        return Sequence(line["kind"], line["seed"], line["loop"], turns, line["start"], line["period"])


class Workshop:
    """A worktree, and an agent's hands in it. Every method but `set_up` and `loop` is one turn."""

    def __init__(self, root: Path, seed: int, sequence: Sequence) -> None:
        self.root, self.sequence = root, sequence
        self.random = random.Random(f"{sequence.kind} {seed}")
        self.eager = seed % 2 == 0  # checks run after each edit
        self.fine = seed % 4 < 2  # each failing test is a name
        self.names = self.random.sample(sorted(FUNCTIONS), 4)
        self._failing: frozenset[str] = frozenset()
        self._passing = 0
        self._error = ""

    def set_up(self, files: dict[str, str] | None = None) -> None:
        """The repository as the agent finds it: by default a module with four faults, and its tests."""
        if files is None:
            files = {"shop.py": module(self.names, set()), "test_shop.py": tests(self.names)}
        for path, text in files.items():
            self._write(path, text)
        self._git("init", "-q", "-b", "main")

    def set_up_more(self, parts: int) -> None:
        """The default, and as many small modules beside it."""
        self.set_up()
        for number in range(1, parts + 1):
            self._write(f"part_{number}.py", f"def part_{'abcdefghijklmnop'[number]}():\n    return None\n")

    def loop(self, period: int = 1) -> None:
        """Say that the loop starts with the next turn, and how many turns one round takes."""
        self.sequence.start, self.sequence.period = len(self.sequence.turns), period

    def text(self, path: str) -> str:
        """A file as it is."""
        return (self.root / path).read_text()

    def read(self, path: str, say: str = "") -> None:
        """READ."""
        file = self.root / path.partition(":")[0]
        self._turn(
            "read", path, file.is_file(), say, file.read_text() if file.is_file() else f"{path} is not there"
        )

    def search(self, pattern: str, say: str = "") -> None:
        """SEARCH."""
        found = [
            f"{file.name}:{line}"
            for file in sorted(self.root.rglob("*.py"))
            for line in file.read_text().splitlines()
            if pattern in line
        ]
        self._turn("search", pattern, bool(found), say, "\n".join(found))

    def edit(self, path: str, old: str, new: str, say: str = "") -> None:
        """EDIT by a block: refused where the old text is not there once."""
        text = self.text(path) if (self.root / path).exists() else ""
        ok = text.count(old) == 1
        if ok:
            self._write(path, text.replace(old, new))
        reply = f"{say} {path} {old} => {new}"
        self._turn("edit", path, ok, reply, "edited" if ok else "the text is not in the file", changed=ok)

    def write(self, path: str, text: str, say: str = "") -> None:
        """EDIT with the whole file."""
        self._write(path, text)
        self._turn("edit", path, True, f"{say} {path} {text}", "written", changed=True)

    def test(self, say: str = "", command: str = TESTS) -> None:
        """RUN the tests."""
        ok, output = self._run(command)
        self._know(ok, output)
        self._turn("run", command.replace(TESTS, "python -m unittest"), ok, say, output)

    def run(self, command: str, say: str = "") -> None:
        """RUN any command."""
        before = self._tree()
        ok, output = self._run(command)
        if not ok:
            self._error = normalise.error(output) or self._error
        self._turn("run", command, ok, say, output, changed=self._tree() != before)

    def done(self, say: str = "done") -> None:
        """DONE: the checks are run by whoever hears it."""
        self._check()
        self._turn("done", say, True, say, "red" if self._failing else "green")

    def malformed(self, say: str) -> None:
        """A reply without an action."""
        self._turn("malformed", "no action found", False, say, "use one of the forms")

    def _turn(self, verb: str, what: str, ok: bool, say: str, shown: str, changed: bool = False) -> None:
        if changed and self.eager:
            self._check()
        self.sequence.turns.append(
            Turn(
                tree=self._tree(),
                failing=self._failing,
                passing=self._passing,
                error=self._error,
                verb=verb,
                what=what,
                ok=ok,
                reply=_digest(f"{verb} {what} {say}"),
                shown=_digest(shown),
            )
        )

    def _check(self) -> None:
        self._know(*self._run(TESTS))

    def _know(self, ok: bool, output: str) -> None:
        """What an attempt knows after its checks have run."""
        names = normalise.failures(output) if self.fine else frozenset()
        count = int(found[1]) if (found := re.search(r"^Ran (\d+) test", output, re.MULTILINE)) else 0
        self._failing = frozenset() if ok else names or frozenset(["tests"])
        self._passing = count - len(names) if self.fine else int(ok)
        if not ok:
            self._error = normalise.error(output)

    def _run(self, command: str) -> tuple[bool, str]:
        env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.root,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
        )
        return done.returncode == 0, done.stdout.decode("utf-8", "replace")

    def _write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())

    def _tree(self) -> str:
        self._git("add", "-A")
        return self._git("write-tree").strip()[:8]

    def _git(self, *arguments: str) -> str:
        return subprocess.run(
            [*GIT, *arguments], cwd=self.root, check=True, capture_output=True, text=True
        ).stdout


Agent = Callable[[Workshop], None]


def record(kind: str, seed: int, agent: Agent, loop: bool) -> Sequence:
    """Let an agent work, and return what it did."""
    sequence = Sequence(kind, seed, loop)
    with tempfile.TemporaryDirectory() as folder:
        shop = Workshop(Path(folder), seed, sequence)
        agent(shop)
    assert not loop or sequence.start >= 0, kind
    return sequence


def opening(shop: Workshop) -> None:
    """What most agents do first: look at the code, and at what fails."""
    if not (shop.root / ".git").exists():
        shop.set_up()
    shop.read("shop.py", "look first")
    if shop.random.random() < 0.5:
        shop.read("test_shop.py", "and at the tests")
    shop.test("what fails")


def fix(shop: Workshop, name: str, say: str = "") -> None:
    """Put one function right."""
    shop.edit("shop.py", function(name, False), function(name), say)


def phrases(random: random.Random) -> Iterator[str]:
    """The same thought, said anew each time."""
    starts = ["Let me", "I will now", "I should", "Now to", "The next step is to", "It is best to"]
    middles = [
        "change the function",
        "correct the body",
        "fix the return value",
        "repair this",
        "adjust the code",
    ]
    ends = [
        "so that the test passes",
        "as the error says",
        "because it is wrong",
        "once more",
        "this time rightly",
    ]
    while True:
        yield f"{random.choice(starts)} {random.choice(middles)} {random.choice(ends)} {random.random()}"


def _digest(text: str) -> str:
    return hashlib.sha256(normalise.reply(text).encode()).hexdigest()[:8]
