"""Tries a model once, within a bounded time: what it can really do, as the agent will ask it.

Four trials: tokens of code and replies to a JSON schema; the same small edits as a whole file and by
SEARCH/REPLACE, read and applied by the agent's own parser; how far back it still sees, by a word hidden at
the beginning of ever longer prompts; speed and repetition in one long reply. A trial that fails is a note,
and what it would have shown stays unknown.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.models.asking import listen
from orchestrator.models.base import Heard, Reply
from orchestrator.models.calibration import Finding
from orchestrator.providers.base import (
    Found,
    Message,
    Provider,
    ProviderError,
    Request,
    Think,
    Thought,
)

WITHIN = 300.0  # seconds for all of it
LADDER = (4096, 8192, 16_384, 32_768, 65_536, 131_072)  # tokens at which it is asked what stood at the start
SURE = 0.67  # share of edits that must come out right for a form to be trusted: two of three
REWRITES = 400  # lines up to which a model that cannot do SEARCH/REPLACE rewrites files
BLOCKS = 60  # the same of one that can do only that
EITHER = 150
_REPLY = 700  # tokens of a reply that are left free
_WORD = "heliotrope"

_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "reason": {"type": "string"},
        "kind": {"type": "string", "enum": ["bug", "feature", "question"]},
        "files": {"type": "integer"},
    },
    "required": ["reason", "kind", "files"],
    "additionalProperties": False,
}
_REPORTS = (
    "The program stops with KeyError when the config file has no port.",
    "Please add a dark theme to the settings page and the login page.",
    "How do I run only the fast tests?",
)
_FILE = """LIMIT = 10
NAMES = ("ada", "grace", "edsger")


def clamp(value: int) -> int:
    if value > LIMIT:
        return LIMIT
    return value


def greet(name: str) -> str:
    return "Hello, " + name


def total(values: list[int]) -> int:
    result = 0
    for value in values:
        result += clamp(value)
    return result
"""
_EDITS = (
    ("Set LIMIT to 25.", "LIMIT = 10\n", "LIMIT = 25\n"),
    ('Let greet begin with "Good day, " instead of "Hello, ".', '"Hello, "', '"Good day, "'),
    ("Let clamp compare with >= instead of >.", "value > LIMIT", "value >= LIMIT"),
)
_WHOLE = """Change this file. Answer with one action and nothing else, the whole new file in a fence:

EDIT limits.py
```python
all lines of the new file
```
"""
_BLOCKS = """Change this file. Answer with one action and nothing else, a SEARCH/REPLACE block in a fence:

EDIT limits.py
```
<<<<<<< SEARCH
the lines as they stand
=======
the lines that come in their place
>>>>>>> REPLACE
```
"""


class _Over(Exception):
    """The time is up, or it was stopped."""


@dataclass
class _Trial:
    """One model under trial."""

    provider: Provider
    found: Found
    context: int
    think: Think
    stop: threading.Event
    until: float

    def left(self) -> float:
        return self.until - time.monotonic()

    def ask(
        self, text: str, most: int = _REPLY, schema: Mapping[str, Any] | None = None
    ) -> tuple[Reply, int]:
        """A reply, and how many characters of it were thinking."""
        messages = (Message("system", "You answer exactly as you are asked to."), Message("user", text))
        request = Request(
            self.found.name, messages, self.context, most, temperature=0.0, think=self.think, schema=schema
        )
        hidden = 0

        def hear(each: Heard) -> None:
            nonlocal hidden
            hidden += len(each.text) if isinstance(each, Thought) else 0

        with _bounded(self.stop, self.left()) as ended:
            reply = listen(self.provider, request, hear, ended)
        if reply is None:
            raise _Over
        return reply, hidden


def calibrate(
    provider: Provider,
    found: Found,
    context: int,
    think: Think,
    stop: threading.Event,
    within: float = WITHIN,
    tell: Callable[[str], None] = lambda _: None,
) -> Finding:
    """Try a model that is in memory.

    Args:
        provider: its server.
        found: the model.
        context: tokens that it has been loaded with.
        think: how it is asked in ordinary turns.
        stop: ends it; what has been seen counts.
        within: seconds.
        tell: hears what is being tried.
    """
    trial = _Trial(provider, found, context, think, stop, time.monotonic() + within)
    seen: dict[str, Any] = {}
    notes: list[str] = []
    trials: tuple[tuple[str, Callable[[_Trial], Mapping[str, Any]]], ...] = (
        ("tokens", _tokens),
        ("schema", _schema),
        ("edits", _edits),
        ("speed", _long),
        ("context", lambda each: _needle(each, seen.get("bytes_per_token") or 3.2, notes)),
    )
    for name, work in trials:
        tell(name)
        try:
            seen |= work(trial)
        except ProviderError as error:
            notes.append(f"{name} could not be tried: {error}")
        except _Over:
            notes.append(f"{name} was not tried to its end: {'stopped' if stop.is_set() else 'time was up'}")
    return Finding(
        model=found.name,
        digest=found.digest,
        provider=provider.name,
        at=time.time_ns() // 1_000_000,
        notes=tuple(notes),
        **seen,
    )


def _tokens(trial: _Trial) -> Mapping[str, Any]:
    """Bytes of code for each token, by the server's own count."""
    code = _FILE * 6
    reply, _ = trial.ask(f"{code}\nAnswer with the one word yes.", most=400)
    counted = reply.usage.prompt
    if not counted or reply.usage.cached:
        return {}
    return {"bytes_per_token": round(min(6.0, max(1.0, len(code.encode()) / counted)), 2)}


