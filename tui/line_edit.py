"""One line of text being typed: a value and what each key does to it. Drawn by whoever holds it."""

from __future__ import annotations

from dataclasses import dataclass

from rich.style import Style

from tui.draw import Piece
from tui.look import Look
from tui.safe_text import width

_MOST = 2000  # characters; a comment, not a document


@dataclass
class LineEdit:
    """Text and a caret."""

    text: str = ""
    caret: int = 0

    def key(self, name: str, character: str | None) -> bool:
        """Take a key; True when the text or the caret changed."""
        before = (self.text, self.caret)
        match name:
            case "left" | "ctrl+b":
                self.caret = max(0, self.caret - 1)
            case "right" | "ctrl+f":
                self.caret = min(len(self.text), self.caret + 1)
            case "home" | "ctrl+a":
                self.caret = 0
            case "end" | "ctrl+e":
                self.caret = len(self.text)
            case "backspace" | "ctrl+h":
                self._cut(max(0, self.caret - 1), self.caret)
            case "delete" | "ctrl+d":
                self._cut(self.caret, self.caret + 1)
            case "ctrl+u":
                self._cut(0, self.caret)
            case "ctrl+k":
                self._cut(self.caret, len(self.text))
            case "ctrl+w":
                kept = self.text[: self.caret].rstrip()
                self._cut(kept.rfind(" ") + 1, self.caret)
            case _ if character is not None and character.isprintable():
                self.insert(character)
        return (self.text, self.caret) != before

    def insert(self, text: str) -> None:
        """Put text at the caret; line breaks become spaces."""
        text = " ".join(text.splitlines()) if len(text) > 1 else text
        text = text[: max(0, _MOST - len(self.text))]
        self.text = self.text[: self.caret] + text + self.text[self.caret :]
        self.caret += len(text)

    def _cut(self, start: int, end: int) -> None:
        self.text = self.text[:start] + self.text[end:]
        self.caret = start

    def pieces(self, look: Look, cells: int, ground: str) -> list[Piece]:
        """The text with its caret, the part around the caret where it is too long."""
        style = look("text", ground)
        before, after = look.text(self.text[: self.caret]), look.text(self.text[self.caret :])
        while width(before) > cells - 2 and before:
            before = before[1:]
        caret = Style(reverse=True) + style
        if after:
            return [(before, style), (after[0], caret), (after[1:], style)]
        return [(before, style), (" ", caret)]
