"""The loop of the mind: lines in, lines out, in the order they came; idle, it lets stale memories learn.

Whatever goes wrong with one request is its reply; the loop goes on. A part of the core that is not what it
was when it was opened ends the mind: nothing it says would count.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

from datagen.errors import DataError
from model.errors import CoreChanged, ModelError
from model.mind import request as requests
from model.mind.errors import MindRefused

PROTOCOL = 1
Alone = Callable[[str], AbstractContextManager[bool]]
"""A block in which this process alone changes the memory of that name; False where another does."""
_LINES = 256  # read ahead, at most


def main(source: BinaryIO, sink: BinaryIO, home: Path, digest: str, alone: Alone) -> int:
    """Open a core, say that it is ready, and answer until the input ends; the exit status.

    Args:
        source: requests, one a line.
        sink: replies; nothing else may be written to it.
        home: the workspace's `.jetbox`.
        digest: of the version of the core.
        alone: keeps two minds from changing one memory at a time.
    """
    began = time.monotonic()
    try:
        session = _opened(home, digest, alone)
    except (ModelError, DataError, OSError, ValueError) as error:
        _say(sink, {"ready": False, "error": _line(error)})
        return 1
    _say(
        sink,
        {"ready": True, "protocol": PROTOCOL, "core": digest, "seconds": round(time.monotonic() - began, 3)},
    )
    lines: queue.Queue[bytes] = queue.Queue(_LINES)
    threading.Thread(target=_read, args=(source, lines), daemon=True, name="requests").start()
    while True:
        try:
            line = _next(lines, session)
        except CoreChanged as error:
            print(_line(error), file=sys.stderr)
            return 1
        if not line:
            return 0
        reply, sound = _reply(session, line)
        _say(sink, reply)
        if not sound:
            return 1


def _opened(home: Path, digest: str, alone: Alone) -> Any:
    import torch

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    from model.mind.core import open_core
    from model.mind.memories import Memories
    from model.mind.session import Session

    core = open_core(home, digest)
    return Session(core, Memories(home / "memories", core, alone))


def _next(lines: queue.Queue[bytes], session: Any) -> bytes:
    """The next line; while there is none, what is stale learns again."""
    while True:
        try:
            return lines.get_nowait()
        except queue.Empty:
            if not _refreshed(session):
                return lines.get()


def _refreshed(session: Any) -> bool:
    """Whether a stale memory has learned again, so that there may be another."""
    try:
        return bool(session.memories.refreshed())
    except CoreChanged:
        raise
    except Exception:  # the boundary: who asks for this memory is told
        traceback.print_exc(file=sys.stderr)
        return False


def _read(source: BinaryIO, lines: queue.Queue[bytes]) -> None:
    while line := source.readline(requests.LINE + 1):
        lines.put(line)
    lines.put(b"")


def _reply(session: Any, line: bytes) -> tuple[dict[str, Any], bool]:
    """What is said to a line, and whether the mind may go on."""
    number: int | None = None
    try:
        asked = requests.parse(line)
        number = asked.number
        return {**session.answer(asked), "id": number, "ok": True}, True
    except MindRefused as error:
        number = requests.number_of(line) if number is None else number
        return _refusal(number, error.reason, str(error)), True
    except CoreChanged as error:
        return _refusal(number, "core", _line(error)), False
    except Exception as error:  # the boundary: one request that fails is no end of the mind
        traceback.print_exc(file=sys.stderr)
        return _refusal(number, "internal", _line(error)), True


def _refusal(number: int | None, reason: str, line: str) -> dict[str, Any]:
    return {"id": number, "ok": False, "reason": reason, "error": line}


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return "".join(each if each.isprintable() else "?" for each in text)[:500]


def _say(sink: BinaryIO, body: dict[str, Any]) -> None:
    sink.write(json.dumps(body, sort_keys=True, allow_nan=False).encode() + b"\n")
    sink.flush()
