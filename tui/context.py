"""What every screen is handed: the workspace, the feed, the look, the clocks, and two ways to speak."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from state.blobs import Blobs
from state.journal import Journal
from state.workspace import Workspace
from tui.feed import Feed
from tui.look import Look
from tui.machine import Sight

if TYPE_CHECKING:
    from state.contract import Sealer
    from tui.lab.talk import Mind


class Said(NamedTuple):
    """One line in the status bar."""

    text: str
    tone: str  # text, landed, waiting, failed: a role of the palette
    at: float


def _nowhere(look: object, then: object) -> None:
    """There is nothing to look at."""


@dataclass
class Context:
    """Shared by the app and its screens; the app fills in how to speak and where to go."""

    workspace: Workspace
    feed: Feed
    blobs: Blobs
    look: Look
    clock: Callable[[], float]
    """Seconds that only grow: for the decision gate and for messages."""
    now: Callable[[], int]
    """Wall clock in ms, for ages and dates."""
    say: Callable[[str, str], None]
    """Show one line: text, tone."""
    speak: Callable[[Callable[[Journal], object], str, Callable[[], None] | None], None]
    """Write a person's word beside the screen: what to write, what to say then, what to do then."""
    sealed: Callable[[Callable[[Journal, Sealer], object], str, Callable[[], None] | None], None]
    """The same for a word that is sealed, as approvals are: the word is handed the person's sealer."""
    go: Callable[[str, str], None]
    """Show a screen (board, ticket, runs, inbox, models, lab, back), at a ticket where one is named."""
    start_engine: Callable[[], str]
    """Start the engine beside the screen; why not, or ''."""
    machine: Sight
    """What the models hold of the machine, as last seen."""
    open_mind: Callable[[], Mind] | None = None
    """Open what answers in the Lab; called beside the screen when the Lab is shown first."""
    examine: Callable[[Callable[[Journal, Sealer], object], Callable[[object], None]], None] = _nowhere
    """Look, beside the screen, at what a person's seals stand behind: what to look at, what to do with it."""
    said: Said | None = None
    last_key: float = float("-inf")
    undo: tuple[str, Callable[[Journal], object], str] | None = None
    """What `u` would do: its words, the word to write, what to say then."""
    selected: str = ""
    """The ticket that the board or the inbox has selected last."""
