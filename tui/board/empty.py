"""What the board says when there is nothing to show: what to do next, or what is wrong and what is safe."""

from __future__ import annotations

from collections.abc import Sequence

from tui.draw import Piece
from tui.feed import Feed
from tui.look import Look


def empty_lines(feed: Feed, filtered: str, look: Look) -> Sequence[list[Piece]]:
    """Lines for the middle of the board; none where there are cards to show."""
    head, plain, muted = look("text", bold=True), look("text"), look("muted")
    key = look("accent", bold=True)
    if feed.problem:
        return (
            [("The journal cannot be read", look("failed", bold=True))],
            [],
            [(look.text(feed.problem), plain)],
            [],
            [("Your files and branches are untouched, and nothing is written while this lasts.", muted)],
            [("`jetbox verify` names the fault. The cockpit looks again every second.", muted)],
        )
    if filtered and feed.cards:
        return (
            [(f"No ticket matches  {look.text(filtered)}", head)],
            [],
            [("/", key), ("  change the filter     ", muted), ("esc", key), ("  show all", muted)],
        )
    if feed.cards:
        return ()
    if feed.missing:
        return (
            [("Nothing has run here yet", head)],
            [],
            [("Starting the engine reads the tickets in ", muted), ("tickets/", plain), (".", muted)],
            [("s", key), ("  start the engine     ", muted), ("?", key), ("  every key", muted)],
        )
    return (
        [("No tickets yet", head)],
        [],
        [("Write the first one, in another terminal or with your editor:", muted)],
        [],
        [('jetbox new run "Format every file"', plain)],
        [],
        [("It stands here within a second of being saved.   ", muted), ("?", key), ("  every key", muted)],
    )
