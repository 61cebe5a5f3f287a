"""A question before something that is not taken back lightly. Enter means Cancel until told otherwise.

`Confirm` asks for a key of its own; `TypeToConfirm` for a text that has to be read off the screen. Both
ignore every key until the question was painted and the keyboard was quiet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.strip import Strip

from tui.context import Context
from tui.draw import Piece, line
from tui.line_edit import LineEdit
from tui.look import Look
from tui.safe_text import width, wrap
from tui.sheets.gate import TOO_SOON, settled
from tui.sheets.sheet import Sheet


class Confirm(Sheet):
    """`y`, or moving to the other button and enter, goes on; enter alone and everything else does not."""

    cells = 66

    def __init__(
        self, context: Context, title: str, about: Sequence[str], yes: str, done: Callable[[], None]
    ) -> None:
        super().__init__()
        self.title = title
        self.about = about
        self.yes = yes
        self.on_yes = False
        self._context = context
        self._done = done
        self._last_key = context.clock()

    def lines(self, look: Look, cells: int, rows: int) -> list[Strip]:
        """The question and its buttons, Cancel first."""
        ground = look("text", "card")
        out = [
            line(cells, ground, [(part, ground)])
            for text in self.about
            for part in wrap(look.text(text), cells)
        ]
        out.append(line(cells, ground, []))
        out.append(line(cells, ground, self.buttons(look)))
        out.append(line(cells, ground, []))
        out.append(line(cells, ground, [(self.hint(), look("faint", "card"))]))
        return out

    def buttons(self, look: Look) -> list[Piece]:
        """Cancel and the other one; the marked one is what enter means."""
        ground = look("text", "card")
        marks = ("  ", "> ") if self.on_yes else ("> ", "  ")
        return [
            (marks[0], look("accent", "card", bold=True)),
            ("[ Cancel ]", look("text", "card" if self.on_yes else "raised", bold=not self.on_yes)),
            ("   ", ground),
            (marks[1], look("accent", "card", bold=True)),
            (
                f"[ {look.text(self.yes)} ]",
                look("waiting", "raised" if self.on_yes else "card", bold=self.on_yes),
            ),
        ]

    def hint(self) -> str:
        """What the keys do."""
        return "y  yes   enter  the marked one   tab  the other   esc  cancel"

    def key(self, name: str, character: str | None) -> None:
        """Decide, once the keyboard has been quiet."""
        now, last = self._context.clock(), self._last_key
        self._last_key = now
        if name in ("escape", "q", "n"):
            self.close()
        elif not settled(self.painted_at, last, now) and name in ("y", "enter"):
            if not self.on_yes or name == "y":
                self._context.say(TOO_SOON, "waiting")
            elif last > (self.painted_at or now):  # moved there on purpose, key by key
                self._go()
        elif name in ("tab", "shift+tab", "left", "right", "h", "l"):
            self.on_yes = not self.on_yes
        elif name == "y" or (name == "enter" and self.on_yes):
            self._go()
        elif name == "enter":
            self.close()

    def _go(self) -> None:
        self.close()
        self._done()


class TypeToConfirm(Confirm):
    """The text has to be typed; only then does enter mean yes."""

    def __init__(
        self,
        context: Context,
        title: str,
        about: Sequence[str],
        yes: str,
        word: str,
        done: Callable[[], None],
    ) -> None:
        super().__init__(context, title, about, yes, done)
        self.word = word
        self.edit = LineEdit()

    def lines(self, look: Look, cells: int, rows: int) -> list[Strip]:
        """The question, the line to type into, the buttons."""
        out = super().lines(look, cells, rows)
        ground, bold = look("text", "card"), look("text", "card", bold=True)
        ask = f"Type {look.text(self.word)} to go on: "
        room = max(12, width(self.word) + 2)
        before = []
        if width(ask) + room > cells:  # a phrase has a line of its own
            before, ask = [line(cells, ground, [(part, bold)]) for part in wrap(ask.rstrip(), cells)], ""
        pieces = [(ask, bold), *self.edit.pieces(look, room, "raised")]
        tail = (" " * max(0, room - 2 - len(self.edit.text)), look("text", "raised"))
        typed = line(cells, ground, [*pieces, tail])
        return [*out[:-4], line(cells, ground, []), *before, typed, *out[-4:]]

    def hint(self) -> str:
        """What the keys do."""
        if self.on_yes:
            return f"enter  {self.yes}   esc  cancel"
        return "enter or esc  cancel"

    def key(self, name: str, character: str | None) -> None:
        """Type, cancel, or confirm what was typed."""
        now, last = self._context.clock(), self._last_key
        if name == "escape":
            self.close()
            return
        if self.painted_at is None or (not self.edit.text and not settled(self.painted_at, last, now)):
            self._last_key = now  # typed ahead, or still held down: not meant for this question
            self._context.say(TOO_SOON, "waiting")
            return
        self._last_key = now
        if name == "enter":
            if self.on_yes:
                self._go()
            else:
                self.close()
            return
        self.edit.key(name, character)
        self.on_yes = self.edit.text.strip() == self.word
