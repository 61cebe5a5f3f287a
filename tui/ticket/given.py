"""What the selected action gave, followed while it runs: what a command printed, what a model says.

For an agent's actions: the stream of the call that runs, the recorded reply of one that is over, and what the
model was shown of what it did.
"""

from __future__ import annotations

from pathlib import Path

from state.agent_view import AgentView, Call
from state.blobs import BlobDamaged
from state.stream import MOST, Piece, Reader
from state.views import Node
from tui.amounts import count
from tui.context import Context
from tui.lines import Doc, Line, Text
from tui.page import Page
from tui.ticket.output import OutputDoc, Tail
from tui.ticket.talk import TalkDoc
from tui.times import span


class Given:
    """Finds it, and looks for more of it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._tail: Tail | None = None
        self._reader: Reader | None = None
        self._talk: TalkDoc | None = None
        self._of: object = None
        self._node: Node | None = None
        self._note = ""

    def forget(self) -> None:
        """Another ticket, attempt or look: nothing of before counts."""
        self._tail, self._reader, self._talk, self._of, self._node = None, None, None, None, None

    @property
    def follows(self) -> bool:
        """Whether more may come."""
        running = self._node is not None and self._node.state == "running"
        return running and (self._tail is not None or self._reader is not None)

    @property
    def path(self) -> Path | None:
        """The file that is shown, for an editor; None where there is none, or more is to come."""
        if self._node is None or (self._node.state == "running" and self._reader is not None):
            return None
        if self._tail is not None:
            return self._tail.path
        name = str(self._node.detail.get("reply") or "")
        try:
            return self._context.blobs.path(name) if name else None
        except BlobDamaged:
            return None

    def show(self, ticket: str, attempt: int, node: Node | None, agent: AgentView) -> Doc:
        """The document of an action, or of nothing."""
        self._node = node
        call = agent.calls.get(node.seq) if node is not None else None
        if node is None:
            self.forget()
            return self._said("Nothing has run here yet.")
        if call is not None:
            return self._call(ticket, attempt, call)
        self._reader = self._talk = self._of = None
        return self._output(ticket, attempt, node)

    def more(self) -> Doc | None:
        """The document with what has come since, or None when nothing has."""
        if self._reader is not None:
            return self._talk if self._hear() else None
        if self._tail is not None and self._tail.read():
            return self._printed()
        return None

    # What a model says ---------------------------------------------------------------------------

    def _call(self, ticket: str, attempt: int, call: Call) -> Doc:
        self._tail = None
        of = (ticket, attempt, call.seq, call.state, self._context.look)
        if of == self._of and self._talk is not None:
            return self._talk
        self._of, self._reader = of, None
        if call.state == "running":
            self._reader = Reader(self._context.workspace.stream(ticket, attempt))
            self._talk = TalkDoc(self._context.look, f"{call.who}: speaks now, followed")
            self._hear()
            return self._talk
        self._talk = TalkDoc(self._context.look, _told(call))
        for sort, blob in (("think", call.thinking), ("text", call.reply)):
            if blob:
                self._talk.add([Piece(sort, self._text(blob))])
        if call.says:
            role = "call" if call.state == "done" and not call.says.startswith("no ") else "note"
            self._talk.add([Piece(role, call.says)])
        return self._talk

    def _hear(self) -> bool:
        assert self._reader is not None and self._talk is not None
        anew, pieces = self._reader.more()
        if anew:
            self._talk = TalkDoc(self._context.look, self._talk.note)
        self._talk.add(pieces)
        return anew or bool(pieces)

    def _text(self, blob: str) -> str:
        try:
            return self._context.blobs.get(blob, MOST).decode("utf-8", "replace")
        except BlobDamaged as error:
            return str(error)

    # What was printed ----------------------------------------------------------------------------

    def _output(self, ticket: str, attempt: int, node: Node) -> Doc:
        blobs, workspace = self._context.blobs, self._context.workspace
        seen, says = node.detail.get("observation"), node.detail.get("says")
        self._note = f"{node.title}: {says or node.state}"
        name = node.output or (seen if isinstance(seen, str) else "")
        if node.state == "running":
            live, run = workspace.live(ticket, attempt), workspace.run(ticket, attempt) / "output.log"
            path = run if run.exists() and not live.exists() else live
            self._note = f"{node.title}: running, followed"
        elif name:
            try:
                path = blobs.path(name)
            except BlobDamaged as error:
                return self._said(str(error))
        else:
            self._tail = None
            return self._said(f"{self._note}, it printed nothing")
        if self._tail is None or self._tail.path != path:
            self._tail = Tail(path)
            self._tail.read()
        return self._printed()

    def _printed(self) -> Doc:
        assert self._tail is not None
        tail, note = self._tail, self._note
        if tail.skipped:
            note += f", the first {tail.skipped:,} bytes are left out: o opens all of it"
        lines = tail.all_lines()
        if tail.problem:
            note = tail.problem
        elif not lines:
            note += ", nothing printed"
        return OutputDoc(lines, self._context.look, note)

    def _said(self, text: str) -> Doc:
        def make(cells: int) -> list[Line]:
            page = Page(self._context.look, cells)
            page.text(text, "muted")
            return page.lines

        return Text(make)


def _told(call: Call) -> str:
    """What a call cost, in one line."""
    parts = [f"{call.who}: {call.state}", span(call.seconds)]
    if call.prompt or call.replied:
        cached = f" ({count(call.cached)} cached)" if call.cached else ""
        parts.append(f"read {count(call.prompt)}{cached}, wrote {count(call.replied)} tokens")
    return ", ".join(parts)
