"""Every key of the screen below and what it does now, made from the commands the screen answers to."""

from __future__ import annotations

from collections.abc import Sequence

from textual.strip import Strip

from tui.commands import Command, key_name
from tui.draw import Piece, line
from tui.look import ASCII, Look
from tui.safe_text import fit
from tui.sheets.sheet import Sheet


class Help(Sheet):
    """A list that scrolls; a key that is off says why."""

    cells = 84

    def __init__(self, title: str, commands: Sequence[tuple[Command, str]], glyphs: Sequence[str]) -> None:
        super().__init__()
        self.title = title
        self._commands = commands
        self._glyphs = glyphs
        self._top = 0
        self._hidden = 0

    def lines(self, look: Look, cells: int, rows: int) -> list[Strip]:
        """The part of the list that is in view."""
        every = self._every(look, cells)
        self._hidden = max(0, len(every) - (rows - 1))
        self._top = max(0, min(self._top, self._hidden))
        ground = look("text", "card")
        more = f"{look.g.open} more below" if self._top < self._hidden else "esc  close"
        return [
            *every[self._top : self._top + rows - 1],
            line(cells, ground, [(more, look("faint", "card"))]),
        ]

    def _every(self, look: Look, cells: int) -> list[Strip]:
        ground, plain = look("text", "card"), look.g is ASCII
        out: list[Strip] = []
        for group in dict.fromkeys(command.group for command, _ in self._commands):
            if out:
                out.append(line(cells, ground, []))
            out.append(line(cells, ground, [(group, look("accent", "card", bold=True))]))
            for command, why in self._commands:
                if command.group != group:
                    continue
                keys = ", ".join(key_name(key, plain) for key in command.keys)
                pieces: list[Piece] = [
                    (fit(keys, 16), look("faint" if why else "text", "card", bold=not why)),
                    (command.help, look("faint" if why else "text", "card")),
                ]
                if why:
                    pieces.append((f"  {look.g.dash} {look.text(why)}", look("waiting", "card")))
                out.append(line(cells, ground, pieces, ellipsis=look.g.ellipsis))
        out.append(line(cells, ground, []))
        out.append(line(cells, ground, [("States", look("accent", "card", bold=True))]))
        row: list[Piece] = []
        for name in self._glyphs:
            word = "needs you" if name == "asks" else name
            role = "waiting" if name == "asks" else name
            row += [(f"{look.glyph(name)} ", look(role, "card")), (fit(word, 13), look("muted", "card"))]
            if len(row) >= 10:
                out.append(line(cells, ground, row))
                row = []
        if row:
            out.append(line(cells, ground, row))
        return out

    def key(self, name: str, character: str | None) -> None:
        """Scroll or close."""
        match name:
            case "down" | "j":
                self._top += 1
            case "up" | "k":
                self._top -= 1
            case "pagedown" | "space":
                self._top += 10
            case "pageup":
                self._top -= 10
            case "home" | "g":
                self._top = 0
            case "end" | "G":
                self._top = self._hidden
            case "escape" | "q" | "?" | "enter":
                self.close()

    def wheel(self, by: int) -> None:
        """Scroll."""
        self._top += 3 * by
