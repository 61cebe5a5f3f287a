"""Telling the agent of a ticket something: its attempt goes on, and it reads this before its next turn."""

from __future__ import annotations

from state.journal import Journal
from tui.screen import CockpitScreen


def tell(screen: CockpitScreen, ticket: str) -> None:
    """Ask for the words, and write them."""
    from tui.sheets.prompt import Prompt

    def write(text: str) -> None:
        def word(journal: Journal) -> object:
            from state import words

            return words.comment(journal, ticket, text)

        screen.context.speak(word, f"{ticket}: the agent is told before its next turn", None)

    about = "The agent reads this before its next turn. Its attempt goes on; nothing is ended."
    screen.show(Prompt(f"Tell the agent of {ticket}", about, write, needed=True))
