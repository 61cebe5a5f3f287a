"""Events of the journal, as they are written, for clients that follow: server-sent events.

Each event's `id` is its seq, so a client that names the last one it has (`Last-Event-ID`) gets every later
one, each once, in order. A heartbeat comes where nothing else does. What a client does not take is not read
for it: at most one portion waits, and who takes nothing for a while is let go by the guard.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import suppress

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from orchestrator.web.desk import Desk, Sorry
from state.errors import JournalError, JournalMissing
from state.events import Event
from state.journal import Journal

CLIENTS = 16
"""Who may follow at once."""
HEARTBEAT = 15.0
"""Seconds of silence before a comment is sent."""
_LOOK = 0.1  # seconds between looks at the journal's version
_PORTION = 100  # events that are read at once


class Feed:
    """Who follows the journal of a workspace."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._path = desk.workspace.journal
        self._clients = 0
        self._over = threading.Event()

    @property
    def clients(self) -> int:
        """How many follow now."""
        return self._clients

    def close(self) -> None:
        """End every stream; also from another thread or a signal handler."""
        self._over.set()

    def follow(self, after: str | None) -> Stream:
        """A stream of the events after a seq; of those from now on where none is named.

        Raises:
            Sorry: 400 where it is no seq, 409 where the journal has none such, 503 where too many follow.
        """
        head = self._desk.head()
        if after is not None and not (after.isascii() and after.isdigit() and len(after) < 16):
            raise Sorry(400, "id", "Last-Event-ID is the seq of an event: a whole number")
        seq = head if after is None else int(after)
        if seq > head:
            raise Sorry(409, "id", f"the journal ends at {head}: it is not the one that {seq} was read from")
        if self._over.is_set():
            raise Sorry(503, "closed", "`jetbox serve` is ending")
        if self._clients >= CLIENTS:
            raise Sorry(503, "busy", f"{CLIENTS} follow already")
        return Stream(self, seq)

    async def _frames(self, seq: int) -> AsyncIterator[bytes]:
        journal: Journal | None = None
        silent, version = 0.0, -1
        yield b"retry: 1000\n\n"
        try:
            while not self._over.is_set():
                if journal is None:
                    journal = await asyncio.to_thread(self._opened)
                found: list[Event] = []
                if journal is not None and (now := journal.version()) != version:
                    found = await asyncio.to_thread(journal.events, seq, limit=_PORTION)
                    version = now if len(found) < _PORTION else -1
                for each in found:
                    seq = each.seq
                    yield frame(each)
                    silent = 0.0
                if not found:
                    await asyncio.sleep(_LOOK)
                    silent += _LOOK
                if silent >= HEARTBEAT:
                    yield b": still here\n\n"
                    silent = 0.0
        except JournalError as error:
            line = json.dumps({"error": str(error), "reason": "journal"})
            yield f"event: error\ndata: {line}\n\n".encode()
        finally:
            if journal is not None:
                journal.close()

    def _opened(self) -> Journal | None:
        with suppress(JournalMissing):
            return Journal.read(self._path)
        return None


class Stream(StreamingResponse):
    """One client that follows. It counts as long as it is answered, however that ends."""

    def __init__(self, feed: Feed, seq: int) -> None:
        self._feed, self._held = feed, feed._frames(seq)
        super().__init__(self._held, media_type="text/event-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client leaves or all is over."""
        self._feed._clients += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._feed._clients -= 1
            await self._held.aclose()  # type: ignore[attr-defined]


def frame(event: Event) -> bytes:
    """An event as a client gets it: its JSON has no line break, so it is one `data` line."""
    body = {
        "seq": event.seq,
        "at": event.at,
        "ticket": event.ticket,
        "attempt": event.attempt,
        "type": event.type,
        "body": event.body,
    }
    data = json.dumps(body, separators=(",", ":"))
    return f"id: {event.seq}\nevent: {event.type}\ndata: {data}\n\n".encode()