def _schema(trial: _Trial) -> Mapping[str, Any]:
    good = 0
    for report in _REPORTS:
        try:
            reply, _ = trial.ask(f"Sort this report, the reason first:\n\n{report}", 500, _SCHEMA)
            good += _obeys(reply.text)
        except ProviderError as error:
            if error.kind not in ("empty", "length", "chant", "parse"):
                raise
    return {"schema_rate": good / len(_REPORTS)}


def _obeys(text: str) -> bool:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if not isinstance(value, dict) or value.keys() != _SCHEMA["properties"].keys():
        return False
    kinds, files = _SCHEMA["properties"]["kind"]["enum"], value["files"]
    whole = isinstance(files, int) and not isinstance(files, bool)
    return isinstance(value["reason"], str) and value["kind"] in kinds and whole


def _edits(trial: _Trial) -> Mapping[str, Any]:
    rates = {}
    for name, how in (("whole_rate", _WHOLE), ("blocks_rate", _BLOCKS)):
        good = 0
        for wish, old, new in _EDITS:
            try:
                reply, _ = trial.ask(f"{how}\nThe change: {wish}\n\nlimits.py:\n```python\n{_FILE}```\n")
            except ProviderError as error:
                if error.kind not in ("empty", "length", "chant", "parse"):
                    raise
                continue
            good += _applies(reply.text, _FILE.replace(old, new), whole=name == "whole_rate")
        rates[name] = good / len(_EDITS)
    return {**rates, "whole_file": whole_file(rates["whole_rate"], rates["blocks_rate"])}


def whole_file(whole: float, blocks: float) -> int:
    """Lines up to which files are rewritten whole, from the two shares of edits that came out right."""
    if blocks < SURE:
        return REWRITES
    return EITHER if whole >= SURE else BLOCKS


def _applies(text: str, wanted: str, whole: bool) -> bool:
    """Whether a reply is the edit that was asked for, in the form that was asked for."""
    from orchestrator.agent.cascade import EditFails, apply
    from orchestrator.agent.replies import parse
    from orchestrator.agent.verbs import Edit, Malformed

    try:
        edit = parse(text)
        if not isinstance(edit, Edit) or (edit.whole is not None) != whole:
            return False
        return apply(_FILE.encode(), edit).data == wanted.encode()
    except (Malformed, EditFails):
        return False


def _long(trial: _Trial) -> Mapping[str, Any]:
    """Speed of what a reader sees, the share of thinking, and whether a long reply becomes a chant."""
    asked = "Write some 300 words on how to review a change of code, in numbered paragraphs."
    try:
        reply, hidden = trial.ask(asked, 900)
    except ProviderError as error:
        if error.kind == "chant":
            return {"repeats": True}
        raise
    usage, length = reply.usage, len(reply.text) + hidden
    took = usage.seconds - usage.first
    if not usage.reply or took <= 0:
        return {"hidden": round(hidden / length, 3)}
    shown = usage.reply * len(reply.text) / length
    return {"visible": round(shown / took, 2), "hidden": round(hidden / length, 3)}


def _needle(trial: _Trial, bytes_per_token: float, notes: list[str]) -> Mapping[str, Any]:
    """The longest prompt of whose beginning it still knows."""
    rungs = [each for each in LADDER if each < trial.context] + [trial.context]
    seen, tried, rate = 0, 0, 0.0  # rate: seconds for a token of prompt
    for rung in rungs:
        if rate and rung * rate * 1.2 > trial.left():
            notes.append(f"context was tried up to {tried} tokens: more would take too long here")
            break
        begun = time.monotonic()
        try:
            reply, _ = trial.ask(_haystack(int((rung - _REPLY) * bytes_per_token * 0.94)), most=500)
        except ProviderError as error:
            if error.kind not in ("truncated", "empty", "length", "chant"):
                raise
            tried = rung
            break
        rate = (time.monotonic() - begun) / rung
        tried = rung
        if _WORD not in reply.text.lower():
            break
        seen = rung
    if tried and not seen:
        notes.append(f"did not find a word at the beginning of {tried} tokens")
    return {"context": seen, "claimed": tried}


def _haystack(length: int) -> str:
    """A prompt of so many bytes with a word at its very beginning."""
    head = f"The secret word is {_WORD}. Keep it in mind.\n\n"
    question = "\n\nWhat is the secret word that stood at the beginning? Answer with that word alone."
    lines, left, number = [], length - len(head) - len(question), 0
    while left > 0:
        path, tries = number * 7 % 1013, number % 5
        line = f"record {number}: value_{number % 97} = load(path_{path}, retries={tries})\n"
        lines.append(line)
        left -= len(line)
        number += 1
    return head + "".join(lines) + question


@contextlib.contextmanager
def _bounded(stop: threading.Event, seconds: float) -> Iterator[threading.Event]:
    """An event that is set when the time is up, or soon after `stop` is."""
    ended, done = threading.Event(), threading.Event()

    def watch() -> None:
        until = time.monotonic() + seconds
        while not done.is_set() and not stop.is_set() and time.monotonic() < until:
            done.wait(0.1)
        if not done.is_set():
            ended.set()

    if seconds <= 0 or stop.is_set():
        raise _Over
    thread = threading.Thread(target=watch, daemon=True, name="models-try")
    thread.start()
    try:
        yield ended
    finally:
        done.set()
        thread.join()
