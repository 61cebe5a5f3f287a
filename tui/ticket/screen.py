"""A ticket's screen: left its tree, right what the selected part of it gave."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from textual.containers import Container
from textual.widget import Widget

from state.agent_view import AgentView, has_agent
from state.blobs import BlobDamaged
from state.views import Attempt, Receipt, Ticket
from tui.commands import MOVING, ON_TICKET, Command
from tui.context import Context
from tui.diff import Diff, DiffDoc, load
from tui.editor import open_bytes, open_path
from tui.feed import Change
from tui.lines import Line, Lines, Text
from tui.page import Page
from tui.tabs import TabBar
from tui.ticket.agent_bar import AgentBar
from tui.ticket.context_page import context_page
from tui.ticket.events import EventsDoc
from tui.ticket.given import Given
from tui.ticket.overview import overview, receipts_page
from tui.ticket.run_line import RunLine
from tui.ticket.take_over import TakesOver
from tui.ticket.tree import Tree, TreeDoc

TABS = ("Overview", "Output", "Diff", "Checks", "Events", "Files", "Context")
_OVERVIEW, _OUTPUT, _DIFF, _CHECKS, _EVENTS, _FILES, _CONTEXT = range(7)


class TicketScreen(TakesOver):
    """Two panes; the keys that move act on the one that is active."""

    NAME = "ticket"
    TITLE_ = "ticket"
    KEYMAP = (
        Command("tab:1", ("tab",), "next tab", "The next tab", bar=True, group="Move", listed=False),
        Command("tab:-1", ("shift+tab",), "tab before", "The tab before", group="Move", listed=False),
        Command(
            "pane:1",
            ("right", "l"),
            "to the text",
            "Unfold, or to the right pane",
            group="Move",
            listed=False,
        ),
        Command("pane:-1", ("left", "h"), "to the tree", "Fold, or to the tree", group="Move", listed=False),
        Command("fold", ("enter", "space"), "fold", "Fold a task; on an action: its output"),
        Command("follow", ("f",), "follow", "Follow the running action again", bar=True),
        Command(
            "edit",
            ("o",),
            "open",
            "Open the diff or output shown, else the worktree; an agent's you take over",
            bar=True,
        ),
        Command("handback", ("O",), "hand back", "Hand the worktree you took over back: its checks run"),
        *ON_TICKET,
        Command("attempt:-1", ("[",), "attempt before", "The attempt before"),
        Command("attempt:1", ("]",), "next attempt", "The attempt after"),
        *MOVING,
    )

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.ticket_id = ""
        self.following = True
        self.parts = Tree()
        self.tree_pane = Lines(context, cursor=True)
        self.tree_pane.clicked = self._tree_clicked
        self.text_pane = Lines(context)
        self.tree_bar = TabBar(context, ["Tree"], lambda at: None)
        self.tabs = TabBar(context, TABS, self._open_tab)
        self.on_tree = True
        self.ticket: Ticket | None = None
        self.attempts: list[Attempt] = []
        self.receipts: list[Receipt] = []
        self.number = 0
        self._diff: tuple[str, Diff] = ("", Diff())
        self.agent = AgentView("", 0)
        self.agent_bar = AgentBar(context)
        self._given = Given(context)
        self._agent_of: object = None
        self._events: EventsDoc | None = None
        self._shown: object = None
        self._run = RunLine(context)

    def body(self) -> Iterable[Widget]:
        """Two panes with a line above each."""
        side = Container(self.tree_bar, self.tree_pane, classes="side")
        main = Container(self.tabs, self.text_pane, classes="main")
        yield self.agent_bar
        yield Container(side, main, classes="panes")

    @property
    def target(self) -> str:
        """The ticket that commands are about."""
        return self.ticket_id

    def why_not(self, name: str) -> str:
        """Why a command does nothing now."""
        verb, _, argument = name.partition(":")
        if verb == "attempt" and self.number + int(argument) not in {a.number for a in self.attempts}:
            return f"there is no attempt {'before' if argument == '-1' else 'after'} this one"
        if name == "follow" and self.following and (self.text_pane.sticky or not self.pulsing):
            return "the running action is followed already"
        return super().why_not(name)

    # Showing -------------------------------------------------------------------------------------

    def visit(self, ticket: str) -> None:
        """Show a ticket; coming back to the same one, everything stands as it was left."""
        if ticket and ticket != self.ticket_id:
            self.ticket_id, self.number, self.following, self.on_tree = ticket, 0, True, True
            self.context.selected = ticket
            self.parts = Tree()
            self.tabs.at = _OVERVIEW
            self._events, self._shown = None, None
            self._given.forget()
            self._load()

    def feed_changed(self, change: Change) -> None:
        """Load the ticket anew where it is the one that changed."""
        if change.everything or self.ticket_id in change.tickets:
            self._load()
        super().feed_changed(change)

    def _load(self) -> None:
        journal = self.context.feed.journal
        if journal is None or not self.ticket_id:
            return
        views, latest = journal.views, self.number in (0, max((a.number for a in self.attempts), default=0))
        self.ticket = views.ticket(self.ticket_id)
        if self.ticket is None:
            return
        self.attempts = views.attempts(self.ticket_id)
        if latest:
            self.number = self.ticket.card.attempt
        self.receipts = views.receipts(self.ticket_id, self.number)
        selected = self._selected_key()
        self.parts.fill(views.nodes(self.ticket_id, self.number))
        proposals = views.proposals(self.ticket_id, self.number)
        name = next((p.diff for p in reversed(proposals) if p.diff), "")
        if name != self._diff[0]:
            self._diff = (name, load(self.context.blobs, name) if name else Diff())
        if self._events is not None:
            self._events.more()
        of = (self.ticket_id, self.number, journal)
        if of != self._agent_of:
            self.agent, self._agent_of = AgentView(self.ticket_id, self.number), of
        if has_agent(self.ticket.card):
            self.agent.more(views)
        self.agent_bar.show(self.agent)
        self.tabs.names = list(TABS if self.agent.there else TABS[:_CONTEXT])
        self.tabs.at = min(self.tabs.at, len(self.tabs.names) - 1)
        self._show_tree(self.parts.current() if self.following else selected)
        self._show_text(keep=True)

    def _selected_key(self) -> str:
        rows = self.parts.rows
        return rows[self.tree_pane.at].key if self.tree_pane.at < len(rows) else ""

    def _show_tree(self, key: str) -> None:
        if self.ticket is None:
            return
        doc = TreeDoc(self.parts, self.ticket.card, self.context.look, self.context.now, self.on_tree)
        self.tree_pane.show(doc, keep=True)
        self.tree_pane.put(self.parts.place(key))
        word = f"attempt {self.number}" if self.number else "not tried yet"
        if self.number and self.following:
            word += ", following"
        self.tree_bar.names = [f"{self.ticket_id}  {word}"]
        self.tree_bar.sync()

    def _show_text(self, keep: bool = False) -> None:
        if self.ticket is None:
            return
        look, pane, tab = self.context.look, self.text_pane, self.tabs.at
        node = self.parts.action(self._selected_key())
        shown = (tab, self.ticket_id, self.number, node.id if node and tab == _OUTPUT else "", look)
        keep = keep and shown == self._shown
        self._shown = shown
        pane.sticky = tab == _OUTPUT if not keep else pane.sticky
        if tab == _OUTPUT:
            pane.show(self._given.show(self.ticket_id, self.number, node, self.agent), keep=keep)
        elif tab == _DIFF:
            self._show_diff(keep)
        elif tab == _EVENTS:
            self._show_events(keep)
        else:
            pages = {_OVERVIEW: self._overview, _CHECKS: self._checks, _FILES: self._files}
            pane.show(Text(pages.get(tab, self._ledger)), keep=keep)
        self.tabs.sync()

    def _overview(self, cells: int) -> list[Line]:
        assert self.ticket is not None
        import json

        card, feed = self.ticket.card, self.context.feed
        needs = {
            id_: feed.cards[id_].state if id_ in feed.cards else "unknown" for id_ in json.loads(card.needs)
        }
        page = Page(self.context.look, cells)
        asks, now = self.ticket_id in feed.asking, self.context.now()
        run = self._run.of(self.ticket_id, self.number)
        return overview(page, self.ticket, self.attempts, self.receipts, needs, asks, now, run).lines

    def _checks(self, cells: int) -> list[Line]:
        return receipts_page(Page(self.context.look, cells), self.receipts, self.context.look).lines

    def _ledger(self, cells: int) -> list[Line]:
        """Of the call that is selected, else of the last one that has a ledger."""
        node = self.parts.action(self._selected_key())
        call = self.agent.calls.get(node.seq) if node is not None else None
        if call is None or not call.ledger:
            call = next((each for each in reversed(self.agent.calls.values()) if each.ledger), None)
        return context_page(Page(self.context.look, cells), call, self.context.blobs).lines

    def _files(self, cells: int) -> list[Line]:
        assert self.ticket is not None
        page, workspace = Page(self.context.look, cells), self.context.workspace
        page.title("Where things are")
        page.gap()
        page.field("spec", self.ticket.path)
        page.field("revision", self.ticket.revision, "faint")
        tried = next((a for a in self.attempts if a.number == self.number), None)
        if tried is None:
            page.gap()
            page.text("It has not been tried yet: there is no branch and no worktree.", "muted")
            return page.lines
        for label, path in (
            ("worktree", workspace.worktree(self.ticket_id, self.number)),
            ("run folder", workspace.run(self.ticket_id, self.number)),
        ):
            there = path.is_dir()
            page.field(label, self._relative(path) if there else f"{self.context.look.g.dash}", "text")
        page.field("branch", tried.branch or self.context.look.g.dash)
        page.field(
            "base", f"{tried.base_ref} at {tried.base[:12]}" if tried.base else self.context.look.g.dash
        )
        if tried.commit:
            page.field("landed as", tried.commit)
        if tried.artifact:
            page.head("Artifact")
            for key, value in tried.artifact.items():
                page.field(str(key), str(value))
        page.gap()
        page.text("o opens the worktree, or the spec where there is none.", "faint")
        return page.lines

    def _relative(self, path: Path) -> str:
        root = self.context.workspace.root
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)

    def _show_diff(self, keep: bool) -> None:
        name, diff = self._diff
        if not name:
            said = "There is no diff yet: it is made when the merge is proposed."
            self.text_pane.show(Text(lambda cells: self._said(cells, said)), keep=keep)
            return
        self.text_pane.show(DiffDoc(diff, self.context.look), keep=keep)

    def _show_events(self, keep: bool) -> None:
        journal = self.context.feed.journal
        if journal is not None and (self._events is None or not keep):
            self._events = EventsDoc(journal.views, self.ticket_id, self.context.look)
        self.text_pane.show(self._events, keep=keep)

    def _said(self, cells: int, text: str) -> list[Line]:
        page = Page(self.context.look, cells)
        page.text(text, "muted")
        return page.lines

    @property
    def pulsing(self) -> bool:
        """An output is on the screen that may grow."""
        return self.tabs.at == _OUTPUT and self._given.follows

    def pulse(self) -> None:
        """Follow what is being printed."""
        if self.pulsing and (doc := self._given.more()) is not None:
            self.text_pane.show(doc, keep=True)

    def tick(self) -> None:
        """Running times go on."""
        if self.ticket is not None and any(r.node and r.node.state == "running" for r in self.parts.rows):
            for at, row in enumerate(self.parts.rows):
                if row.node is not None and row.node.state == "running":
                    self.tree_pane.repaint_line(at)
        self.agent_bar.sync()
        super().tick()

    # Keys ----------------------------------------------------------------------------------------

    def _move(self, move: str, by: int) -> None:
        if not self.on_tree:
            pane = self.text_pane
            {"move": pane.move, "page": pane.page}.get(move, lambda n: pane.end(n > 0))(by)
            return
        before = self.tree_pane.at
        pane = self.tree_pane
        {"move": pane.move, "page": pane.page}.get(move, lambda n: pane.end(n > 0))(by)
        if pane.at != before:
            self._moved()

    def _moved(self) -> None:
        self.following = False
        self._show_tree(self._selected_key())
        if self.tabs.at in (_OUTPUT, _CONTEXT):
            self._show_text()

    def do_move(self, by: str) -> None:
        """By a line."""
        self._move("move", int(by))

    def do_page(self, by: str) -> None:
        """By a window."""
        self._move("page", int(by))

    def do_end(self, by: str) -> None:
        """To an end."""
        self._move("end", int(by))

    def do_tab(self, by: str) -> None:
        """Another tab."""
        self._open_tab((self.tabs.at + int(by)) % len(self.tabs.names))

    def _open_tab(self, at: int) -> None:
        self.tabs.at = at
        self._show_text()
        self.sync_bars()

    def do_pane(self, by: str) -> None:
        """The other pane; in the tree: fold and unfold first."""
        row = self.parts.rows[self.tree_pane.at] if self.tree_pane.at < len(self.parts.rows) else None
        if self.on_tree and row is not None and row.depth == 1 and row.folds:
            shut = row.key in self.parts.folded
            if (by == "1") == shut:
                self._fold(row.key, not shut)
                return
        self.on_tree = by == "-1"
        self._show_tree(self._selected_key())

    def do_fold(self) -> None:
        """Fold a task; show the output of an action."""
        row = self.parts.rows[self.tree_pane.at] if self.tree_pane.at < len(self.parts.rows) else None
        if row is not None and row.depth == 1 and row.folds:
            self._fold(row.key, row.key not in self.parts.folded)
        else:
            self._open_tab(_OUTPUT)

    def _fold(self, key: str, shut: bool) -> None:
        self.following = False
        self.parts.fold(key, shut)
        self._show_tree(key)

    def _tree_clicked(self, at: int) -> None:
        self.on_tree = True
        again = at == self.tree_pane.at
        self.tree_pane.put(at)
        self._moved()
        if again:
            self.do_fold()

    def do_follow(self) -> None:
        """Follow the running action again."""
        self.following = True
        self._show_tree(self.parts.current())
        self._show_text()

    def do_attempt(self, by: str) -> None:
        """Another attempt."""
        self.number += int(by)
        self.following = self.number == max(a.number for a in self.attempts)
        self._diff = ("", Diff())
        number = self.number
        self._load()
        if self.number != number:
            self.number = number
            self._load()

    def do_edit(self) -> None:
        """Open what the tab shows in the editor; an agent's worktree is taken over with it."""
        blobs, tab = self.context.blobs, self.tabs.at
        try:
            if tab == _DIFF and self._diff[0]:
                why = open_bytes(self.app, blobs.get(self._diff[0]), f"{self.ticket_id}.diff")
            elif tab == _OUTPUT and self._given.path is not None:
                why = open_bytes(self.app, self._given.path.read_bytes(), f"{self.ticket_id}.log")
            elif self.can_take:
                why = ""
                self.take_over()
            else:
                worktree = self.context.workspace.worktree(self.ticket_id, self.number)
                spec = self.context.workspace.root / (self.ticket.path if self.ticket else "")
                why = open_path(self.app, worktree if worktree.is_dir() else spec)
        except (BlobDamaged, OSError) as error:
            why = str(error)
        if why:
            self.context.say(why, "failed")

    def look_changed(self) -> None:
        """Other colours."""
        self._given.forget()
        self._show_tree(self._selected_key())
        self._show_text(keep=False)
        super().look_changed()
