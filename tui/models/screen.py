"""The models' screen: one text, drawn from the engine's picture and kept as fresh as that is."""

from __future__ import annotations

from collections.abc import Iterable

from textual.widget import Widget

from tui.commands import MOVING
from tui.context import Context
from tui.lines import Line, Lines, Text
from tui.page import Page
from tui.screen import CockpitScreen


class ModelsScreen(CockpitScreen):
    """Shows the picture; there is nothing to decide here."""

    NAME = "models"
    TITLE_ = "models"
    KEYMAP = MOVING

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.pane = Lines(context)

    def body(self) -> Iterable[Widget]:
        """The text."""
        yield self.pane

    def visit(self, ticket: str) -> None:
        """Look at once: a second is long for somebody who asks."""
        if self.context.machine.changed():
            self.context.machine.look()
        self._show()

    def tick(self) -> None:
        """It ages, and the engine draws it anew."""
        self._show()
        super().tick()

    def on_screen_resume(self) -> None:
        """Shown again."""
        self._show()
        super().on_screen_resume()

    def look_changed(self) -> None:
        """Other colours."""
        self._show()
        super().look_changed()

    def _show(self) -> None:
        self.pane.show(Text(self._page), keep=True)

    def _page(self, cells: int) -> list[Line]:
        context = self.context
        if context.machine.picture is None:
            return self._empty(cells)
        from tui.models.page import machine_page

        now = context.now()
        stale = context.machine.stale(now, context.feed.engine.state)
        return machine_page(context.look, cells, context.machine.picture, stale, now)

    def _empty(self, cells: int) -> list[Line]:
        page = Page(self.context.look, cells)
        page.title("No model has been looked at yet")
        page.gap()
        if self.context.feed.engine.state == "off":
            page.text("The engine looks for models, and no engine runs: s starts it.", "muted")
        else:
            page.text("The engine runs and looks for models as soon as a ticket needs one.", "muted")
        page.text(
            "Models come from a server on this machine, such as Ollama, or from a GGUF file. models.yaml says"
            " which model serves which role; without it Jetbox takes what it finds.",
            "muted",
        )
        return page.lines

    # Moving --------------------------------------------------------------------------------------

    def do_move(self, by: str) -> None:
        """By a line."""
        self.pane.move(int(by))

    def do_page(self, by: str) -> None:
        """By a window."""
        self.pane.page(int(by))

    def do_end(self, by: str) -> None:
        """To an end."""
        self.pane.end(by == "1")
