"""The command palette: type a part of a command's name, enter runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.strip import Strip

from tui.commands import Command, key_name
from tui.draw import Piece, line
from tui.line_edit import LineEdit
from tui.look import ASCII, Look
from tui.safe_text import width
from tui.sheets.sheet import Sheet

_ROWS = 14


def matching(commands: Sequence[tuple[Command, str]], typed: str) -> list[tuple[Command, str]]:
    """The commands that hold every word typed, ones whose name begins so first."""
    words = typed.lower().split()
    found = [
        (command, why)
        for command, why in commands
        if all(word in f"{command.label} {command.help} {command.name}".lower() for word in words)
    ]
    first = words[0] if words else ""
    return sorted(found, key=lambda each: not each[0].label.lower().startswith(first))


class Palette(Sheet):
    """A line to type and the commands that match."""

    title = "Commands"
    cells = 76

    def __init__(self, commands: Sequence[tuple[Command, str]], run: Callable[[str], None]) -> None:
        super().__init__()
        self.edit = LineEdit()
        self._commands = commands
        self._run = run
        self._at = 0

    def lines(self, look: Look, cells: int, rows: int) -> list[Strip]:
        """The line and as many commands as there is room for."""
        ground = look("text", "card")
        field: list[Piece] = [("> ", look("accent", "raised", bold=True))]
        out = [
            line(cells, look("text", "raised"), [*field, *self.edit.pieces(look, cells - 2, "raised")]),
            line(cells, ground, []),
        ]
        found = matching(self._commands, self.edit.text)
        self._at = max(0, min(self._at, len(found) - 1))
        room = min(_ROWS, max(1, rows - 2))
        top = max(0, self._at - room + 1)
        for index, (command, why) in enumerate(found[top : top + room], top):
            back = "raised" if index == self._at else "card"
            text = look("faint" if why else "text", back)
            pieces = [
                ("> " if index == self._at else "  ", look("accent", back, bold=True)),
                (command.help, text),
            ]
            if why:
                pieces.append((f"  {look.g.dash} {look.text(why)}", look("waiting", back)))
            key = key_name(command.keys[0], look.g is ASCII)
            size = width(key)
            right = [(" " * (2 + max(0, 6 - size)) + key + " ", look("muted", back))]
            out.append(line(cells, look("text", back), pieces, right, look.g.ellipsis))
        if not found:
            out.append(line(cells, ground, [("  no such command", look("faint", "card"))]))
        out += [line(cells, ground, [])] * (min(_ROWS, rows - 2) + 2 - len(out))
        return out

    def key(self, name: str, character: str | None) -> None:
        """Type, choose, run or leave."""
        match name:
            case "escape":
                self.close()
            case "up" | "ctrl+p" | "shift+tab":
                self._at -= 1
            case "down" | "ctrl+n" | "tab":
                self._at += 1
            case "enter":
                found = matching(self._commands, self.edit.text)
                self.close()
                if found:
                    self._run(found[self._at][0].name)
            case _:
                if self.edit.key(name, character):
                    self._at = 0

    def paste(self, text: str) -> None:
        """Paste at the caret."""
        self.edit.insert(text)

    def clicked(self, row: int) -> None:
        """Run the command that was clicked."""
        found = matching(self._commands, self.edit.text)
        if 0 <= row - 2 < len(found):
            self._at = row - 2
            self.key("enter", None)
