"""The three one-line bars: where one is, how things stand, what the keys do.

Each is drawn from values and asks for a repaint only when what it would show has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from textual import events
from textual.strip import Strip
from textual.widget import Widget

from tui.commands import Command, key_name
from tui.context import Context
from tui.draw import Piece, line
from tui.look import Look
from tui.machine import Cell
from tui.safe_text import width

_LAST = (("4", "inbox", "Inbox"), ("5", "models", "Models"), ("6", "lab", "Lab"))
_MODELS = 36  # cells for the models: a name, or why they pause


class Bar(Widget):
    """One line of pieces; parts of it may be clicked."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self._shown: object = None
        self._spots: list[tuple[int, int, str]] = []

    def sync(self) -> None:
        """Repaint if there is something new to show."""
        if (wanted := self.value()) != self._shown:
            self._shown = wanted
            self.refresh()

    def value(self) -> object:
        """What decides how the bar looks."""
        raise NotImplementedError

    def spot(self, start: int, end: int, what: str) -> None:
        """Make a stretch of the line clickable."""
        self._spots.append((start, end, what))

    def clicked(self, what: str) -> None:
        """A stretch was clicked."""

    def on_click(self, event: events.Click) -> None:
        """Find the stretch under the pointer."""
        for start, end, what in self._spots:
            if start <= event.x < end:
                self.clicked(what)
                return


class TopBar(Bar):
    """The product, the screens, and where the workspace is. A filter being typed takes its place."""

    def __init__(self, context: Context, screen: str) -> None:
        super().__init__(context)
        self.screen_name = screen
        self.typed: Callable[[int], list[Piece]] | None = None
        """Pieces of what is being typed, for a width; None when nothing is."""
        self.note: tuple[Piece, ...] = ()
        """At the right end, instead of the workspace's name."""

    def value(self) -> object:
        """The tabs, their count, the ticket, the note."""
        context = self.context
        typed = self.typed(self.size.width) if self.typed else None
        return context.look, len(context.feed.inbox), context.selected, typed, self.note

    def render_line(self, y: int) -> Strip:
        """The bar."""
        look, cells = self.context.look, self.size.width
        ground = look("text", "bar")
        self._spots.clear()
        right: list[Piece] = [*self.note, (" ", ground)]
        if self.typed is not None:
            left = [(" / ", look("accent", "bar", bold=True)), *self.typed(cells - 24)]
            return line(cells, ground, left, right, look.g.ellipsis)
        left = [(" Jetbox ", look("accent", "bar", bold=True)), (" ", ground)]
        at = 9
        waiting = len(self.context.feed.inbox)
        ticket = look.clip(self.context.selected, 16) if self.context.selected else "Ticket"
        titles = (("1", "board", "Board"), ("2", "ticket", ticket), ("3", "runs", "Runs"))
        for key, name, title in (*titles, *_LAST):
            here = name == self.screen_name
            back = "raised" if here else "bar"
            count = f" {look.g.warn}{waiting}" if name == "inbox" and waiting else ""
            left += [
                (f" {key} ", look("muted", back)),
                (title, look("text" if here else "muted", back, bold=here)),
                (count, look("waiting", back, bold=True)),
                (" ", look("text", back)),
            ]
            size = 4 + width(title) + width(count)
            self.spot(at, at + size, name)
            at += size
        if not self.note and cells >= at + 12:
            root = self.context.workspace.root
            right = [(look.clip(root.name or str(root), cells - at - 4), look("muted", "bar")), (" ", ground)]
        return line(cells, ground, left, right, look.g.ellipsis)

    def clicked(self, what: str) -> None:
        """A tab."""
        self.context.go(what, self.context.selected)


