"""A double of the model service: replies from a script, where a test is of the agent and not of a server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from typing import Any

from orchestrator.models.base import Chosen, Heard, Nobody, Reply
from orchestrator.providers.base import Final, ProviderError, Request, Text, Usage

Script = Callable[[Request, int], str]
"""The reply to a request, given how many were made before it. It may raise what a provider raises."""


def plan(*subtasks: str | tuple[str, str]) -> str:
    """A planner's reply."""
    parts = [part if isinstance(part, tuple) else (part, "") for part in subtasks]
    listed = [{"title": title, "probe": probe} for title, probe in parts]
    return json.dumps({"reason": "one step after the other", "subtasks": listed})


def verdict(*findings: str) -> str:
    """A critic's reply."""
    listed = [{"severity": "blocks", "finding": each} for each in findings]
    return json.dumps({"reason": "looked at", "findings": listed, "ok": not findings})


def whole(path: str, text: str) -> str:
    """An EDIT of a whole file."""
    return f"EDIT {path}\n```\n{text}```"


class Scripted(Nobody):
    """Serves every role from one script. Thread-safe."""

    def __init__(self, script: Script | Iterable[str | Exception], *, context: int = 16_384) -> None:
        self.requests: list[Request] = []
        self.down = ""  # why no role can be served
        self._lock = threading.Lock()
        self._context = context
        if callable(script):
            self._script: Script = script
        else:
            lines = list(script)

            def reply(_: Request, before: int) -> str:
                said = lines[before] if before < len(lines) else AssertionError("the script is over")
                if isinstance(said, Exception):
                    raise said
                return said

            self._script = reply

    def obstacle(self, roles: frozenset[str]) -> str | None:
        return self.down or None

    def choose(self, role: str, larger: int = 0) -> Chosen:
        return Chosen(
            provider="scripted",
            version="1",
            model=f"scripted-{role}" + ("-larger" if larger else ""),
            digest="0" * 64,
            context=self._context,
            think=None,
            think_more=None,
            temperature=0.0,
            whole_file=150,
        )

    def chat(
        self, chosen: Chosen, request: Request, hear: Callable[[Heard], None], stop: threading.Event
    ) -> Reply | None:
        with self._lock:
            before = len(self.requests)
            self.requests.append(request)
        text = self._script(request, before)
        hear(Text(text))
        usage = Usage(prompt=100, cached=90, reply=10, first=0.0, seconds=0.0)
        hear(Final(usage))
        if not text:
            raise ProviderError("empty", "nothing came")
        return Reply("", text, usage)


def last(request: Request) -> str:
    """What the model was told last."""
    return request.messages[-1].content


def talked(request: Request) -> list[tuple[str, str]]:
    """The whole conversation."""
    return [(message.role, message.content) for message in request.messages]


def body(**more: Any) -> dict[str, Any]:
    """Keys of a `code` ticket that adds `new.txt`."""
    return {
        "kind": "code",
        "goal": "Add the file new.txt",
        "accept": [{"run": "test -f new.txt", "red": True}],
        **more,
    }
