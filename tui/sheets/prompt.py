"""A line to type: the reason of a deny, a comment for the next attempt."""

from __future__ import annotations

from collections.abc import Callable

from textual.strip import Strip

from tui.draw import line
from tui.line_edit import LineEdit
from tui.look import Look
from tui.safe_text import wrap
from tui.sheets.sheet import Sheet


class Prompt(Sheet):
    """Asks for text. Enter hands it on; with nothing typed where something is needed it stays."""

    cells = 72

    def __init__(self, title: str, about: str, done: Callable[[str], None], *, needed: bool) -> None:
        super().__init__()
        self.title = title
        self.about = about
        self.edit = LineEdit()
        self._done = done
        self._needed = needed

    def lines(self, look: Look, cells: int, rows: int) -> list[Strip]:
        """What it is about, the line, what the keys do."""
        ground, muted = look("text", "card"), look("muted", "card")
        out = [line(cells, ground, [(text, muted)]) for text in wrap(look.text(self.about), cells, 4)]
        out.append(line(cells, ground, []))
        field = [("> ", look("accent", "raised", bold=True)), *self.edit.pieces(look, cells - 2, "raised")]
        out.append(line(cells, look("text", "raised"), field))
        out.append(line(cells, ground, []))
        missing = self._needed and not self.edit.text.strip()
        first = "type a reason first" if missing else "enter  send"
        out.append(line(cells, ground, [(f"{first}   esc  leave it", look("faint", "card"))]))
        return out

    def key(self, name: str, character: str | None) -> None:
        """Edit, send or leave."""
        if name == "escape":
            self.close()
        elif name == "enter":
            if self.edit.text.strip() or not self._needed:
                self.close()
                self._done(self.edit.text.strip())
        else:
            self.edit.key(name, character)

    def paste(self, text: str) -> None:
        """Paste at the caret."""
        self.edit.insert(text)
