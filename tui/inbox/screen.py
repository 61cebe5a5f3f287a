"""The inbox: what waits, what it would do, and the keys that decide.

What is approved is exactly the digest of what was painted: it is taken from the item on the screen when
it is drawn and handed on unchanged, so that anything that moved meanwhile is refused, never approved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.containers import Container
from textual.widget import Widget

from state.blobs import BlobDamaged
from state.views import Proposal
from tui.commands import MOVING, Command
from tui.context import Context
from tui.diff import Diff, DiffDoc, load
from tui.editor import open_bytes, open_path
from tui.feed import Change
from tui.inbox import core
from tui.inbox.deciding import Deciding
from tui.inbox.detail import detail, title_of
from tui.inbox.listing import ROWS, ListDoc
from tui.inbox.offer import WITH_NUMBER, refusal
from tui.inbox.question import has_options, options, recommended
from tui.lines import Line, Lines, Text
from tui.page import Page
from tui.sheets.confirm import TypeToConfirm
from tui.sheets.gate import TOO_SOON, settled
from tui.tabs import TabBar

if TYPE_CHECKING:
    pass

_SUMMARY, _DIFF = 0, 1
_DECIDING = ("approve", "deny", "comment")


class InboxScreen(Deciding):
    """A list and the item that is selected in it."""

    NAME = "inbox"
    TITLE_ = "inbox"
    KEYMAP = (
        Command(
            "approve", ("a",), "approve", "Approve what is shown; answer with the marked option", bar=True
        ),
        Command("deny", ("d",), "deny", "Deny it, with a reason for whoever tries next", bar=True),
        Command(
            "comment",
            ("e",),
            "comment",
            "Answer in your own words; tell the agent; else: have it tried again",
            bar=True,
        ),
        Command("tab:1", ("tab",), "diff", "The summary, or the diff; mark the next option", bar=True),
        Command(
            "tab:-1", ("shift+tab",), "option before", "Mark the option before", group="Move", listed=False
        ),
        Command("edit", ("o",), "open", "Open the diff or the worktree in your editor", bar=True),
        Command("open", ("enter",), "ticket", "Show the ticket", bar=True),
        Command("next:1", ("down", "j"), "next", "The next item", group="Move", listed=False),
        Command("next:-1", ("up", "k"), "item before", "The item before", group="Move", listed=False),
        Command("scroll:1", ("right", "l"), "down", "The text down by a line", group="Move", listed=False),
        Command("scroll:-1", ("left", "h"), "up", "The text up by a line", group="Move", listed=False),
        Command(
            "page:1",
            ("pagedown", "space", "ctrl+f"),
            "page",
            "The text by a page",
            group="Move",
            listed=False,
        ),
        Command(
            "page:-1", ("pageup", "ctrl+b"), "page up", "The text back by a page", group="Move", listed=False
        ),
        *(c for c in MOVING if c.name.startswith("end")),
    )

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.items: list[Proposal] = []
        self.list_pane = Lines(context)
        self.list_pane.clicked = self._clicked
        self.text_pane = Lines(context)
        self.list_bar = TabBar(context, ["Waits for you"], lambda at: None)
        self.tabs = TabBar(context, ["Summary", "Diff"], self._open_tab)
        self._diff = Diff()
        self._diff_of: str | None = None
        self._diff_seen: set[str] = set()
        self._candidates = core.Candidates(context, self._verified)
        self._shown: object = None
        self._chosen: dict[str, int] = {}  # by the question's digest: the mark stays where it was put

    def body(self) -> Iterable[Widget]:
        """Two panes with a line above each."""
        side = Container(self.list_bar, self.list_pane, classes="side")
        main = Container(self.tabs, self.text_pane, classes="main")
        yield Container(side, main, classes="panes")

    # What can be done ----------------------------------------------------------------------------

    def why_not(self, name: str) -> str:
        """Why a command does nothing now."""
        verb, item = name.partition(":")[0], self.item
        if verb not in (*_DECIDING, "tab", "edit", "open"):
            return super().why_not(name)
        if item is None:
            return "nothing waits for you"
        match verb:
            case "approve" if why := self._refusal(item):
                return why
            case "approve" if has_options(item) and not options(item):
                return "it offers no options that can be shown: e answers in your own words"
            case "edit" if not item.diff and self.listens(item):
                return "its agent has the worktree: enter shows the ticket, o there takes it over"
            case "tab" if not item.diff and not options(item) and item.kind != "core":
                return "this changes no file: there is no diff"
        return super().why_not(name)

    def in_bar(self) -> Sequence[tuple[Command, str]]:
        """As everywhere, with the words that fit what is shown."""
        item = self.item
        if item is None:
            return super().in_bar()
        named = {"comment": "comment" if self.listens(item) else "try again"}
        if has_options(item):
            named = {"approve": "answer", "comment": "own words", "tab:1": "mark"}
        elif item.kind == "core":
            named["tab:1"] = "effects"
        return [(replace(c, label=named.get(c.name, c.label)), why) for c, why in super().in_bar()]

    def _refusal(self, item: Proposal) -> str:
        card = self.context.feed.cards.get(item.ticket)
        problem = self._diff.problem if item.diff else ""
        if item.kind == "core":
            problem = self._candidates.problem(item)
        return refusal(item, card, item.digest in self._diff_seen, problem)

    def run(self, name: str) -> None:
        """As everywhere; a key that decides counts only when it can be meant for what is shown."""
        if name in _DECIDING and self.item is not None:
            painted, now = self.text_pane.painted_at, self.context.clock()
            if not settled(painted, self.context.last_key, now):
                self.context.say(TOO_SOON, "waiting")
                return
        super().run(name)

    # Showing -------------------------------------------------------------------------------------

    def visit(self, ticket: str) -> None:
        """Show the inbox, at a ticket's item where one is named."""
        self._take(self.context.feed.inbox)
        found = next((item for item in self.items if item.ticket == ticket), None)
        if found is not None and found != self.item:
            self._select(found)

    def feed_changed(self, change: Change) -> None:
        """Take the list anew; the selection stays on its item."""
        if change.inbox or change.everything:
            self._take(self.context.feed.inbox)
        elif self.item is not None and self.item.ticket in change.tickets:
            self._show(keep=True)
        super().feed_changed(change)

    def _take(self, items: list[Proposal]) -> None:
        place = self._place()
        self.items = list(items)
        same = next((item for item in items if self.item is not None and item.id == self.item.id), None)
        if same is not None and self.item is not None and same.digest == self.item.digest:
            self.item = same
            self._show(keep=True)
        else:
            self._select(same or (items[min(place, len(items) - 1)] if items else None))
        self.list_pane.show(ListDoc(self.items, self._place, self.context.look, self.context.now), keep=True)
        self.list_bar.names = [f"Waits for you  {len(items)}"]
        self.list_bar.sync()

    def _place(self) -> int:
        if self.item is None:
            return 0
        return next((at for at, item in enumerate(self.items) if item.id == self.item.id), 0)

    def _select(self, item: Proposal | None) -> None:
        self.item = item
        self.tabs.at = _SUMMARY
        self._diff_of = None
        if item is not None:
            self.context.selected = item.ticket
        self._show()
        at = self._place() * ROWS
        pane = self.list_pane
        if at < pane.top:
            pane.top = at
        elif at + ROWS > pane.top + pane.size.height:
            pane.top = max(0, at + ROWS - 1 - pane.size.height)
        pane.refresh()

    def _show(self, keep: bool = False) -> None:
        item, look = self.item, self.context.look
        if item is None:
            self.text_pane.show(Text(self._empty), keep=False)
            self.tabs.names = ["Summary"]
            self.tabs.sync()
            return
        if item.diff and self._diff_of != item.diff:
            self._diff, self._diff_of = load(self.context.blobs, item.diff), item.diff
        if not item.diff:
            self._diff, self._diff_of = Diff(), ""
        diff = self._diff
        count = f"  +{diff.added:,} -{diff.removed:,}" if item.diff and not diff.problem else ""
        self.tabs.names = ["Summary", f"Diff{count}"] if item.diff else ["Summary"]
        if item.kind == "core":
            self.tabs.names = ["Summary", "Effects"]
        self.tabs.sync()
        shown = (item.id, item.digest, self.tabs.at, look)
        keep = keep and shown == self._shown
        self._shown = shown
        if self.tabs.at == _DIFF:
            self._diff_seen.add(item.digest)
            shown_doc = Text(self._effects) if item.kind == "core" else DiffDoc(diff, look)
            self.text_pane.show(shown_doc, keep=keep)
        else:
            self.text_pane.show(Text(self._detail), keep=keep)

    def _detail(self, cells: int) -> list[Line]:
        assert self.item is not None
        card = self.context.feed.cards.get(self.item.ticket)
        page = Page(self.context.look, cells)
        refused, now = self._refusal(self.item), self.context.now()
        return detail(page, self.item, card, self._diff, refused, now, self._marked(self.item)).lines

    def _effects(self, cells: int) -> list[Line]:
        assert self.item is not None
        page = Page(self.context.look, cells)
        core.effects(page, self.item)
        return page.lines

    def _verified(self) -> None:
        """A candidate was looked at."""
        self._show(keep=True)
        self.sync_bars()

    def _marked(self, item: Proposal) -> int:
        return self._chosen.get(item.digest, max(0, recommended(item)))

    def _empty(self, cells: int) -> list[Line]:
        page = Page(self.context.look, cells)
        page.title("Nothing waits for you")
        page.gap()
        page.text(
            "Merges, starts and questions come here as soon as a ticket asks. 1 shows the board.", "muted"
        )
        return page.lines

    # Moving --------------------------------------------------------------------------------------

    def do_next(self, by: str) -> None:
        """Another item."""
        at = self._place() + int(by)
        if self.items and 0 <= at < len(self.items):
            self._select(self.items[at])

    def _clicked(self, line: int) -> None:
        if line // ROWS < len(self.items):
            self._select(self.items[line // ROWS])
            self.sync_bars()

    def do_scroll(self, by: str) -> None:
        """The text by a line."""
        self.text_pane.move(int(by))

    def do_page(self, by: str) -> None:
        """The text by a page."""
        self.text_pane.page(int(by))

    def do_end(self, by: str) -> None:
        """The text to an end."""
        self.text_pane.end(by == "1")

    def do_tab(self, by: str) -> None:
        """The summary, or the diff; of a question, another option."""
        item = self.item
        if item is not None and (count := len(options(item))):
            self._chosen[item.digest] = (self._marked(item) + int(by)) % count
            self._show(keep=True)
            return
        self._open_tab(_SUMMARY if self.tabs.at == _DIFF else _DIFF)

    def _open_tab(self, at: int) -> None:
        self.tabs.at = at
        self._show()
        self.sync_bars()

    def do_open(self) -> None:
        """The ticket's own screen."""
        if self.item is not None:
            self.context.go("ticket", self.item.ticket)

    # Deciding ------------------------------------------------------------------------------------

    def do_approve(self) -> None:
        """Approve what is shown; what changes the base asks for the ticket's number first."""
        item = self.item
        if item is None:
            return
        if has_options(item):
            self.answer(item, options(item)[self._marked(item)])
            return
        if item.kind not in WITH_NUMBER:
            self.approve(item, "a")
            return
        number = item.ticket.rpartition("-")[2]
        diff, subject = self._diff, item.subject
        into = f"Into {subject.get('base_ref', 'the base')}: +{diff.added:,} -{diff.removed:,} lines."
        about = core.asks(item) if item.kind == "core" else [item.summary, into]
        title = f"{title_of(item.kind)} {item.ticket}?"
        yes = f"{title_of(item.kind)} {item.ticket}"
        self.show(
            TypeToConfirm(self.context, title, about, yes, number, lambda: self.approve(item, f"a {number}"))
        )

    def do_edit(self) -> None:
        """Open the diff, or the worktree where there is none."""
        item = self.item
        if item is None:
            return
        try:
            if item.diff:
                why = open_bytes(self.app, self.context.blobs.get(item.diff), f"{item.ticket}.diff")
            else:
                worktree = self.context.workspace.worktree(item.ticket, item.attempt)
                why = open_path(self.app, worktree) if worktree.is_dir() else f"{item.ticket} has no worktree"
        except (BlobDamaged, OSError) as error:
            why = str(error)
        if why:
            self.context.say(why, "failed")

    def look_changed(self) -> None:
        """Other colours."""
        self._take(self.context.feed.inbox)
        self._show()
        super().look_changed()