class StatusBar(Bar):
    """The engine, what waits, how many of each state; a message takes the right while it is fresh."""

    FRESH = 8.0  # seconds

    def value(self) -> object:
        """Engine, counts, message."""
        context, feed = self.context, self.context.feed
        counts = tuple(sorted((k, n) for k, n in feed.counts.items() if n))
        said = self._message(), self._models()
        return context.look, feed.engine, counts, len(feed.inbox), said, feed.problem

    def _models(self) -> Cell | None:
        context = self.context
        return context.machine.cell(context.now(), context.feed.engine.state)

    def _message(self) -> tuple[str, str] | None:
        said = self.context.said
        if said is None or self.context.clock() - said.at > self.FRESH:
            return None
        return said.text, said.tone

    def render_line(self, y: int) -> Strip:
        """The bar."""
        look, cells = self.context.look, self.size.width
        ground = look("text", "bar")
        left: list[Piece] = [(" ", ground), *self._engine(look), *self._sandbox(look)]
        if message := self._message():
            text, tone = message
            left.append(("  ", ground))
            left.append((look.text(text), look(tone, "bar", bold=tone != "text")))
            return line(cells, ground, left, [(" ", ground)], look.g.ellipsis)
        used = sum(width(text) for text, _ in left)
        for item in self._items(look):
            size = 2 + sum(width(text) for text, _ in item)
            if used + size > cells:  # an item is there as a whole, or not at all
                break
            left += [("  ", ground), *item]
            used += size
        return line(cells, ground, left, [], look.g.ellipsis)

    def _items(self, look: Look) -> Iterator[list[Piece]]:
        """What there is to say, what matters most first."""
        feed = self.context.feed
        if feed.inbox:
            yield [(f"{look.g.warn} {len(feed.inbox)} need you", look("waiting", "bar", bold=True))]
        if cell := self._models():
            text = look.clip(cell.text, _MODELS)
            yield [(f"{look.glyph(cell.state)} ", look(cell.role, "bar")), (text, look("muted", "bar"))]
        for state in ("running", "waiting", "review", "ready", "backlog", "failed", "broken", "landed"):
            if count := feed.counts[state]:
                glyph = (f"{look.glyph(state)} ", look(state, "bar"))
                yield [glyph, (f"{count:,} {state}", look("muted", "bar"))]

    def _engine(self, look: Look) -> list[Piece]:
        engine = self.context.feed.engine
        if engine.state == "running":
            words: list[Piece] = [(f"engine {engine.pid}", look("muted", "bar"))]
            return [(f"{look.glyph('done')} ", look("landed", "bar")), *words]
        if engine.state == "paused":
            words = [(look.text(f"engine paused: {engine.why}"), look("waiting", "bar", bold=True))]
            return [(f"{look.glyph('paused')} ", look("waiting", "bar")), *words]
        if engine.state == "starting":
            words = [("engine starting", look("accent", "bar"))]
            return [(f"{look.glyph('starting')} ", look("accent", "bar")), *words]
        words = [("engine not running", look("failed", "bar", bold=True))]
        return [(f"{look.glyph('stopped')} ", look("failed", "bar")), *words]

    def _sandbox(self, look: Look) -> list[Piece]:
        """What holds the commands of the engine that runs; nothing where it is not known yet."""
        isolation = self.context.feed.engine.isolation
        if not isolation:
            return []
        if isolation == "none":
            return [(f"  {look.g.warn} UNSANDBOXED", look("failed", "bar", bold=True))]
        return [
            (f"  {look.g.tick} ", look("landed", "bar")),
            (look.text(f"sandbox {isolation}"), look("muted", "bar")),
        ]


class KeyBar(Bar):
    """The keys that matter here. One that does nothing now is faint; pressing it says why."""

    def __init__(
        self,
        context: Context,
        commands: Callable[[], Sequence[tuple[Command, str]]],
        run: Callable[[str], None],
    ) -> None:
        super().__init__(context)
        self._commands = commands
        self._run = run

    def value(self) -> object:
        """Keys and which of them are off."""
        return self.context.look, tuple((command, bool(why)) for command, why in self._commands())

    def render_line(self, y: int) -> Strip:
        """The bar; the last command (help) keeps its place at the right."""
        look, cells = self.context.look, self.size.width
        ground = look("text", "bg")
        self._spots.clear()
        commands = list(self._commands())
        right = self._pieces(look, *commands.pop()) if commands else []
        room = cells - sum(width(text) for text, _ in right)
        left: list[Piece] = [(" ", ground)]
        at = 1
        for command, why in commands:
            pieces = self._pieces(look, command, why)
            size = sum(width(text) for text, _ in pieces)
            if at + size > room:
                break
            left += pieces
            self.spot(at, at + size, command.name)
            at += size
        self.spot(room, cells, "help")
        return line(cells, ground, left, right, look.g.ellipsis)

    @staticmethod
    def _pieces(look: Look, command: Command, why: str) -> list[Piece]:
        key = key_name(
            command.keys[0], plain=not look.g.states["running"].isprintable() or look.g.rule == "-"
        )
        return [
            (f"{key} ", look("faint" if why else "accent", "bg", bold=not why)),
            (f"{command.label}   ", look("faint" if why else "muted", "bg")),
        ]

    def clicked(self, what: str) -> None:
        """A key of the bar."""
        self._run(what)
