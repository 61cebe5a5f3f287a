"""How things look: colours by role, glyphs by meaning, and the choice that suits this terminal.

Colours follow Okabe and Ito, which stay apart in all colour visions, and never stand alone: each state
has a shape and a word too. A terminal of 16 colours gets its own palette, one that cannot show the
shapes gets plain ASCII.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from rich.style import Style

from state.safe_text import safe
from tui.safe_text import clip

# fmt: off
DARK = {
    "bg": "#0f1318", "card": "#171d24", "raised": "#26323f", "bar": "#161b22",
    "text": "#e4e8ed", "muted": "#9aa5b1", "faint": "#68737f", "line": "#2c343d",
    "accent": "#56b4e9", "ready": "#b7c7d6", "running": "#56b4e9", "waiting": "#e69f00",
    "review": "#dd8fbe", "landed": "#2bb88a", "failed": "#f0763b", "cancelled": "#7f8a96",
    "broken": "#f0763b", "backlog": "#8592a0", "add": "#5fd0a4", "drop": "#f58e62",
    "add_bg": "#12261f", "drop_bg": "#2c1a14",
}
LIGHT = {
    "bg": "#fbfbf8", "card": "#f1f2ee", "raised": "#d9e6f1", "bar": "#eceee9",
    "text": "#1b2026", "muted": "#515b66", "faint": "#78828d", "line": "#d0d4cf",
    "accent": "#00639c", "ready": "#40566b", "running": "#00639c", "waiting": "#8a5300",
    "review": "#8c3a74", "landed": "#006a4b", "failed": "#ab3f00", "cancelled": "#66707b",
    "broken": "#ab3f00", "backlog": "#5d6873", "add": "#00593f", "drop": "#993600",
    "add_bg": "#e2f3ea", "drop_bg": "#fae6dc",
}
SIXTEEN = {
    "bg": "default", "card": "default", "raised": "blue", "bar": "default",
    "text": "default", "muted": "default", "faint": "bright_black", "line": "bright_black",
    "accent": "cyan", "ready": "default", "running": "cyan", "waiting": "yellow",
    "review": "magenta", "landed": "green", "failed": "red", "cancelled": "default",
    "broken": "red", "backlog": "default", "add": "green", "drop": "red",
    "add_bg": "default", "drop_bg": "default",
}
# fmt: on


class Glyphs(NamedTuple):
    """The shapes, in one of two alphabets."""

    states: Mapping[str, str]
    edge: str  # a card's left edge
    rule: str
    heavy: str
    thumb: str
    full: str
    empty: str
    dot: str
    dash: str  # between the ends of a range; nothing known
    ellipsis: str
    open: str
    shut: str
    tick: str
    cross: str
    unknown: str
    caret: str
    box: str  # corners and sides: top left, top right, bottom left, bottom right, across, down
    warn: str


UNICODE = Glyphs(
    states={
        "broken": "▲", "backlog": "○", "ready": "◔", "running": "◑", "waiting": "‖", "review": "◕",
        "landed": "●", "failed": "✗", "cancelled": "⊘", "asks": "!",
        "done": "●", "interrupted": "◌", "paused": "‖", "stopped": "○", "starting": "◌",
    },
    edge="▌", rule="─", heavy="━", thumb="┃", full="━", empty="─", dot="·", dash="–", ellipsis="…",
    open="▾", shut="▸", tick="✓", cross="✗", unknown="?", caret="▏", box="╭╮╰╯─│", warn="!",
)  # fmt: skip
ASCII = Glyphs(
    states={
        "broken": "#", "backlog": ".", "ready": "o", "running": ">", "waiting": "=", "review": "?",
        "landed": "*", "failed": "x", "cancelled": "-", "asks": "!",
        "done": "*", "interrupted": "~", "paused": "=", "stopped": ".", "starting": "~",
    },
    edge="|", rule="-", heavy="=", thumb="#", full="=", empty="-", dot="-", dash="-", ellipsis="~",
    open="v", shut=">", tick="+", cross="x", unknown="?", caret="_", box="++++-|", warn="!",
)  # fmt: skip


class Look:
    """A palette and an alphabet: everything a drawing function needs to know of the terminal."""

    def __init__(self, colours: Mapping[str, str] = DARK, glyphs: Glyphs = UNICODE) -> None:
        self.colours = colours
        self.g = glyphs
        self.sixteen = colours is SIXTEEN

    def __call__(
        self, fg: str = "text", bg: str = "bg", bold: bool = False, italic: bool = False, under: bool = False
    ) -> Style:
        """The style of a role on a ground."""
        return _style(self, fg, bg, bold, italic, under)

    @property
    def light(self) -> bool:
        """Whether the ground is light."""
        return self.colours is LIGHT

    def other(self) -> Look:
        """The same on the other ground; 16 colours are the terminal's own and have no other."""
        if self.sixteen:
            return self
        return Look(DARK if self.light else LIGHT, self.g)

    def text(self, text: str) -> str:
        """Text from anywhere, safe and in this terminal's alphabet."""
        cleaned = safe(text)
        if self.g is ASCII and not cleaned.isascii():
            return cleaned.encode("ascii", "replace").decode()
        return cleaned

    def clip(self, text: str, cells: int) -> str:
        """Text from anywhere in at most so many cells."""
        return clip(self.text(text), cells, self.g.ellipsis)

    def glyph(self, state: str) -> str:
        """The shape of a state."""
        return self.g.states.get(state, self.g.unknown)


@lru_cache(maxsize=2048)
def _style(look: Look, fg: str, bg: str, bold: bool, italic: bool, under: bool) -> Style:
    colours = look.colours
    fg = fg if fg in colours else "text"
    colour = "bright_white" if look.sixteen and bg == "raised" else colours[fg]
    return Style(color=colour, bgcolor=colours[bg], bold=bold, italic=italic, underline=under)


def look_for(
    environ: Mapping[str, str] = os.environ, encoding: str = "utf-8", colour_system: str | None = "truecolor"
) -> Look:
    """The look that suits a terminal, dark where nothing says otherwise."""
    glyphs = UNICODE
    if environ.get("JETBOX_ASCII", "0") not in ("", "0") or environ.get("TERM") in ("linux", "dumb"):
        glyphs = ASCII
    try:
        "".join(UNICODE.states.values()).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        glyphs = ASCII
    if colour_system in ("standard", "windows"):
        return Look(SIXTEEN, glyphs)
    ground = environ.get("COLORFGBG", "").rpartition(";")[2]
    return Look(LIGHT if ground in ("7", "15") else DARK, glyphs)
