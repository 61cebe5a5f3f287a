"""The client of the mind: whoever asks the trained core goes through a `Mind` of its own.

It starts the host (`orchestrator/lab/host.py`), which alone loads the models; it may be asked by many threads
at once. A host that ended is started again, and a question that changes nothing asked once more; one that
ends twice in a row is left alone for a while. After a reply the reflection is written down
(`state/reflections.py`); that it can't be is no reason to hold back the answer.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from orchestrator.extras import MODELS, lacking
from orchestrator.lab import interactions
from orchestrator.lab.link import Gone, Link, MindError
from state import reflections
from state.errors import JournalError
from state.journal import Journal
from state.safe_text import safe
from state.workspace import Workspace

__all__ = ["Mind", "MindError"]

START = 120.0
"""Seconds that loading the models may take: a cold disk and a busy machine are no fault."""
ANSWER = 60.0
"""Seconds that a reply may take where the caller names no other limit; a correction learns for some."""
CHANGES = ("correct", "memory")
"""What is not asked again by itself after the host ended: it may have been done."""
NO_CORE = "no core yet: `jetbox core adopt NAME=RUN` takes a trained model as its first version"
_SAID = 200  # characters of a correction in a reflection
_LETTING = 40.0  # seconds that a host may take to finish a correction after it was told to end
_PAUSE = 30.0  # seconds after two ends in a row

Finder = Callable[[], Sequence[str]]
"""The command of the host; MindError where there is nothing to start."""


class Mind:
    """A mind of one's own. `close` it, or use it as a context."""

    def __init__(self, find: Finder) -> None:
        self._find = find
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._falls, self._fell, self._closed = 0, 0.0, False
        self._retired: list[Link] = []
        self._workspace: Workspace | None = None
        self._journal: Journal | None = None
        self._version, self._keep = -1, False

    @classmethod
    def open(cls, workspace: Workspace, command: Sequence[str] | None = None) -> Mind:
        """Start a mind over the workspace's core, and return while it loads (`ready` waits).

        Args:
            workspace: its `.jetbox` holds the core and the memories.
            command: of a host; the real one over the verified core where it is left out.

        Raises:
            MindError: missing, none, or core where there is nothing to start; the line says what to do.
        """
        mind = cls(lambda: command if command is not None else host_command(workspace))
        mind._workspace = workspace
        mind._here()
        return mind

    @property
    def core(self) -> str:
        """The digest of the core that answers; '' before it is ready."""
        return self._link.core if self._link else ""

    @property
    def pid(self) -> int | None:
        """Of the host that answers now."""
        return self._link.pid if self._link and self._link.lives else None

    def ready(self, timeout: float = START) -> None:
        """Wait until it can answer; MindError says why it can't."""
        try:
            self._here().ready(timeout)
        except Gone as gone:
            raise MindError("gone", f"the mind can't be started: {gone}") from None

    def ask(self, do: str, timeout: float = ANSWER, **fields: Any) -> dict[str, Any]:
        """The reply to one request of docs/mind.md, without `id` and `ok`. Threads may ask at once.

        Raises:
            MindError: the mind refuses it, or can't answer; `reason` and the line say why.
        """
        for again in (False, True):
            link = self._here()
            try:
                link.ready(START)
                reply = link.call(do, fields, timeout)
            except Gone as gone:
                if again or do in CHANGES or self._closed:
                    unsure = "; whether it was done is seen in the list of memories" if do in CHANGES else ""
                    raise MindError("gone", f"the mind ended while it answered: {gone}{unsure}") from None
                continue
            self._falls = 0
            return self._told(do, fields, reply)
        raise AssertionError("unreachable")

    def renew(self) -> None:
        """End the host, so that the next question is answered by the core that is current then."""
        with self._lock:
            link, self._link = self._link, None
            if link:
                self._retired = [each for each in self._retired if each.lives] + [link]
        if link:  # what it was asked before is still answered
            threading.Thread(target=link.close, args=(_LETTING,), name="retired-mind", daemon=True).start()

    def close(self) -> None:
        """End it. Twice is no error."""
        with self._lock:
            self._closed = True
            links, self._link, self._retired = [*self._retired, self._link], None, []
            journal, self._journal = self._journal, None
        if journal is not None:
            journal.close()
        for link in links:
            if link:
                link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -------------------------------------------------------------------------------------------------

    def _here(self) -> Link:
        """The host that lives; a new one where it ended."""
        with self._lock:
            if self._closed:
                raise MindError("closed", "this mind was closed")
            if self._link is not None and not self._link.lives:
                self._link.close()
                self._link = None
                self._falls, self._fell = self._falls + 1, time.monotonic()
            if self._link is None:
                if self._falls >= 2 and time.monotonic() - self._fell < _PAUSE:
                    raise MindError(
                        "gone", f"the mind ended {self._falls} times in a row: try again in {_PAUSE:.0f} s"
                    )
                self._link = Link(self._find())
            return self._link

    def _told(self, do: str, fields: dict[str, Any], reply: dict[str, Any]) -> dict[str, Any]:
        """A reply as the caller has it: what is wrong is raised."""
        body = {name: value for name, value in reply.items() if name not in ("id", "ok")}
        if not reply["ok"]:
            reason = str(body.get("reason", "internal"))[:40]
            raise MindError(reason, safe(str(body.get("error", "it did not say why"))[:500]))
        if do in ("reason", "reflect"):
            body["record"] = self._kept(fields, body, None)
        elif do == "correct" and isinstance(body.get("before"), dict):
            body["record"] = self._kept(fields, body["before"], fields.get("answer"))
            body["proposed"] = self._proposed(str(fields.get("memory", "default")))
        return body

    def _proposed(self, memory: str) -> str:
        """The ticket of a proposal, where this correction was one of a kind that recurs; ''."""
        if self._workspace is None or not self._workspace.journal.exists():
            return ""
        from orchestrator.core.propose import consider
        from state.core import CoreRefused
        from tickets.problems import TicketError

        try:
            return consider(self._workspace, memory)
        except (CoreRefused, JournalError, TicketError, OSError):  # the correction holds without it
            return ""

    def _kept(self, fields: dict[str, Any], answer: dict[str, Any], corrected: Any) -> str:
        """Write the reflection down, and the whole where the person wants it kept; its id, '' where not."""
        home = self._workspace.home if self._workspace else None
        if self._workspace is None or home is None or not home.is_dir():
            return ""
        try:
            right = None if corrected is None else str(corrected)[:_SAID]
            made = reflections.of_answer(fields, answer, self.core, right)
            reflections.write(home, made)
        except (OSError, ValueError, TypeError):
            return ""
        if self._keeping(self._workspace):
            with contextlib.suppress(OSError, ValueError, TypeError):
                interactions.keep(self._workspace, fields, answer, corrected)
        return made.id

    def _keeping(self, workspace: Workspace) -> bool:
        """Whether the person said so; looked at again where the journal's file has changed."""
        try:
            with self._lock:
                if self._journal is None:
                    self._journal = Journal.read(workspace.journal)
                if (now := self._journal.version()) != self._version:
                    self._keep, self._version = interactions.wanted(self._journal), now
                return self._keep
        except JournalError:
            return False


def host_command(workspace: Workspace, digest: str = "") -> list[str]:
    """The command of the real host over a version, else the verified core; MindError where there is none."""
    if missing := lacking(MODELS, "asking the trained core"):
        raise MindError("missing", missing)
    digest = digest or current_core(workspace)
    return [sys.executable, "-P", "-m", "orchestrator.lab.host", str(workspace.home), digest]


def current_core(workspace: Workspace) -> str:
    """The digest of the core in force, its files checked; MindError where there is none or it is refused."""
    from orchestrator import seals
    from state.core import verified
    from tickets.problems import TicketError

    if not workspace.journal.exists():
        raise MindError("none", NO_CORE)
    try:
        journal = Journal.read(workspace.journal)
        try:
            now = verified(journal, workspace, seals.yours())
        finally:
            journal.close()
    except (JournalError, TicketError) as error:
        raise MindError("core", safe(str(error))) from None
    if now.version is None:
        raise MindError("core" if now.standing.settings else "none", safe(now.why))
    return now.version.digest
