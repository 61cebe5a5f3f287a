"""The app itself: it wires the feed, the screens and the way of a person's words, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from textual import events
from textual.app import App, SuspendNotSupported
from textual.screen import Screen

from state.blobs import Blobs
from state.journal import Journal, JournalError
from state.workspace import Workspace
from tui.board.screen import BoardScreen
from tui.context import Context, Said
from tui.feed import Change, Feed
from tui.look import look_for
from tui.machine import Sight
from tui.screen import CockpitScreen

if TYPE_CHECKING:
    from state.alerts import Line
    from state.contract import Sealer
    from tui.lab.talk import Mind
    from tui.toasts import Toasts

POLL = 0.05
"""Seconds between two questions for the journal's version."""
_TICK = 1.0  # seconds between looks at what ages: messages, running times
_TOAST = 120  # cells of a toast's text: two or three lines of it
_TOASTS: dict[str, tuple[str, Literal["error", "warning", "information"]]] = {
    "severe": ("Severe", "error"),
    "needs-you": ("Waits for you", "warning"),
    "done": ("Ended", "information"),
    "info": ("News", "information"),
}
"""Title and colour of a toast, by how much it matters."""


class Cockpit(App[None], inherit_bindings=False):
    """Screens over one workspace."""

    CSS_PATH = "cockpit.tcss"
    TITLE = "Jetbox"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar = []

    def __init__(
        self,
        root: Path,
        start_engine: Callable[[], None] | None = None,
        sealer: Callable[[], Sealer] | None = None,
        open_mind: Callable[[], Mind] | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], int] = lambda: int(time.time() * 1000),
    ) -> None:
        super().__init__(ansi_color=True)  # our colours are exact: no filter has to translate them
        self.animation_level = "none"
        self.workspace = Workspace(root)
        self.feed = Feed(self.workspace, clock)
        encoding = getattr(sys.__stderr__, "encoding", None) or "utf-8"
        self.context = Context(
            workspace=self.workspace,
            feed=self.feed,
            blobs=Blobs(self.workspace.blobs),
            look=look_for(encoding=encoding, colour_system=self.console.color_system),
            clock=clock,
            now=now,
            say=self.say,
            speak=self.speak,
            sealed=self.sealed,
            go=self.go,
            start_engine=self.start_engine,
            machine=Sight(self.workspace.machine),
            open_mind=open_mind,
            examine=self.examine,
        )
        self._start_engine = start_engine
        self._sealer = sealer
        self._named: dict[str, CockpitScreen] = {}
        self._toasts: Toasts | None = None  # made with the first news: the first paint need not wait for it
        self.feed.open()
        self._heard = self.feed.seq

    def get_default_screen(self) -> Screen[None]:
        """The board is what one comes to."""
        self._named["board"] = BoardScreen(self.context)
        return self._named["board"]

    def on_mount(self) -> None:
        """Begin to look, after the first paint."""
        self._event_loop = asyncio.get_running_loop()
        self._event_loop.call_later(POLL, self._look)
        self.set_interval(_TICK, self._tick)
        self.call_after_refresh(self._engine_at_start)

    def _look(self) -> None:
        """The cheap question, outside of the message queue: a timer of its own would cost 1 % of a core."""
        if not self._running:
            return
        self._event_loop.call_later(POLL, self._look)
        screen = self.screen
        if self.feed.due() or (isinstance(screen, CockpitScreen) and screen.pulsing):
            self.call_later(self.poll)

    def _engine_at_start(self) -> None:
        gc.freeze()  # what was read to open stays: the collector need not walk it at each key
        gc.enable()
        if self._start_engine is not None and self.feed.engine.state == "off" and self.feed.startable:
            self.start_engine()

    async def on_event(self, event: events.Event) -> None:
        """Keys go straight to the screen that is shown, in the order in which they came.

        Through the queues of the screens, a key typed right after one that changes the screen would still
        reach the screen that was left.
        """
        screen = self.screen_stack[-1] if self.screen_stack else None
        if isinstance(screen, CockpitScreen) and not event.is_forwarded:
            if isinstance(event, events.Key):
                screen.take(event.key, event.character)
                return
            if isinstance(event, events.Paste):
                screen.take_paste(event.text)
                return
        await super().on_event(event)

    # Showing -------------------------------------------------------------------------------------

    def poll(self) -> None:
        """Show what the journal has to say since the last look."""
        change, screen = self.feed.poll(), self.screen
        if isinstance(screen, CockpitScreen):
            if change is not None:
                screen.feed_changed(change)
            screen.pulse()
        if change is not None:
            self._alert(change)

    def _alert(self, change: Change | None = None) -> None:
        """Tell what a person should hear of, a portion at a time, so that keys come in between."""
        if self._toasts is None:
            from tui.toasts import Toasts

            self._toasts = Toasts(self._toast, self.context.clock, self._heard)
        feed, more = self.feed, False
        if change is not None and change.everything:
            self._toasts.begin(feed.seq, "" if feed.startable else feed.problem)
        elif feed.journal is not None:
            with contextlib.suppress(JournalError):  # the next poll finds it too, and shows it
                more = self._toasts.hear(feed.journal, feed.seq)
        self._tell()
        if more:
            self.call_later(self._alert)

    def _tell(self) -> None:
        screen = self.screen
        if self._toasts is not None and isinstance(screen, CockpitScreen):
            self._toasts.tick(busy=screen.sheet is not None or screen.NAME == "inbox")

    def _toast(self, line: Line, seconds: float) -> None:
        title, severity = _TOASTS[line.severity]
        text = self.context.look.clip(line.text, _TOAST)
        self.notify(text, title=title, severity=severity, timeout=seconds, markup=False)

    def _tick(self) -> None:
        if self.context.machine.changed():
            self.context.machine.look()
        if isinstance(self.screen, CockpitScreen):
            self.screen.tick()
        self._tell()

    def say(self, text: str, tone: str) -> None:
        """One line in the status bar."""
        self.context.said = Said(text, tone, self.context.clock())
        if isinstance(self.screen, CockpitScreen):
            self.screen.sync_bars()

    def go(self, name: str, ticket: str) -> None:
        """Show a screen, at a ticket where one is named."""
        if name == "back":
            name = "board"
        screen = self._named.get(name)
        if screen is None:
            screen = self._named[name] = self._make(name)
            self.install_screen(screen, name)
        if screen is self.screen:
            screen.visit(ticket)
            return
        screen.visit(ticket)
        if len(self.screen_stack) > 1:
            self.pop_screen()
        if name != "board":
            self.push_screen(name)

    def _make(self, name: str) -> CockpitScreen:
        if name == "ticket":
            from tui.ticket.screen import TicketScreen

            return TicketScreen(self.context)
        if name == "runs":
            from tui.runs.screen import RunsScreen

            return RunsScreen(self.context)
        if name == "models":
            from tui.models.screen import ModelsScreen

            return ModelsScreen(self.context)
        if name == "lab":
            from tui.lab.screen import LabScreen

            return LabScreen(self.context)
        from tui.inbox.screen import InboxScreen

        return InboxScreen(self.context)

    # Speaking ------------------------------------------------------------------------------------

    def speak(
        self, word: Callable[[Journal], object], done: str, then: Callable[[], None] | None = None
    ) -> None:
        """Write a person's word on a connection of its own, beside the screen."""

        def work() -> None:
            from state.words import Refused
            from tickets.problems import TicketError

            try:
                journal = Journal.open(self.workspace.journal)
                try:
                    word(journal)
                finally:
                    journal.close()
            except (Refused, JournalError, TicketError) as error:
                self._from_thread(partial(self.say, str(error), "failed"))
            else:
                self._from_thread(lambda: self._spoken(done, then))

        # Not a daemon: leaving the cockpit waits for a word that is being written.
        threading.Thread(target=work, name="word").start()

    def sealed(
        self,
        word: Callable[[Journal, Sealer], object],
        done: str,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Write a word that the person's key seals; for a passphrase, the terminal is lent."""

        def write(journal: Journal) -> None:
            from state.approval_key import KeySealer

            sealer = self._sealer() if self._sealer else KeySealer()
            if sealer.asks:
                self.call_from_thread(partial(self._on_terminal, partial(word, journal, sealer)))
            else:
                word(journal, sealer)

        self.speak(write, done, then)

    def examine(self, look: Callable[[Journal, Sealer], object], then: Callable[[object], None]) -> None:
        """Look at what seals stand behind, on a connection of its own that writes nothing."""

        def work() -> None:
            from state.approval_key import KeySealer
            from state.contract import SealError

            try:
                journal = Journal.read(self.workspace.journal)
                try:
                    found = look(journal, self._sealer() if self._sealer else KeySealer())
                finally:
                    journal.close()
            except (JournalError, SealError, OSError) as error:
                self._from_thread(partial(self.say, str(error), "failed"))
            else:
                self._from_thread(partial(then, found))

        threading.Thread(target=work, name="examine", daemon=True).start()

    def _on_terminal(self, work: Callable[[], object]) -> None:
        from state.words import Refused

        wrong: Exception | None = None
        try:
            with self.suspend():
                try:
                    work()
                except Exception as error:  # raised in here, the terminal would not be taken back
                    wrong = error
        except SuspendNotSupported as error:
            raise Refused("this terminal cannot be lent to ssh-keygen: use `jetbox approve`") from error
        self.refresh()
        if wrong is not None:
            raise wrong

    def _spoken(self, done: str, then: Callable[[], None] | None) -> None:
        if then is not None:
            then()
        self.poll()
        self.say(done, "landed")

    def _from_thread(self, call: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the app has ended meanwhile
            self.call_from_thread(call)

    def start_engine(self) -> str:
        """Have the engine started beside the screen; why not, or ''."""
        start = self._start_engine
        if start is None:
            return "This cockpit only looks: `jetbox run` starts the engine"

        def work() -> None:
            try:
                start()
            except Exception as error:  # whatever it is, it is shown and the cockpit stays
                self._from_thread(partial(self._not_started, f"The engine did not start: {error}"))

        self.feed.starting()
        if isinstance(self.screen, CockpitScreen):
            self.screen.sync_bars()
        threading.Thread(target=work, name="start-engine", daemon=True).start()
        return ""

    def _not_started(self, why: str) -> None:
        self.feed.not_starting()
        self.say(why, "failed")
