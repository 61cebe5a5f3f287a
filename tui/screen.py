"""What all screens share: the bars, the overlay, and the way of a key.

A key goes to the overlay where there is one, else to what is being typed, else to the screen's command
table. Nothing here takes the focus: a reload, a message or a repaint can never send a key elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widget import Widget

from state.journal import Journal
from tui.bars import KeyBar, StatusBar, TopBar
from tui.commands import EVERYWHERE, Command, pressed
from tui.context import Context
from tui.feed import Change
from tui.sheets.sheet import Sheet, SheetView

if TYPE_CHECKING:
    from state.contract import Sealer


class CockpitScreen(Screen[None], inherit_bindings=False):
    """A screen with its bars. What it can be asked for stands in `KEYMAP`."""

    KEYMAP: ClassVar[tuple[Command, ...]] = ()
    NAME: ClassVar[str] = ""
    TITLE_: ClassVar[str] = ""
    ALLOW_SELECT = False

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self.top_bar = TopBar(context, self.NAME)
        self.status_bar = StatusBar(context)
        self.key_bar = KeyBar(context, self.in_bar, self.run)
        self.sheets = SheetView(context)
        self.sheet: Sheet | None = None
        self._keys = {key: command for command in (*EVERYWHERE, *self.KEYMAP) for key in command.keys}

    def compose(self) -> ComposeResult:
        """Bars around the body."""
        yield self.top_bar
        yield from self.body()
        yield self.status_bar
        yield self.key_bar
        yield self.sheets

    def body(self) -> Iterable[Widget]:
        """What stands between the bars."""
        raise NotImplementedError

    # Commands ------------------------------------------------------------------------------------

    def commands(self) -> list[tuple[Command, str]]:
        """Every command with why it does nothing now, '' where it works."""
        return [(command, self.why_not(command.name)) for command in (*self.KEYMAP, *EVERYWHERE)]

    def in_bar(self) -> Sequence[tuple[Command, str]]:
        """The commands of the key bar; the last keeps the right end."""
        own = [(c, self.why_not(c.name)) for c in self.KEYMAP if c.bar]
        everywhere = [(c, "") for c in EVERYWHERE if c.bar]
        if self.context.feed.engine.state == "off" and not self.why_not("engine"):
            own.insert(0, (self._keys["s"], ""))
        return [*own, *everywhere]

    def why_not(self, name: str) -> str:
        """Why a command does nothing now, in one line; '' where it works."""
        feed = self.context.feed
        if name == "engine" and feed.engine.state != "off":
            return f"the engine is {feed.engine.state}"
        if name == "consent":
            if feed.engine.isolation != "none":
                return f"sandbox: {feed.engine.isolation or 'not known while no engine runs'}"
            return "you have consented to that" if feed.engine.consent else ""
        if name == "ticket" and self.context.selected not in feed.cards:
            return "no ticket is selected"
        if name == self.NAME:
            return "you are there"
        if name == "theme" and self.context.look.sixteen:
            return "16 colours are the terminal's own"
        return ""

    def run(self, name: str) -> None:
        """Do a command, or say why not."""
        if why := self.why_not(name):
            self.context.say(why[:1].upper() + why[1:], "waiting")
            return
        verb, _, argument = name.partition(":")
        method: Callable[..., None] = getattr(self, f"do_{verb}")
        method(argument) if argument else method()
        self.sync_bars()

    # Keys ----------------------------------------------------------------------------------------

    def take(self, key: str, character: str | None) -> None:
        """The way of a key."""
        name = pressed(key, character)
        if self.sheet is not None and key != "ctrl+c":
            self.sheet.key(name, character)
            self.sheets.sync()
        elif not self.typed(key, character):
            command = self._keys.get(name)
            if command is not None:
                self.run(command.name)
        self.context.last_key = self.context.clock()
        self.sync_bars()

    def typed(self, key: str, character: str | None) -> bool:
        """Take a key as text where something is being typed."""
        return False

    def take_paste(self, text: str) -> None:
        """Pasted text goes where text is being typed, and nowhere else."""
        if self.sheet is not None:
            self.sheet.paste(text)
            self.sheets.sync()
        else:
            self.pasted(text)
        self.context.last_key = self.context.clock()
        self.sync_bars()

    def pasted(self, text: str) -> None:
        """Take pasted text where something is being typed."""

    # Showing -------------------------------------------------------------------------------------

    def show(self, sheet: Sheet) -> None:
        """Lay a sheet over the screen."""
        sheet.close = self.unshow
        self.sheet = sheet
        self.sheets.show(sheet)

    def unshow(self) -> None:
        """Take the sheet away."""
        self.sheet = None
        self.sheets.show(None)

    def sync_bars(self) -> None:
        """Repaint the bars whose content changed."""
        for bar in (self.top_bar, self.status_bar, self.key_bar):
            bar.sync()

    def feed_changed(self, change: Change) -> None:
        """The journal moved on: show it, and leave the selection where it is."""
        self.sync_bars()

    def visit(self, ticket: str) -> None:
        """About to be shown; at a ticket where one is named."""

    @property
    def pulsing(self) -> bool:
        """Whether `pulse` has something to follow."""
        return False

    def pulse(self) -> None:
        """Called with each poll: follow what is not in the journal."""

    def tick(self) -> None:
        """A second has passed: show what ages."""
        self.sync_bars()

    def look_changed(self) -> None:
        """Other colours: paint everything anew."""
        for widget in self.walk_children():
            widget.refresh()
        self.sheets.sync()
        self.refresh()

    def on_resize(self) -> None:
        """Another size: the overlay finds its place again."""
        self.call_after_refresh(self.sheets.sync)

    def on_screen_resume(self) -> None:
        """Shown again: catch up with what happened meanwhile."""
        self.feed_changed(Change(inbox=True, engine=True, everything=True))

    # What every screen answers to ----------------------------------------------------------------

    def do_board(self) -> None:
        """To the board."""
        self.context.go("board", "")

    def do_ticket(self) -> None:
        """To the ticket that is selected."""
        self.context.go("ticket", self.context.selected)

    def do_runs(self) -> None:
        """To the runs."""
        self.context.go("runs", self.context.selected)

    def do_inbox(self) -> None:
        """To the inbox."""
        self.context.go("inbox", "")

    def do_models(self) -> None:
        """To the models."""
        self.context.go("models", "")

    def do_lab(self) -> None:
        """To the Lab."""
        self.context.go("lab", "")

    def do_help(self) -> None:
        """The keys of this screen."""
        from tui.sheets.help import Help

        states = ("backlog", "ready", "running", "waiting", "review", "asks", "landed", "failed", "cancelled")
        self.show(Help(f"Keys: {self.TITLE_}", self.commands(), (*states, "broken")))

    def do_palette(self) -> None:
        """The palette of this screen's commands."""
        from tui.sheets.palette import Palette

        self.show(Palette([each for each in self.commands() if each[0].listed], self.run))

    def do_theme(self) -> None:
        """The other ground."""
        self.context.look = self.context.look.other()
        self.look_changed()

    def do_engine(self) -> None:
        """Start the engine."""
        if why := self.context.start_engine():
            self.context.say(why, "failed")

    def do_consent(self) -> None:
        """Let commands run with nothing to hold them, after a phrase was typed."""
        from state import words
        from tui.sheets.confirm import TypeToConfirm

        phrase = words.phrase_of(str(self.context.workspace.root))

        def write() -> None:
            def word(journal: Journal, sealer: Sealer) -> object:
                return words.consent(journal, phrase, sealer=sealer)

            self.context.sealed(word, "Commands run without a sandbox until the engine stops", None)

        about = [
            "No sandbox holds on this machine. Commands of tickets and checks would run with your rights:"
            " they could read, change and send all that you can.",
            "It counts for this repository, until its engine stops.",
        ]
        self.show(
            TypeToConfirm(self.context, "Run commands unsandboxed?", about, "Run unsandboxed", phrase, write)
        )

    def do_back(self) -> None:
        """To where one came from."""
        self.context.go("back", "")

    def do_quit(self) -> None:
        """Leave."""
        self.app.exit()
